# SPDX-License-Identifier: Apache-2.0
"""URLs of servers elsewhere, in the one form that no two readers take for two places."""

import re
from typing import Final

from yarl import URL

from pypow.errors import InvalidInputError

from .addresses import literal

MAX_CHARACTERS: Final = 2048
# Neither user nor fragment, nor what parsers read in more than one way, fits this.
_FORM: Final = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?(?:[/?][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
# What a resolver could take for an address in another spelling (127.1, 0177.0.0.1) is no name.
_NAME: Final = re.compile(r"(?:[a-z0-9_-]+\.)*(?!0x)[a-z_][a-z0-9_-]*")


def read_url(text: str) -> URL:
    """A whole URL of HTTP: a host that is a name or an address, no user, no fragment.

    Raises:
        InvalidInputError: it is none. The text of the error does not quote it: it may hold secrets.
    """
    if len(text) <= MAX_CHARACTERS and _FORM.fullmatch(text) is not None and "#" not in text:
        try:
            url = URL(text, encoded=True)
            host = url.host or ""
            if _NAME.fullmatch(host) is not None or literal(host) is not None:
                return url
        except ValueError:
            pass
    raise InvalidInputError(
        f"expected a whole URL of http or https, in at most {MAX_CHARACTERS} ASCII characters, with"
        " a host and without user and fragment; got another"
    )
