# SPDX-License-Identifier: Apache-2.0
"""Limiters for gates under test: one that counts in the simplest way, and one that fails."""

from collections import Counter
from dataclasses import dataclass, field

from pypow_server.stores import Allowance, Quota, StoreError


@dataclass
class CountingLimiter:
    """Lets each key take its quota once; nothing grows back."""

    taken: Counter[bytes] = field(default_factory=Counter)

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        if self.taken[key] + calls > quota.calls:
            return Allowance(allowed=False, remaining=0, retry_after_ms=1500)
        self.taken[key] += calls
        return Allowance(allowed=True, remaining=quota.calls - self.taken[key], retry_after_ms=0)

    async def aclose(self) -> None:
        self.taken.clear()


class FailingLimiter:
    """Can never tell."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        raise StoreError("out of reach")

    async def aclose(self) -> None:
        pass
