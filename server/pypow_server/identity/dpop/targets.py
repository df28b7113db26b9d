# SPDX-License-Identifier: Apache-2.0
"""When two URLs name the same target (RFC 9449 section 4.3; RFC 3986 sections 6.2.2 and 6.2.3).

Alike are: scheme and host in either case, the scheme's own port or none, no path or ``/``, and
escapes in either case or of what needs none. Query and fragment are left out. Dot segments are
not folded: clients fold them before they send, and servers differ in what they make of the rest.
"""

import functools
import re
from typing import Final

_LONGEST: Final = 2048
_LONGEST_REMEMBERED: Final = 256
"""Octets: callers must not fill the memory."""

_URL: Final = re.compile(
    r"([Hh][Tt][Tt][Pp][Ss]?)://"
    r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?"
    r"((?:/(?:[!-$&->@-~]|%[0-9A-Fa-f]{2})*)?)"  # all that is seen, but for "%", "?" and "#"
    r"(?:[?#][!-~]*)?"
)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_OWN_PORTS: Final = {"http": 80, "https": 443}


def normal_target(url: str) -> str | None:
    """The one way to write a target, or None for what is no absolute http or https URL.

    >>> normal_target("HTTPS://Gate.example:443?page=2")
    'https://gate.example/'
    """
    if len(url) > _LONGEST:
        return None
    return (_known if len(url) <= _LONGEST_REMEMBERED else _normal)(url)


def _normal(url: str) -> str | None:
    found = _URL.fullmatch(url)
    if found is None:
        return None
    scheme, host, port, path = found.groups()
    scheme = scheme.lower()
    place = host.lower()
    if port and int(port) != _OWN_PORTS[scheme]:
        place += f":{int(port)}"
    return f"{scheme}://{place}{_ESCAPE.sub(_plain, path) or '/'}"


_known = functools.lru_cache(maxsize=1024)(_normal)


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
