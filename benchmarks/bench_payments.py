# SPDX-License-Identifier: Apache-2.0
"""What reading payments costs: a request's headers, and the invoice that a backend made."""

import hashlib

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pypow import bolt11, payment_headers, payment_lightning, payment_wire
from pypow.l402_wire import L402Challenge
from pypow.payment_wire import PaymentCredential

PREIMAGE = bytes(32)
PAYMENT_HASH = hashlib.sha256(PREIMAGE).digest()
NOW_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def invoice() -> bolt11.Invoice:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    return bolt11.issue(
        bytes([1]) * 32, network=bolt11.Network.MAINNET, amount_msat=21_000,
        payment_hash=PAYMENT_HASH, payment_secret=bytes(32), description="one call",
        created_at_s=NOW_MS // 1000,
    )  # fmt: skip


def test_an_invoice_held_against_what_was_asked_for(
    benchmark: BenchmarkFixture, invoice: bolt11.Invoice
) -> None:
    benchmark(
        bolt11.require, invoice.text, network=bolt11.Network.MAINNET, amount_msat=21_000,
        payment_hash=PAYMENT_HASH, now_ms=NOW_MS,
    )  # fmt: skip


def test_an_l402_credential_in_headers(benchmark: BenchmarkFixture) -> None:
    value = L402Challenge.of(bytes(170), "lnbc1").authorization(PREIMAGE).encode()
    benchmark(payment_headers.read_credential, [(b"host", b"a"), (b"authorization", value)])


def test_a_payment_credential_in_headers(
    benchmark: BenchmarkFixture, invoice: bolt11.Invoice
) -> None:
    challenge = payment_wire.issue(
        bytes(32), realm="a", request=payment_lightning.request(invoice), method="lightning",
        intent="charge", expires_at_ms=NOW_MS,
    )  # fmt: skip
    paid = PaymentCredential(challenge, {"preimage": PREIMAGE.hex()})
    value = paid.authorization().encode()
    benchmark(payment_headers.read_credential, [(b"host", b"a"), (b"authorization", value)])
