# SPDX-License-Identifier: Apache-2.0
"""What went wrong in programs like this one, and must not here: paying, spending and passes.

A test is named after the published advisory, issue or commit. `docs/security.md` lists them all.
"""

import asyncio
import base64
import hashlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import difficulty, wire
from pypow.challenge import issue
from pypow_server import passes
from pypow_server.app import App, create_app
from pypow_server.policy import DEFAULT_PRICE, relative_weight
from pypow_server.scope import Receive, Scope, Send
from pypow_server.settings import Settings
from pypow_server.stores import Spend, StoreError
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer, call
from support.challenges import KEY, NOW_MS
from support.gated import Bench, RecordingApp, offers, solution, solved
from support.ledger_twins import AsksThenMarks


def bearer(given: passes.Pass) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + given.text.encode())]


def cookie(given: passes.Pass) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", b"pypow_pass=" + given.text.encode())]


def some_pass(calls: int) -> passes.Pass:
    return passes.issue(KEY, identity=bytes(16), calls=calls, expires_at_ms=NOW_MS + 60_000)


def statuses(answers: list[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


async def redeemed_by_many(app: App) -> list[Answer]:
    """One proof, sent to the exchange twenty times at once."""
    host = [(b"host", b"a.example")]
    published = json.loads((await call(app, target=b"/api/challenge", headers=host)).body)
    nonce = solved(published).partition("nonce=")[2]
    body = json.dumps({"challenge": published["challenge"], "nonce": nonce}).encode()
    json_host = [*host, (b"content-type", b"application/json")]
    return await asyncio.gather(
        *(call(app, "POST", b"/api/verify", headers=json_host, body=body) for _ in range(20))
    )


@pytest.mark.parametrize(("ledger", "passes_made"), [(MemoryLedger, 1), (AsksThenMarks, 20)])
def test_anubis_1002_one_solution_mints_one_pass(
    ledger: type[MemoryLedger], passes_made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anubis minted a cookie for every presenter of one solution (#1002, fixed by #1003)."""
    monkeypatch.setattr("pypow_server.stores.memory.MemoryLedger", ledger)
    settings = Settings(
        state_dir=tmp_path, store="memory:", bits=4.0, public_url="http://a.example"
    )
    app = create_app(settings, around=RecordingApp())
    answers = asyncio.run(redeemed_by_many(app))
    assert [answer.status for answer in answers].count(200) == passes_made


def test_anubis_cve_2025_24369_the_work_is_what_was_signed() -> None:
    """Anubis believed the caller's own word on how hard its puzzle was, or what it hashed to."""
    bench = Bench()
    offered = offers(bench.send("GET"))[0]["challenge"]
    octets = bytearray(base64.urlsafe_b64decode(offered))
    octets[4:6] = (1024).to_bytes(2)  # the difficulty: one bit
    easier = base64.urlsafe_b64encode(octets).decode()
    lazy = next(
        f"challenge={offered},nonce={nonce}"
        for nonce in itertools.count()
        if not hashlib.sha256(f"{offered}{nonce}".encode()).hexdigest().startswith("0")
    )
    for proof, status in [
        (f"challenge={easier},nonce=0", 402),
        (lazy, 402),
        (f"{lazy},difficulty=0", 400),
        (f"{lazy},response={'0' * 64}", 400),
        (f"challenge={offered},nonce=", 400),
    ]:
        assert bench.send("GET", headers=solution(proof)).status == status, proof
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


@pytest.mark.parametrize("prefix", ["+", " ", "0", "00", "\u0660", "\uff10", "-0", "_"])
def test_anubis_atoi_no_other_spelling_of_a_nonce_admits_again(prefix: str) -> None:
    """Anubis reads nonces as numbers, which have many spellings."""
    bench = Bench()
    proof = bench.proof()
    assert bench.send("GET", headers=solution(proof)).status == 200
    respelled = proof.replace("nonce=", f"nonce={prefix}")
    assert bench.send("GET", headers=solution(respelled)).status in (400, 402)
    assert bench.app.reached == 1


def test_anubis_564_a_challenge_is_bound_to_no_address() -> None:
    """Anubis refused honest callers who asked over IPv4 and answered over IPv6."""
    bench = Bench()
    refusal = bench.send("GET", client="192.0.2.7")
    proof = solution(solved(offers(refusal)[0]))
    assert bench.send("GET", headers=proof, client="2001:db8::7").status == 200


field_bytes = st.binary(min_size=16, max_size=16)


@given(field_bytes, st.integers(0, 2**32 - 1), field_bytes, st.integers(0, 2**32 - 1))
def test_altcha_cve_2025_68113_no_two_challenges_have_one_reading(
    first: bytes, first_epoch: int, second: bytes, second_epoch: int
) -> None:
    """ALTCHA signed fields without borders: octets of one could be read as another's."""
    made = [
        issue(KEY, q=4096, now_ms=NOW_MS, epoch=epoch, identity=identity)
        for identity, epoch in ((first, first_epoch), (second, second_epoch))
    ]
    same = (first, first_epoch) == (second, second_epoch)
    assert (made[0].octets[:-16] == made[1].octets[:-16]) is same
    assert wire.decode_challenge(made[0].text) == made[0]


def test_altcha_cve_2025_68113_moving_octets_between_fields_breaks_the_signature() -> None:
    """ALTCHA's digits moved from the nonce into the expiry: a used answer came alive again."""
    bench = Bench()
    proof = bench.proof()
    octets = wire.decode_challenge(offers(bench.send("GET"))[0]["challenge"]).octets
    nonce = proof.partition("nonce=")[2]
    for at in range(2, 61):
        moved = octets[:at] + octets[at + 1 : at + 3] + octets[at : at + 1] + octets[at + 3 :]
        if moved == octets:
            continue
        text = base64.urlsafe_b64encode(moved).decode()
        answer = bench.send("GET", headers=solution(f"challenge={text},nonce={nonce}"))
        assert answer.status in (400, 402)
    for shifted in (nonce[1:], f"0{nonce}", f"{nonce}0"):
        bench.send("GET", headers=solution(proof.partition("nonce=")[0] + f"nonce={shifted}"))
    assert bench.app.reached <= 1


def every_form(proof: str) -> list[list[tuple[bytes, bytes]]]:
    """One proof in each header that may carry it."""
    challenge, nonce = (part.partition("=")[2] for part in proof.split(","))
    quoted = f'PoW challenge="{challenge}", nonce="{nonce}"'.encode()
    return [
        solution(proof),
        [(b"authorization", quoted)],
        [(b"Authorization", quoted.replace(b"PoW", b"pow"))],
        [*solution(proof), (b"authorization", quoted)],
        solution(proof) + solution(proof),
    ]


def test_aperture_133d441_one_payment_admits_one_call_in_whatever_form() -> None:
    """Aperture took one paid invoice for as many calls as anybody cared to make."""
    bench = Bench()
    forms = every_form(bench.proof())
    answers = [bench.send("GET", headers=headers) for headers in forms * 2]
    assert statuses(answers).count(200) == bench.app.reached == 1


def test_aperture_e015dd0_a_credit_is_the_same_credit_each_time_it_is_shown() -> None:
    """Aperture credited one top-up again whenever it was presented."""
    bench = Bench()
    three = some_pass(3)
    answers = [bench.send("GET", f"/{n}", bearer(three)) for n in range(12)]
    assert statuses(answers).count(200) == bench.app.reached == 3


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_SUB_Q))
def test_aperture_2233851_rounding_never_undercharges(q: int) -> None:
    """Aperture rounded a price down, by up to all of it."""
    weight = relative_weight(q, default=DEFAULT_PRICE)
    charged = weight * difficulty.expected_hashes(DEFAULT_PRICE.q)
    assert charged >= difficulty.expected_hashes(q) or weight == 0xFFFF


def test_aperture_c912a32_a_pass_is_counted_wherever_it_is_carried() -> None:
    """Aperture metered a token in one header, and took it in three."""
    bench = Bench()
    two = some_pass(2)
    carried = [bearer(two), cookie(two), bearer(two) + cookie(two), cookie(two) + bearer(two)]
    answers = [bench.send("GET", headers=headers) for headers in carried]
    assert [answer.status for answer in answers] == [200, 200, 402, 402]


def test_aperture_b461960_a_stream_that_its_caller_abandons_is_paid_for() -> None:
    """Aperture charged at the end of a stream: who left before that, paid nothing."""

    async def abandoned(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"much", "more_body": True})
        raise asyncio.CancelledError

    bench = Bench(app=abandoned)
    proof = solution(bench.proof())
    with pytest.raises(asyncio.CancelledError):
        bench.send("GET", headers=proof)
    assert bench.send("GET", headers=proof).status == 402
    assert bench.ledger.releases == 0


def test_x402_1169_what_is_served_was_spent_before() -> None:
    """x402 verified, served, and settled last: one payment was served many times meanwhile."""
    spent_when_reached: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        spent_when_reached.append(bench.ledger.spends)
        if len(spent_when_reached) == 1:
            again = await call(bench.gate, target=b"/x", headers=proof)
            assert again.status == 402
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    bench = Bench(app=app)
    proof = [(b"host", b"gate.example"), *solution(bench.proof())]
    assert asyncio.run(call(bench.gate, target=b"/x", headers=proof)).status == 200
    assert spent_when_reached == [1]


@pytest.mark.parametrize("fault", [Spend.UNKNOWN, StoreError("gone"), OSError("reset")])
def test_comparia_462_a_store_that_is_away_skips_no_check(fault: Spend | Exception) -> None:
    """ComparIA's ALTCHA left the replay check out while its store was away."""
    bench = Bench()
    proof = solution(bench.proof())
    bench.ledger.answer = fault
    answers = [bench.send("GET", headers=proof) for _ in range(3)]
    assert (statuses(answers), bench.app.reached) == ([503] * 3, 0)


def test_haproxy_stick_tables_a_full_table_is_no_open_door() -> None:
    """HAProxy's tables stop tracking when they are full, and say nothing."""
    bench = Bench()
    bench.ledger.inner = MemoryLedger(max_entries=1)
    first, second = solution(bench.proof()), solution(bench.proof())
    assert bench.send("GET", headers=first).status == 200
    assert bench.send("GET", headers=second).status == 503
    assert bench.send("GET", headers=first).status == 402
    assert bench.app.reached == 1


def test_aperture_625382f_whom_a_bearer_names_is_proven_and_not_said() -> None:
    """Aperture charged the session that a bearer named, whoever it belonged to."""
    bench = Bench()
    given, other = (
        some_pass(1),
        passes.issue(KEY, identity=b"another pass   !", calls=1, expires_at_ms=NOW_MS + 60_000),
    )
    octets = given.octets[:3] + other.id + given.octets[19:]
    forged = passes.PREFIX + base64.urlsafe_b64encode(octets).decode().rstrip("=")
    answer = bench.send("GET", headers=[(b"authorization", b"Bearer " + forged.encode())])
    assert (answer.status, bench.app.reached, bench.ledger.spends) == (402, 0, 0)
    named = [*bearer(given), (b"x-pow-principal", f"pass:{other.id.hex()}".encode())]
    assert bench.send("GET", headers=named).status == 200
    assert bench.app.scopes[0]["pypow.principal"] == f"pass:{given.id.hex()}"
