# SPDX-License-Identifier: Apache-2.0
"""The wallet of a gate that sells for sats: opened once, where nothing speaks against it."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pypow.bolt11 import Network
from pypow.errors import InvalidInputError, PowError

from .address import Address
from .invoices import WALLET_TIMEOUT_S, Invoices
from .selling import Selling
from .settings import Settings
from .settled import Settled
from .stores import Limiter
from .stores.sales import SalesRead

if TYPE_CHECKING:
    from pypow.lightning.guarded import GuardedWallet

    from .telemetry import Telemetry

_FORGETFUL: Final = "memory:"


class Shop(Collector):
    """Makes invoices for one gate, and figures of them for Prometheus.

    Attributes:
        invoices: None where nothing is sold.
        settled: asks for payments; None likewise.
    """

    def __init__(self, settings: Settings, limiter: Limiter) -> None:
        """Open the wallet; asks it nothing yet.

        Args:
            settings: all of it.
            limiter: counts invoices.

        Raises:
            InvalidInputError: no such wallet or credential, or settings that would lose money.
        """
        self._opened = _where(settings.rows.selling)
        self._wallet = wallet_of(settings)
        self.invoices = None if self._wallet is None else Invoices(self._wallet, limiter)
        self.settled = None if self._wallet is None else Settled(self._wallet)

    def require_same(self, settings: Settings) -> None:
        """Refuse settings with another wallet.

        Raises:
            InvalidInputError: they have one.
        """
        if _where(settings.rows.selling) != self._opened:
            raise InvalidInputError("l402.wallet: another wallet takes a restart")
        if settings.rows.selling is not None and self._wallet is not None:
            require_sense(settings)
            _require_answers(settings.rows.selling, self._wallet)

    def show(self, telemetry: "Telemetry", sales: SalesRead) -> None:
        """Let Prometheus have the figures of the wallet, and of what is sold.

        Args:
            telemetry: of the gate.
            sales: the store's.
        """
        telemetry.metrics.show(self)
        if self.invoices is not None:
            telemetry.sales(sales)

    def remark(self) -> str | None:
        """How the wallet has been doing, in words; None where nothing is sold. Asks nobody."""
        if self._wallet is None:
            return None
        health = self._wallet.health
        if not health.failures:
            return "wallet: no call to it has failed since the last that did not"
        rest = f"; not asked for {health.retry_in_ms / 1000:.1f} s" if health.retry_in_ms else ""
        return (
            f"wallet: the last {health.failures} calls to it failed ({health.last_reason}){rest}; "
            "work and paid invoices admit all the same"
        )

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        if self.invoices is None:
            return
        invoices = CounterMetricFamily(
            "pypow_invoices",
            "Invoices that callers asked for, by what came of it.",
            labels=("result",),
        )
        figures = self.invoices.figures
        for result in ("made", "again", "held_back", "failed"):
            invoices.add_metric((result,), getattr(figures, result))
        yield invoices
        assert self._wallet is not None
        yield GaugeMetricFamily(
            "pypow_wallet_failures",
            "Calls to the wallet in a row that failed; 0 while it answers.",
            self._wallet.health.failures,
        )

    async def aclose(self) -> None:
        """Let go of the wallet."""
        if self._wallet is not None:
            await self._wallet.aclose()


def wallet_of(settings: Settings) -> "GuardedWallet | None":
    """The wallet that settings name, asked nothing yet; None where nothing is sold.

    Raises:
        InvalidInputError: no such wallet or credential, or settings that would lose money.
    """
    selling = settings.rows.selling
    if selling is None:
        return None
    require_sense(settings)
    from pypow.lightning.wallets import open_wallet

    network = Network.REGTEST if selling.is_development else Network(selling.network)
    try:
        wallet = open_wallet(
            selling.wallet, network=network, environment=os.environ, timeout_s=WALLET_TIMEOUT_S
        )
    except PowError as error:
        raise InvalidInputError(f"l402.wallet: {error}") from None
    _require_answers(selling, wallet)
    return wallet


def _where(selling: Selling | None) -> tuple[str, str] | None:
    return None if selling is None else (selling.wallet, selling.network)


def require_sense(settings: Settings) -> None:
    """Refuse what would lose money, or sell nothing. Reads no credential, and opens nothing.

    Raises:
        InvalidInputError: settings that would, or packages that are missing.
    """
    selling = settings.rows.selling
    if selling is None:
        return
    # Whoever sells nothing needs none of what wallets need.
    from pypow import secp256k1
    from pypow.lightning.wallets import require_address

    try:
        secp256k1.require_library()
        require_address(selling.wallet)
    except PowError as error:
        raise InvalidInputError(f"l402.wallet: {error}") from None
    if not selling.is_development:
        if settings.store_url.startswith(_FORGETFUL):
            raise InvalidInputError(
                "expected a store that outlives the gate where money is taken, got memory:; say "
                "--store sqlite:PATH or redis://HOST: else one payment admits again after a restart"
            )
        return
    host = urlsplit(settings.url).hostname or ""
    if not (Address(host, 0).is_loopback or selling.public_development):
        raise InvalidInputError(
            f"expected a wallet with money for the public URL {settings.url}, got development:, "
            "whose invoices anybody can settle for nothing; say another l402.wallet, or "
            "l402.public_development = true where that is meant"
        )


def _require_answers(selling: Selling, wallet: "GuardedWallet") -> None:
    if selling.strict and not wallet.abilities.knows_payments:
        raise InvalidInputError(
            "l402.strict: expected a wallet that knows its payments after a restart, got "
            f"{selling.wallet.partition(':')[0]}:; leave strict out, or take another wallet"
        )
