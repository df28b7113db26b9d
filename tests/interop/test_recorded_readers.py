# SPDX-License-Identifier: Apache-2.0
"""Readers in Go that cannot be built here, by the expressions with which they read headers."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pypow import bolt11, macaroon
from pypow.l402_wire import read_l402_challenges
from support.asgi_client import Answer
from support.gated import document
from support.selling import SELLING, Stall, authorized, l402_credential, paid

pytest.importorskip("coincurve", reason="signatures need the extra l402")

RECORDED = json.loads(
    (Path(__file__).parents[1] / "vectors" / "l402_readers.json").read_text(encoding="utf-8")
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of challenges, as far as its expression and what it decodes next go."""

    name: str
    pattern: str

    def read(self, line: str) -> tuple[bytes, str] | None:
        """The payment hash of the macaroon and the invoice; None where it gives up."""
        found = re.search(self.pattern, line)
        if found is None:
            return None
        octets = base64.b64decode(found[2], validate=True)
        identifier = macaroon.macaroon_of_octets(octets).identifier
        assert octets[:1] == b"\x02", "a macaroon that is not V2 binary"
        assert (len(identifier), identifier[:2]) == (66, b"\0\0")
        return identifier[2:34], found[3]


READERS = [Reader(one["name"], one["pattern"]) for one in RECORDED["challenges"]]


def first_line(refusal: Answer) -> str:
    """All that readers see that take the first ``WWW-Authenticate`` for the only one."""
    return refusal.values(b"www-authenticate")[0].decode()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_the_first_line_of_a_refusal_is_read_and_its_invoice_is_the_macaroons(
    reader: Reader,
) -> None:
    refusal = Stall().send("GET")
    found = reader.read(first_line(refusal))
    assert found is not None
    payment_hash, invoice = found
    assert invoice == document(refusal)["invoice"]
    assert bolt11.decode(invoice).payment_hash == payment_hash


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_that_check_catches_the_forms_that_these_readers_give_up_on(reader: Reader) -> None:
    refusal = Stall().send("GET")
    said = document(refusal)
    written, token, invoice = first_line(refusal), said["token"], said["invoice"]
    for other in (
        f'L402 version="0" token="{token}", invoice="{invoice}"',
        f'L402 invoice="{invoice}", macaroon="{token}"',
        f'L402 macaroon="{token}" invoice="{invoice}"',
        refusal.values(b"www-authenticate")[1].decode(),
    ):
        assert reader.read(other) is None, other
    assert reader.read(written) is not None


@pytest.mark.parametrize("recorded", RECORDED["credentials"], ids=lambda one: str(one["name"]))
def test_what_a_payer_of_ours_sends_is_read(recorded: dict[str, str]) -> None:
    refusal = Stall().send("GET")
    lines = [line.decode() for line in refusal.values(b"www-authenticate")]
    (offer,) = read_l402_challenges(lines)
    sent = offer.authorization(paid(offer.invoice))
    found = re.fullmatch(recorded["pattern"], sent)
    assert found is not None
    assert base64.b64decode(found[2], validate=True) == base64.b64decode(offer.token)


def test_what_these_clients_send_is_taken() -> None:
    stall = Stall(selling=SELLING)
    token = l402_credential(stall.send("GET")).removeprefix(b"L402 ")
    # Aperture's clients send both of its names, in two lines.
    both = [*authorized(b"LSAT " + token), *authorized(b"L402 " + token)]
    assert stall.send("GET", headers=both).status == 200
