# SPDX-License-Identifier: Apache-2.0
"""Rules: when a digest wins."""

import functools
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, assert_never

from . import _bridge, difficulty
from .errors import InvalidInputError, shown

Order: TypeAlias = Literal["big", "little"]


@dataclass(frozen=True, slots=True)
class AtMost:
    """The digest, read as an integer in ``order``, is at most ``target`` (inclusive)."""

    target: int
    order: Order = "big"

    def __post_init__(self) -> None:
        _require_target(self.target)
        require_order(self.order)

    @classmethod
    def from_bits(cls, bits: float, order: Order = "big") -> Self:
        """The rule that ``bits`` of work meet on average: 1 to 60, fractions welcome.

        >>> AtMost.from_bits(16).target == 2**240 - 1
        True
        """
        return cls(difficulty.target(difficulty.from_bits(bits)) - 1, order)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The digest, read as an integer in ``order``, is at least ``target`` (inclusive)."""

    target: int
    order: Order = "big"

    def __post_init__(self) -> None:
        _require_target(self.target)
        require_order(self.order)

    @classmethod
    def from_bits(cls, bits: float, order: Order = "big") -> Self:
        """The rule that ``bits`` of work meet on average: 1 to 60, fractions welcome."""
        return cls(2**256 - difficulty.target(difficulty.from_bits(bits)), order)


@dataclass(frozen=True, slots=True)
class Masked:
    """``digest & mask == value``, byte by byte; both 32 bytes."""

    mask: bytes
    value: bytes

    def __post_init__(self) -> None:
        for name, given in (("mask", self.mask), ("value", self.value)):
            if not isinstance(given, bytes) or len(given) != 32:
                raise InvalidInputError(f"expected 32 bytes for rule.{name}, got {shown(given)}")
        if any(v & ~m for v, m in zip(self.value, self.mask, strict=True)):
            raise InvalidInputError(
                "rule.value has bits outside rule.mask, so no digest can ever win; clear them"
            )


Rule: TypeAlias = AtMost | AtLeast | Masked


@functools.lru_cache(maxsize=256)
def rule_spec(rule: Rule) -> _bridge.RuleSpec:
    """A rule the way the C core holds it; the few that a server uses are made once."""
    match rule:
        case AtMost(target, order):
            kind = _bridge.RuleType.AT_MOST
        case AtLeast(target, order):
            kind = _bridge.RuleType.AT_LEAST
        case Masked(mask, value):
            return _bridge.RuleSpec(
                type=_bridge.RuleType.MASKED, value=value, mask=mask, little=False
            )
        case _:
            assert_never(rule)
    return _bridge.RuleSpec(
        type=kind, value=target.to_bytes(32), mask=bytes(32), little=order == "little"
    )


def _require_target(target: object) -> None:
    if isinstance(target, bool) or not isinstance(target, int) or not 0 <= target < 2**256:
        raise InvalidInputError(
            f"rule.target: expected an integer of 256 bits, got {shown(target)}"
        )


def require_order(order: object) -> None:
    """Refuse what is no byte order."""
    if not isinstance(order, str) or order not in ("big", "little"):
        raise InvalidInputError(f'expected the order "big" or "little", got {shown(order)}')
