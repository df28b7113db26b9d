# SPDX-License-Identifier: Apache-2.0
"""Where codes and refusals may be sent: addresses that a client named before, and no other."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit

from pypow_server.address import Address

MAX_URI: Final = 512
_NETLOC: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_FORBIDDEN: Final = frozenset(' "<>\\^`{|}')


def is_redirect(uri: str) -> bool:
    """Whether codes may ever be sent to a URI: https, or this machine (RFC 8252 section 7.3)."""
    if len(uri) > MAX_URI or not (uri.isascii() and uri.isprintable()) or _FORBIDDEN & set(uri):
        return False
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return False
    # What stands here goes into a policy of the page, too.
    if "#" in uri or not _NETLOC.fullmatch(parts.netloc):
        return False
    return parts.scheme == "https" or _is_here(parts)


def is_same(uri: str, known: str) -> bool:
    """Whether a client means an address that it named before: exactly, or here at any port."""
    if uri == known:
        return True
    if not is_redirect(uri):
        return False
    given, other = urlsplit(uri), urlsplit(known)
    if not _is_here(given) or given.hostname != other.hostname:
        return False
    return given._replace(netloc="") == other._replace(netloc="")


def with_parameters(uri: str, said: Mapping[str, str]) -> str:
    """The URI with more parameters in its query."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(said)}"


def origin(uri: str) -> str:
    """Scheme, host and port of a URI."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _is_here(parts: SplitResult) -> bool:
    return parts.scheme == "http" and Address(parts.hostname or "", 0).is_loopback
