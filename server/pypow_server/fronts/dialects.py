# SPDX-License-Identifier: Apache-2.0
"""How each proxy puts its question and understands the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pypow.errors import PowError
from pypow.payment_headers import METADATA_NAMES
from pypow_server.reply import Header, Reply
from pypow_server.scope import Scope

DECIDE_PATH: Final = b"/decide"
"""Where proxies ask. Not a path of callers: only trusted proxies get an answer."""

UPSTREAM: Final = b"x-pow-upstream-"
"""Before the name of a header of the request that the proxy must replace."""

PAYMENTS: Final = (b"payment-authorization", *METADATA_NAMES)
"""Headers of payments, besides ``Authorization``, that an upstream may have a use for too."""

_DELETED: Final = (
    b"authorization",
    b"cookie",
    b"x-pow-principal",
    b"x-pow-solution",
    b"x-pow-accept",
    b"x-pow-standing",
    b"x-pow-invoice",
    *PAYMENTS,
)


class UnreadableError(PowError):
    """The proxy did not say what the request is; the text says what it must set."""


@dataclass(frozen=True, slots=True)
class Question:
    """The request that a proxy asks about.

    Attributes:
        method: HTTP method.
        path: as the proxy will send it on, without the query.
        query: without the question mark.
        headers: of the request, and what the proxy adds of its own.
    """

    method: str
    path: bytes
    query: bytes
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One proxy's way.

    Attributes:
        name: of the proxy.
        read: finds the request in the question.
        answer: puts the gate's answer so that the proxy passes it on.
    """

    name: str
    read: Callable[[Scope], Question]
    answer: Callable[[Reply], Reply]


def _from_headers(
    method: bytes, target: bytes, host: bytes = b"host"
) -> Callable[[Scope], Question]:
    """Reads the request from headers, each of which the proxy must have set."""

    def read(scope: Scope) -> Question:
        if scope["raw_path"] != DECIDE_PATH:
            raise UnreadableError(f"expected the proxy to ask at {DECIDE_PATH.decode()}")
        named = _one(scope, method)
        if not (named.isalpha() and named.isupper()):
            raise UnreadableError(f"expected a method in {method.decode()}")
        path, _, query = _one(scope, target).partition(b"?")
        kept = [pair for pair in scope["headers"] if pair[0] not in (method, target, b"host")]
        kept.append((b"host", _one(scope, host)))
        return Question(named.decode("ascii"), path, query, tuple(kept))

    return read


def _from_target(scope: Scope) -> Question:
    """Reads the request from the question itself, whose target has `DECIDE_PATH` before it."""
    path: bytes = scope["raw_path"]
    if not path.startswith(DECIDE_PATH + b"/"):
        raise UnreadableError(f"expected path_prefix: {DECIDE_PATH.decode()}")
    return Question(
        scope["method"],
        path.removeprefix(DECIDE_PATH),
        scope["query_string"],
        tuple(scope["headers"]),
    )


def _one(scope: Scope, wanted: bytes) -> bytes:
    values: list[bytes] = [value for name, value in scope["headers"] if name == wanted]
    if len(values) != 1 or not values[0]:
        raise UnreadableError(
            f"expected the proxy to set {wanted.decode()} once, got it {len(values)} times; "
            "see docs/deploy"
        )
    return values[0]


def _as_it_is(reply: Reply) -> Reply:
    return reply


def _for_nginx(reply: Reply) -> Reply:
    """The refusal in headers of a 401, which nginx can put together again.

    nginx takes every other refusal for a failure, drops the body, and keeps the first
    ``WWW-Authenticate`` line of a 401. So all challenges go into one line (RFC 9110 section
    11.6.1 lets them), and status, body and delay into headers that ``auth_request_set`` reads.
    """
    if reply.status == 200:
        return reply
    challenges = [value for name, value in reply.headers if name == b"www-authenticate"]
    delays = [value for name, value in reply.headers if name == b"retry-after"]
    folded = ((b"www-authenticate", b", ".join(challenges)),) if challenges else ()
    return Reply(
        401,
        (
            *folded,
            (b"x-pow-refusal-status", b"%d" % reply.status),
            (b"x-pow-refusal-body", reply.body),
            (b"x-pow-refusal-retry-after", b"".join(delays)),
        ),
    )


def _named_as_the_request_has_them(reply: Reply) -> Reply:
    """The vouched ``Authorization`` and ``Cookie`` under their own names, where there are any.

    Traefik deletes what it is told to copy and does not find.
    """
    own = [(name.removeprefix(UPSTREAM), value) for name, value in reply.headers if value]
    return Reply(reply.status, tuple(own), reply.body) if reply.status == 200 else reply


def _for_envoy(reply: Reply) -> Reply:
    """As for Traefik, and with the list of what Envoy must delete, since it deletes no others."""
    if reply.status != 200:
        return reply
    named = _named_as_the_request_has_them(reply)
    kept = {name for name, _ in named.headers}
    gone = b", ".join(name for name in _DELETED if name not in kept)
    return Reply(200, (*named.headers, (b"x-envoy-auth-headers-to-remove", gone)))


_NAMED: Final = _from_headers(b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host")

DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        Dialect("nginx", _from_headers(b"x-original-method", b"x-original-uri"), _for_nginx),
        Dialect("caddy", _NAMED, _as_it_is),
        Dialect("traefik", _NAMED, _named_as_the_request_has_them),
        Dialect("envoy", _from_target, _for_envoy),
    )
}
