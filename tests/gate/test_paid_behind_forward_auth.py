# SPDX-License-Identifier: Apache-2.0
"""Payments before real nginx and Caddy that ask a gate, run on the files of docs/deploy."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pypow_server.policy import Policy
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer
from support.balancers import GATE, UPSTREAM, balancer
from support.deciding import Decider
from support.gated import RecordingApp
from support.plain_http import ask
from support.selling import SATS, as_sent, l402_credential, payment_credential, sats_rail
from support.serving import served

pytest.importorskip("coincurve", reason="signatures need the extra l402")

FILES = {"nginx": "nginx/forward-auth.conf", "caddy": "caddy/forward-auth.Caddyfile"}


@dataclass(frozen=True)
class Bench:
    url: str
    upstream: RecordingApp

    def refused(self) -> Answer:
        """The refusal of a call that pays nothing, with each challenge for itself."""
        refusal = ask(f"{self.url}/x")
        assert refusal.status == 402
        lines = refusal.headers.get_all("WWW-Authenticate", [])
        return Answer(402, [(b"www-authenticate", line.encode()) for line in lines], b"", {})

    def send(self, *fields: tuple[bytes, bytes]) -> int:
        headers = {name.decode(): value.decode() for name, value in fields}
        return ask(f"{self.url}/x", headers=headers).status


@pytest.fixture(scope="module", params=FILES)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    upstream = RecordingApp()
    decider = Decider(
        request.param,
        policy=Policy(default=SATS),
        networks=("127.0.0.0/8",),
        ledger=MemoryLedger(),
        more_rails=[sats_rail()],
    )
    with (
        served(upstream) as behind,
        served(decider.app, lifespan=True) as gate,
        balancer(
            tmp_path_factory.mktemp(request.param),
            FILES[request.param],
            {GATE: gate.removeprefix("http://"), UPSTREAM: behind.removeprefix("http://")},
        ) as url,
    ):
        yield Bench(url, upstream)


@pytest.mark.parametrize(
    "place", ["Authorization", "Payment-Authorization", "Macaroon", "Grpc-Metadata-Macaroon"]
)
def test_a_payment_admits_once_and_ends_at_the_gate(bench: Bench, place: str) -> None:
    paid = as_sent(place.encode(), l402_credential(bench.refused()))
    stamp = (b"X-PoW-Invoice", b"challenge=a,nonce=b")
    before = bench.upstream.reached
    assert [bench.send(paid, stamp) for _ in range(2)] == [200, 402]
    assert bench.upstream.reached == before + 1
    reached = bench.upstream.scopes[-1]["headers"]
    assert not [value for _, value in reached if paid[1] in value]
    for name in (place.lower().encode(), b"x-pow-invoice"):
        assert bench.upstream.header(name) == []


def test_the_payment_scheme_is_taken_too(bench: Bench) -> None:
    paid = (b"Authorization", payment_credential(bench.refused()))
    assert [bench.send(paid) for _ in range(2)] == [200, 402]
    assert bench.upstream.header(b"authorization") == []


def test_a_macaroon_that_pays_nothing_is_the_upstreams(bench: Bench) -> None:
    paid = (b"Authorization", l402_credential(bench.refused()))
    assert bench.send(paid, (b"Grpc-Metadata-Macaroon", b"0201")) == 200
    assert bench.upstream.header(b"grpc-metadata-macaroon") == [b"0201"]
    assert bench.upstream.header(b"macaroon") == []


def test_no_caller_says_in_the_gates_place_what_is_left_of_a_payment(bench: Bench) -> None:
    paid = (b"Authorization", l402_credential(bench.refused()))
    names = (b"payment-authorization", b"macaroon", b"grpc-metadata-macaroon")
    claims = [(b"X-PoW-Upstream-" + name, b"root") for name in names]
    assert bench.send(paid, *claims) == 200
    assert [bench.upstream.header(name) for name in names] == [[], [], []]
