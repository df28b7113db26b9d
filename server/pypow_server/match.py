# SPDX-License-Identifier: Apache-2.0
"""Which calls a row of a policy is about, written as ``tools/call search_*`` or ``POST /v1/*``."""

import re
from dataclasses import dataclass, field

from pypow.errors import InvalidInputError

from .resource import Resource


@dataclass(frozen=True, slots=True)
class Match:
    """A method and a name, in either of which ``*`` stands for any characters.

    Attributes:
        text: MCP method and name, or HTTP method and path; a method alone is any name. Case
            counts, and GET covers HEAD.
    """

    text: str
    _method: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _name: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _folded_name: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        method, _, name = self.text.partition(" ")
        if not method or self.text != self.text.strip():
            raise InvalidInputError(
                f'expected an entry like "tools/call search_*" or "POST /v1/*", got {self.text!r}'
            )
        object.__setattr__(self, "_method", _glob(method))
        object.__setattr__(self, "_name", _glob(name or "*"))
        object.__setattr__(self, "_folded_name", _glob(name.lower() or "*"))

    def is_written(self, resource: Resource) -> bool:
        """Whether the resource is meant exactly as it is written, however servers read it.

        For what opens a door.
        """
        return self._method.fullmatch(resource.method) is not None and all(
            self._name.fullmatch(reading.name) for reading in resource.readings
        )

    def covers(self, resource: Resource) -> bool:
        """Whether the resource is meant, or a path or URI that many servers take for it.

        That is another case of a path's letters, with or without a slash at its end, and another
        spelling of a URI. For what closes a door.
        """
        if self._method.fullmatch(resource.method) is None:
            return False
        if resource.kind != "http":
            return any(self._name.fullmatch(reading.name) for reading in resource.readings)
        path = resource.name.lower().rstrip("/")
        return any(self._folded_name.fullmatch(spelling) for spelling in (path, path + "/"))

    def hides(self, later: "Match") -> bool:
        """Whether no call is left for a row that stands below this one.

        >>> Match("tools/call s*").hides(Match("tools/call search_*"))
        True
        """
        method, _, name = later.text.partition(" ")
        return (
            self._method.fullmatch(_any(method)) is not None
            and self._name.fullmatch(_any(name or "*")) is not None
        )


def _any(text: str) -> str:
    # A character that no pattern names: only a star can take it, and a star takes whatever it
    # stands for.
    return text.replace("*", "\0")


def _glob(text: str) -> re.Pattern[str]:
    # What stands between two stars is looked for once, at its first place, and never again: with
    # backtracking, a name as long as a body may be would be matched for hours.
    first, *rest = (re.escape(part) for part in text.split("*"))
    if not rest:
        return re.compile(first)
    between = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{between}.*{rest[-1]}", re.DOTALL)
