# SPDX-License-Identifier: Apache-2.0
"""What a doctor says: one line for each thing looked at, and the fix where one is needed."""

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Works, and may surprise."""
    FAIL = "fail"
    """Callers are turned away, or let in, against the operator's will."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at, in one word.
        level: how bad it is.
        found: what was found.
        fix: what to do; empty where nothing is.
    """

    check: str
    level: Level
    found: str
    fix: str = ""


def ok(check: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, found)


def warn(check: str, found: str, *, fix: str) -> Finding:
    """Works, and may surprise."""
    return Finding(check, Level.WARN, found, fix)


def fail(check: str, found: str, *, fix: str) -> Finding:
    """Does not work as it should."""
    return Finding(check, Level.FAIL, found, fix)
