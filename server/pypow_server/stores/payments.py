# SPDX-License-Identifier: Apache-2.0
"""What a store does for calls that are paid for with money."""

from typing import TYPE_CHECKING, Protocol

from pypow_server.sale import Sale
from pypow_server.stores.attempts import Attempt, Ending

if TYPE_CHECKING:
    from pypow_server.stores import Charge, Charged, Early, Spend


class Payments(Protocol):
    """A ledger that spends payments, remembers what was sold, and who has yet to be answered.

    Beside the contract of `Ledger`, whose uses these are:

    - A use is taken by one request, until its answer is given. The same request that returns gets
      that use again, once, when whoever took it is over: it said so, or its life has ended. Of
      many that return at once, one gets it.
    - Until that is sure, the request that returns is `Spend.HELD`, unless there is another use.
    - Of a payment `MOST_UNANSWERED` are remembered: to take one more, the oldest that is over
      counts as used, and where none is over it is `Spend.HELD`.
    - A life goes on for as long as was last said, by the store's clock.
    """

    async def take(
        self,
        key: bytes,
        *,
        expires_at_ms: int,
        now_ms: int,
        limit: int,
        sale: Sale,
        attempt: Attempt,
        charge: "Charge | None",
    ) -> "Charged | Spend | Early":
        """Take a use of what was paid for, record the sale and charge the call: all or nothing.

        Args:
            key: as of `Ledger.spend`, and so are those up to `limit`.
            expires_at_ms: Unix ms.
            now_ms: Unix ms.
            limit: how many uses were paid for.
            sale: what is recorded.
            attempt: what takes the use; its life goes on.
            charge: as of `Credits.redeem`; None for nothing. What is handed on was charged before.

        Returns:
            What `Credits.redeem` would; without a charge, what `Ledger.spend` would.

        Raises:
            InvalidInputError: as `Ledger.spend`.
        """
        ...

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        """Record how an attempt ended; False where its use was handed on meanwhile, or used.

        Raises:
            StoreError: It is unknown what is recorded.
        """
        ...

    async def give_up(self, key: bytes, attempt: Attempt, charge: "Charge | None") -> None:
        """Give back the use that an attempt took and the upstream knows nothing of.

        Raises:
            StoreError: It could not be given back.
        """
        ...

    async def live(self, life: bytes, *, lasts_ms: int) -> None:
        """A life goes on for so long from now; 0 says that it is over.

        Raises:
            StoreError: It is unknown what is recorded.
        """
        ...
