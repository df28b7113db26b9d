# SPDX-License-Identifier: Apache-2.0
"""The authorization server of a gate, if its operator wants one; else nothing, which costs nothing.

Whoever gives out no tokens needs none of what signs them: the rest of this package is loaded here.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pypow.challenge import Keyring
from pypow.errors import InvalidInputError
from pypow_server.decision import Recorder
from pypow_server.rails import Rail
from pypow_server.redemption import Redemption
from pypow_server.resource import raw_path
from pypow_server.scope import ASGIApp, Scope
from pypow_server.settings import Settings
from pypow_server.stores import Limiter

from .place import PATHS, Place

if TYPE_CHECKING:
    from .assembly import Issuing


def issuing_of(
    settings: Settings,
    keys: Keyring,
    redemption: Redemption,
    rails: Sequence[Rail],
    *,
    limiter: Limiter,
    recorders: Sequence[Recorder],
    clock: Callable[[], int],
) -> "Issuing | None":
    """What gives out tokens, by these settings; None where nothing does.

    Raises:
        InvalidInputError: a public URL that no token may be for.
        FixableError: joserfc is not there.
    """
    if not settings.rows.gives_tokens:
        return None
    from .assembly import issuing

    return issuing(
        Place.of(settings.url, settings.mcp_paths),
        keys,
        redemption,
        payments=next((rail for rail in rails if rail.name == "l402"), None),
        limiter=limiter,
        recorders=recorders,
        clock=clock,
    )


def paths(settings: Settings) -> frozenset[bytes]:
    """The paths that it answers."""
    return PATHS if settings.rows.gives_tokens else frozenset()


def app_at(scope: Scope, issuing: "Issuing | None") -> ASGIApp | None:
    """What answers a request at one of its paths; None for any other."""
    return issuing.app if issuing is not None and raw_path(scope) in PATHS else None


def carrying(
    gate: ASGIApp,
    settings: Settings,
    issuing: Callable[[], "Issuing | None"],
    clock: Callable[[], int],
) -> ASGIApp:
    """The gate, for callers who bring tokens of its own, where there are such."""
    if not settings.rows.gives_tokens:
        return gate
    from .carrying import Carrying

    return Carrying(gate, issuing=issuing, clock=clock)


def require_same(before: Settings, after: Settings) -> None:
    """Refuse to begin or end this while the gate runs.

    Raises:
        InvalidInputError: that is wanted.
    """
    if before.rows.gives_tokens is not after.rows.gives_tokens:
        raise InvalidInputError("oauth.server: to begin or end this takes a restart")
