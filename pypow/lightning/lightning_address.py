# SPDX-License-Identifier: Apache-2.0
"""A Lightning Address: sells with no credential at all (LUD-06, LUD-16, LUD-21).

Whoever runs the address's host is believed in who gets the money, as with every such address.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from pypow.bolt11 import Invoice
from pypow.errors import InvalidInputError, shown

from . import Abilities, Reason, Standing, State, WalletError
from .answer import Fields, not_supported, read_invoice, unknown_invoice
from .exchange import Exchange
from .near import is_near

_ADDRESS = re.compile(r"([a-z0-9._+-]{1,64})@([a-z0-9.-]{1,253}(?::[0-9]{1,5})?)", re.ASCII)
_MOST_REMEMBERED: Final = 10_000
_MOST_URL: Final = 2048


class LightningAddressWallet:
    """Asks for invoices as every payer of the address does.

    Where the host offers no look-up, or after a restart, states are unknown: the preimage proves
    the payment.

    Args:
        address: ``user@host``.
        exchange: any; it is given whole URLs.
        clock_s: Unix seconds.

    Raises:
        InvalidInputError: no Lightning Address.
    """

    abilities = Abilities(
        may_choose_preimage=False, can_pay=False, can_limit_fees=False, knows_payments=False
    )

    def __init__(
        self, address: str, exchange: Exchange, clock_s: Callable[[], float] = time.time
    ) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise InvalidInputError(f"expected user@host in lower case, got {shown(address)}")
        scheme = "http" if is_near(match[2].partition(":")[0]) else "https"
        self._origin = f"{scheme}://{match[2]}"
        self._url = f"{self._origin}/.well-known/lnurlp/{quote(match[1])}"
        self._exchange = exchange
        self._clock_s = clock_s
        self._verify_urls: OrderedDict[bytes, str | None] = OrderedDict()

    async def create_invoice(
        self,
        amount_sat: int,
        *,
        memo: str,  # noqa: ARG002
        expiry_s: int,  # noqa: ARG002
        preimage: bytes | None = None,  # noqa: ARG002
    ) -> Invoice:
        """As `Wallet.create_invoice`; memo and time are the host's own."""
        offered = await self._asked(self._url)
        amount_msat = 1000 * amount_sat
        if offered.text("tag") != "payRequest":
            raise WalletError("expected a host that takes payments", Reason.MALFORMED)
        low, high = offered.whole("minSendable"), offered.whole("maxSendable")
        if not low <= amount_msat <= high:
            raise WalletError(
                f"expected a host that takes {amount_msat} msat, got one for {low} to {high} msat; "
                "change the price",
                Reason.NOT_SUPPORTED,
            )
        callback = self._trusted(offered.text("callback"))
        glue = "&" if urlsplit(callback).query else "?"
        said = await self._asked(f"{callback}{glue}{urlencode({'amount': amount_msat})}")
        invoice = read_invoice(said.text("pr"))
        verify = self._trusted(said.text("verify")) if said.has("verify") else None
        self._verify_urls[invoice.payment_hash] = verify
        if len(self._verify_urls) > _MOST_REMEMBERED:
            self._verify_urls.popitem(last=False)
        return invoice

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`, where the host has LUD-21."""
        if payment_hash not in self._verify_urls:
            raise unknown_invoice()
        url = self._verify_urls[payment_hash]
        if url is None:
            raise not_supported("look invoices up: its host does not offer LUD-21")
        said = await self._asked(url)
        invoice = read_invoice(said.text("pr"), payment_hash)
        if said.flag("settled"):
            return Standing(State.SETTLED)
        is_past = 1000 * self._clock_s() >= invoice.expires_at_ms
        return Standing(State.EXPIRED if is_past else State.OPEN)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:  # noqa: ARG002
        """As `Wallet.pay`: an address takes money only."""
        raise not_supported("pay")

    async def probe(self) -> None:
        """As `Wallet.probe`."""
        (await self._asked(self._url)).text("callback")

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._exchange.aclose()

    async def _asked(self, url: str) -> Fields:
        answer = await self._exchange.ask("GET", url)
        said = answer.fields()
        if said.has("status") and said.text("status").upper() == "ERROR":
            raise WalletError("expected the address's host to agree; it refused", Reason.FAILED)
        return said

    def _trusted(self, url: str) -> str:
        """A URL that the host gave us to ask: never a way into our own network."""
        try:
            split = urlsplit(url)
            origin = f"{split.scheme}://{split.netloc}"
            is_far = split.scheme == "https" and not is_near(split.hostname or "")
        except ValueError:
            origin, is_far = "", False
        is_plain = url.isascii() and url.isprintable() and " " not in url and "#" not in url
        if "@" in origin or not (is_far or origin == self._origin):
            is_plain = False
        if not is_plain or len(url) > _MOST_URL:
            raise WalletError(
                "expected a public https URL from the address's host, got another",
                Reason.MALFORMED,
            )
        return url
