# SPDX-License-Identifier: Apache-2.0
"""Unmodified clients of others pay a server that speaks as pypow writes, and each call once."""

from http import HTTPStatus
from pathlib import Path

import pytest

from pypow.payment_headers import LightningCredential
from support.l402_clients import CLIENTS, PayingClient, table
from support.lightning import LightningPair
from support.serving import served
from support.toll import BODY, Toll

pytest.importorskip("coincurve", reason="signatures need the extra l402")

CALLS = 3
SATS = 7
PAGE = Path(__file__).parents[2] / "docs" / "l402-clients.md"
BOUGHT = (200, BODY.decode())


def payments(client: PayingClient, nodes: LightningPair, toll: Toll) -> list[int]:
    """Holds that a client got what it asked for; what it paid, in thousandths of a satoshi."""
    before = len(nodes.paid())
    with served(toll) as url:
        assert client.fetch(url, nodes, times=CALLS) == [BOUGHT] * CALLS
    return [payment["msat"] for payment in nodes.paid()[before:]]


def pays_once(client: PayingClient, nodes: LightningPair, toll: Toll, scheme: str) -> None:
    assert payments(client, nodes, toll) == [SATS * 1000] * CALLS
    assert toll.offered == CALLS
    assert toll.accepted == [("authorization", scheme)] * CALLS


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_of_others_pays_once_for_each_call(
    client: PayingClient, nodes: LightningPair
) -> None:
    pays_once(client, nodes, Toll(nodes, SATS), client.pays_by[0])


@pytest.mark.parametrize(
    "client",
    [client for client in CLIENTS if "Payment" in client.pays_by],
    ids=lambda client: client.name,
)
def test_a_client_pays_by_the_payment_scheme_where_there_is_no_other(
    client: PayingClient, nodes: LightningPair
) -> None:
    pays_once(client, nodes, Toll(nodes, SATS, schemes=("Payment",)), "Payment")


class Forgetful(Toll):
    """Takes the first payment of every caller for none."""

    def _payment(self, credential: LightningCredential) -> bytes | None:
        paid = super()._payment(credential)
        return paid if self.offered % 2 == 0 else None


def test_the_check_catches_a_server_that_lets_a_client_pay_twice(nodes: LightningPair) -> None:
    (client,) = (one for one in CLIENTS if one.name == "l402")
    toll = Forgetful(nodes, SATS)
    with pytest.raises(AssertionError):
        pays_once(client, nodes, toll, client.pays_by[0])
    assert (toll.offered, len(toll.accepted)) == (2 * CALLS, CALLS)


def test_where_l402_stands_last_clients_are_lost_but_none_pays_twice(nodes: LightningPair) -> None:
    lost = []
    for client in CLIENTS:
        toll = Toll(nodes, SATS, schemes=("Payment", "L402"))
        before = len(nodes.paid())
        with served(toll) as url:
            ((status, _),) = client.fetch(url, nodes, times=1)
        if status != HTTPStatus.OK:
            lost.append(client.name)
        assert len(nodes.paid()) - before <= 1
    assert lost == [client.name for client in CLIENTS if client.needs_l402_first]


def test_a_client_that_knows_l402_alone_pays_nothing_where_it_is_not_offered(
    nodes: LightningPair,
) -> None:
    before = len(nodes.paid())
    for client in CLIENTS:
        if "Payment" not in client.pays_by:
            with served(Toll(nodes, SATS, schemes=("Payment",))) as url:
                assert client.fetch(url, nodes, times=1) != [BOUGHT], client.name
    assert len(nodes.paid()) == before


def test_the_page_shows_the_table_of_these_clients() -> None:
    assert f"<!-- clients -->\n{table()}\n<!-- /clients -->" in PAGE.read_text(encoding="utf-8")
