# SPDX-License-Identifier: Apache-2.0
"""Forward-auth: a proxy asks about each request, and carries out what it is told.

nginx calls it ``auth_request``, Caddy ``forward_auth``, Traefik ``ForwardAuth``, Envoy
``ext_authz``. The question has the request's method, target and headers, and no body. The answer
is 200 with the headers that the proxy must set on the request before it goes on, all of them every
time, or a refusal. A refusal is never 2xx, whatever a caller speaks: 2xx lets the request pass.

MCP calls are priced by what is in their body, so little can be said of them here: by their name
only where headers name them and the upstream checks these, and else by the dearest price.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from pypow_server.access import Access
from pypow_server.call import PRINCIPAL_KEY
from pypow_server.client_address import client_at
from pypow_server.match import Match
from pypow_server.mcp_message import (
    CAPABILITIES_META,
    MODERN_SINCE,
    NAMED_BY,
    VERSION_META,
    decode_header,
)
from pypow_server.policy import Entry, Policy
from pypow_server.reply import Header, Reply
from pypow_server.request_body import replay
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send

from . import Failure, live
from .dialects import PAYMENTS, UPSTREAM, Dialect, Question, UnreadableError

PRINCIPAL_HEADER: Final = b"x-pow-principal"

_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_OURS: Final = re.compile(
    rb"x-pow-|x-forwarded-|x-real-ip|x-original-|mcp-|(?:authorization|cookie|host|forwarded"
    rb"|content-(?:length|type|encoding)|transfer-encoding|payment-authorization"
    rb"|grpc-metadata-macaroon)\Z"
)
_MCP_HEADERS: Final = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")


async def vouch(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind the gate: says that the request may pass, and what to set on it.

    ``X-PoW-Principal`` is who was charged. The others replace ``Authorization``, ``Cookie`` and
    the headers of payments: they are what is left of them without our credentials. All are there
    every time, because a header that is left out here would let the caller's own through.
    """
    fields: Sequence[Header] = scope["headers"]
    authorizations = [value for name, value in fields if name == b"authorization"]
    cookies = [value for name, value in fields if name == b"cookie"]
    vouched = (
        (PRINCIPAL_HEADER, scope.get(PRINCIPAL_KEY, "").encode("ascii")),
        (UPSTREAM + b"authorization", authorizations[0] if authorizations else b""),
        (UPSTREAM + b"cookie", b"; ".join(cookies)),
        *((UPSTREAM + one, b", ".join(v for name, v in fields if name == one)) for one in PAYMENTS),
    )
    # Envoy takes no other status of the 2xx for a yes.
    await Reply(200, ((b"cache-control", b"no-store"), *vouched))(scope, receive, send)


def without_bodies(policy: Policy) -> Policy:
    """The policy for requests whose body is not seen.

    An MCP message may be any call, so it costs what the dearest costs; and it is kept out where
    any call is. Nothing else on its path is free either.
    """
    posts = [Match(f"POST {path}") for path in policy.mcp_paths]
    hidden = [row for row in policy.denied if row.match is not None and not _is_http(row.match)]
    return replace(
        policy,
        mcp_paths=(),
        entries=(*(Entry(post.text, policy.dearest) for post in posts), *policy.entries),
        denied=(*policy.denied, *(Access(row.networks, post) for row in hidden for post in posts)),
    )


def _is_http(match: Match) -> bool:
    return re.fullmatch(r"[A-Z]+", match.text.partition(" ")[0]) is not None


class ForwardAuth:
    """Answers the questions of trusted proxies, and nobody else's."""

    def __init__(
        self,
        *,
        unseen: ASGIApp,
        named: ASGIApp | None,
        policy: Callable[[], Policy],
        dialect: Dialect,
        failure: Failure,
    ) -> None:
        """Ask nobody yet.

        Args:
            unseen: the gate in front of `vouch` whose policy is `without_bodies`.
            named: the gate in front of `vouch` that prices MCP calls by name, for those that
                their headers name. None, unless the operator says that the upstream holds these
                headers against the body: otherwise a cheap name above a dear call would do.
            policy: what counts now: which proxies are trusted (everybody else gets 403, since a
                question may name any client), and where MCP is spoken.
            dialect: how the proxy puts its question and understands the answer.
            failure: makes the answers of the front itself.
        """
        self._unseen = unseen
        self._named = named
        self._policy = policy
        self._dialect = dialect
        self._failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "http":
            await self._dialect.answer(await self._decide(scope, receive))(scope, receive, send)
        else:
            await self._failure(404, "there is no WebSocket here")(scope, receive, send)

    async def _decide(self, scope: Scope, receive: Receive) -> Reply:
        if not self._policy().trusted.trust(client_at(scope.get("client"))):
            detail = "only a proxy that the operator trusts may ask for decisions"
            return await _collect(self._failure(403, detail), scope, receive)
        try:
            question = self._dialect.read(scope)
        except UnreadableError as error:
            return await _collect(self._failure(400, str(error)), scope, receive)
        twin = next(filter(_is_twin, (name for name, _ in question.headers)), None)
        if twin is not None:
            detail = f"expected no {twin.decode('latin-1')}: write it with hyphens"
            return await _collect(self._failure(400, detail), scope, receive)
        asked: Scope = {
            **scope,
            "method": question.method,
            "path": unquote(question.path.decode("latin-1"), encoding="latin-1"),
            "raw_path": question.path,
            "query_string": question.query,
            "headers": list(question.headers),
        }
        reply = await self._ask(asked, self._named_call(question), receive)
        if reply.status // 100 == 2 and not _admits(reply):
            detail = "the proxy answers this itself; see docs/deploy"
            return await _collect(self._failure(403, detail), asked, receive)
        return reply

    async def _ask(self, asked: Scope, body: bytes | None, receive: Receive) -> Reply:
        if body is None or self._named is None:
            return await _collect(self._unseen, asked, replay(b"", receive))
        # An answer fit for an MCP client would be a 200, which lets the request pass.
        asked["headers"].append((b"x-pow-accept", b"1"))
        return _unwrapped(await _collect(self._named, asked, replay(body, receive)))

    def _named_call(self, question: Question) -> bytes | None:
        """The MCP message that the headers name; None where they name none for sure."""
        if question.method != "POST" or not self._policy().is_mcp_path(question.path):
            return None
        version, method, name = (_only(question.headers, header) for header in _MCP_HEADERS)
        if version is None or not _VERSION.fullmatch(version) or version < MODERN_SINCE:
            return None
        if not method or (method in NAMED_BY) != (name is not None):
            return None
        params: dict[str, object] = {"_meta": {VERSION_META: version, CAPABILITIES_META: {}}}
        if name is not None:
            decoded = decode_header(name)
            if decoded is None:
                return None
            params[NAMED_BY[method]] = decoded
        message = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
        return json.dumps(message).encode("ascii")


def _is_twin(name: bytes) -> bool:
    """Whether some servers take this header for one that the gate judges or the proxy sets.

    Here the gate cannot leave it out of what the upstream gets.
    """
    return b"_" in name and _OURS.match(name.replace(b"_", b"-")) is not None


def _only(headers: Sequence[Header], wanted: bytes) -> str | None:
    """The one value of a header; None where there is none, or more than one."""
    values = [value for name, value in headers if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else None


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> Reply:
    """What an app answers, as a value."""
    start: Message = {}
    body = bytearray()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, send)
    headers = tuple(pair for pair in start["headers"] if pair[0] != b"content-length")
    return Reply(start["status"], headers, bytes(body))


def _admits(reply: Reply) -> bool:
    """Whether `vouch` answered, and not the gate by itself, as it does to OPTIONS."""
    return any(name == PRINCIPAL_HEADER for name, _ in reply.headers)


def _unwrapped(reply: Reply) -> Reply:
    """The problem out of a JSON-RPC error, whose id would be one that nobody sent."""
    error = json.loads(reply.body).get("error") if reply.body else None
    if error is None:
        return reply
    kept = tuple(pair for pair in reply.headers if pair[0] != b"content-type")
    return Reply(
        reply.status,
        ((b"content-type", b"application/problem+json"), *kept),
        json.dumps(error["data"], separators=(",", ":")).encode("ascii"),
    )
