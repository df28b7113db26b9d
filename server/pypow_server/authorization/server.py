# SPDX-License-Identifier: Apache-2.0
"""The authorization server as an ASGI app: which path does what, and for whom it is too much."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Final, TypeAlias

from pypow.errors import InvalidInputError
from pypow.strict_json import loads
from pypow_server import problems
from pypow_server.api_decisions import asked_in
from pypow_server.reply import Header, Reply, json_reply
from pypow_server.resource import raw_path
from pypow_server.scope import Receive, Scope, Send
from pypow_server.stores import Limiter, Quota

from . import metadata
from .authorize import Authorize
from .clients import Clients
from .device import DeviceAuthorization
from .device_approval import DeviceApproval
from .forms import read_body
from .oauth_error import NO_STORE, OAuthError
from .place import (
    AUTHORIZE,
    DEVICE,
    DEVICE_AUTHORIZATION,
    JWKS,
    REGISTER,
    SCRIPT,
    STYLE,
    TOKEN,
    WELL_KNOWN,
    WORKER,
    Place,
)
from .signing import SigningKeys
from .token_endpoint import TokenEndpoint

Answer: TypeAlias = Callable[[Scope, Receive], Awaitable[Reply]]

_LOG: Final = logging.getLogger("pypow_server.authorization")
_KEPT: Final[tuple[Header, ...]] = (
    (b"cache-control", b"public, max-age=300"),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
)


class AuthorizationServer:
    """Answers whoever asks at one of `place.PATHS`."""

    def __init__(
        self,
        place: Place,
        *,
        keys: SigningKeys,
        clients: Clients,
        fetches_clients: bool,
        authorize: Authorize,
        token: TokenEndpoint,
        device: DeviceAuthorization,
        approval: DeviceApproval,
        limiter: Limiter,
        free_limit: Quota | None,
        clock: Callable[[], int],
    ) -> None:
        """Put the endpoints together.

        Args:
            place: where it is.
            keys: whose public halves it shows.
            clients: registers them.
            fetches_clients: whether it knows them by URLs as well.
            authorize: gives codes.
            token: gives tokens.
            device: lets devices begin.
            approval: lets people work for them.
            limiter: counts what each network asks.
            free_limit: how much that may be; None for any number.
            clock: Unix milliseconds.
        """
        self._clients = clients
        self._limiter = limiter
        self._free_limit = free_limit
        self._clock = clock
        files = resources.files(__package__)
        self._kept: Mapping[str, Reply] = {
            WELL_KNOWN: _kept_json(metadata.document(place, fetches_clients=fetches_clients)),
            JWKS: _kept_json(keys.jwks),
            SCRIPT: _kept("text/javascript", files.joinpath("authorize.js").read_bytes()),
            WORKER: _kept("text/javascript", files.joinpath("solve.js").read_bytes()),
            STYLE: _kept("text/css", files.joinpath("authorize.css").read_bytes()),
        }
        self._answers: Mapping[tuple[str, str], Answer] = {
            ("GET", AUTHORIZE): authorize.ask,
            ("POST", AUTHORIZE): authorize.earn,
            ("POST", TOKEN): token.answer,
            ("POST", REGISTER): self._register,
            ("POST", DEVICE_AUTHORIZATION): device.answer,
            ("GET", DEVICE): approval.ask,
            ("POST", DEVICE): approval.approve,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reply = await self._answer(scope, receive)
        await reply(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path, method = raw_path(scope).decode("latin-1"), scope["method"]
        kept = self._kept.get(path)
        if kept is not None and method in ("GET", "HEAD"):
            return kept
        answer = self._answers.get((method, path))
        if answer is None:
            allowed = [allowed for allowed, known in self._answers if known == path] or ["GET"]
            problem = problems.method_not_allowed(f"expected {' or '.join(allowed)}")
            return problem.reply(headers=((b"allow", ", ".join(allowed).encode()),))
        return await self._over_limit(scope) or await answer(scope, receive)

    async def _over_limit(self, scope: Scope) -> Reply | None:
        """What a network hears that asks too much; as of calls that cost nothing."""
        asked = asked_in(scope)
        if self._free_limit is None:
            return None
        try:
            found = await self._limiter.take(
                f"oauth {asked.client}".encode(), quota=self._free_limit, now_ms=asked.at_ms
            )
        except Exception as error:  # noqa: BLE001 - any store's fault; it holds back a nuisance
            _LOG.warning("the limiter failed, and holds nothing back: %s", type(error).__name__)
            return None
        if found.allowed:
            return None
        wait_s = max(1, math.ceil(found.retry_after_ms / 1000))
        asked.problem = problems.rate_limited(
            f"too much was asked from this network; wait {wait_s} s", retry_after_s=wait_s
        )
        return OAuthError(
            "temporarily_unavailable", asked.problem.detail, 429, retry_after_s=wait_s
        ).reply()

    async def _register(self, _scope: Scope, receive: Receive) -> Reply:
        """Dynamic registration (RFC 7591 section 3). Stores nothing, and so costs nothing."""
        body = await read_body(receive)
        if isinstance(body, OAuthError):
            return body.reply()
        try:
            said = loads(body)
        except InvalidInputError as error:
            return OAuthError("invalid_client_metadata", str(error)).reply()
        found = self._clients.register(said, now_ms=self._clock())
        if isinstance(found, OAuthError):
            return found.reply()
        return json_reply(201, found, headers=(NO_STORE,))


def _kept_json(document: object) -> Reply:
    made = json_reply(200, document)
    return _kept("application/json", made.body)


def _kept(media_type: str, body: bytes) -> Reply:
    return Reply(200, ((b"content-type", media_type.encode()), *_KEPT), body)
