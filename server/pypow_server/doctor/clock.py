# SPDX-License-Identifier: Apache-2.0
"""Is it now? Challenges carry times, and every gate must read them alike."""

from typing import Final

from . import Finding, fail, ok

_BUILT_MS: Final = 1_760_000_000_000
"""This version was not there before: October 2025."""

_TOLERATED_S: Final = 5.0
"""How far ahead another gate's clock may be, `pypow.challenge.MAX_CLOCK_SKEW_MS`."""

_FIX: Final = "set the clock by NTP (timedatectl set-ntp true), on both machines"


def check(now_ms: int, ahead_s: dict[str, float]) -> list[Finding]:
    """Hold this machine's clock against others.

    Args:
        now_ms: this machine's.
        ahead_s: how far others are ahead of it, by their names.
    """
    if now_ms < _BUILT_MS:
        return [fail("clock", "this machine's clock is before this version's release", fix=_FIX)]
    found = [
        fail(
            "clock", f"{name} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}", fix=_FIX
        )
        for name, ahead in ahead_s.items()
        if abs(ahead) > _TOLERATED_S
    ]
    return found or [ok("clock", f"agrees with {', '.join(ahead_s) or 'the calendar'}")]
