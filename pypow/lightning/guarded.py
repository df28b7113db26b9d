# SPDX-License-Identifier: Apache-2.0
"""Around a wallet: it has a time to answer in, and one that fails is not asked for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pypow.bolt11 import Invoice

from . import Abilities, Reason, Standing, Wallet, WalletError
from .answer import outcome_unknown
from .breaker import Breaker, Circuit, Limits

_T = TypeVar("_T")

TIMEOUT_S: Final = 5.0
PAY_TIMEOUT_S: Final = 60.0

_ANSWERS: Final = {Reason.UNKNOWN_INVOICE, Reason.NOT_PAID, Reason.NOT_SUPPORTED}
"""What a wallet in good health may say too."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a wallet has been doing.

    Attributes:
        circuit: whether it is asked.
        failures: calls in a row that failed.
        last_reason: why the last of them did; None without one.
        retry_in_ms: how long it is not asked.
    """

    circuit: Circuit
    failures: int
    last_reason: str | None
    retry_in_ms: int


class GuardedWallet:
    """Never waits long, and never for a wallet that just failed.

    Args:
        wallet: what is guarded.
        limits: when to stop asking.
        timeout_s: seconds for a call; a payment has `PAY_TIMEOUT_S`.
        clock_ns: nanoseconds from any point on.
    """

    def __init__(
        self,
        wallet: Wallet,
        *,
        limits: Limits | None = None,
        timeout_s: float = TIMEOUT_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wallet = wallet
        self._breaker = Breaker(limits or Limits())
        self._timeout_s = timeout_s
        self._clock_ns = clock_ns
        self._last_reason: str | None = None

    @property
    def abilities(self) -> Abilities:
        """As `Wallet.abilities`."""
        return self._wallet.abilities

    @property
    def health(self) -> Health:
        """How it has been doing; asks nobody."""
        now_ms = self._now_ms()
        return Health(
            self._breaker.circuit(now_ms),
            self._breaker.failures,
            self._last_reason if self._breaker.failures else None,
            self._breaker.retry_in_ms(now_ms),
        )

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """As `Wallet.create_invoice`."""
        return await self._ask(
            self._in_time(
                lambda: self._wallet.create_invoice(
                    amount_sat, memo=memo, expiry_s=expiry_s, preimage=preimage
                )
            )
        )

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`."""
        return await self._ask(self._in_time(lambda: self._wallet.state(payment_hash)))

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`; once its time is over the outcome is unknown."""

        async def paid() -> bytes:
            try:
                async with asyncio.timeout(PAY_TIMEOUT_S):
                    return await self._wallet.pay(invoice, max_fee_msat=max_fee_msat)
            except TimeoutError:
                raise outcome_unknown() from None

        return await self._ask(paid)

    async def probe(self) -> None:
        """As `Wallet.probe`."""
        await self._ask(self._in_time(self._wallet.probe))

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._wallet.aclose()

    def _in_time(self, call: Callable[[], Awaitable[_T]]) -> Callable[[], Awaitable[_T]]:
        async def answered() -> _T:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await call()
            except TimeoutError:
                raise WalletError(
                    f"expected the wallet to answer within {self._timeout_s:g} s", Reason.TIMED_OUT
                ) from None

        return answered

    async def _ask(self, call: Callable[[], Awaitable[_T]]) -> _T:
        now_ms = self._now_ms()
        if not self._breaker.admits(now_ms):
            raise WalletError(
                f"the wallet failed {self._breaker.failures} times in a row "
                f"(last: {self._last_reason}) and is not asked for "
                f"{self._breaker.retry_in_ms(now_ms) / 1000:.1f} s",
                Reason.RESTING,
            )
        is_told = False
        try:
            answer = await call()
        except WalletError as error:
            is_told = True
            if error.reason in _ANSWERS:
                self._breaker.succeeded()
            else:
                self._last_reason = error.reason
                self._breaker.failed(self._now_ms())
            raise
        else:
            is_told = True
            self._breaker.succeeded()
            return answer
        finally:
            if not is_told:
                self._breaker.left()

    def _now_ms(self) -> int:
        return self._clock_ns() // 1_000_000
