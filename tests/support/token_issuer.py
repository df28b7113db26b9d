# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens on a free port of this machine, which counts what it is asked."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from joserfc.jwk import Key

from support import tokens

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class TokenIssuer:
    """What it publishes, and what it was asked for.

    Attributes:
        url: its name.
        keys: what its key set holds now.
        asked: how often each path was.
        instead: answers of single paths in place of its own.
        gate: while it is not set, key sets wait to be sent.
        forms: what was posted, with its Authorization.
    """

    url: str = ""
    keys: list[Key] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    instead: dict[str, Answer] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    forms: list[dict[str, str]] = field(default_factory=list)

    def mint(self, key: Key, **changed: object) -> str:
        """A good token of this issuer."""
        return tokens.minted(tokens.claims(iss=self.url, **changed), key)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What any path answers."""
        self.asked[request.path] += 1
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path == "/keys":
            await self.gate.wait()
            return web.json_response(tokens.published(*self.keys))
        if request.path == "/.well-known/oauth-authorization-server":
            return web.json_response(self.metadata())
        return web.json_response({}, status=404)

    def metadata(self) -> dict[str, object]:
        """What it says of itself."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "introspection_endpoint": f"{self.url}/introspect",
        }


@asynccontextmanager
async def issuing(*keys: Key, tls: ssl.SSLContext | None = None) -> AsyncIterator[TokenIssuer]:
    """An issuer for as long as a block lasts, in the running event loop."""
    issuer = TokenIssuer(keys=list(keys))
    issuer.gate.set()
    server = web.Server(issuer.answer)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        issuer.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield issuer
    finally:
        await runner.cleanup()
