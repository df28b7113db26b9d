# SPDX-License-Identifier: Apache-2.0
"""Unmodified clients of others pay a server that speaks as pypow writes, and each call once."""

import pytest

from support.l402_clients import CLIENTS, PayingClient
from support.lightning import LightningPair
from support.serving import served
from support.toll import BODY, Toll

pytest.importorskip("coincurve", reason="signatures need the extra l402")

CALLS = 3
SATS = 7


def pays(client: PayingClient, toll: Toll) -> None:
    """Holds that a client pays each call once, and gets what it paid for."""
    before = len(toll.lightning.paid())
    with served(toll) as url:
        answers = client.fetch(f"{url}/priced", toll.lightning, times=CALLS)
    assert answers == [(200, BODY.decode())] * CALLS
    payments = toll.lightning.paid()[before:]
    assert [payment["msat"] for payment in payments] == [SATS * 1000] * CALLS
    assert toll.offered == CALLS


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_of_others_pays_once_for_each_call(
    client: PayingClient, nodes: LightningPair
) -> None:
    toll = Toll(nodes, SATS)
    pays(client, toll)
    assert toll.accepted == [("authorization", client.pays_by[0])] * CALLS


@pytest.mark.parametrize(
    "client",
    [client for client in CLIENTS if "Payment" in client.pays_by],
    ids=lambda client: client.name,
)
def test_a_client_pays_by_the_payment_scheme_where_there_is_no_other(
    client: PayingClient, nodes: LightningPair
) -> None:
    toll = Toll(nodes, SATS, schemes=("Payment",))
    pays(client, toll)
    assert toll.accepted == [("authorization", "Payment")] * CALLS
