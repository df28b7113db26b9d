# SPDX-License-Identifier: Apache-2.0
"""A node of the tests: makes real invoices, and takes a test's word that they were paid."""

import hashlib
import secrets
import time
from dataclasses import dataclass

from pypow import bolt11
from pypow.bolt11 import Invoice, Network

NETWORK = Network.REGTEST


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def made_invoice(
    amount_msat: int | None = 21_000,
    *,
    preimage: bytes = b"\1" * 32,
    network: Network = NETWORK,
    memo: str = "tea",
    expiry_s: int = 600,
    age_s: int = 0,
    features: int = bolt11.PLAIN_FEATURES,
    secret: bytes = b"\7" * 32,
) -> Invoice:
    """An invoice of some node."""
    return bolt11.issue(
        secret,
        network=network,
        amount_msat=amount_msat,
        payment_hash=sha256(preimage),
        payment_secret=secrets.token_bytes(32),
        description=memo,
        created_at_s=int(time.time()) - age_s,
        expiry_s=expiry_s,
        features=features,
    )


@dataclass
class Made:
    """An invoice of the node, and what became of it."""

    invoice: Invoice
    preimage: bytes
    settled_at_s: int | None = None
    is_over: bool = False


class Node:
    """What stands behind the servers of `lightning_servers`."""

    def __init__(self) -> None:
        self.made: dict[bytes, Made] = {}
        self._others: dict[str, bytes] = {}

    def add(
        self, amount_msat: int, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Made:
        chosen = preimage or secrets.token_bytes(32)
        invoice = made_invoice(amount_msat, preimage=chosen, memo=memo, expiry_s=expiry_s)
        made = self.made[invoice.payment_hash] = Made(invoice, chosen)
        return made

    def settle(self, invoice: Invoice) -> None:
        self.made[invoice.payment_hash].settled_at_s = int(time.time())

    def end(self, invoice: Invoice) -> None:
        """Its time is over."""
        self.made[invoice.payment_hash].is_over = True

    def payable(self) -> Invoice:
        """An invoice of somebody else that this node is able to pay."""
        preimage = secrets.token_bytes(32)
        invoice = made_invoice(preimage=preimage, secret=b"\x08" * 32)
        self._others[invoice.text] = preimage
        return invoice

    def pay(self, text: str) -> bytes | None:
        """The preimage; None where there is no way to the payee."""
        return self._others.get(text)
