# SPDX-License-Identifier: Apache-2.0
"""Powers of two and their logarithms in steps of 1/1024 bit, in integers alone.

Everything here is a fixed table and a search in it, so that every replica finds the same bits.
"""

from bisect import bisect_right
from typing import Final

from . import difficulty
from .difficulty import STEPS_PER_BIT
from .errors import InvalidInputError, shown

_TABLE_BITS: Final = 62

_ROOTS: Final = tuple(
    difficulty.target((STEPS_PER_BIT - step) % STEPS_PER_BIT) >> (256 - _TABLE_BITS - (step > 0))
    for step in range(STEPS_PER_BIT)
)
"""``2**62 * 2**(f/1024)`` for f in 0..1023, rounded down."""

SCALE_BITS: Final = 20
"""`falling` is a fraction of ``2**20``."""


def log2_q(number: int) -> int:
    """``floor(1024 * log2(number))``: how many steps of difficulty a factor is.

    Exact for numbers of up to 48 bits: no power of two in the table lies so near to one.

    Args:
        number: 1 to 2**48.

    Raises:
        InvalidInputError: it is not.

    >>> log2_q(1), log2_q(3), log2_q(1024)
    (0, 1623, 10240)
    """
    if not 1 <= number <= 1 << 48:
        raise InvalidInputError(f"expected a number from 1 to 2**48, got {shown(number)}")
    whole = number.bit_length() - 1
    return whole * STEPS_PER_BIT + bisect_right(_ROOTS, number << (_TABLE_BITS - whole)) - 1


def risen(number: int, q: int) -> int:
    """``ceil(number * 2**(q/1024))``: a price that rose by ``q``.

    Args:
        number: 0 or more.
        q: 0 or more.

    >>> risen(5, 0), risen(5, 1024), risen(5, 512)
    (5, 10, 8)
    """
    whole, step = divmod(q, STEPS_PER_BIT)
    return -(-(number * _ROOTS[step] << whole) >> _TABLE_BITS)


def falling(q: int) -> int:
    """``floor(2**20 * 2**(-q/1024))``: what a fall by ``q`` leaves of 2**20.

    Args:
        q: 0 or more; from 20 bits on nothing is left.

    >>> falling(0), falling(1024), falling(512)
    (1048576, 524288, 741455)
    """
    return difficulty.target(min(q, 40 * STEPS_PER_BIT)) >> (256 - SCALE_BITS)
