# SPDX-License-Identifier: Apache-2.0
"""What an operator decides of calls that are sold for sats."""

from dataclasses import dataclass
from typing import Final

from pypow import difficulty
from pypow.powers import risen
from pypow.pricing import Quote

from .stores import Quota

DEVELOPMENT: Final = "development:"
DEFAULT_NETWORK: Final = "mainnet"
FREE_INVOICES: Final = Quota(10, 60_000)
KEEP_SALES_S: Final = 400 * 24 * 3600
ALL_INVOICES: Final = Quota(300, 60_000)


@dataclass(frozen=True, slots=True)
class Selling:
    """How calls are sold over Lightning.

    Attributes:
        wallet: the address of the wallet that makes invoices, as `pypow.lightning.wallets` has it.
        network: the chain that money is on, by its name.
        public_development: whether the development wallet may serve at a public URL.
        free_invoices: what each network gets without work; None for none.
        all_invoices: what all networks get without work, together; None for none.
        stamp_q: the work for an invoice beyond that, in 1/1024 bit.
        expiry_s: how long an invoice can be paid, in seconds.
        grace_s: how long after that a payment is honoured, in seconds.
        keep_sales_s: how long it is remembered what was sold, in seconds.
        max_sats: no call costs more, whatever is used.
        strict: whether the wallet is asked before a payment admits the first time.
        binds_bodies: whether a payment for one MCP call is for its arguments only.
        foreign_schemes: of ``Authorization``, in lower case, that belong to the upstream.
    """

    wallet: str
    network: str = DEFAULT_NETWORK
    public_development: bool = False
    free_invoices: Quota | None = FREE_INVOICES
    all_invoices: Quota | None = ALL_INVOICES
    stamp_q: int = 16 * difficulty.STEPS_PER_BIT
    expiry_s: int = 600
    grace_s: int = 3600
    keep_sales_s: int = KEEP_SALES_S
    max_sats: int = 100_000
    strict: bool = False
    binds_bodies: bool = False
    foreign_schemes: frozenset[str] = frozenset()

    @property
    def is_development(self) -> bool:
        """Whether the wallet has no money."""
        return self.wallet == DEVELOPMENT

    def asked(self, sats: int, quote: Quote | None) -> int:
        """What a caller pays in satoshis: it rises with use by as much as the work does.

        Args:
            sats: what it costs everybody.
            quote: what it costs this caller; None where that is the same.
        """
        if quote is None:
            return sats
        return min(max(sats, self.max_sats), risen(sats, quote.overdraft_q + quote.entry_q))
