# SPDX-License-Identifier: Apache-2.0
"""What one request asks for, from a single scan of its headers.

Everything that decides is read here, once, and what is ours never travels on: credentials and
``X-PoW-*`` headers are left out of what the upstream gets, and so are the underscore spellings
that some servers fold into a header that was judged. Decisions are made on the raw path only.
"""

import contextlib
import enum
import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from pypow.errors import InvalidInputError

from . import problems
from .accepts import Accepts, read_accepts
from .client_address import NOBODY, TrustedProxies, client_of
from .mcp_message import McpMessage, RoutingHeaders
from .passes import PREFIX
from .payment_fields import Paying, with_message
from .presented import Form, Presented
from .problems import Problem
from .reply import Header
from .resource import Resource, http_resource, is_canonical, raw_path
from .scope import Scope
from .token_fields import Tokens

NO_ROUTING = RoutingHeaders()

HEAD_LIMIT = 32 * 1024
"""Octets of all header names and values together."""

FIELD_LIMIT = 512
"""Header fields: to keep one more of a name takes as long as all that were kept of it."""

_LONGEST_KNOWN, _MOST_KNOWN = 64, 512
"""Octets of a field name whose kind is remembered, and how many are: callers think of many."""

PASS_COOKIE = "pypow_pass"  # noqa: S105 - a cookie's name
STANDING_COOKIE = "pypow_standing"
PRINCIPAL_KEY = "pypow.principal"
"""Scope key under which the app finds who was charged; absent on free calls."""

_JUDGED = {
    b"accept", b"authorization", b"content-encoding", b"content-length", b"content-type",
    b"cookie", b"host", b"transfer-encoding", b"mcp-protocol-version", b"mcp-method", b"mcp-name",
}  # fmt: skip
_NOTED = {b"content-length", b"mcp-protocol-version", b"mcp-method", b"mcp-name"}
_REROUTING = {
    b"x-http-method", b"x-http-method-override", b"x-method-override",
    b"x-original-method", b"x-original-url", b"x-rewrite-url",
}  # fmt: skip
"""With these, frameworks let a caller run another method or path than the one that was priced."""

_PASS_PREFIX = PREFIX.encode()
_LONGEST_AUTHORIZATION = 256
"""Octets: a pass fits, and its holder sends it with every call."""


_HELD = (Form.PASS, Form.BOUND_PASS, Form.COOKIE)
_PASS_SCHEMES = {b"bearer": Form.PASS, b"dpop": Form.BOUND_PASS}
_COOKIES = {PASS_COOKIE.encode(): Form.COOKIE, STANDING_COOKIE.encode(): Form.STANDING_COOKIE}


class Call(NamedTuple):
    """One request, as far as the gate looks at it.

    A named tuple, because every request makes one: a frozen dataclass takes six times as long.

    Attributes:
        method: HTTP method; ``WEBSOCKET`` for a WebSocket handshake.
        path: as it came, without the query.
        client: the caller's network, IPv4 /32 or IPv6 /64.
        address: the caller's own, for the upstream; None for a connection without one.
        headers: what may travel on: without our credentials and ``X-PoW-*``.
        presented: the credentials found in headers and cookies.
        accepts: of ``X-PoW-Accept``; None when it was not sent.
        hosts: every ``Host`` header.
        routing: the MCP headers that mirror the body.
        content_length: as declared; None when it was not.
        mcp: the message in the body, on an MCP path.
        standing: the standing tokens found in headers and cookies; they admit nobody.
        paying: what was sent to pay with; None where that is nothing, or is not looked for.
        by_key: whether a pass came as one that is bound to a key.
        tokens: what was sent to sign in with; likewise.
    """

    method: str
    path: bytes
    client: str
    headers: tuple[Header, ...]
    address: str | None = None
    presented: tuple[Presented, ...] = ()
    accepts: Accepts | None = None
    hosts: tuple[bytes, ...] = ()
    routing: RoutingHeaders = NO_ROUTING
    content_length: int | None = None
    mcp: McpMessage | None = None
    standing: tuple[Presented, ...] = ()
    paying: Paying | None = None
    by_key: bool = False
    tokens: Tokens | None = None

    @property
    def canonical(self) -> bool:
        """Whether every server reads this path alike; what is not canonical is never free."""
        return is_canonical(self.path)

    @property
    def resource(self) -> Resource:
        """What is asked for."""
        if self.mcp is not None:
            return Resource("mcp", self.mcp.method, self.mcp.name)
        return http_resource(self.method, self.path)

    @property
    def credentials(self) -> tuple[Presented, ...]:
        """All credentials, from headers and body."""
        if self.mcp is None:
            return self.presented
        return self.presented + tuple(Presented(Form.META, proof) for proof in self.mcp.proof)

    def values(self, name: bytes) -> list[bytes]:
        """What the fields of this name say, in order; the name in lower case."""
        return [value for found, value in self.headers if found == name]

    @property
    def reads_http(self) -> bool:
        """Whether the caller has shown that it knows what an HTTP 402 of ours means.

        A pass shows nothing: stock clients send it as a header that somebody else set.
        """
        return (
            self.accepts is not None
            or (self.paying is not None and self.paying.in_header)
            or any(one.form not in _HELD for one in self.presented)
        )

    def with_message(self, message: McpMessage) -> "Call":
        """The call, with what its body says."""
        if not message.paying:
            return self._replace(mcp=message)
        return self._replace(mcp=message, paying=with_message(self.paying, message.paying))

    def scope_for_app(self, scope: Scope, *, principal: str | None) -> Scope:
        """The scope as the app gets it: what is ours taken out, who was charged put in."""
        headers: Iterable[Header] = self.headers
        if self.by_key:  # and so the proof is ours too
            headers = tuple(h for h in headers if h[0] != b"dpop")
        if self.mcp is not None and self.mcp.is_shortened:
            headers = (
                *(h for h in headers if h[0] not in (b"content-length", b"transfer-encoding")),
                (b"content-length", b"%d" % len(self.mcp.body)),
            )
        passed = {**scope, "headers": list(headers)}
        if self.address is not None and scope["client"][0] != self.address:
            passed["client"] = (self.address, 0)  # the proxy in between does not tell its port
        passed.pop(PRINCIPAL_KEY, None)
        if principal is not None:
            passed[PRINCIPAL_KEY] = principal
        return passed


def read_call(scope: Scope, trusted: TrustedProxies = NOBODY) -> Call | Problem:
    """Scan an HTTP or WebSocket scope, once.

    Args:
        scope: of the request.
        trusted: whose headers say where it comes from.
    """
    method: str = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    if not method.isupper() and method != method.upper():
        # Clients and frameworks raise it: what is no POST here would be one at the upstream.
        return problems.bad_request(f"expected a method in capitals, got {method[:40]!a}")
    fields = scope["headers"]
    if len(fields) > FIELD_LIMIT:
        return problems.headers_too_large(
            f"expected at most {FIELD_LIMIT} header fields, got {len(fields)}"
        )
    scan = _Scan()
    try:
        octets = scan.take_all(fields)
        accepts = read_accepts(scan.accepts) if scan.accepts else None
    except InvalidInputError as error:
        return problems.bad_request(str(error))
    if octets > HEAD_LIMIT:
        return problems.headers_too_large(
            f"expected at most {HEAD_LIMIT} octets of headers, got {octets}"
        )
    if len(scan.authorizations) > 1 and len(set(scan.authorizations)) > 1:
        return problems.conflicting_credentials("expected one Authorization header, got several")
    client = client_of(scope.get("client"), fields, trusted)
    return Call(
        method,
        raw_path(scope),
        "local" if client is None else client.network,
        tuple(scan.kept),
        None if client is None else client.text,
        scan.presented,
        accepts,
        scan.hosts,
        scan.routing,
        scan.content_length,
        standing=scan.standing,
        by_key=scan.by_key,
    )


def tokens_in(fields: Iterable[Header]) -> tuple[Presented, ...]:
    """The standing tokens in header fields, as `Call.standing` has them."""
    scan = _Scan()
    with contextlib.suppress(InvalidInputError):
        scan.take_all(fields)
    return scan.standing


def without_ours(scope: Scope) -> Scope:
    """The scope without our credentials, though its headers cannot be read as a call's."""
    scan = _Scan()
    for header in scope["headers"]:
        try:
            scan.take_all((header,))
        except InvalidInputError:
            scan.kept.append(header)
    passed = {**scope, "headers": scan.kept}
    passed.pop(PRINCIPAL_KEY, None)
    return passed


class _Kind(enum.Enum):
    """What becomes of a field, by its name."""

    PLAIN = enum.auto()
    HOST = enum.auto()
    NOTED = enum.auto()
    OURS = enum.auto()
    PARTLY_OURS = enum.auto()
    REROUTING = enum.auto()
    DROPPED = enum.auto()


def _kind(name: bytes) -> _Kind:
    folded = name.replace(b"_", b"-")
    if folded in _REROUTING:
        return _Kind.REROUTING
    if folded.startswith(b"x-pow-"):
        return _Kind.OURS
    if name != folded and folded in _JUDGED:
        return _Kind.DROPPED
    if name in (b"authorization", b"cookie"):
        return _Kind.PARTLY_OURS
    if name == b"host":
        return _Kind.HOST
    return _Kind.NOTED if name in _NOTED else _Kind.PLAIN


class _Kinds(dict[bytes, _Kind]):
    """The kinds of names that were met; not of all that callers may think of."""

    def __missing__(self, name: bytes) -> _Kind:
        kind = _kind(name)
        if len(name) <= _LONGEST_KNOWN:
            if len(self) >= _MOST_KNOWN:  # by whom is not known, so nobody's are kept
                self.clear()
            self[name] = kind
        return kind


_KINDS = _Kinds()


class _Scan:
    """One pass over the headers: sorts them into what is ours and what travels on."""

    # Here and not in `__init__`: most requests have none of these.
    presented: tuple[Presented, ...] = ()
    standing: tuple[Presented, ...] = ()
    accepts: tuple[bytes, ...] = ()
    hosts: tuple[bytes, ...] = ()
    authorizations: tuple[bytes, ...] = ()
    routing: RoutingHeaders = NO_ROUTING
    content_length: int | None = None
    by_key = False

    def __init__(self) -> None:
        self.kept: list[Header] = []

    def take_all(self, headers: Iterable[Header]) -> int:
        """Sort these too; the octets of their names and values."""
        octets = 0
        keep = self.kept.append
        for given, value in headers:
            octets += len(given) + len(value)
            name = given.lower()
            kind = _KINDS[name]
            if kind is _Kind.PLAIN:
                keep((name, value))
            elif kind is _Kind.HOST:
                self.hosts += (value,)
                keep((name, value))
            else:
                self._take(kind, name, value)
        return octets

    def _take(self, kind: _Kind, name: bytes, value: bytes) -> None:
        if kind is _Kind.OURS:
            self._take_ours(name, value)
        elif kind is _Kind.NOTED:
            self._note(name, value)
            self.kept.append((name, value))
        elif name == b"authorization":
            self._take_authorization(value)
        elif name == b"cookie":
            self._take_cookies(value)
        elif kind is _Kind.REROUTING:
            raise InvalidInputError(
                f"expected no {name.decode()}: send the method and path that are meant"
            )

    def _take_ours(self, name: bytes, value: bytes) -> None:
        if name == b"x-pow-solution":
            self.presented += (Presented(Form.SOLUTION_HEADER, value),)
        elif name == b"x-pow-accept":
            self.accepts += (value,)
        elif name == b"x-pow-standing":
            self.standing += (Presented(Form.STANDING, value.strip(b" \t")),)

    def _take_authorization(self, value: bytes) -> None:
        self.authorizations += (value,)
        # Only what holds a pass: the others come once, or are the upstream's secrets.
        remembered = len(value) <= _LONGEST_AUTHORIZATION and _PASS_PREFIX in value
        found = (_credential if remembered else _credential.__wrapped__)(value)
        if found is None:
            self.kept.append((b"authorization", value))
        else:
            self.presented += (found,)
            self.by_key = self.by_key or found.form is Form.BOUND_PASS

    def _take_cookies(self, value: bytes) -> None:
        foreign = []
        for pair in value.split(b";"):
            name, _, content = pair.strip(b" \t").partition(b"=")
            form = _COOKIES.get(name.strip(b" \t"))
            if form is None:
                foreign.append(pair)
            elif form is Form.COOKIE:
                self.presented += (Presented(form, content.strip(b" \t")),)
            else:
                self.standing += (Presented(form, content.strip(b" \t")),)
        if len(foreign) == value.count(b";") + 1:
            self.kept.append((b"cookie", value))
        elif remaining := b";".join(foreign).strip(b" \t"):
            self.kept.append((b"cookie", remaining))

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.content_length = _content_length(value, before=self.content_length)
        else:
            self.routing = self.routing.noting(name, value.decode("latin-1"))


@functools.lru_cache(maxsize=1024)
def _credential(authorization: bytes) -> Presented | None:
    """What of ours an ``Authorization`` header presents."""
    scheme, rest = (*authorization.split(None, 1), b"", b"")[:2]
    rest = rest.strip()
    if scheme.lower() == b"pow":
        return Presented(Form.AUTHORIZATION, rest)
    form = _PASS_SCHEMES.get(scheme.lower())
    if form is not None and rest.startswith(_PASS_PREFIX):
        return Presented(form, rest)
    return None


def _content_length(value: bytes, *, before: int | None) -> int:
    if not re.fullmatch(rb"[0-9]{1,18}", value) or before not in (None, int(value)):
        raise InvalidInputError("expected one Content-Length, a decimal number of octets")
    return int(value)
