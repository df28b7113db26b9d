# SPDX-License-Identifier: Apache-2.0
"""The sales of a store, read by a command beside the gates that make them. Nothing is written.

A ledger that a command opened would be one gate more: where none runs it begins a new epoch, and
every open challenge must be solved again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from . import StoreError, UnopenedStoreError, without_secrets
from .redis_address import SCHEMES as REDIS_SCHEMES
from .sales import SalesRead

PAYMENTS: Final = b"ln:"
"""What the ledger's keys of payments begin with; their payment hashes follow."""


class Counted(NamedTuple):
    """The calls made for one payment, counted twice in one transaction.

    Attributes:
        payment_hash: of its invoice.
        ledger: uses that its spends record; None where they are forgotten.
        sold: uses that its sale records; None where there is none.
    """

    payment_hash: bytes
    ledger: int | None
    sold: int | None


class Books(SalesRead, Protocol):
    """What commands read."""

    def counted(self) -> Iterator[Sequence[Counted]]:
        """Every payment that spends or sales know, some at a time.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def _memory(_rest: str) -> Books:
    raise StoreError(
        "a memory: store lives in its gate's process",
        fix="look at /sales on the gate's --admin side",
    )


def _sqlite(rest: str) -> Books:
    from .sqlite_books import SqliteBooks

    return SqliteBooks(rest)


def _redis(scheme: str, rest: str) -> Books:
    # Imported when it is asked for: the redis package is an extra.
    from .redis_store import open_books

    return open_books(rest, scheme=scheme)


_BOOKS: Final[Mapping[str, Callable[[str], Books]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    **{scheme: partial(_redis, scheme) for scheme in REDIS_SCHEMES},
}


def open_books(url: str) -> Books:
    """Open the store of a URL for reading.

    Raises:
        UnopenedStoreError: no such store, or one that cannot be read; one line.
    """
    scheme, _, rest = url.partition(":")
    shown = without_secrets(url)
    if scheme not in _BOOKS:
        raise UnopenedStoreError(
            f"expected --store to be sqlite:PATH or redis://HOST, got {shown!r}",
            fix="docs/stores.md lists them",
        )
    try:
        return _BOOKS[scheme](rest)
    except StoreError as error:
        raise UnopenedStoreError(f"--store {shown}: {error.found}", fix=error.fix) from None
