# SPDX-License-Identifier: Apache-2.0
"""Whose account is no network's."""

from typing import NamedTuple


class Holder(NamedTuple):
    """Who holds the standing token, or has the login, that came with a call, for accounts.

    What the token says of its holder's past counts where the store remembers less of it.

    Attributes:
        account: names the holder's account.
        identified: whether it may come to stand for itself; not where the token was brought from
            elsewhere than it was issued to.
        minutes: distinct minutes in which its holder was served, at least 1.
        last_minute: the last of them, counted from 1970.
        first_ms: when the token was issued, Unix ms.
    """

    account: bytes
    identified: bool
    minutes: int
    last_minute: int
    first_ms: int
