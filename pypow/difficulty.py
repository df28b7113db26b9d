# SPDX-License-Identifier: Apache-2.0
"""Difficulty is expected work, held as ``q``: an integer number of 1/1024 bits.

``q`` converts to and from bits, expected hashes, leading zero hex digits and 256-bit targets.
Everything that decides whether a digest wins is integer arithmetic, so that every
implementation agrees to the last bit (docs/protocol.md, "Difficulty").
"""

import functools
import math
from collections.abc import Sequence

from .errors import InvalidInputError, shown

STEPS_PER_BIT = 1024
"""How many steps of ``q`` make one bit."""

MIN_Q = 1 * STEPS_PER_BIT
MAX_Q = 60 * STEPS_PER_BIT
MIN_SUB_Q = 10 * STEPS_PER_BIT
"""A challenge is split into fewer sub-puzzles until each keeps this much."""

MAX_SUB_Q = 44 * STEPS_PER_BIT
"""A sub-puzzle harder than this is not issued: its 13 free hex digits could run dry."""

MAX_PUZZLES = 64


@functools.cache
def _fractions() -> Sequence[int]:
    """``round(2**63 * 2**(-f/1024))`` for f in 0..1023, exactly rounded.

    The 1024th root of two comes from ten integer square roots with 192 bits to spare.
    """
    precision = 256
    root = 1 << (precision + 1)
    for _ in range(10):
        root = math.isqrt(root << precision)
    table = []
    power = 1 << precision
    for _ in range(STEPS_PER_BIT):
        # 2**63 / power, rounded to nearest.
        table.append(((1 << (63 + 2 * precision + 1)) // (power << precision) + 1) >> 1)
        power = power * root >> precision
    return tuple(table)


def target(q: int) -> int:
    """The exclusive ceiling of winning digests: a digest wins when it is below this.

    Args:
        q: difficulty in 1/1024 bit, 0 to 61440.

    Returns:
        An integer in 2**196..2**256; a digest is compared as a big-endian integer.

    Raises:
        InvalidInputError: ``q`` is not an integer in that range.

    >>> target(16 * 1024) == 1 << 240
    True
    """
    _require_q(q, low=0)
    return _fractions()[q % STEPS_PER_BIT] << (193 - q // STEPS_PER_BIT)


def from_bits(bits: float) -> int:
    """The nearest ``q`` for a number of bits (1 to 60, fractions welcome).

    >>> from_bits(16), from_bits(16.5)
    (16384, 16896)
    """
    if isinstance(bits, bool) or not isinstance(bits, (int, float)) or not 1 <= bits <= 60:
        raise InvalidInputError(
            f"expected a difficulty of 1 to 60 bits, got {shown(bits)}; 16 is a good start"
        )
    return round(bits * STEPS_PER_BIT)


def from_hashes(hashes: float) -> int:
    """The nearest ``q`` for an expected number of hashes (2 to 2**60).

    >>> from_hashes(1_000_000)
    20410
    """
    if isinstance(hashes, bool) or not isinstance(hashes, (int, float)) or not 2 <= hashes <= 2**60:
        raise InvalidInputError(f"expected 2 to 2**60 hashes, got {shown(hashes)}")
    return round(math.log2(hashes) * STEPS_PER_BIT)


def from_hex_zeros(digits: int) -> int:
    """The ``q`` of a number of leading zero hex digits (1 to 15), four bits each."""
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 15:
        raise InvalidInputError(f"expected 1 to 15 leading zero hex digits, got {shown(digits)}")
    return digits * 4 * STEPS_PER_BIT


def bits(q: int) -> float:
    """``q`` in bits."""
    return q / STEPS_PER_BIT


def expected_hashes(q: int) -> float:
    """How many hashes an honest solver needs on average: 2**(q/1024).

    >>> expected_hashes(16 * 1024)
    65536.0
    """
    return float(2.0 ** (q / STEPS_PER_BIT))


def hex_zeros(q: int) -> int:
    """How many leading zero hex digits are surely enough for ``q``.

    >>> hex_zeros(16 * 1024), hex_zeros(16 * 1024 + 1)
    (4, 5)
    """
    return -(-q // (4 * STEPS_PER_BIT))


def to_whole_hex_zeros(q: int) -> int:
    """``q`` rounded to the nearest multiple of four bits, at least four.

    A caller that only counts zeros in hex can meet such a difficulty exactly.

    >>> to_whole_hex_zeros(17 * 1024) // 1024, to_whole_hex_zeros(18 * 1024) // 1024
    (16, 20)
    """
    step = 4 * STEPS_PER_BIT
    return max(step, (q + step // 2) // step * step)


def split(q: int, puzzles: int) -> int:
    """How many sub-puzzles, at most ``puzzles``, so that each keeps at least 10 bits.

    Args:
        q: total difficulty in 1/1024 bit.
        puzzles: the most that the caller can do; a power of two, 1 to 64.

    Returns:
        A power of two; 1 where the puzzle is too easy to be split.

    Raises:
        InvalidInputError: ``puzzles`` is not such a power of two.
    """
    require_puzzles(puzzles)
    while puzzles > 1 and sub_q(q, puzzles) < MIN_SUB_Q:
        puzzles //= 2
    return puzzles


def sub_q(q: int, puzzles: int) -> int:
    """The difficulty of one of ``puzzles`` sub-puzzles; all together cost 2**(q/1024) hashes.

    >>> sub_q(20 * 1024, 16) // 1024
    16
    """
    return q - STEPS_PER_BIT * (puzzles.bit_length() - 1)


def require_puzzles(puzzles: int) -> None:
    """Refuse a number of sub-puzzles that is not a power of two in 1..64."""
    if (
        isinstance(puzzles, bool)
        or not isinstance(puzzles, int)
        or not 1 <= puzzles <= MAX_PUZZLES
        or puzzles & (puzzles - 1)
    ):
        raise InvalidInputError(
            f"expected 1, 2, 4, 8, 16, 32 or 64 sub-puzzles, got {shown(puzzles)}; "
            "16 suits most callers"
        )


def _require_q(q: int, *, low: int) -> None:
    if isinstance(q, bool) or not isinstance(q, int) or not low <= q <= MAX_Q:
        raise InvalidInputError(f"expected a difficulty q of {low} to {MAX_Q}, got {shown(q)}")
