# SPDX-License-Identifier: Apache-2.0
"""What one request asks for, from a single scan of its headers.

Everything that decides is read here, once, and what is ours never travels on: credentials and
``X-PoW-*`` headers are left out of what the upstream gets, and so are the underscore spellings
that some servers fold into a header that was judged. Decisions are made on the raw path only.
"""

import enum
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pypow import difficulty
from pypow.errors import InvalidInputError

from . import problems
from .client_address import NOBODY, TrustedProxies, client_of
from .mcp_message import McpMessage, RoutingHeaders
from .passes import PREFIX
from .problems import Problem
from .reply import Header
from .resource import Resource, http_resource, is_canonical, raw_path
from .scope import Scope

NO_ROUTING = RoutingHeaders()

HEAD_LIMIT = 32 * 1024
"""Octets of all header names and values together."""

_REMEMBERED = 64
"""Octets of the longest field name that is remembered."""

PASS_COOKIE = "pypow_pass"  # noqa: S105 - a cookie's name
PRINCIPAL_KEY = "pypow.principal"
"""Scope key under which the app finds who was charged; absent on free calls."""

_JUDGED = {
    b"accept", b"authorization", b"content-encoding", b"content-length", b"content-type",
    b"cookie", b"host", b"transfer-encoding", b"mcp-protocol-version", b"mcp-method", b"mcp-name",
}  # fmt: skip
_ROUTING = {b"mcp-protocol-version", b"mcp-method", b"mcp-name"}
_NOTED = _ROUTING | {
    b"host", b"content-length", b"content-type", b"content-encoding",
    b"access-control-request-headers",
}  # fmt: skip
_REROUTING = {
    b"x-http-method", b"x-http-method-override", b"x-method-override",
    b"x-original-method", b"x-original-url", b"x-rewrite-url",
}  # fmt: skip
"""With these, frameworks let a caller run another method or path than the one that was priced."""


class Form(enum.Enum):
    """Where a credential was found, which says how it is written."""

    SOLUTION_HEADER = "X-PoW-Solution"
    AUTHORIZATION = "Authorization: PoW"
    PASS = "Authorization: Bearer"  # noqa: S105 - a header's name
    COOKIE = "Cookie: pypow_pass"
    META = '_meta["io.pypow/proof"]'


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential as it came: octets of a header, or a JSON value of ``_meta``; not yet read."""

    form: Form
    value: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepts:
    """What ``X-PoW-Accept`` says: that the caller reads HTTP refusals, and what it can solve.

    Attributes:
        puzzles: the most sub-puzzles it can do; None for a caller that only counts zeros.
    """

    puzzles: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as the gate looks at it.

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
        body_format: every ``Content-Type`` and ``Content-Encoding``, with its name.
        preflight_headers: of ``Access-Control-Request-Headers``.
        mcp: the message in the body, on an MCP path.
    """

    method: str
    path: bytes
    client: str
    headers: tuple[Header, ...]
    address: str | None = None
    presented: tuple[Presented, ...] = ()
    accepts: Accepts | None = None
    hosts: tuple[bytes, ...] = ()
    routing: RoutingHeaders = field(default_factory=RoutingHeaders)
    content_length: int | None = None
    body_format: tuple[Header, ...] = ()
    preflight_headers: bytes = b""
    mcp: McpMessage | None = None

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

    @property
    def reads_http(self) -> bool:
        """Whether the caller has shown that it knows what an HTTP 402 of ours means.

        A pass shows nothing: stock clients send it as a header that somebody else set.
        """
        return self.accepts is not None or any(
            one.form not in (Form.PASS, Form.COOKIE) for one in self.presented
        )

    def scope_for_app(self, scope: Scope, *, principal: str | None) -> Scope:
        """The scope as the app gets it: what is ours taken out, who was charged put in."""
        headers: Iterable[Header] = self.headers
        if self.mcp is not None and self.mcp.proof:
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
    if method != method.upper():
        # Clients and frameworks raise it: what is no POST here would be one at the upstream.
        return problems.bad_request(f"expected a method in capitals, got {method[:40]!a}")
    scan = _Scan()
    try:
        for name, value in scope["headers"]:
            scan.take(name.lower(), value)
        accepts = read_accepts(scan.accepts)
    except InvalidInputError as error:
        return problems.bad_request(str(error))
    if scan.octets > HEAD_LIMIT:
        return problems.headers_too_large(
            f"expected at most {HEAD_LIMIT} octets of headers, got {scan.octets}"
        )
    if len(set(scan.authorizations)) > 1:
        return problems.conflicting_credentials("expected one Authorization header, got several")
    client = client_of(scope.get("client"), scope["headers"], trusted)
    return Call(
        method=method,
        path=raw_path(scope),
        client="local" if client is None else client.network,
        address=None if client is None else client.text,
        headers=tuple(scan.kept),
        presented=tuple(scan.presented),
        accepts=accepts,
        hosts=tuple(scan.hosts),
        routing=RoutingHeaders(
            version=tuple(scan.routing.get(b"mcp-protocol-version", ())),
            method=tuple(scan.routing.get(b"mcp-method", ())),
            name=tuple(scan.routing.get(b"mcp-name", ())),
        )
        if scan.routing
        else NO_ROUTING,
        content_length=scan.content_length,
        body_format=tuple(scan.body_format),
        preflight_headers=scan.preflight_headers,
    )


def without_ours(scope: Scope) -> Scope:
    """The scope without our credentials, though its headers cannot be read as a call's."""
    scan = _Scan()
    for name, value in scope["headers"]:
        try:
            scan.take(name.lower(), value)
        except InvalidInputError:
            scan.kept.append((name, value))
    passed = {**scope, "headers": scan.kept}
    passed.pop(PRINCIPAL_KEY, None)
    return passed


class _Kind(enum.Enum):
    """What becomes of a field, by its name."""

    PLAIN = enum.auto()
    NOTED = enum.auto()
    OURS = enum.auto()
    PARTLY_OURS = enum.auto()
    REROUTING = enum.auto()
    DROPPED = enum.auto()


@functools.lru_cache(maxsize=512)
def _kind(name: bytes) -> _Kind:
    folded = name.replace(b"_", b"-")
    if folded in _REROUTING:
        return _Kind.REROUTING
    if folded.startswith(b"x-pow-"):
        return _Kind.OURS
    if folded not in _JUDGED:
        return _Kind.NOTED if name in _NOTED else _Kind.PLAIN
    if name != folded:
        return _Kind.DROPPED
    if name in (b"authorization", b"cookie"):
        return _Kind.PARTLY_OURS
    return _Kind.NOTED if name in _NOTED else _Kind.PLAIN


class _Scan:
    """One pass over the headers: sorts them into what is ours and what travels on."""

    def __init__(self) -> None:
        self.octets = 0
        self.kept: list[Header] = []
        self.presented: list[Presented] = []
        self.accepts: list[bytes] = []
        self.hosts: list[bytes] = []
        self.authorizations: list[bytes] = []
        self.routing: dict[bytes, list[str]] = {}
        self.content_length: int | None = None
        self.body_format: list[Header] = []
        self.preflight_headers = b""

    def take(self, name: bytes, value: bytes) -> None:
        self.octets += len(name) + len(value)
        kind = _kind(name) if len(name) <= _REMEMBERED else _kind.__wrapped__(name)
        if kind is _Kind.PLAIN:
            self.kept.append((name, value))
        elif kind is _Kind.OURS:
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
            self.presented.append(Presented(Form.SOLUTION_HEADER, value))
        elif name == b"x-pow-accept":
            self.accepts.append(value)

    def _take_authorization(self, value: bytes) -> None:
        self.authorizations.append(value)
        scheme, _, rest = value.strip(b" \t").partition(b" ")
        rest = rest.strip(b" \t")
        if scheme.lower() == b"pow":
            self.presented.append(Presented(Form.AUTHORIZATION, rest))
        elif scheme.lower() == b"bearer" and rest.startswith(PREFIX.encode()):
            self.presented.append(Presented(Form.PASS, rest))
        else:
            self.kept.append((b"authorization", value))

    def _take_cookies(self, value: bytes) -> None:
        foreign = []
        for pair in value.split(b";"):
            name, _, content = pair.strip(b" \t").partition(b"=")
            if name.strip(b" \t") == PASS_COOKIE.encode():
                self.presented.append(Presented(Form.COOKIE, content.strip(b" \t")))
            else:
                foreign.append(pair)
        if len(foreign) == value.count(b";") + 1:
            self.kept.append((b"cookie", value))
        elif remaining := b";".join(foreign).strip(b" \t"):
            self.kept.append((b"cookie", remaining))

    def _note(self, name: bytes, value: bytes) -> None:
        if name in _ROUTING:
            self.routing.setdefault(name, []).append(value.decode("latin-1"))
        elif name == b"host":
            self.hosts.append(value)
        elif name == b"content-length":
            self.content_length = _content_length(value, before=self.content_length)
        elif name in (b"content-type", b"content-encoding"):
            self.body_format.append((name, value))
        elif name == b"access-control-request-headers":
            self.preflight_headers = value


def _content_length(value: bytes, *, before: int | None) -> int:
    if not re.fullmatch(rb"[0-9]{1,18}", value) or before not in (None, int(value)):
        raise InvalidInputError("expected one Content-Length, a decimal number of octets")
    return int(value)


def read_accepts(values: Iterable[bytes]) -> Accepts | None:
    """Read ``X-PoW-Accept``: ``1``, or ``puzzles=<how many sub-puzzles>``.

    Raises:
        InvalidInputError: anything else.
    """
    puzzles: int | None = None
    seen = False
    for value in values:
        for member in (part.strip(b" \t") for part in value.split(b",")):
            seen = True
            count = re.fullmatch(rb"puzzles=([0-9]{1,2})", member)
            if count is not None:
                puzzles = int(count[1])
                difficulty.require_puzzles(puzzles)
            elif member != b"1":
                raise InvalidInputError(
                    f"expected X-PoW-Accept: 1 or puzzles=16, got {member[:40]!a}"
                )
    return Accepts(puzzles) if seen else None
