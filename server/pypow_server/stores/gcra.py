# SPDX-License-Identifier: Apache-2.0
"""The generic cell rate algorithm, as integers: how much of a quota is used, and what still fits.

ITU-T I.371 gives it in two equivalent forms; this is the one of the leaky bucket. A call costs
``period_ms`` units and time gives ``calls`` units back each millisecond, so that nothing is ever
rounded. Every limiter decides by these rules; the one in Redis has them in Lua.
"""

from dataclasses import dataclass

from pypow_server.stores import Allowance, Quota


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a quota is used.

    Attributes:
        at_ms: as of when, in Unix ms.
        used: in units of a call divided by the quota's ``period_ms``.
    """

    at_ms: int
    used: int


def take(before: Level | None, quota: Quota, *, now_ms: int, calls: int) -> tuple[Level, Allowance]:
    """Take ``calls`` from a quota, all or none.

    Args:
        before: what is used; None for nothing.
        quota: what it grows back to.
        now_ms: a time before that of ``before`` counts as the same time; if it is earlier by more
            than the quota's period, a clock was wrong, and ``before`` counts for nothing.
        calls: how many, at least 1. More than the quota has never fit.

    Returns:
        What is used after it, and the answer.
    """
    level = _settled(before, quota, now_ms)
    capacity = quota.calls * quota.period_ms
    after = level.used + calls * quota.period_ms
    if after <= capacity:
        level = Level(level.at_ms, after)
    return level, allowance(level, quota, fit=after <= capacity, calls=calls)


def allowance(level: Level, quota: Quota, *, fit: bool, calls: int) -> Allowance:
    """The answer to somebody who took ``calls``, or could not; ``level`` is after it."""
    free = quota.calls * quota.period_ms - level.used
    short = 0 if fit else calls * quota.period_ms - free
    return Allowance(
        allowed=fit,
        remaining=free // quota.period_ms,
        retry_after_ms=-(-short // quota.calls),
    )


def forgotten_at_ms(level: Level, quota: Quota) -> int:
    """When nothing is used any more, so that there is nothing to remember."""
    return level.at_ms - (-level.used // quota.calls)


def _settled(before: Level | None, quota: Quota, now_ms: int) -> Level:
    if before is None or before.at_ms - now_ms > quota.period_ms:
        return Level(now_ms, 0)
    at_ms = max(now_ms, before.at_ms)
    # A quota that became smaller holds nobody for longer than its own period.
    used = min(before.used, quota.calls * quota.period_ms)
    return Level(at_ms, max(0, used - (at_ms - before.at_ms) * quota.calls))
