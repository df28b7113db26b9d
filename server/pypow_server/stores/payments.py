# SPDX-License-Identifier: Apache-2.0
"""What a store does for calls that are paid for with money."""

from typing import TYPE_CHECKING, Protocol

from pypow_server.sale import Sale

if TYPE_CHECKING:
    from pypow_server.stores import Charge, Charged, Early, Spend


class Payments(Protocol):
    """A ledger that spends payments, and remembers what was sold."""

    async def take(
        self,
        key: bytes,
        *,
        expires_at_ms: int,
        now_ms: int,
        limit: int,
        sale: Sale,
        charge: "Charge | None",
    ) -> "Charged | Spend | Early":
        """Spend a use of what was paid for, record the sale and charge the call: all or nothing.

        Args:
            key: as of `Ledger.spend`, and so are those up to `limit`.
            expires_at_ms: Unix ms.
            now_ms: Unix ms.
            limit: how many uses were paid for.
            sale: what is recorded.
            charge: as of `Credits.redeem`; None for nothing.

        Returns:
            What `Credits.redeem` would; without a charge, what `Ledger.spend` would.

        Raises:
            InvalidInputError: as `Ledger.spend`.
        """
        ...
