# SPDX-License-Identifier: Apache-2.0
"""Where a key stands in a TOML file: the standard library's parser does not tell."""

import re

from .toml_document import Place


def where(name: str, text: str, place: Place) -> str:
    """A place as operators read it.

    >>> where("pypow.toml", "[gate]", ("gate", "listen"))
    'pypow.toml line 1: gate.listen'
    """
    shown = "".join(
        f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place
    ).lstrip(".")
    line = _line(text, place)
    at = f"{name} line {line}" if line else name
    return f"{at}: {shown}" if shown else at


def _line(text: str, place: Place) -> int:
    """The line of a key, or else of its table; 0 where neither is written the plain way."""
    listed = next((at for at, part in enumerate(place) if isinstance(part, int)), None)
    table = ".".join(map(str, place[: 1 if listed is None else listed]))
    index = 0 if listed is None else place[listed]
    rest = place[1 if listed is None else listed + 1 :]
    key = rest[0] if rest else None
    seen, inside, found = -1, False, 0
    named = ".".join(map(str, place))
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?\s*([A-Za-z0-9_.-]+)", line)
        if header is not None and header[1] == named:
            return number
        if header is not None:
            seen += header[1] == table
            inside = header[1] == table and seen == index
            found = number if inside else found
        elif inside and re.match(rf"\s*\"?{re.escape(str(key))}\"?\s*=", line):
            return number
    # A list of a key's values, and not of tables.
    return found or (_line(text, place[:listed]) if listed is not None and listed > 1 else 0)
