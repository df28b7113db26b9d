# SPDX-License-Identifier: Apache-2.0
"""Real payments: two Lightning nodes, a channel, and what its close pays on a regtest chain."""

import hashlib
import json
import os
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from pypow import bolt11
from support.lightning import LightningPair, lightning
from support.plain_http import ask
from support.waiting import wait_for

pytest.importorskip("coincurve", reason="signatures need the extra l402")

PAYMENTS = 42
MOST_FEE = 5000
"""Satoshis."""


def digest(preimage: str) -> bytes:
    return hashlib.sha256(bytes.fromhex(preimage)).digest()


def paid_hashes(nodes: LightningPair) -> list[str]:
    return [payment["hash"] for payment in nodes.paid()]


def test_a_closed_channel_pays_the_gate_every_satoshi_that_it_sold(tmp_path: Path) -> None:
    prices = [1 + 25 * number for number in range(PAYMENTS)]
    with lightning(tmp_path) as nodes:
        for sats in prices:
            invoice = bolt11.decode(nodes.invoice(sats))
            payment = nodes.pay(invoice.text).json
            assert digest(payment["preimage"]) == invoice.payment_hash
            assert nodes.found(invoice.payment_hash)["amt_paid_sat"] == str(sats)
        closed = nodes.close()
    earned = nodes.pushed_sat + sum(prices)
    assert closed["gate_outputs"] == [earned]
    assert earned in closed["outputs"]
    assert closed["confirmations"] == 6
    # Whoever opened the channel, the payer, pays for its close.
    fee = nodes.channel_sat - sum(closed["outputs"])
    assert 0 < fee < MOST_FEE


def test_an_invoice_of_the_node_says_what_was_asked_for(nodes: LightningPair) -> None:
    before_s = int(time.time())
    invoice = bolt11.decode(nodes.invoice(21, expiry_s=120, memo="a call"))
    assert (invoice.network, invoice.amount_msat) == (bolt11.Network.REGTEST, 21_000)
    assert (invoice.description, invoice.expiry_s) == ("a call", 120)
    assert before_s <= invoice.created_at_s <= int(time.time())
    identity = nodes.gate("GET", "/v1/getinfo").json["identity_pubkey"]
    assert invoice.payee.hex() == identity


def test_a_payment_reveals_the_preimage_that_the_gate_chose(nodes: LightningPair) -> None:
    preimage = os.urandom(32)
    invoice = nodes.invoice(2, r_preimage=b64encode(preimage).decode())
    assert nodes.pay(invoice).json["preimage"] == preimage.hex()


def test_lnd_tells_of_invoices_before_and_after_their_payment(nodes: LightningPair) -> None:
    invoice = bolt11.decode(nodes.invoice(3))
    found = nodes.found(invoice.payment_hash)
    assert (found["state"], found["amt_paid_msat"]) == ("OPEN", "0")
    nodes.pay(invoice.text)
    found = nodes.found(invoice.payment_hash)
    assert (found["state"], found["amt_paid_msat"]) == ("SETTLED", "3000")
    assert hashlib.sha256(b64decode(found["r_preimage"])).digest() == invoice.payment_hash
    assert nodes.gate("GET", f"/v1/invoice/{'00' * 32}").status == 404


def test_lnd_and_core_lightning_both_pay(nodes: LightningPair) -> None:
    first, second = (bolt11.decode(nodes.invoice(sats)) for sats in (4, 5))
    (line,) = nodes.send_by_lnd(first.text).body.splitlines()
    by_lnd = json.loads(line)["result"]
    assert by_lnd["status"] == "SUCCEEDED"
    by_cln = nodes.pay_by_cln(second.text).json
    assert by_cln["status"] == "complete"
    for invoice, preimage in (
        (first, by_lnd["payment_preimage"]),
        (second, by_cln["payment_preimage"]),
    ):
        assert digest(preimage) == invoice.payment_hash


def test_nobody_enters_a_wallet_without_its_key(nodes: LightningPair) -> None:
    wrong = {"Grpc-Metadata-macaroon": "00" * 32, "Rune": "AAAA"}
    doors = [
        ("GET", f"{nodes.gate_url}/v1/getinfo", 500),
        ("POST", f"{nodes.payer_lnd_url}/v2/router/send", 500),
        ("POST", f"{nodes.payer_cln_url}/v1/pay", 401),
    ]
    for method, url, status in doors:
        assert ask(url, method=method).status == status
        assert ask(url, method=method, headers=wrong).status == status


def test_nobody_can_pay_too_little(nodes: LightningPair) -> None:
    invoice = bolt11.decode(nodes.invoice(21))
    assert "RecipientRejected" in nodes.pay(invoice.text, insist=True, msat=20_999).json["message"]
    assert nodes.found(invoice.payment_hash)["state"] == "OPEN"
    assert nodes.pay(invoice.text).status == 200


def test_an_invoice_is_paid_once(nodes: LightningPair) -> None:
    invoice = bolt11.decode(nodes.invoice(6))
    assert nodes.pay(invoice.text).status == 200
    assert nodes.send_by_lnd(invoice.text).json["error"]["message"] == "invoice is already paid"
    assert "RecipientRejected" in nodes.pay(invoice.text, insist=True).json["message"]
    assert paid_hashes(nodes).count(invoice.payment_hash.hex()) == 1
    assert nodes.found(invoice.payment_hash)["amt_paid_sat"] == "6"


def test_core_lightning_asked_twice_tells_of_one_payment(nodes: LightningPair) -> None:
    invoice = bolt11.decode(nodes.invoice(7))
    first, again = (nodes.pay_by_cln(invoice.text).json for _ in range(2))
    assert first == again
    assert paid_hashes(nodes).count(invoice.payment_hash.hex()) == 1


def test_an_expired_invoice_is_not_paid_even_by_who_insists(nodes: LightningPair) -> None:
    invoice = bolt11.decode(nodes.invoice(8, expiry_s=1))
    wait_for(lambda: nodes.found(invoice.payment_hash)["state"] == "CANCELED")
    assert nodes.pay(invoice.text).json["message"] == "invoice expired"
    assert nodes.pay_by_cln(invoice.text).json["code"] == 207
    assert "RecipientRejected" in nodes.pay(invoice.text, insist=True).json["message"]
    assert invoice.payment_hash.hex() not in paid_hashes(nodes)
