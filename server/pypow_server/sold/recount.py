# SPDX-License-Identifier: Apache-2.0
"""Whether sales and spends agree: the calls made for each payment, counted twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pypow_server.stores.books import Counted

_SHOWN: Final = 20


@dataclass(slots=True)
class Recount:
    """What a recount found.

    Attributes:
        payments: how many both know.
        calls: made for these, by what sales record.
        spends: made for these, by what spends record.
        forgotten: how many payments only sales still know: spends are dropped when they have
            expired.
        wrong: how many disagree.
        examples: the first of these.
    """

    payments: int = 0
    calls: int = 0
    spends: int = 0
    forgotten: int = 0
    wrong: int = 0
    examples: list[Counted] = field(default_factory=list)

    def add(self, found: Counted) -> None:
        """Hold one payment against itself."""
        if found.ledger is None:
            self.forgotten += 1
            return
        sold = found.sold or 0
        if found.sold is not None:
            self.payments += 1
        self.calls += sold
        self.spends += found.ledger
        if sold != found.ledger:
            self.wrong += 1
            if len(self.examples) < _SHOWN:
                self.examples.append(found)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "payments": self.payments,
            "calls": self.calls,
            "spends": self.spends,
            "forgotten": self.forgotten,
            "wrong": self.wrong,
            "examples": [
                {
                    "payment_hash": found.payment_hash.hex(),
                    "sold": found.sold,
                    "spent": found.ledger,
                }
                for found in self.examples
            ],
        }


def recounted(counted: Iterable[Sequence[Counted]]) -> Recount:
    """Hold all payments against themselves.

    Raises:
        StoreError: they cannot be read.
    """
    found = Recount()
    for some in counted:
        for each in some:
            found.add(each)
    return found
