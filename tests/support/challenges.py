# SPDX-License-Identifier: Apache-2.0
"""Challenges and keys for tests: fixed ones, and any that can be."""

from hypothesis import strategies as st

from pypow import difficulty
from pypow.challenge import Key, Keyring, issue
from pypow.wire import Challenge

KEY = Key(id=1, secret=bytes(range(32)))
KEYRING = Keyring([KEY])
NOW_MS = 1_800_000_000_000
EPOCH = 7


def fixed_challenge(
    *, q: int = 4096, puzzles: int = 1, weight: int = 1, resource: bytes = bytes(12),
    principal: bytes = bytes(12), key: Key = KEY, lifetime_s: int = 120,
) -> Challenge:  # fmt: skip
    """A challenge issued at `NOW_MS`; easy unless told otherwise."""
    return issue(
        key,
        q=q,
        now_ms=NOW_MS,
        epoch=EPOCH,
        identity=bytes(range(16)),
        puzzles=puzzles,
        weight=weight,
        lifetime_s=lifetime_s,
        resource=resource,
        principal=principal,
    )


@st.composite
def challenges(draw: st.DrawFn) -> Challenge:
    """Any challenge that the format can carry, with any MAC."""
    log2_puzzles = draw(st.integers(0, 6))
    hardest = min(difficulty.MAX_Q, difficulty.MAX_SUB_Q + 1024 * log2_puzzles)
    return Challenge(
        puzzles=1 << log2_puzzles,
        overdraft=draw(st.integers(0, 255)),
        q=draw(st.integers(max(1024, 1024 * log2_puzzles), hardest)),
        weight=draw(st.integers(1, 0xFFFF)),
        key=draw(st.integers(0, 0xFFFF)),
        epoch=draw(st.integers(0, 0xFFFFFFFF)),
        issued_at_ms=draw(st.integers(0, 2**48 - 1)),
        lifetime_s=draw(st.integers(1, 600)),
        id=draw(st.binary(min_size=16, max_size=16)),
        resource=draw(st.binary(min_size=12, max_size=12)),
        principal=draw(st.binary(min_size=12, max_size=12)),
        mac=draw(st.binary(min_size=16, max_size=16)),
    )
