# SPDX-License-Identifier: Apache-2.0
"""JSON with one text for each value: the JSON Canonicalization Scheme, RFC 8785."""

import json
import math
from decimal import Decimal

from .errors import InvalidInputError, shown


def dumps(value: object) -> str:
    """The canonical text of a value that JSON can say.

    Every number is a double, as in JavaScript: integers that no double holds are rounded to the
    nearest (section 3.2.2.3).

    Raises:
        InvalidInputError: a value of another type, or a number or text that JSON cannot say.
    """
    try:
        text = _text(value)
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError("expected text without lone surrogates") from None
    except RecursionError:
        raise InvalidInputError("expected JSON, got too deep a nesting") from None
    return text


def _text(value: object) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(_text, value))}]"
        case dict() if all(isinstance(name, str) for name in value):
            members = sorted(value.items(), key=lambda member: _in_utf16(member[0]))
            return f"{{{','.join(f'{_text(name)}:{_text(said)}' for name, said in members)}}}"
        case _:
            raise InvalidInputError(f"expected a value of JSON, got {shown(value)}")


def _in_utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """A number as ECMAScript writes it (section 6.1.6.1.20 of its 2023 edition)."""
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise InvalidInputError(f"expected a number that a double holds, got {shown(value)}")
    if double == 0:
        return "0"
    # Python finds the shortest digits too, and places the point elsewhere.
    _, found, exponent = Decimal(repr(abs(double))).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits, point = "".join(map(str, found)), len(found) + exponent
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+d}"
    return text if double > 0 else f"-{text}"
