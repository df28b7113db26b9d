# SPDX-License-Identifier: Apache-2.0
"""A credential as it came with a request: where it was found, and what stood there."""

import enum
from typing import NamedTuple


class Form(enum.Enum):
    """Where a credential was found, which says how it is written."""

    SOLUTION_HEADER = "X-PoW-Solution"
    AUTHORIZATION = "Authorization: PoW"
    PASS = "Authorization: Bearer"  # noqa: S105 - a header's name
    BOUND_PASS = "Authorization: DPoP"  # noqa: S105 - a header's name
    COOKIE = "Cookie: pypow_pass"
    STANDING = "X-PoW-Standing"
    STANDING_COOKIE = "Cookie: pypow_standing"
    META = '_meta["io.pypow/proof"]'


class Presented(NamedTuple):
    """A credential as it came: octets of a header, or a JSON value of ``_meta``; not yet read."""

    form: Form
    value: object

    def __repr__(self) -> str:
        """Without the value: it is a secret."""
        return f"Presented({self.form})"
