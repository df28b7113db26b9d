# SPDX-License-Identifier: Apache-2.0
"""JSON without its ambiguities: what two parsers could read differently is refused.

Repeated keys, NaN and infinities, numbers beyond a double, byte order marks, encodings other
than UTF-8 and hostile nesting all fail (RFC 8259 sections 4, 6, 8.1 and 9; I-JSON, RFC 7493).
"""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Final

from .errors import InvalidInputError

MAX_LEVELS: Final = 128
"""How deep arrays and objects may lie in each other.

Far below what Python's parser takes, which depends on who calls it: what was read can be written
again, wherever that is.
"""

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_STEPS: Final = bytes.maketrans(b"[{]}", bytes([1, 1, 255, 255]))  # 255 is -1, with a sign
_NO_BRACKETS: Final = bytes(set(range(128)) - set(b"[]{}"))
_MAX_DIGITS = 1000
_TOO_DEEP = f"expected JSON of at most {MAX_LEVELS} levels, got too deep a nesting"


def loads(document: str | bytes) -> object:
    """Parse one JSON document.

    Raises:
        InvalidInputError: not JSON, or JSON that two parsers may read differently.
    """
    try:
        text = document.decode("utf-8") if isinstance(document, bytes) else document
        found: object = json.loads(
            text,
            object_pairs_hook=_no_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except InvalidInputError:
        raise
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"expected JSON in UTF-8: {error.reason}") from None
    except RecursionError:
        raise InvalidInputError(_TOO_DEEP) from None
    except ValueError as error:
        raise InvalidInputError(f"expected JSON: {error}") from None
    if text.count("[") + text.count("{") > MAX_LEVELS and _levels(text) > MAX_LEVELS:
        raise InvalidInputError(_TOO_DEEP)
    return found


def kind(value: object) -> str:
    """What JSON calls a parsed value, for error texts.

    >>> kind([]), kind(None), kind(1.5)
    ('an array', 'null', 'a number')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__


def _levels(text: str) -> int:
    """Of JSON that was read. Its size decides how long this takes, and not its shape."""
    steps = _STRING.sub("", text).encode("ascii").translate(_STEPS, _NO_BRACKETS)
    return max(itertools.accumulate(memoryview(steps).cast("b")), default=0)


def _no_repeats(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInputError("expected JSON without repeated keys; send each key once")
    return fields


def _refuse_constant(name: str) -> float:
    raise InvalidInputError(f"expected JSON, got {name}, which is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise InvalidInputError(f"expected JSON numbers of up to {_MAX_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidInputError("expected JSON numbers within the range of a double")
    return number
