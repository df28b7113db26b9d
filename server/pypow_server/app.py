# SPDX-License-Identifier: Apache-2.0
"""The assembled server: the one place that knows which rail, store and front there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI

from pypow import InvalidInputError, chosen_kernel, difficulty
from pypow.challenge import Keyring, hkdf_sha256

from . import configuration, keyfile, problems, tracing
from .admin import Readiness, create_admin
from .api import CHALLENGE_PATH, VERIFY_PATH, create_api
from .fronts.proxy import Proxy
from .gate import Gate, wall_clock_ms
from .lifespan import serve_lifespan
from .policy import Entry, Policy, Price
from .problems import Problem
from .rails.work import WorkRail
from .resource import raw_path
from .scope import ASGIApp, Receive, Scope, Send
from .settings import Settings
from .stores import Store, StoreError, memory, sqlite, without_secrets
from .stores.redis_address import SCHEMES as REDIS_SCHEMES
from .telemetry import AUDIT_PURPOSE, Telemetry

_API_PATHS: Final = frozenset({CHALLENGE_PATH.encode(), VERIFY_PATH.encode()})


def _redis(scheme: str, rest: str) -> Store:
    # Imported when it is asked for: the redis package is an extra.
    from .stores import redis_store

    return redis_store.open_store(rest, scheme=scheme)


_STORES: Final[Mapping[str, Callable[[str], Store]]] = {
    "memory": memory.open_store,
    "sqlite": sqlite.open_store,
    **{scheme: partial(_redis, scheme) for scheme in REDIS_SCHEMES},
}

_PROXY_PROBLEMS: Final[Mapping[int, Callable[[str], Problem]]] = {
    400: problems.bad_request,
    501: problems.method_not_allowed,
    502: problems.bad_gateway,
    504: problems.gateway_timeout,
}


class App:
    """A gate with its API: an ASGI app for callers, and another for operators.

    Attributes:
        gate: what callers go through, but for the API.
        admin: the operators' app; serve it where callers cannot reach it.
        readiness: to be told when the gate is to stop.
        telemetry: to be told when log files were moved away.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        api: FastAPI,
        store: Store,
        telemetry: Telemetry,
        settings: Settings,
    ) -> None:
        self.gate = gate
        self._watched_gate = telemetry.gate(gate)
        self._api = api
        self._store = store
        self.telemetry = telemetry
        self.readiness = Readiness(store.ledger)
        self.admin: FastAPI = create_admin(
            api=api,
            readiness=self.readiness,
            telemetry=telemetry,
            configuration=lambda: configuration.shown(settings),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await serve_lifespan(
                self._watched_gate, scope, receive, send, start=self.start, stop=self.stop
            )
        elif scope["type"] == "http" and _is_api(scope):
            await self._api(scope, receive, send)
        else:
            await self._watched_gate(scope, receive, send)

    def start(self) -> None:
        """Begin what goes on beside requests; in the event loop that serves them."""

    async def stop(self) -> None:
        """Close store and logs, once the guarded app has shut down."""
        await self._store.limiter.aclose()
        await self._store.ledger.aclose()
        self.telemetry.close()


def create_app(
    settings: Settings, *, around: ASGIApp | None = None, prices: Sequence[Entry] = ()
) -> App:
    """Put the server together. Makes keys and ledger where there are none.

    Args:
        settings: all of it.
        around: the ASGI app to guard in this process; by default what is at the upstream's URL.
        prices: rows that stand before those of the settings.

    Raises:
        InvalidInputError: no upstream, or keys or a ledger that cannot be had; one line.
    """
    front = around if around is not None else _proxy(settings)
    keys = keyfile.load_or_create(settings.key_file)
    rail = WorkRail(
        keys,
        public_host=urlsplit(settings.url).netloc,
        lifetime_s=settings.lifetime_s,
    )
    policy = Policy(
        default=Price("default", difficulty.from_bits(settings.bits)),
        entries=tuple(prices),
        mcp_paths=settings.mcp_paths,
    )
    telemetry = _telemetry(settings, keys)
    opened = open_store(settings.store_url)
    store = replace(opened, ledger=telemetry.ledger(opened.ledger))
    return App(
        gate=Gate(
            telemetry.upstream(front),
            rails=(rail,),
            ledger=store.ledger,
            policy=policy,
            limiter=store.limiter,
            recorders=telemetry.recorders,
        ),
        api=create_api(
            rail=rail,
            policy=policy,
            ledger=store.ledger,
            clock=wall_clock_ms,
            secure_cookies=settings.url.startswith("https:"),
        ),
        store=store,
        telemetry=telemetry,
        settings=settings,
    )


def _telemetry(settings: Settings, keys: Keyring) -> Telemetry:
    return Telemetry(
        version=resources.files("pypow").joinpath("VERSION").read_text("ascii").strip(),
        kernel=chosen_kernel().name,
        store_url=settings.store_url,
        audit_file=settings.audit,
        audit_key=hkdf_sha256(keys.signing.secret, info=AUDIT_PURPOSE),
        tracing=tracing.configured(),
    )


def _proxy(settings: Settings) -> Proxy:
    if settings.upstream is None:
        raise InvalidInputError(
            "expected --upstream URL (PYPOW_UPSTREAM), the server to guard, such as "
            "http://127.0.0.1:8000"
        )
    return Proxy(settings.upstream, failure=lambda status, detail: _PROXY_PROBLEMS[status](detail))


def open_store(url: str) -> Store:
    """Open the store of a URL.

    Raises:
        InvalidInputError: no such store, or one that cannot be had; one line.
    """
    scheme, _, rest = url.partition(":")
    if scheme not in _STORES:
        raise InvalidInputError(
            f"expected --store to be memory:, sqlite:PATH or redis://HOST, got "
            f"{without_secrets(url)!r}; docs/stores.md lists them"
        )
    try:
        return _STORES[scheme](rest)
    except StoreError as error:
        raise InvalidInputError(f"--store {without_secrets(url)}: {error}") from None


def _is_api(scope: Scope) -> bool:
    # As the gate does, by the raw path: what servers may read in two ways is not ours to answer.
    # The gate answers OPTIONS for every path.
    return raw_path(scope) in _API_PATHS and scope["method"] != "OPTIONS"
