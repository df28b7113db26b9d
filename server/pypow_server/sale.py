# SPDX-License-Identifier: Apache-2.0
"""What one payment bought: rails say it, spends record it, and operators read it."""

from typing import NamedTuple


class Sale(NamedTuple):
    """One payment, and what came of it.

    Attributes:
        payment_hash: of its invoice, 32 octets.
        sats: what was paid.
        price: the name of the price that it was paid for.
        uses: how many calls it bought; 0 for as many as fit in a time.
        scheme: in which form it was first shown, ``l402`` or ``payment``.
        at_ms: when its first use was spent, Unix milliseconds.
        spent: how many of its uses are spent, as far as the store knows; of what is read only.
    """

    payment_hash: bytes
    sats: int
    price: str
    uses: int
    scheme: str
    at_ms: int
    spent: int = 0
