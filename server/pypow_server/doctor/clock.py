# SPDX-License-Identifier: Apache-2.0
"""Is it now? Challenges carry times, and every gate must read them alike."""

from collections.abc import Mapping
from typing import Final

from . import Finding, fail, ok

_BUILT_MS: Final = 1_760_000_000_000
"""This version was not there before: October 2025."""

_TOLERATED_S: Final = 5.0
"""How far ahead another gate's clock may be, `pypow.challenge.MAX_CLOCK_SKEW_MS`."""

_FIX: Final = "set the clock by NTP (timedatectl set-ntp true), on both machines"


def check(now_ms: int, ahead_s: Mapping[str, float]) -> list[Finding]:
    """Hold this machine's clock against others.

    Args:
        now_ms: this machine's.
        ahead_s: how far others are ahead of it, by their names.
    """
    if now_ms < _BUILT_MS:
        return [fail("clock", "this machine's clock is before this version's release", fix=_FIX)]
    found = agreement(ahead_s)
    return found or [ok("clock", f"agrees with {', '.join(ahead_s) or 'the calendar'}")]


def agreement(ahead_s: Mapping[str, float]) -> list[Finding]:
    """Who does not agree with this machine's clock.

    Args:
        ahead_s: how far others are ahead of it, by their names.
    """
    return [
        fail("clock", f"{name} is {abs(ahead):.0f} s {_side(ahead)} this machine", fix=_FIX)
        for name, ahead in ahead_s.items()
        if abs(ahead) > _TOLERATED_S
    ]


def _side(ahead_s: float) -> str:
    return "ahead of" if ahead_s > 0 else "behind"
