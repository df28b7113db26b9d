# SPDX-License-Identifier: Apache-2.0
"""URLs of servers elsewhere, in the one form that no two readers take for two places."""

import re
from typing import Final

from yarl import URL

from pypow.errors import InvalidInputError

from .addresses import literal

MAX_CHARACTERS: Final = 2048
_TEXT: Final = re.compile(r"[!-~]+")
# What a resolver could take for an address in another spelling (127.1, 0177.0.0.1) is no name.
_NAME: Final = re.compile(r"(?:[a-z0-9_-]+\.)*(?!0x)[a-z_][a-z0-9_-]*")


def read_url(text: str) -> URL:
    """A whole URL: scheme, a host that is a name or an address, no user, no fragment.

    Raises:
        InvalidInputError: it is none. The text of the error does not quote it: it may hold secrets.
    """
    if len(text) > MAX_CHARACTERS or _TEXT.fullmatch(text) is None or set(text) & {"\\", "#"}:
        raise InvalidInputError(
            f"expected a URL without fragment in at most {MAX_CHARACTERS} visible ASCII characters"
        )
    try:
        url = URL(text, encoded=True)
        host = url.host or ""
        is_whole = url.absolute and url.user is None and url.password is None
        if is_whole and (_NAME.fullmatch(host) is not None or literal(host) is not None):
            return url
    except ValueError:
        pass
    raise InvalidInputError("expected a whole URL with a host and without user, got another")
