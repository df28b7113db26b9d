# SPDX-License-Identifier: Apache-2.0
"""Nonce encodings: how the numbers that a solver counts through are written as bytes."""

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from . import _bridge
from .errors import InvalidInputError, require_int, shown
from .rules import Order, require_order

_DECIMAL = b"0123456789"
_HEX = b"0123456789abcdef"
_ALL_BYTES = bytes(range(256))


@dataclass(frozen=True, slots=True)
class Decimal:
    """Decimal digits without leading zeros, counted up from ``first`` (0 to 2**63)."""

    first: int = 0

    def __post_init__(self) -> None:
        require_int("nonce.first", self.first, 0, 2**63)


@dataclass(frozen=True, slots=True)
class Hex:
    """Lower-case hex digits: ``width`` of them (1 to 64), or as few as the number needs."""

    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None:
            require_int("nonce.width", self.width, 1, 64)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """``width`` characters (1 to 64) of an ASCII alphabet, counted in its own order."""

    alphabet: str
    width: int

    def __post_init__(self) -> None:
        require_int("nonce.width", self.width, 1, 64)
        if not isinstance(self.alphabet, str) or not self.alphabet.isascii():
            raise InvalidInputError(f"expected an ASCII alphabet, got {shown(self.alphabet)}")
        if len(self.alphabet) < 2 or len(set(self.alphabet)) != len(self.alphabet):
            raise InvalidInputError(
                "expected an alphabet of two or more different characters, "
                f"got {shown(self.alphabet)}"
            )


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An unsigned integer of 32 or 64 bits in either byte order."""

    bits: Literal[32, 64]
    order: Order

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or self.bits not in (32, 64):
            raise InvalidInputError(f"expected an integer of 32 or 64 bits, got {shown(self.bits)}")
        require_order(self.order)


@dataclass(frozen=True, slots=True)
class FreeBytes:
    """``width`` free bytes (1 to 64), counted as one big-endian number."""

    width: int

    def __post_init__(self) -> None:
        require_int("nonce.width", self.width, 1, 64)


NonceEncoding: TypeAlias = Decimal | Hex | Alphabet | Unsigned | FreeBytes


@functools.lru_cache(maxsize=64)
def nonce_spec(nonce: NonceEncoding) -> _bridge.NonceSpec:
    """An encoding as digits of a number, the way the C core counts; made once."""
    match nonce:
        case Decimal():
            return _bridge.NonceSpec(symbols=_DECIMAL, width=0, little=False)
        case Hex(width):
            return _bridge.NonceSpec(symbols=_HEX, width=width or 0, little=False)
        case Alphabet(alphabet, width):
            return _bridge.NonceSpec(symbols=alphabet.encode("ascii"), width=width, little=False)
        case Unsigned(bits, order):
            return _bridge.NonceSpec(symbols=_ALL_BYTES, width=bits // 8, little=order == "little")
        case FreeBytes(width):
            return _bridge.NonceSpec(symbols=_ALL_BYTES, width=width, little=False)
        case _:
            assert_never(nonce)
