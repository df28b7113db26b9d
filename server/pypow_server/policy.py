# SPDX-License-Identifier: Apache-2.0
"""What a call costs: the first matching entry, else free by nature, else the default price."""

import enum
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pypow.errors import InvalidInputError

from .access import Access
from .call import Call
from .client_address import NOBODY, TrustedProxies
from .host_name import hostname, is_ip
from .match import Match
from .mcp_message import Kind, McpMessage
from .price import (
    DEAREST,
    DEFAULT_BITS,
    DEFAULT_PRICE,
    MAX_PASS_CALLS,
    MAX_PASS_LIFETIME_S,
    MAX_SATS,
    MAX_WEIGHT,
    PassTerms,
    Price,
    dearest_of,
    priced,
    relative_weight,
)
from .resource import Resource, http_resource, is_canonical
from .stores import Quota

__all__ = [
    "DEAREST",
    "DEFAULT_BITS",
    "DEFAULT_PRICE",
    "FREE",
    "MAX_PASS_CALLS",
    "MAX_PASS_LIFETIME_S",
    "MAX_SATS",
    "MAX_WEIGHT",
    "RESERVED",
    "UNPRICED",
    "Entry",
    "PassTerms",
    "Policy",
    "Price",
    "Unpriced",
    "entry",
    "priced",
    "relative_weight",
]

_LONGEST_REMEMBERED = 256
"""Octets of the longest request whose price is remembered: callers must not fill the memory."""
_MAX_HOST = 262
"""Octets: of a name in the DNS, a dot, a colon and a port; what is longer is nobody's."""

UNPRICED: Final = "none"
"""What a `Decision` calls the price where none was looked for."""

FREE: Final = None
"""The price of a call that anyone may make. Only ever said explicitly, never by omission."""

_FREE_METHODS = re.compile(
    r"server/discover|initialize|ping|completion/complete|notifications/.*|.*/list", re.DOTALL
)


class Unpriced(enum.Enum):
    """Why a call has no price."""

    DENIED = "deny"
    """A row keeps it out."""
    HIDING = UNPRICED
    """MCP calls could go on in it unseen."""
    ALLOWED = "allow"
    """A row about calls lets it in, whoever makes it."""
    ALLOWED_NETWORK = "allow from here"
    """A row about networks lets it in."""
    FREE = "free"

    @property
    def entry(self) -> str:
        """What a `Decision` calls it."""
        return self.value.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a price list.

    Attributes:
        match: as `Match` has it. A price on a path covers its other cases, with and without a
            slash at the end, because many servers route them alike; `FREE` covers what is written.
        price: what matching calls cost, or `FREE`.
    """

    match: str
    price: Price | None
    _match: Match = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_match", Match(self.match))

    def matches(self, resource: Resource) -> bool:
        """Whether this row is about ``resource``."""
        if self.price is FREE:
            return self._match.is_written(resource)
        return self._match.covers(resource)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gate asks of whom.

    Attributes:
        default: what everything costs that no entry names and that is not free by nature.
        entries: first match wins.
        mcp_paths: where POST bodies are MCP messages, in any case, with or without a slash at the
            end.
        denied: who is kept out, whatever a call would cost.
        allowed: who is let in for nothing.
        free_limit: how many calls that cost nothing each network may make; None for any number.
        hosts: names by which callers may call the gate; None for any. An IP address is always
            one: no page of another site can be made to send it.
        observe: decide, and let everything through.
        trusted: proxies whose word on the client's address is taken.
        takes_tokens: whether access tokens of other issuers are looked for.
        forwards_tokens: whether they travel on to the upstream.
        asks_login_first: whether whoever brings nothing is asked for a login where one helps.
        dearest: what an ambiguous path or URI costs, whatever it reaches: the highest price on the
            list, and none of what its row gives away. Its passes and free calls are for its own
            calls.
        any_call: what a challenge asks that is for any call of the default price's weight: as
            much as the hardest of them.
        is_sold: whether anything can be bought for sats, so that payments are looked for.
        takes_fields: whether any field is looked for besides proofs and passes.
    """

    default: Price = DEFAULT_PRICE
    entries: tuple[Entry, ...] = ()
    mcp_paths: tuple[str, ...] = ("/mcp",)
    denied: tuple[Access, ...] = ()
    allowed: tuple[Access, ...] = ()
    free_limit: Quota | None = None
    hosts: frozenset[str] | None = None
    observe: bool = False
    trusted: TrustedProxies = NOBODY
    takes_tokens: bool = False
    forwards_tokens: bool = False
    asks_login_first: bool = False
    dearest: Price = field(init=False, compare=False)
    any_call: Price = field(init=False, compare=False)
    is_sold: bool = field(init=False, compare=False)
    takes_fields: bool = field(init=False, compare=False)
    _named: dict[str, Price] = field(init=False, repr=False, compare=False)
    _mcp_paths: frozenset[bytes] = field(init=False, repr=False, compare=False)
    _http_price: Callable[[str, bytes], tuple[Price | None, Price | None]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        listed = (entry.price for entry in self.entries if entry.price is not FREE)
        prices = (self.default, *listed)
        dearest = dearest_of(prices)
        object.__setattr__(self, "is_sold", any(price.sats is not None for price in prices))
        object.__setattr__(self, "takes_fields", self.is_sold or self.takes_tokens)
        object.__setattr__(self, "dearest", dearest)
        light = [price for price in prices if price.weight <= self.default.weight]
        any_q = max(price.q for price in light if price.takes_work or price is self.default)
        any_call = Price(self.default.name, any_q, self.default.weight)
        object.__setattr__(self, "any_call", any_call)
        paths = frozenset(_folded(path.encode()) for path in self.mcp_paths)
        object.__setattr__(self, "_mcp_paths", paths)
        remembering = functools.lru_cache(maxsize=1024)(self._find_http_price)
        object.__setattr__(self, "_http_price", remembering)
        named = {DEAREST: dearest, **self._own_names()}
        object.__setattr__(self, "_named", named)

    def _own_names(self) -> dict[str, Price]:
        """The prices by name; those that differ and share one are refused.

        What one of them sells would be good for the other.

        A row below another price of the same match is never reached, and left out.
        """
        reached: dict[str, Price] = {}
        for entry in self.entries:
            if entry.price is not FREE:
                reached.setdefault(entry.match, entry.price)
        named = {self.default.name: self.default}
        for price in (self.default, *reached.values()):
            if price.name in RESERVED and price != self.dearest:
                raise InvalidInputError(
                    f"price {price.name!r}: this name means something else; choose another"
                )
            if named.setdefault(price.name, price) != price:
                raise InvalidInputError(
                    f"expected one price named {price.name!r}, got two that differ: passes and "
                    "free calls are good for every price of a name; name one of them otherwise"
                )
        return named

    def named(self, name: str) -> Price | None:
        """The price of this name, if there is one that is ever reached."""
        return self._named.get(name)

    @property
    def is_metered(self) -> bool:
        """Whether any price follows what its callers use."""
        return any(price.meter is not None for price in self._named.values())

    def is_mcp(self, call: Call) -> bool:
        """Whether the call's path is one where MCP is spoken."""
        return self.is_mcp_path(call.path) and call.canonical

    def is_mcp_path(self, path: bytes) -> bool:
        """Whether MCP is spoken at this path, which has one reading."""
        return _folded(path) in self._mcp_paths

    def is_named(self, call: Call) -> bool:
        """Whether the call's one Host header names this gate, on whatever port."""
        if self.hosts is None:
            return True
        if len(call.hosts) != 1 or len(call.hosts[0]) > _MAX_HOST:
            return False
        name = hostname(call.hosts[0])
        return name in self.hosts or is_ip(name)

    def terms(self, call: Call) -> Price | Unpriced:
        """What the call costs, or why it has no price: this is the order in which rows count."""
        if self.denied and any(row.denies(call) for row in self.denied):
            return Unpriced.DENIED
        if self.allowed:
            row = next((row for row in self.allowed if row.allows(call)), None)
            if row is not None:
                return Unpriced.ALLOWED_NETWORK if row.networks else Unpriced.ALLOWED
        if call.method == "WEBSOCKET" and self._hides_calls(call):
            return Unpriced.HIDING
        price = self.price(call)
        return Unpriced.FREE if price is FREE else price

    def terms_of(self, resource: Resource, client: str = "") -> Price | Unpriced:
        """The terms of a call that is only named; from nowhere, rows about networks are left out.

        A row that denies the POST at one of several MCP paths leaves the others open.
        """
        if resource.kind == "http":
            return self.terms(Call(resource.method, resource.name.encode(), client, ()))
        message = McpMessage(
            Kind.REQUEST, 0, resource.method, resource.name, modern=False, proof=(), body=b""
        )
        paths = self.mcp_paths or ("/mcp",)
        found = [self.terms(Call("POST", path.encode(), client, (), mcp=message)) for path in paths]
        return next((terms for terms in found if terms is not Unpriced.DENIED), found[0])

    def _hides_calls(self, call: Call) -> bool:
        """Whether this is a WebSocket in which MCP calls could go on unseen, at the price of one.

        A row that names its path lets it through.
        """
        where = not call.canonical or self.is_mcp_path(call.path)
        return where and self._listed(call.resource) is None

    def price(self, call: Call) -> Price | None:
        """What the call costs, or `FREE`."""
        if call.mcp is not None:
            is_response = call.mcp.kind is Kind.RESPONSE
            free = is_response and self._listed(call.resource) is None
            return FREE if free else self.price_of(call.resource)
        remembered = len(call.path) + len(call.method) <= _LONGEST_REMEMBERED
        price_of = self._http_price if remembered else self._find_http_price
        price, modern_price = price_of(call.method, call.path)
        return modern_price if call.routing.modern else price

    def price_of(self, resource: Resource) -> Price | None:
        """What a resource costs that is only named, or `FREE`."""
        if resource.kind == "http" and not is_canonical(resource.name.encode()):
            return self.dearest
        listed, *others = (self._listed(reading) for reading in resource.readings)
        if any(other is not listed for other in others):
            return self.dearest
        if listed is not None:
            return listed.price
        free = resource.kind == "mcp" and _FREE_METHODS.fullmatch(resource.method) is not None
        return FREE if free else self.default

    def _listed(self, resource: Resource) -> Entry | None:
        return next((entry for entry in self.entries if entry.matches(resource)), None)

    def _find_http_price(self, method: str, path: bytes) -> tuple[Price | None, Price | None]:
        """What an HTTP call costs from a caller of the handshake era, and from a modern one.

        What no row names may be free by nature: well-known documents, streams and their end.
        """
        resource = http_resource(method, path)
        price = self.price_of(resource)
        if is_canonical(path) and self._listed(resource) is None:
            if method in ("GET", "HEAD") and path.startswith(b"/.well-known/"):
                return FREE, FREE
            if method in ("GET", "DELETE") and self.is_mcp_path(path):
                return FREE, price
        return price, price


RESERVED: Final = frozenset({DEAREST, *(one.entry for one in Unpriced)})
"""Names that no price may have: what decisions call calls that no row is about."""


def entry(match: str, *, bits: float, default: Price = DEFAULT_PRICE) -> Entry:
    """A row that costs ``bits`` of work (1 to 44), weighed against the default price.

    Raises:
        InvalidInputError: bits out of range, or a match that names nothing.
    """
    return Entry(match, priced(match, bits=bits, default=default))


def _folded(path: bytes) -> bytes:
    return path.lower().rstrip(b"/") or b"/"
