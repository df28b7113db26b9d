# SPDX-License-Identifier: Apache-2.0
"""Pays, where the doctor is told to, and presents each payment rightly once, and wrongly often."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pypow import bolt11
from pypow.bolt11 import Invoice
from pypow.errors import PowError, WireError
from pypow.payment_wire import CREDENTIAL_HEADER, PaymentCredential

from .asking import Asker
from .observed import (
    Answer,
    Offered,
    Outcome,
    decoded_invoice,
    decoded_macaroon,
    offered,
    payment_hash_of,
    sats_of,
)

AUTHORIZATION: Final = "Authorization"
_YEAR_S: Final = 366 * 24 * 3600
_MARGIN_S: Final = 1.5
_REFUSALS: Final = frozenset({400, 401, 402, 403, 407, 429})
_END = re.compile(rb"[0-9]{1,12}")
_COUNT = re.compile(rb"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Spending:
    """What may be spent, and how.

    Attributes:
        pay: pays an invoice, and has its preimage; raises `PowError`.
        max_sats: satoshis for all invoices together.
        other_url: what else is sold there, which a payment for the first should not buy.
        patience_s: how long to wait for an invoice to expire, in seconds; 0 for not at all.
        sleep: waits for so many seconds.
    """

    pay: Callable[[Invoice], Awaitable[bytes]]
    max_sats: int
    other_url: str
    patience_s: int = 0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Unpaid:
    """A payment that was not made.

    Attributes:
        why: in words.
        fix: what to do.
        was_asked_for: whether all was there that it took.
    """

    why: str
    fix: str
    was_asked_for: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one payment. What was not tried is None.

    Attributes:
        scheme: ``L402`` or ``Payment``.
        sats: what was paid.
        payment_hash: 32 bytes.
        preimage: 32 bytes.
        elsewhere: its credential for something else that is sold.
        widened: its macaroon with a caveat that permits more than one before.
        beside: its credential in ``Payment-Authorization``.
        used: its credential as it is meant.
        again: the same once more.
        crossed: the same payment by the other scheme.
        is_late: whether all that came after its invoice expired.
        calls: how many one payment is said to buy, by a caveat of its macaroon.
    """

    scheme: str
    sats: int
    payment_hash: bytes
    preimage: bytes = field(repr=False)
    used: Outcome
    again: Outcome | None = None
    elsewhere: Outcome | None = None
    widened: Outcome | None = None
    beside: Outcome | None = None
    crossed: Outcome | None = None
    is_late: bool = False
    calls: int = 1

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All that the server said to the payment."""
        every = (self.elsewhere, self.widened, self.beside, self.used, self.again, self.crossed)
        return tuple(answer for answer in every if isinstance(answer, Answer))


Outlay: TypeAlias = Trial | Unpaid


@dataclass(frozen=True, slots=True)
class _Bought:
    """An offer whose invoice is paid."""

    offers: Offered
    invoice: Invoice
    preimage: bytes = field(repr=False)

    @property
    def sats(self) -> int:
        return sats_of(self.invoice.text) or 0

    @property
    def calls(self) -> int:
        said = [
            int(value)
            for caveat in _caveats(self)
            for name, _, value in (caveat.partition(b"="),)
            if name.endswith(b"_uses") and _COUNT.fullmatch(value)
        ]
        return min(said, default=1)

    def by_l402(self) -> str | None:
        return next(
            (
                challenge.authorization(self.preimage)
                for challenge in self.offers.l402
                if challenge.invoice == self.invoice.text
            ),
            None,
        )

    def by_payment(self) -> str | None:
        hexed = self.preimage.hex()
        return next(
            (
                PaymentCredential(challenge, {"preimage": hexed}).authorization()
                for challenge in self.offers.payments
                if Offered((), (challenge,)).invoices == (self.invoice.text,)
            ),
            None,
        )


_Attempt: TypeAlias = Callable[[Asker, _Bought, Spending, Callable[[], int]], Awaitable[Trial]]


async def trials(
    asker: Asker, offers: Offered, spending: Spending, now_ms: Callable[[], int]
) -> AsyncIterator[Outlay]:
    """Pay for a call by each scheme that is offered, and see what each payment buys.

    Args:
        asker: asks the server.
        offers: what it offered already.
        spending: what may be spent.
        now_ms: the time, in Unix milliseconds.
    """
    left = spending.max_sats
    tries: list[_Attempt] = [_try_l402] * bool(offers.l402) + [_try_payment] * bool(offers.payments)
    tries += [_try_late] * bool(spending.patience_s)
    for place, attempt in enumerate(tries):
        fresh = offers if place == 0 else await _fresh(asker)
        if attempt is _try_late and _left_s(fresh, now_ms()) > spending.patience_s:
            yield Unpaid(
                f"not waited for: the invoice can be paid for {_left_s(fresh, now_ms()):.0f} s",
                "give the doctor more --patience, or make shorter invoices for a test",
                was_asked_for=False,
            )
            return
        paid = await _bought(fresh, spending, left, now_ms())
        if isinstance(paid, Unpaid):
            yield paid
            return
        left -= paid.sats
        yield await attempt(asker, paid, spending, now_ms)


def _left_s(offers: Offered, now_ms: int) -> float:
    """How long until the invoice has surely expired."""
    invoice = decoded_invoice(next(iter(offers.invoices), ""))
    return 0.0 if invoice is None else (invoice.expires_at_ms - now_ms) / 1000 + _MARGIN_S


async def _fresh(asker: Asker) -> Offered:
    answer = await asker.ask()
    return offered(answer) if isinstance(answer, Answer) else Offered((), ())


async def _bought(offers: Offered, spending: Spending, left: int, now_ms: int) -> _Bought | Unpaid:
    if not offers.invoices:
        return Unpaid("there was no invoice for another payment", "look again in a minute")
    text = offers.invoices[0]
    try:
        invoice = bolt11.decode(text)
        bolt11.require(
            invoice,
            network=invoice.network,
            amount_msat=invoice.amount_msat or 1,
            payment_hash=_promised(offers, text) or invoice.payment_hash,
            now_ms=now_ms,
        )
        sats = sats_of(text) or 0
        if sats > left:
            return Unpaid(
                f"the invoice asks for {sats} sats, and {left} are left of --max-sats",
                "allow more with --max-sats",
            )
        return _Bought(offers, invoice, await spending.pay(invoice))
    except WireError as error:
        return Unpaid(f"not paid: {error}", "offer an invoice that a careful client pays")
    except PowError as error:
        return Unpaid(f"the wallet did not pay: {error}", "look at the wallet, and look again")


def _promised(offers: Offered, text: str) -> bytes | None:
    """The payment that the macaroon beside an invoice is for."""
    tokens = [challenge.token for challenge in offers.l402 if challenge.invoice == text]
    return payment_hash_of(tokens[0]) if tokens else None


async def _try_l402(
    asker: Asker, paid: _Bought, spending: Spending, _now_ms: Callable[[], int]
) -> Trial:
    credential = paid.by_l402() or ""
    elsewhere = widened = None
    price = await asker.ask(url=spending.other_url)
    if isinstance(price, Answer) and offered(price).invoices:
        elsewhere = await _sent(asker, credential, url=spending.other_url)
    wider = _widened(paid)
    if wider is not None:
        widened = await _sent(asker, wider)
    used = await _sent(asker, credential)
    again = await _sent(asker, credential)
    crossed = await _optional(asker, paid.by_payment())
    return Trial(
        "L402", paid.sats, paid.invoice.payment_hash, paid.preimage, used, again, elsewhere,
        widened, None, crossed, calls=paid.calls,
    )  # fmt: skip


async def _try_payment(
    asker: Asker, paid: _Bought, _spending: Spending, _now_ms: Callable[[], int]
) -> Trial:
    credential = paid.by_payment() or ""
    beside = await asker.ask(headers={CREDENTIAL_HEADER: credential})
    used = beside if passes(beside) else await _sent(asker, credential)
    again = await _sent(asker, credential)
    crossed = await _optional(asker, paid.by_l402())
    return Trial(
        "Payment", paid.sats, paid.invoice.payment_hash, paid.preimage, used, again,
        beside=beside, crossed=crossed, calls=paid.calls,
    )  # fmt: skip


async def _try_late(
    asker: Asker, paid: _Bought, spending: Spending, now_ms: Callable[[], int]
) -> Trial:
    await spending.sleep(max(0.0, _left_s(paid.offers, now_ms())))
    by_l402 = paid.by_l402()
    used = await _sent(asker, by_l402 or paid.by_payment() or "")
    scheme = "Payment" if by_l402 is None else "L402"
    return Trial(scheme, paid.sats, paid.invoice.payment_hash, paid.preimage, used, is_late=True)


def _widened(paid: _Bought) -> str | None:
    """The credential with a caveat that permits more than one that is there."""
    for challenge in paid.offers.l402:
        whole = decoded_macaroon(challenge.token)
        if whole is None:
            continue
        for caveat in whole.caveats:
            name, _, value = caveat.partition(b"=")
            if name.endswith(b"_valid_until") and _END.fullmatch(value):
                wider = whole.narrowed(b"%s=%d" % (name, int(value) + _YEAR_S))
                return f"L402 {wider.text}:{paid.preimage.hex()}"
    return None


def _caveats(paid: _Bought) -> Iterator[bytes]:
    for challenge in paid.offers.l402:
        whole = decoded_macaroon(challenge.token)
        if whole is not None and challenge.invoice == paid.invoice.text:
            yield from whole.caveats


async def _sent(asker: Asker, credential: str, *, url: str = "") -> Outcome:
    return await asker.ask(headers={AUTHORIZATION: credential}, url=url)


async def _optional(asker: Asker, credential: str | None) -> Outcome | None:
    return None if credential is None else await _sent(asker, credential)


def passes(outcome: Outcome | None) -> bool:
    """Whether a call got through to what is sold, which may have its own mistakes."""
    if not isinstance(outcome, Answer):
        return False
    return outcome.status not in _REFUSALS and outcome.status < 500
