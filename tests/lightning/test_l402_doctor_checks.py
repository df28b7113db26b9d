# SPDX-License-Identifier: Apache-2.0
"""What the doctor of servers that sell for sats says of a refusal that is wrong in one way."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypow import payment_lightning, payment_wire
from pypow.base64_json import loads
from pypow.bolt11 import Network
from pypow.findings import Finding, Level
from pypow.l402_doctor import conduct_checks, header_checks, offer_checks, readers
from pypow.l402_doctor.clients import CLIENTS, Fate, verdicts
from pypow.l402_doctor.observed import Answer, Outcome, Unanswered, offered
from pypow.l402_doctor.probes import MUST_NOT_ADMIT, Probe, asks
from support.wrong_tolls import RIGHT, Purse, Sale, WrongToll

pytest.importorskip("coincurve", reason="signatures need the extra l402")

NO_STORE = ("cache-control", "no-store")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sale(**how: Any) -> Sale:
    return WrongToll(replace(RIGHT, **how), Purse()).sale()


def refusal(
    lines: list[str],
    members: Any,
    *,
    status: int = 402,
    fields: tuple[tuple[str, str], ...] = (NO_STORE,),
    **more: Any,
) -> Answer:
    said = tuple(("www-authenticate", line) for line in lines)
    return Answer(status, (*said, *fields), json.dumps(members).encode(), **more)


def right(made: Sale) -> Answer:
    return refusal([made.l402, made.paid_by], made.members)


def complaints(findings: list[Finding]) -> set[tuple[str, str]]:
    """What is not well, and that each has a fix, and nothing else has."""
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in findings)
    return {
        (finding.check, finding.level.value)
        for finding in findings
        if finding.level is not Level.OK
    }


def looked_at(answer: Answer, *, is_near: bool = True, at_ms: int | None = None) -> list[Finding]:
    offers = offered(answer)
    return [
        *header_checks.check(answer, offers),
        *offer_checks.check(answer, offers, is_near=is_near, now_ms=at_ms or now_ms()),
    ]


def test_a_refusal_that_is_well_has_nothing_to_fix() -> None:
    findings = looked_at(right(sale()))
    assert complaints(findings) == set()
    assert {finding.check for finding in findings} == {
        "status", "order", "spelling", "body", "caching", "size", "invoice", "macaroon", "payment",
    }  # fmt: skip


def bare(made: Sale) -> str:
    return f'macaroon="{made.challenge.token}", invoice="{made.invoice.text}"'


def changed_payment(made: Sale, **changes: Any) -> str:
    return replace(made.payment, **changes).www_authenticate()


def changed_request(made: Sale, change: Callable[[dict[str, Any]], object]) -> str:
    said = loads(made.payment.request, "it")
    change(said)
    challenge = payment_wire.issue(
        b"secret", realm="r", request=said, method="lightning", intent="charge",
        expires_at_ms=made.invoice.expires_at_ms,
    )  # fmt: skip
    return challenge.www_authenticate()


HEADERS: dict[str, tuple[Callable[[Sale], Answer], set[tuple[str, str]]]] = {
    "it redirects": (
        lambda s: refusal([s.l402], s.members, status=307, fields=(NO_STORE, ("location", "/y"))),
        {("status", "fail")},
    ),
    "it is free": (
        lambda s: refusal([], {}, status=200),
        {("status", "fail"), ("offers", "fail")},
    ),
    "it is a login": (lambda s: refusal([s.l402], s.members, status=401), {("status", "fail")}),
    "Payment first": (lambda s: refusal([s.paid_by, s.l402], s.members), {("order", "fail")}),
    "Bearer first": (
        lambda s: refusal(['Bearer realm="x"', s.l402], s.members),
        {("order", "fail")},
    ),
    "one line": (lambda s: refusal([f"{s.l402}, {s.paid_by}"], s.members), {("lines", "warn")}),
    "LSAT only": (
        lambda s: refusal([s.challenge.lsat_www_authenticate()], s.members),
        {("scheme", "warn")},
    ),
    "lower case": (lambda s: refusal([f"l402 {bare(s)}"], s.members), {("spelling", "fail")}),
    "token only": (
        lambda s: refusal(
            [f'L402 version="0", token="{s.challenge.token}", invoice="{s.invoice.text}"'],
            s.members,
        ),
        {("spelling", "fail")},
    ),
    "no quotes": (
        lambda s: refusal([f"L402 {bare(s)}".replace('"', "")], s.members),
        {("spelling", "fail")},
    ),
    "invoice first": (
        lambda s: refusal(
            [f'L402 invoice="{s.invoice.text}", macaroon="{s.challenge.token}"'], s.members
        ),
        {("spelling", "fail")},
    ),
    "two spaces": (lambda s: refusal([f"L402  {bare(s)}"], s.members), {("spelling", "fail")}),
    "a body without members": (lambda s: refusal([s.l402], {}), {("body", "warn")}),
    "a body without an end": (
        lambda s: refusal([s.l402], s.members, is_whole=False),
        {("body", "fail")},
    ),
    "another invoice in the body": (
        lambda s: refusal([s.l402], {**s.members, "invoice": sale().invoice.text}),
        {("body", "fail")},
    ),
    "another amount in the body": (
        lambda s: refusal([s.l402], {**s.members, "amountSats": 8}),
        {("body", "fail")},
    ),
    "it may be stored": (
        lambda s: refusal([s.l402], s.members, fields=()),
        {("caching", "fail")},
    ),
    "a large header": (
        lambda s: refusal([s.l402], s.members, fields=(NO_STORE, ("x", "x" * 4000))),
        {("size", "warn")},
    ),
    "a header that Node does not read": (
        lambda s: refusal([s.l402], s.members, fields=(NO_STORE, *[("x", "x" * 4000)] * 4)),
        {("size", "fail")},
    ),
    "a long line": (
        lambda s: refusal([s.l402], s.members, fields=(NO_STORE, ("x", "x" * 9000))),
        {("size", "fail")},
    ),
    "an invoice in capitals": (
        lambda s: refusal(
            [s.l402.replace(s.invoice.text, s.invoice.text.upper())],
            {**s.members, "invoice": s.invoice.text.upper()},
        ),
        {("invoice", "fail")},
    ),
    "an altered invoice": (
        lambda s: refusal([s.l402.replace("lnbcrt70n", "lnbcrt80n")], {}),
        {("invoice", "fail"), ("body", "warn")},
    ),
    "no macaroon": (
        lambda s: refusal(
            [f'L402 macaroon="eyJhIjoxfQ==", invoice="{s.invoice.text}"'],
            {**s.members, "macaroon": "eyJhIjoxfQ=="},
        ),
        {("macaroon", "fail")},
    ),
    "a macaroon of another payment": (
        lambda s: refusal(
            [f'L402 macaroon="{(o := sale()).challenge.token}", invoice="{s.invoice.text}"'],
            {**s.members, "macaroon": o.challenge.token},
        ),
        {("macaroon", "fail")},
    ),
    "two invoices": (
        lambda s: refusal([s.l402, sale().paid_by], s.members),
        {("invoices", "warn")},
    ),
    "half a Payment challenge": (
        lambda s: refusal([s.l402, 'Payment id="x", realm="y"'], s.members),
        {("payment", "fail")},
    ),
    "Payment of another amount": (
        lambda s: refusal([s.l402, changed_request(s, lambda r: r.update(amount="8"))], s.members),
        {("payment", "fail")},
    ),
    "Payment of another hash": (
        lambda s: refusal(
            [
                s.l402,
                changed_request(s, lambda r: r["methodDetails"].update(paymentHash="0" * 64)),
            ],
            s.members,
        ),
        {("payment", "fail")},
    ),
    "Payment on another network": (
        lambda s: refusal(
            [s.l402, changed_request(s, lambda r: r["methodDetails"].update(network="mainnet"))],
            s.members,
        ),
        {("payment", "fail")},
    ),
    "Payment in another currency": (
        lambda s: refusal(
            [s.l402, changed_request(s, lambda r: r.update(currency="usd"))], s.members
        ),
        {("payment", "fail")},
    ),
    "Payment with padding": (
        lambda s: refusal(
            [s.l402, changed_payment(s, request=f"{s.payment.request}=")], s.members
        ),
        {("payment", "fail")},
    ),
    "Payment that expired": (
        lambda s: refusal([s.l402, changed_payment(s, expires="2020-01-01T00:00:00Z")], s.members),
        {("payment", "fail")},
    ),
    "Payment after its invoice": (
        lambda s: refusal([s.l402, changed_payment(s, expires="2099-01-01T00:00:00Z")], s.members),
        {("payment", "fail")},
    ),
    "Payment without an end": (
        lambda s: refusal([s.l402, changed_payment(s, expires=None)], s.members),
        {("payment", "warn")},
    ),
    "Payment with a digest of another kind": (
        lambda s: refusal([s.l402, changed_payment(s, digest="abc")], s.members),
        {("payment", "fail")},
    ),
    "Payment with a short id": (
        lambda s: refusal([s.l402, changed_payment(s, id="7")], s.members),
        {("payment", "warn")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", HEADERS)
def test_what_is_wrong_is_told_and_nothing_else(way: str) -> None:
    make, expected = HEADERS[way]
    assert complaints(looked_at(make(sale()))) == expected


@pytest.mark.parametrize(
    ("how", "at_s", "expected"),
    [
        ({"sats": None}, 0, {("invoice", "fail")}),
        ({}, 700, {("invoice", "fail"), ("payment", "fail")}),
        ({}, 570, {("invoice", "warn")}),
    ],
    ids=["for any amount", "expired", "nearly expired"],
)
def test_an_invoice_that_nobody_should_pay_is_told(
    how: Mapping[str, Any], at_s: int, expected: set[tuple[str, str]]
) -> None:
    made = sale(**how)
    answer = refusal([made.l402, made.paid_by], {**made.members, "amountSats": None})
    answer = right(made) if how == {} else answer
    at_ms = 1000 * (made.invoice.created_at_s + at_s)
    assert complaints(looked_at(answer, at_ms=at_ms)) == expected


def test_money_that_is_none_is_told_of_public_servers_only() -> None:
    made = sale()
    assert made.invoice.network is not Network.MAINNET
    assert complaints(looked_at(right(made), is_near=False)) == {("network", "fail")}


def test_parts_of_a_satoshi_are_told() -> None:
    made = sale()
    assert payment_lightning.asked(made.payment).amount_sat == 7
    odd = replace(made.invoice, amount_msat=7001)
    assert offer_checks._unusual(odd, now_ms()) is not None


FINE: dict[Probe, Outcome] = {
    **{probe: Answer(401, ()) for probe in MUST_NOT_ADMIT},
    Probe.HEAD: Answer(402, ()),
    Probe.OPTIONS: Answer(204, ()),
}


def conduct(changes: Mapping[Probe, Outcome], again: list[Outcome] | None = None) -> set[Any]:
    made = right(sale())
    more = [right(sale()), Answer(429, ())] if again is None else again
    return complaints([*conduct_checks.check(made, {**FINE, **changes}, more)])


def test_a_server_that_behaves_has_nothing_to_fix() -> None:
    assert conduct({}) == set()


@pytest.mark.parametrize("probe", MUST_NOT_ADMIT)
def test_whatever_is_worth_nothing_and_is_let_in_is_told(probe: Probe) -> None:
    assert conduct({probe: Answer(200, ())}) == {("forgery", "fail")}
    assert conduct({probe: Answer(500, ())}) == {("answers", "fail")}
    assert conduct({probe: Unanswered("it hung up")}) == {("answers", "fail")}


@pytest.mark.parametrize(
    ("probe", "level"),
    [(Probe.UNKNOWN_SCHEME, "warn"), (Probe.NO_SCHEME, "fail"), (Probe.MALFORMED, "fail")],
)
def test_an_invoice_for_what_is_no_credential_is_a_pay_loop(probe: Probe, level: str) -> None:
    assert conduct({probe: right(sale())}) == {("pay loop", level)}
    assert conduct({probe: Answer(402, ())}) == set()


def test_a_wrong_preimage_may_be_told_to_pay() -> None:
    assert conduct({Probe.WRONG_PREIMAGE: right(sale())}) == set()


def test_methods_that_are_free_or_need_what_browsers_have_not_are_told() -> None:
    assert conduct({Probe.HEAD: Answer(200, ())}) == {("HEAD", "warn")}
    assert conduct({Probe.OPTIONS: Answer(402, ())}) == {("OPTIONS", "warn")}


def test_pages_that_may_ask_and_not_read_are_told() -> None:
    page = Answer(402, (("access-control-allow-origin", "*"),))
    assert conduct({Probe.FROM_A_PAGE: page}) == {("browsers", "warn")}


def test_an_invoice_for_everybody_who_asks_is_told() -> None:
    assert conduct({}, [right(sale()) for _ in range(11)]) == {("flood", "warn")}
    same = right(sale())
    assert conduct({}, [same, same]) == set()


def test_a_slow_refusal_is_told() -> None:
    slow = replace(right(sale()), seconds=3.0)
    assert complaints([*conduct_checks.check(slow, FINE, [])]) == {("speed", "warn")}


def test_nobody_says_what_clients_do_with_a_redirect() -> None:
    made = sale()
    assert verdicts(refusal([made.l402], {}, status=307), None, now_ms=now_ms()) == []


def test_every_probe_that_can_be_asked_is_asked() -> None:
    assert set(asks(offered(right(sale())), now_ms=now_ms())) == set(Probe)


def test_a_client_that_pays_elsewhere_than_it_sends_pays_in_vain() -> None:
    made, other = sale(), sale()
    answer = refusal([made.l402], {"macaroon": other.challenge.token, "amountSats": 7})
    fates = {
        verdict.client.name: verdict.fate for verdict in verdicts(answer, None, now_ms=now_ms())
    }
    assert fates["PyPI l402kit"] is Fate.IN_VAIN
    assert fates["PyPI l402sdk"] is Fate.PAYS


def test_all_clients_pay_at_a_server_that_is_well() -> None:
    found = verdicts(right(sale()), None, now_ms=now_ms())
    assert [verdict.client for verdict in found] == [*CLIENTS]
    assert {verdict.fate for verdict in found} == {Fate.PAYS}


@pytest.mark.parametrize("name", ["Go aperture's interceptor", "Go lnget"])
def test_clients_in_go_read_what_their_expressions_match(name: str) -> None:
    def fate(*lines: str) -> Fate:
        found = verdicts(refusal([*lines], {}), None, now_ms=now_ms())
        (verdict,) = (one for one in found if one.client.name == name)
        return verdict.fate

    made = sale()
    assert fate(f"LSAT {bare(made)}", f"L402 {bare(made)}") is Fate.PAYS
    assert fate(f"L402  {bare(made)}") is (Fate.PAYS if name == "Go lnget" else Fate.GIVES_UP)
    assert fate(f'L402 version="0", token="t", invoice="{made.invoice.text}"') is Fate.GIVES_UP
    assert fate(made.paid_by) is (Fate.PAYS if name == "Go lnget" else Fate.OTHER_SCHEME)
    opaque = f'L402 macaroon="eyJhIjoxfQ==", invoice="{made.invoice.text}"'
    assert fate(opaque) is (Fate.GIVES_UP if name == "Go lnget" else Fate.PAYS)


WORDS = st.sampled_from(
    ['L402 ', 'LSAT', 'l402', 'Payment ', 'Bearer ', 'macaroon=', 'token=', 'invoice=', 'id=', '"',
     ',', ', ', '=', ' ', '\\', "'", 'request=', 'e30', 'method="lightning"', 'intent="charge"',
     'realm="r"', 'expires="x"', 'AgEEbHNhdA==', 'lnbcrt1', '\x00', '\xff', '\u20ac']
)  # fmt: skip
LINES = st.lists(st.lists(WORDS | st.text(max_size=3), max_size=12).map("".join), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
NAMES = ("invoice", "macaroon", "amountSats", "offers", "paymentRequest", "payment_request")
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES).map(json.dumps).map(str.encode)


@given(LINES, BODIES | st.binary(max_size=40), st.data())
@settings(deadline=None, max_examples=300)
def test_no_answer_is_too_odd_to_be_judged(
    lines: list[str], body: bytes, data: st.DataObject
) -> None:
    made = sale()
    lines += data.draw(st.sampled_from([[], [made.l402], [made.l402[:-9], made.paid_by[3:]]]))
    said = tuple(("www-authenticate", line) for line in lines)
    answer = Answer(402, (*said, NO_STORE), body)
    complaints(looked_at(answer))
    asks(offered(answer), now_ms=now_ms())
    complaints([*conduct_checks.check(answer, dict.fromkeys(Probe, answer), [answer])])
    assert len(verdicts(answer, answer, now_ms=now_ms())) == len(CLIENTS)


def test_clients_in_go_are_played_by_their_own_expressions() -> None:
    vectors = Path(__file__).parents[1] / "vectors" / "l402_readers.json"
    recorded = json.loads(vectors.read_text(encoding="utf-8"))["challenges"]
    patterns = {one["name"].partition(" ")[0]: one["pattern"] for one in reversed(recorded)}
    assert readers._APERTURE.pattern == patterns["aperture"]
    assert f"(?i){readers._LNGET.pattern}" == patterns["lnget"]
    assert readers._LNGET.flags & re.IGNORECASE


def test_the_page_lists_these_clients() -> None:
    page = (Path(__file__).parents[2] / "docs" / "l402-doctor.md").read_text(encoding="utf-8")
    table = page.partition("<!-- clients -->")[2].partition("<!-- /clients -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[3:]]
    assert [row[:3] for row in rows if len(row) > 1] == [
        [client.name, client.version, ", ".join(sorted(client.knows))] for client in CLIENTS
    ]
    limits = [f"pays {client.most_sats} sats at most" for client in CLIENTS if client.most_sats]
    assert [row[3].partition("; ")[2] for row in rows if "at most" in row[-1]] == limits
