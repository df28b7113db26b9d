# SPDX-License-Identifier: Apache-2.0
"""A gate around an ASGI app, in the same process and in one line: ``app = guard(app)``."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .policy import FREE, Entry, Price, priced, relative_weight
from .scope import ASGIApp
from .settings import Settings

if TYPE_CHECKING:
    from .app import App

Prices: TypeAlias = Mapping[str, float | Price | None]
"""What calls cost, by match: so many bits of work, a `Price`, or None (`FREE`)."""


def guard(
    app: ASGIApp,
    *,
    prices: Prices | None = None,
    bits: float | None = None,
    store: str | None = None,
    public_url: str | None = None,
    mcp_paths: Sequence[str] | None = None,
    state_dir: str | Path | None = None,
) -> "App":
    """Put a gate in front of any ASGI app: FastAPI, Starlette, FastMCP, Django, or one of yours.

    Works as a wrapper and as ``app.add_middleware(guard, prices=...)``. Whatever is not given is
    read from the ``PYPOW_*`` variables that `pypow gate` reads. The app finds who was charged in
    ``scope["pypow.principal"]``.

    Args:
        app: what is guarded. The gate answers ``/api/challenge`` and ``/api/verify`` itself.
        prices: first match wins, such as ``{"POST /v1/search": 18, "GET /health": None}``; MCP
            calls are written ``tools/call search_*``.
        bits: what every other call costs, in bits of expected work, 1 to 44; 16 by default.
        store: ``memory:``, ``sqlite:PATH`` or a Redis URL; by default a file in ``state_dir``.
        public_url: the app's URL as callers see it; proofs are bound to its host.
        mcp_paths: where the app speaks MCP; ``/mcp`` by default.
        state_dir: holds the keys; made if there is none. Processes that share them share proofs.

    Raises:
        InvalidInputError: a value that cannot be, or keys or a store that cannot be had.
    """
    return assemble(
        app,
        prices=prices,
        bits=bits,
        store=store,
        public_url=public_url,
        mcp_paths=None if mcp_paths is None else tuple(mcp_paths),
        state_dir=state_dir,
    )


def assemble(
    app: ASGIApp, *, prices: Prices | None, state_dir: str | Path | None, **given: object
) -> "App":
    """A gate around ``app``, of the settings that are given and, for the rest, the environment."""
    # Imported when it is asked for: whoever only reads a price list needs no web framework.
    from .app import create_app

    explicit = {"state_dir": None if state_dir is None else str(state_dir)}
    said = {name: value for name, value in given.items() if value is not None}
    read = Settings.from_env(os.environ, explicit)
    arguments = {*said, *(name for name, text in explicit.items() if text is not None)}
    settings = replace(
        read,
        origins={**read.origins, **dict.fromkeys(arguments, "argument")},
        **said,  # type: ignore[arg-type]  # each is checked by Settings itself
    )
    default = settings.policy.default
    entries = [
        Entry(match, worth if worth is FREE else weighed(match, worth, default))
        for match, worth in (prices or {}).items()
    ]
    return create_app(settings, around=app, prices=entries)


def weighed(name: str, worth: float | Price, default: Price) -> Price:
    """A price of so many bits, or a given one, under the name by which it is listed.

    Passes and free calls are for a price of one name: under a name that two share, what the
    cheaper one sells would be good for the dearer. It weighs no less than the work that it asks
    for: otherwise a challenge for any call of the default price would buy a dearer one.

    Raises:
        InvalidInputError: bits out of range.
    """
    if not isinstance(worth, Price):
        return priced(name, bits=worth, default=default)
    weight = max(worth.weight, relative_weight(worth.q, default=default))
    return replace(worth, name=name, weight=weight)
