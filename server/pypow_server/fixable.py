# SPDX-License-Identifier: Apache-2.0
"""Errors that say what is wrong and, apart from that, what to do."""

from pypow.errors import PowError


class FixableError(PowError):
    """What is wrong, and the fix; the text says both.

    Attributes:
        found: what is wrong.
        fix: what to do; empty where nobody can say.
    """

    def __init__(self, found: str, *, fix: str = "") -> None:
        super().__init__(f"{found}; {fix}" if fix else found)
        self.found = found
        self.fix = fix
