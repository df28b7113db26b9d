# SPDX-License-Identifier: Apache-2.0
"""Every exception that pypow raises on purpose.

::

    PowError
    ├── InvalidInputError (also a ValueError)   a value that cannot be
    │   └── WireError                           no well-formed challenge, proof, invoice or header
    ├── KernelUnavailableError                  unknown kernel, or one this CPU cannot run
    ├── NoSolutionError                         the range or limit held no winning nonce
    ├── TooHardError                            more expected work than the caller's cap
    ├── SolveTimeoutError (also a TimeoutError) the time given ran out
    ├── SolverClosedError                       a Solver was closed before or while it searched
    └── ForkedError                             a search was carried into a forked process

A wrong proof is not an exception but a value: see `pypow.challenge.Refusal`.
"""

_SHOWN_CHARACTERS = 40
_SHOWN_BITS = 128


class PowError(Exception):
    """Base of all errors that pypow raises on purpose; its text is fit to show to a user."""


class InvalidInputError(PowError, ValueError):
    """A value that cannot be. The text says what was expected, what came and what to do."""


class WireError(InvalidInputError):
    """Octets or text that are not a well-formed challenge, proof, invoice or header.

    Attributes:
        reason: the same in one stable word, for logs and figures.
    """

    def __init__(self, text: str, reason: str = "malformed") -> None:
        super().__init__(text)
        self.reason = reason


class KernelUnavailableError(PowError):
    """A kernel nobody has heard of, or one that this CPU cannot run."""


class NoSolutionError(PowError):
    """Every nonce in the range was tried and none wins."""


class TooHardError(PowError):
    """The expected work is above the cap that the caller set; nothing was hashed."""


class SolveTimeoutError(PowError, TimeoutError):
    """The time given to a solve ran out."""


class SolverClosedError(PowError):
    """A `Solver` was closed before or while it searched."""


class ForkedError(PowError):
    """A search was carried into a fork of its process, where its threads do not exist."""


def shown(given: object) -> str:
    """A value as an error's text may quote it: on one line, short, and never itself an error.

    >>> shown("scalar"), shown(-1), shown(10**5000), shown([[]])
    ("'scalar'", '-1', 'an integer of 16610 bits', 'list')
    """
    match given:
        case str() | bytes() if len(given) > _SHOWN_CHARACTERS:
            return f"{given[: _SHOWN_CHARACTERS // 2]!r}... ({len(given)} long)"
        case int() if given.bit_length() > _SHOWN_BITS:
            return f"an integer of {given.bit_length()} bits"
        case str() | bytes() | int() | float() | None:
            return repr(given)
        case _:
            return type(given).__name__


def require_int(name: str, given: object, low: int, high: int) -> None:
    """Refuse what is not an integer from ``low`` to ``high``."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise InvalidInputError(
            f"{name}: expected an integer from {low} to {high}, got {shown(given)}"
        )
