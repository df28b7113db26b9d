# SPDX-License-Identifier: Apache-2.0
"""What guards a credential counts once, and before the credential: a replay costs nobody a call."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from pypow.pricing import Quote
from pypow_server import checkout
from pypow_server.call import Call
from pypow_server.crowd.turns import Turns
from pypow_server.policy import Policy, Price
from pypow_server.rails import Admit, Claim, Offer, Verdict
from pypow_server.stores import Spend
from pypow_server.used_up import UsedUp
from support.asgi_client import Answer, call
from support.challenges import NOW_MS
from support.gated import HOST, Bench, CountingLedger, document

END_MS = NOW_MS + 60_000
PRICE = Price("guarded", 4 * 1024)


class GuardedRail:
    """Admits as its next headers say: ``x-key`` is spent, ``x-guard`` guards it."""

    name = "guarded"

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        keys, guards = call.values(b"x-key"), call.values(b"x-guard")
        return Admit(
            "somebody",
            Claim(keys[0], None, END_MS, limit=2) if keys else None,
            guard=Claim(guards[0], None, END_MS) if guards else None,
        )

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer | None:
        return None


class Listing(CountingLedger):
    """Notes which keys were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[bytes] = []
        self.unknown: bytes | None = None

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        self.keys.append(key)
        if key == self.unknown:
            return Spend.UNKNOWN
        return await super().spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )


def guarded(turns: Turns | None = None) -> tuple[Bench, Listing]:
    ledger = Listing()
    bench = Bench(policy=Policy(default=PRICE), rails=[GuardedRail()], ledger=ledger, turns=turns)
    return bench, ledger


def sent(key: bytes | None, guard: bytes | None) -> list[tuple[bytes, bytes]]:
    fields = ((b"x-key", key), (b"x-guard", guard))
    return [(name, value) for name, value in fields if value is not None]


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, document(answer)["type"].removeprefix("urn:pypow:error:")


def test_a_replayed_guard_is_refused_by_its_own_name_and_spends_nothing() -> None:
    bench, ledger = guarded()
    assert bench.send("GET", headers=sent(b"pass", b"proof 1")).status == 200
    again = bench.send("GET", headers=sent(b"pass", b"proof 1"))
    assert told(again) == (401, "invalid-dpop-proof")
    assert again.values(b"www-authenticate") == [b'DPoP error="invalid_dpop_proof"']
    assert ledger.keys == [b"proof 1", b"pass", b"proof 1"]
    assert bench.send("GET", headers=sent(b"pass", b"proof 2")).status == 200
    assert bench.app.reached == 2


def test_a_credential_with_nothing_to_spend_is_guarded_all_the_same() -> None:
    bench, ledger = guarded()
    statuses = [bench.send("GET", headers=sent(None, b"proof")).status for _ in range(3)]
    assert (statuses, ledger.keys, bench.app.reached) == ([200, 401, 401], [b"proof"] * 3, 1)


def test_a_guard_of_which_nobody_can_tell_admits_nobody_and_spends_nothing() -> None:
    bench, ledger = guarded()
    ledger.unknown = b"proof"
    answer = bench.send("GET", headers=sent(b"pass", b"proof"))
    assert told(answer) == (503, "store-unavailable")
    assert (ledger.keys, bench.app.reached) == ([b"proof"], 0)


def test_a_spent_credential_is_told_though_its_guard_was_fresh() -> None:
    bench, _ = guarded()
    answers = [bench.send("GET", headers=sent(b"pass", b"%d" % n)) for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 402]
    assert told(answers[2]) == (402, "already-spent")


def test_who_holds_what_is_used_up_writes_no_guard_for_each_request() -> None:
    bench, ledger = guarded()
    answers = [bench.send("GET", headers=sent(b"pass", b"%d" % n)) for n in range(50)]
    assert [answer.status for answer in answers] == [200] * 2 + [402] * 48
    assert len({key for key in ledger.keys if key != b"pass"}) == 3
    bench.clock.now_ms += 1000  # and if a use was given back meanwhile, it is good again
    asyncio.run(ledger.release(b"pass"))
    assert bench.send("GET", headers=sent(b"pass", b"later")).status == 200


def test_what_is_remembered_of_used_up_keys_is_bounded() -> None:
    used_up = UsedUp()
    for number in range(10_000):
        used_up.note(b"%d" % number, now_ms=NOW_MS)
    assert len(used_up._until_ms) <= 4096
    assert used_up.refusal(b"9999", now_ms=NOW_MS) is not None
    assert used_up.refusal(b"9999", now_ms=NOW_MS + 1000) is None


def _race() -> tuple[Counter[int], int, int]:
    """A stolen request, sent again and again beside itself: statuses, calls let in, uses spent."""
    bench, ledger = guarded()
    fields = [(b"host", HOST.encode()), *sent(b"pass", b"proof")]

    async def story() -> Counter[int]:
        answers = await asyncio.gather(
            *(call(bench.gate, "GET", b"/x", headers=fields) for _ in range(100))
        )
        return Counter(answer.status for answer in answers)

    return asyncio.run(story()), bench.app.reached, ledger.keys.count(b"pass")


def test_a_request_sent_many_times_at_once_counts_once() -> None:
    assert _race() == ({200: 1, 401: 99}, 1, 1)


def test_a_gate_that_asks_no_guard_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def let_in(*_: object, now_ms: int) -> None:
        return None

    monkeypatch.setattr(checkout, "guard", let_in)
    assert _race() != ({200: 1, 401: 99}, 1, 1)


def test_who_is_sent_away_unserved_keeps_the_guard() -> None:
    async def story() -> Sequence[int]:
        turns = Turns()
        turns.serve(1)
        turns.close()
        bench, ledger = guarded(turns)
        fields = [(b"host", HOST.encode()), *sent(b"pass", b"proof")]
        while (answer := await call(bench.gate, "GET", b"/x", headers=fields)).status == 200:
            fields[-1] = (b"x-guard", b"proof %d" % len(ledger.keys))
        assert fields[-1][1] not in ledger.keys
        return [answer.status]

    assert asyncio.run(story()) == [503]
