# SPDX-License-Identifier: Apache-2.0
"""How a parser is held against a second reading."""

from collections.abc import Callable
from typing import Any, TypeVar

from pypow.errors import InvalidInputError

_T = TypeVar("_T")


class DisagreementError(AssertionError):
    """A parser and the second reading make different things of one input."""


def same(found: object, expected: object) -> None:
    """Raise where the two differ."""
    if found != expected:
        raise DisagreementError(f"expected {expected!r}, got {found!r}")


def or_none(
    parse: Callable[[Any], _T], value: object, error: type[Exception] = InvalidInputError
) -> _T | None:
    """What a parser makes of the value; None where it refuses as it documents."""
    try:
        return parse(value)
    except error:
        return None
