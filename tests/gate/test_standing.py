# SPDX-License-Identifier: Apache-2.0
"""Standing tokens: as a format, and as what a gate reads and gives out."""

import base64
import itertools
from dataclasses import replace
from typing import Any

import pytest

from pypow.challenge import Key, Keyring
from pypow.errors import WireError
from pypow_server import standing
from pypow_server.call import Call, read_call
from pypow_server.decision import Decision
from pypow_server.holders import COUNTS_FROM_MS, Event, Holders
from pypow_server.meter import STANDING_MS, Pricing
from pypow_server.policy import PassTerms, Policy, Price
from pypow_server.presented import Form, Presented
from pypow_server.standing import StandingToken, decode, is_ours, issue, near, renew
from pypow_server.stores import Quota
from pypow_server.stores.holder import Holder
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer, http_scope
from support.challenges import KEYRING, NOW_MS
from support.gated import Bench, CountingLedger, Headers, document, offers, solution, solved

KEY = KEYRING.signing
MINUTE = NOW_MS // 60_000
HOME, NEARBY, AWAY = "192.0.2.7", "192.0.200.9", "198.51.100.1"
QUOTA = Quota(60, 60_000)
PRICED = Price("search", 4 * 1024, pricing=Pricing(quota=QUOTA))
FREE = replace(PRICED, free=QUOTA)
TOKEN = issue(KEY, identity=bytes(range(16)), now_ms=NOW_MS, near=near(f"{HOME}/32"))


def aged(token: StandingToken = TOKEN, *, minutes: int = 10) -> StandingToken:
    """A token of somebody who was served in so many minutes, the last one this."""
    older = replace(token, first_ms=NOW_MS - 10**9, minutes=minutes - 1, last_minute=MINUTE - 1)
    return renew(KEY, older, now_ms=NOW_MS)


def header(token: StandingToken | str) -> Headers:
    text = token if isinstance(token, str) else token.text
    return [(b"x-pow-standing", text.encode("latin-1"))]


def cookie(token: StandingToken) -> Headers:
    return [(b"cookie", f"theme=dark; pypow_standing={token.text}".encode())]


class Gate(Bench):
    """A gate that gives out tokens, and callers that come back with theirs."""

    def __init__(self, price: Price = PRICED, **how: Any) -> None:
        self.events: list[Event] = []
        self.ids = itertools.count(1)
        holders = Holders(
            KEYRING,
            lifetime_ms=STANDING_MS,
            told=self.events.append,
            fresh_id=lambda: next(self.ids).to_bytes(16),
        )
        super().__init__(policy=Policy(default=price), holders=holders, **how)

    def buy(self, headers: Headers = (), *, client: str = HOME, fine: bool = False) -> Answer:
        """A call that is paid for with a proof, whatever that costs."""
        sent = [*headers, (b"x-pow-accept", b"1")]
        refusal = self.send("GET", headers=sent, client=client)
        proof = solution(solved(offers(refusal)[0]))
        return self.send("GET", headers=[*headers, *proof], client=client)

    def asked(self, headers: Headers = (), *, client: str = HOME) -> float:
        """What a proof costs this caller now, in bits besides the price."""
        sent = [*headers, (b"x-pow-accept", b"puzzles=16")]
        refusal = self.send("GET", headers=sent, client=client)
        assert refusal.status == 402, refusal.body
        return float(offers(refusal)[0]["bits"]) - 4

    def burn(self, *, client: str = HOME) -> None:
        """Use up what a network has, and more."""
        while self.asked(client=client) < 2:
            self.buy(client=client)


def given(answer: Answer) -> StandingToken | None:
    """The token in an answer's header."""
    found = answer.values(b"x-pow-standing")
    return decode(found[0].decode()) if found else None


def got(answer: Answer) -> StandingToken:
    token = given(answer)
    assert token is not None
    return token


def test_a_token_says_what_was_put_into_it_and_has_one_text() -> None:
    assert decode(TOKEN.text) == TOKEN
    assert (len(TOKEN.octets), len(TOKEN.text)) == (54, standing.CHARACTERS)
    assert is_ours(TOKEN, KEYRING)
    assert TOKEN.text.startswith("pys_")
    later = renew(KEY, TOKEN, now_ms=NOW_MS + 60_000)
    assert (later.id, later.first_ms, later.near) == (TOKEN.id, TOKEN.first_ms, TOKEN.near)
    assert (later.minutes, later.last_minute) == (2, MINUTE + 1)
    assert is_ours(later, KEYRING)


def test_a_token_does_not_show_its_signature() -> None:
    assert TOKEN.mac.hex() not in repr(TOKEN)
    assert repr(TOKEN.mac) not in repr(TOKEN)


def test_every_flipped_bit_makes_a_token_nobodys() -> None:
    octets = bytearray(aged().octets)
    for bit in range(8 * len(octets)):
        octets[bit // 8] ^= 1 << bit % 8
        text = standing.PREFIX + base64.urlsafe_b64encode(octets).decode()
        try:
            assert not is_ours(decode(text), KEYRING)
        except WireError:
            assert bit < 8  # another version
        octets[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize(
    "text",
    [
        "", "pys_", TOKEN.text[:-1], TOKEN.text + "A", TOKEN.text + "\n", "pyp_" + TOKEN.text[4:],
        TOKEN.text[:-1] + "=", TOKEN.text[:-1] + "/", "pys_Ag" + TOKEN.text[6:],
        replace(TOKEN, minutes=0).text,
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(WireError, match="standing token") as caught:
        decode(text)
    assert TOKEN.text[4:30] not in str(caught.value)


def test_another_purpose_signs_no_token() -> None:
    other = Key(KEY.id, bytes(range(1, 33)))
    assert not is_ours(issue(other, identity=bytes(16), now_ms=0, near=bytes(5)), KEYRING)
    stranger = issue(Key(9, bytes(32)), identity=bytes(16), now_ms=0, near=bytes(5))
    assert not is_ours(stranger, KEYRING)
    assert len({KEY.standing_mac, KEY.pass_mac, KEY.challenge_mac, KEY.principal_mac}) == 4


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7/32", "192.0.255.1/32", True),
        ("192.0.2.7/32", "192.1.2.7/32", False),
        ("2001:db8::/64", "2001:db8:ffff:1::/64", True),
        ("2001:db8::/64", "2001:db9::/64", False),
        ("0.0.0.0/32", "local", False),
        ("0.0.0.0/32", "::/64", False),
        ("local", "local", True),
    ],
)
def test_where_a_holder_is_near(one: str, other: str, *, same: bool) -> None:
    assert (near(one) == near(other)) is same


def test_a_call_that_was_paid_for_by_a_proof_earns_a_token() -> None:
    gate = Gate()
    answer = gate.buy()
    token = got(answer)
    assert is_ours(token, KEYRING)
    assert (token.minutes, token.first_ms, token.last_minute) == (1, NOW_MS, MINUTE)
    assert token.near == near(f"{HOME}/32")
    assert answer.values(b"cache-control") == [b"no-store"]
    assert answer.values(b"access-control-expose-headers") == [b"X-PoW-Standing"]
    assert gate.events == [Event.ISSUED]


def test_nothing_else_earns_one() -> None:
    gate = Gate(FREE)
    free = gate.send("GET")
    assert (free.status, given(free)) == (200, None)
    passes = Gate(replace(PRICED, sells=PassTerms(3, 60)))
    bought = passes.buy().values(b"x-pow-pass")[0]
    by_pass = passes.send("GET", headers=[(b"authorization", b"Bearer " + bought)])
    assert (by_pass.status, given(by_pass)) == (200, None)
    refused = gate.send("GET", headers=[(b"x-pow-solution", b"x")])
    assert (refused.status >= 400, given(refused)) == (True, None)
    static = Gate(Price("static", 4 * 1024))
    assert given(static.buy()) is None


def test_a_pass_and_a_token_come_in_one_answer() -> None:
    answer = Gate(replace(PRICED, sells=PassTerms(3, 60))).buy()
    assert [name for name, _ in answer.headers] == [
        b"x-pow-pass", b"cache-control", b"access-control-expose-headers",
        b"x-pow-standing", b"access-control-expose-headers",
    ]  # fmt: skip


def test_a_gate_without_holders_looks_at_no_token() -> None:
    gate = Bench(policy=Policy(default=PRICED))
    answer = gate.send("GET", headers=[*header(aged()), *solution(gate.proof())])
    assert (answer.status, given(answer)) == (200, None)
    assert gate.decisions[-1].principal == f"{HOME}/32"


def test_who_comes_back_is_asked_no_more_than_the_price_though_its_network_is() -> None:
    gate = Gate()
    gate.burn()
    assert gate.asked() >= 2
    assert gate.asked(header(aged())) == 0
    assert gate.asked(cookie(aged())) == 0
    assert gate.asked(header(aged()), client=NEARBY) == 0
    assert gate.events[-3:] == [Event.GOOD] * 3


def test_a_token_from_elsewhere_names_its_holder_and_leaves_the_network_its_price() -> None:
    gate = Gate()
    gate.burn(client=AWAY)
    here = gate.asked(client=AWAY)
    assert gate.asked(header(aged()), client=AWAY) == here
    assert gate.events[-1] is Event.ELSEWHERE
    # The same account pays wherever the token is brought, so that it is no use to share it.
    paid = gate.buy(header(aged()), client=AWAY)
    assert (paid.status, given(paid)) == (200, None)
    assert gate.decisions[-1].principal == f"standing:{TOKEN.id.hex()}"
    for _ in range(70):
        gate.buy(header(aged()))
    assert gate.asked(header(aged()), client="203.0.113.5") > 2


def test_a_token_counts_from_when_it_is_a_minute_old() -> None:
    gate = Gate()
    token = got(gate.buy())
    gate.burn()
    now_ms = gate.clock.now_ms
    for later_ms, event in ((COUNTS_FROM_MS - 1, Event.YOUNG), (COUNTS_FROM_MS, Event.GOOD)):
        gate.clock.now_ms = now_ms + later_ms
        gate.send("GET", headers=header(token))
        assert gate.events[-1] is event
    assert gate.decisions[-1].holder is not None
    assert gate.decisions[-2].holder is None


def test_a_token_counts_for_its_lifetime_after_its_renewal() -> None:
    gate = Gate()
    token = aged()
    end_ms = token.last_minute * 60_000 + STANDING_MS
    for now_ms, event in ((end_ms - 1, Event.GOOD), (end_ms, Event.EXPIRED)):
        gate.clock.now_ms = now_ms
        gate.send("GET", headers=header(token))
        assert gate.events[-1] is event
    fresh = got(gate.buy(header(token)))
    assert (fresh.minutes, fresh.id) == (1, (1).to_bytes(16))


def test_a_renewed_token_counts_each_minute_of_service_once() -> None:
    gate = Gate()
    token = got(gate.buy())
    gate.clock.now_ms += 59_999
    assert given(gate.buy(header(token))) is None  # too young
    gate.clock.now_ms += 1
    renewed = got(gate.buy(header(token)))
    assert (renewed.minutes, renewed.id) == (2, token.id)
    assert given(gate.buy(header(renewed))) is None
    gate.clock.now_ms += 600_000
    again = got(gate.buy(header(renewed)))
    # What was said once may be said again, and still counts no minute twice.
    assert got(gate.buy(header(renewed))) == again
    assert (again.minutes, again.last_minute) == (3, renewed.last_minute + 10)
    assert gate.events.count(Event.ISSUED) == 1


def test_free_calls_renew_a_token() -> None:
    gate = Gate(FREE)
    answer = gate.send("GET", headers=header(renew(KEY, aged(), now_ms=NOW_MS - 60_000)))
    token = got(answer)
    assert (answer.status, token.minutes) == (200, 12)
    assert answer.values(b"cache-control") == [b"no-store"]


def test_a_token_in_a_cookie_is_renewed_in_a_cookie() -> None:
    gate = Gate()
    gate.clock.now_ms += 60_000
    answer = gate.buy(cookie(aged()))
    assert given(answer) is None
    (kept,) = answer.values(b"set-cookie")
    text, *attributes = kept.decode().split("; ")
    assert decode(text.removeprefix("pypow_standing=")).minutes == 11
    assert attributes == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=lax"]
    assert answer.values(b"cache-control") == [b"no-store"]


def test_a_store_that_was_wiped_takes_the_holder_at_its_tokens_word() -> None:
    gate = Gate()
    token = got(gate.buy())
    for _ in range(10):
        gate.clock.now_ms += 60_000
        token = got(gate.buy(header(token)))
    gate.ledger.inner = MemoryLedger()
    gate.burn()
    assert token.minutes == 11
    assert gate.asked(header(token)) == 0
    gate.clock.now_ms += 60_000
    assert got(gate.buy(header(token))).minutes == 12


def test_who_shows_no_standing_yet_pays_what_its_network_does() -> None:
    gate = Gate()
    gate.burn()
    network = gate.asked()
    assert gate.asked(header(aged(minutes=9))) == network
    assert gate.asked(header(aged(minutes=10))) == 0


@pytest.mark.parametrize(
    "sent",
    [
        [*header(aged()), *header(aged(minutes=11))],
        [*header(aged()), *cookie(aged(minutes=11))],
        [*cookie(aged()), *header(aged(minutes=11))],
    ],
)
def test_two_tokens_are_as_good_as_none(sent: Headers) -> None:
    gate = Gate()
    gate.burn()
    assert gate.asked(sent) == gate.asked()
    answer = gate.buy(sent)
    assert (answer.status, given(answer)) == (200, None)
    assert Event.SEVERAL in gate.events


def test_one_token_sent_twice_is_one() -> None:
    gate = Gate()
    gate.burn()
    assert gate.asked([*header(aged()), *cookie(aged())]) == 0


@pytest.mark.parametrize(
    "value",
    [
        b"", b"x", b"pys_", b"A" * 4096, b"\xff" * 76, b"pys_" + b"A" * 72,
        TOKEN.text[:-1].encode() + b"A", b"pyp_" + TOKEN.text[4:].encode(),
    ],
)  # fmt: skip
def test_a_token_that_is_none_is_passed_over_and_replaced(value: bytes) -> None:
    gate = Gate()
    sent = [(b"x-pow-standing", value)]
    assert gate.asked(sent) == 0
    answer = gate.buy(sent)
    assert answer.status == 200
    assert got(answer).minutes == 1
    assert gate.events == [Event.FOREIGN] * 3 + [Event.ISSUED]


def test_every_flipped_bit_is_passed_over_at_the_gate() -> None:
    gate = Gate(FREE)
    good = bytearray(aged().octets)
    for bit in range(8 * len(good)):
        good[bit // 8] ^= 1 << bit % 8
        text = standing.PREFIX + base64.urlsafe_b64encode(good).decode()
        gate.send("GET", headers=header(text))
        assert gate.events[-1] is Event.FOREIGN
        assert gate.decisions[-1].holder is None
        good[bit // 8] ^= 1 << bit % 8


def test_what_came_to_nothing_earns_no_token() -> None:
    async def absent(scope: Any, receive: Any, send: Any) -> None:
        scope["pypow.upstream_reached"] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(app=absent)
    for _ in range(20):
        answer = gate.buy()
        assert (answer.status, answer.headers) == (502, [])
    assert gate.ledger.releases == 20
    assert gate.asked() == 0
    holder = Gate(FREE, app=absent)
    assert holder.send("GET", headers=header(aged(minutes=2))).headers == []


def test_no_token_reaches_the_upstream_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    gate = Gate(FREE)
    text = aged().text
    for sent in (header(text), cookie(aged()), [(b"X_PoW_Standing", text.encode())]):
        assert gate.send("GET", headers=sent).status == 200
        reached = repr(gate.app.scopes[-1]["headers"])
        assert text not in reached
        assert "pypow_standing" not in reached
    assert gate.app.header(b"cookie") == []
    gate.send("GET", headers=cookie(aged()))
    assert gate.app.header(b"cookie") == [b"theme=dark"]
    assert text not in caplog.text
    call = read_call(http_scope(headers=header(text)))
    assert isinstance(call, Call)
    assert call.standing == (Presented(Form.STANDING, text.encode()),)
    assert text not in repr(call)


def test_the_app_finds_the_holder_who_was_charged() -> None:
    gate = Gate()
    gate.buy(header(aged()))
    assert gate.app.scopes[-1]["pypow.principal"] == f"standing:{TOKEN.id.hex()}"


def test_a_decision_names_whose_use_raised_the_price() -> None:
    gate = Gate()
    for _ in range(70):
        gate.buy(header(aged()))
    gate.asked(header(aged()))
    assert gate.decisions[-1].overdrawn == f"standing:{TOKEN.id.hex()}"
    bare = replace(gate.decisions[-1], holder=None)
    assert bare.overdrawn == f"{HOME}/32"
    quote = gate.decisions[-1].quote
    assert quote is not None
    named = Holder(b"standing:00", True, 1, 0, 0)
    around = [replace(bare, holder=named, quote=replace(quote, level=n)) for n in range(3)]
    assert [one.overdrawn for one in around] == ["standing:00", f"{HOME}/32", "192.0.2.0/24"]
    assert isinstance(bare, Decision)


def test_a_token_of_a_key_that_no_longer_signs_is_renewed_under_the_one_that_does() -> None:
    turned = Keyring([Key(7, bytes(range(2, 34))), KEY])
    holders = Holders(turned, lifetime_ms=STANDING_MS, secure_cookies=True)
    presented = [Presented(Form.STANDING_COOKIE, aged().text.encode())]
    bearer = holders.bearer(presented, client=f"{HOME}/32", now_ms=NOW_MS + 60_000)
    assert bearer is not None
    assert aged().text not in repr(bearer)
    ((_, kept),) = holders.thanks(bearer, client=f"{HOME}/32", now_ms=NOW_MS + 60_000, paid=False)
    text, *attributes = kept.decode().split("; ")
    assert decode(text.removeprefix("pypow_standing=")).key == 7
    assert attributes[-1] == "Secure"


def test_d12_known_users_behind_one_address_keep_the_base_price_while_a_neighbour_burns() -> None:
    gate = Gate(ledger=CountingLedger())
    users = [aged(replace(TOKEN, id=n.to_bytes(16))) for n in range(1000, 1200)]
    gate.burn()
    for _ in range(4):  # what is assured to each of them
        for user in users:
            assert gate.asked(header(user)) == 0
            assert gate.buy(header(user)).status == 200
    assert gate.asked() >= 2
    newcomers = [aged(replace(TOKEN, id=n.to_bytes(16)), minutes=1) for n in range(2000, 2200)]
    assert all(gate.asked(header(user)) >= 2 for user in newcomers)


def test_collecting_tokens_multiplies_nothing_before_they_have_standing() -> None:
    def free_calls(tokens: list[StandingToken]) -> int:
        gate = Gate(FREE)
        gate.send("GET")
        gate.clock.now_ms += 3_600_000
        taken = 0
        for token in tokens:
            while gate.send("GET", headers=header(token)).status == 200:
                taken += 1
        return taken

    def collected(count: int, minutes: int) -> list[StandingToken]:
        tokens = (replace(TOKEN, id=n.to_bytes(16)) for n in range(count))
        return [aged(token, minutes=minutes) for token in tokens]

    assert [free_calls(collected(n, 1)) for n in (1, 2, 20)] == [60, 60, 60]
    # With standing: what is assured to each, and what the wider network has: 16 quotas for all.
    assert free_calls(collected(20, 20)) <= 20 * 4 + 16 * 60


def test_the_document_of_a_refusal_says_nothing_of_tokens() -> None:
    gate = Gate()
    refusal = gate.send("GET", headers=header(aged()))
    assert "standing" not in str(document(refusal))
