# SPDX-License-Identifier: Apache-2.0
"""Who the client is when proxies stand in between; held against a plain reference."""

import ipaddress
import os
import random

import pytest

from pypow.errors import InvalidInputError
from pypow_server.client_address import NOBODY, Peer, TrustedProxies, client_network
from support.hops import Mix, draw_mix, leftmost_believer, reference

BALANCER = ("10.0.0.1", 40000)
STRANGER = ("192.0.2.66", 40000)
TRUSTED = ["10.0.0.0/8", "2001:db8:ffff::/48"]

MIXES = int(os.environ.get("PYPOW_TEST_MIXES", "100000"))


def _client(peer: Peer, header: str, *values: str) -> str:
    fields = [(header.lower().encode(), value.encode("latin-1")) for value in values]
    return client_network(peer, fields, TrustedProxies.parse(TRUSTED, header))


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("203.0.113.9", 1), "203.0.113.9/32"),
        (("2001:db8:1:2:3::4", 1), "2001:db8:1:2::/64"),
        (("::ffff:203.0.113.9", 1), "203.0.113.9/32"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("/run/gate.sock", 0), "local"),
        (None, "local"),
    ],
)
def test_a_caller_is_known_by_its_network(client: Peer, expected: str) -> None:
    assert client_network(client, [], NOBODY) == expected


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
@pytest.mark.parametrize("peer", [STRANGER, None, ("/run/gate.sock", 0)])
def test_nobodys_word_counts_but_a_trusted_proxys(header: str, peer: Peer) -> None:
    said = "for=203.0.113.9" if header == "Forwarded" else "203.0.113.9"
    assert _client(peer, header, said) == client_network(peer, [], NOBODY)
    assert client_network(BALANCER, [(header.lower().encode(), said.encode())], NOBODY) == (
        "10.0.0.1/32"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["203.0.113.9"], "203.0.113.9/32"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9/32"),
        (["6.6.6.6", "203.0.113.9, 10.7.7.7"], "203.0.113.9/32"),
        (["203.0.113.9:4711"], "203.0.113.9/32"),
        (["[2001:db8::1]:4711"], "2001:db8::/64"),
        (["2001:db8::1"], "2001:db8::/64"),
        (["::ffff:203.0.113.9"], "203.0.113.9/32"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1/32"),
        (["203.0.113.9, unknown, 10.2.2.2"], "10.2.2.2/32"),
        (["203.0.113.9,"], "10.0.0.1/32"),
        (["203.0.113.009"], "10.0.0.1/32"),
        (["\xb2.0.113.9"], "10.0.0.1/32"),
        (["203.0.113.9 6.6.6.6"], "10.0.0.1/32"),
        ([], "10.0.0.1/32"),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_proxy(values: list[str], expected: str) -> None:
    assert _client(BALANCER, "X-Forwarded-For", *values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["for=203.0.113.9"], "203.0.113.9/32"),
        (['For="[2001:db8::1]:4711";proto=https;by=10.0.0.1'], "2001:db8::/64"),
        (["for=6.6.6.6, for=203.0.113.9;host=a.example"], "203.0.113.9/32"),
        (["for=6.6.6.6", "for=203.0.113.9"], "203.0.113.9/32"),
        (["for=_hidden, for=10.2.2.2"], "10.2.2.2/32"),
        (["proto=https"], "10.0.0.1/32"),
        (["for=6.6.6.6;for=203.0.113.9"], "10.0.0.1/32"),
        (['for=203.0.113.9;host="a, for=6.6.6.6"'], "10.0.0.1/32"),
        (['for=203.0.113.9;host="a, for=6.6.6.6;b=\\""'], "10.0.0.1/32"),
        (['for="6.6.6.6', "for=203.0.113.9"], "203.0.113.9/32"),
        (["for=203.0.113.9;"], "10.0.0.1/32"),
        (['host="a;for=6.6.6.6;b"'], "10.0.0.1/32"),
        (['host="a;for=6.6.6.6;b";for=203.0.113.9'], "203.0.113.9/32"),
    ],
)
def test_forwarded_elements_are_read_strictly_from_the_right(
    values: list[str], expected: str
) -> None:
    assert _client(BALANCER, "Forwarded", *values) == expected


@pytest.mark.parametrize("header", ["X-Real-IP", "CF-Connecting-IP"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["203.0.113.9"], "203.0.113.9/32"),
        (["203.0.113.9", "6.6.6.6"], "10.0.0.1/32"),
        (["203.0.113.9, 6.6.6.6"], "10.0.0.1/32"),
        (["someone"], "10.0.0.1/32"),
        ([], "10.0.0.1/32"),
    ],
)
def test_a_header_that_names_one_client_names_exactly_one(
    header: str, values: list[str], expected: str
) -> None:
    assert _client(BALANCER, header, *values) == expected


def test_other_headers_than_the_configured_one_say_nothing() -> None:
    fields = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x_real_ip", b"6.6.6.6"),
        (b"x-real-ip", b"9.9.9.9"),
    ]
    assert (
        client_network(BALANCER, fields, TrustedProxies.parse(TRUSTED, "X-Real-IP")) == "9.9.9.9/32"
    )


@pytest.mark.parametrize(
    ("networks", "header"),
    [(["10.0.0.1/8"], "X-Real-IP"), (["balancer"], "X-Real-IP"), ([], "X Real"), ([], "X_Real_IP")],
)
def test_what_names_no_network_or_header_is_refused(networks: list[str], header: str) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        TrustedProxies.parse(networks, header)


def _disagreements(candidate: object, mixes: int) -> list[Mix]:
    assert callable(candidate)
    source = random.Random(20260728)
    drawn = (draw_mix(source) for _ in range(mixes))
    return [mix for mix in drawn if candidate(mix) != reference(mix)]


def _judge(mix: Mix) -> str:
    trusted = TrustedProxies(tuple(map(ipaddress.ip_network, mix.trusted)), mix.header)
    return client_network(mix.peer, mix.fields, trusted)


def test_the_reference_agrees_on_thousands_of_header_mixes() -> None:
    assert _disagreements(_judge, MIXES // 20) == []


def test_a_gate_that_believes_the_leftmost_hop_is_caught() -> None:
    assert _disagreements(leftmost_believer, 500) != []


@pytest.mark.deep
def test_the_reference_agrees_on_all_header_mixes() -> None:
    assert _disagreements(_judge, MIXES) == []


@pytest.mark.parametrize(("length", "network"), [(64, "fe80::/64"), (65, "10.0.0.1/32")])
def test_an_address_is_no_longer_than_one_can_be(length: int, network: str) -> None:
    assert _client(BALANCER, "X-Real-IP", "fe80::1%".ljust(length, "z")) == network
