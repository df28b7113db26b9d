# SPDX-License-Identifier: Apache-2.0
"""Gates whose prices follow their callers' speed, over played days; and the assembled server."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pypow import InvalidInputError, difficulty, engine
from pypow.steering import Sample
from pypow.wire import decode_challenge
from pypow_server.app import App, create_app
from pypow_server.calibration.calibrating import Calibrating
from pypow_server.calibration.samples import DAY_MS, Samples
from pypow_server.calibration.shared_calibration import read
from pypow_server.policy import Policy
from pypow_server.settings import Settings
from pypow_server.stores.memory import MemoryRecord
from support.asgi_client import Answer, call
from support.challenges import NOW_MS
from support.gated import Bench, RecordingApp, document, offers, solution

FILE = """
[work]
profile = "python"
calibrate = "500ms"
[default]
work = "5ms"
[[price]]
match = "GET /free"
work = "5ms"
free = "30/60s"
[[price]]
match = "GET /bits"
bits = 13.5
"""
ANCHOR_Q = difficulty.from_hashes(780_000 * 0.005)
FINE = (b"x-pow-accept", b"puzzles=16")
FIRST_DAY = NOW_MS // DAY_MS


def settings(tmp_path: Path, text: str = FILE, **more: str) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_env(
        {"HOME": str(tmp_path)}, {"config": str(path), "state_dir": str(tmp_path), **more}
    )


class PlayedGate(Bench):
    """A gate whose clock stands still between calls, and that keeps what all gates know."""

    def __init__(self, said: Settings, record: MemoryRecord) -> None:
        samples = Samples(b"key")
        super().__init__(policy=said.policy, recorders=[samples.record])
        self.said = said
        self.policy_of = said.policy_moved
        self.calibrating = Calibrating(record, samples, moved=self._moved)
        self.calibrating.follow(said.calibration)

    def _moved(self) -> None:
        policy = self.policy_of(self.calibrating.offset_q)
        self.gate.decide_by(policy=policy, rails=[self.rail])

    def exchange(self) -> None:
        asyncio.run(self.calibrating.exchange())

    def offer(self, client: str, target: str = "/x") -> dict[str, Any]:
        """What a call costs that is not free, or is no more."""
        while (answer := self.send("GET", target, [FINE], client=client)).status == 200:
            pass
        assert answer.status == 402, answer.body
        return offers(answer)[0]

    def pay(self, offer: dict[str, Any], client: str, target: str = "/x") -> Answer:
        proof = engine.solve(decode_challenge(offer["challenge"]), threads=1).header()
        return self.send("GET", target, solution(proof), client=client)


@dataclass
class Caller:
    """Solves so many hashes a second, by the gate's clock."""

    client: str
    hashrate: float
    times: list[float] = field(default_factory=list)

    def call(self, gate: PlayedGate) -> None:
        began_ms = gate.clock.now_ms
        offer = gate.offer(self.client)
        took_ms = 1000 * 2.0 ** float(offer["bits"]) / self.hashrate
        gate.clock.now_ms += round(took_ms)
        assert gate.pay(offer, self.client).status == 200
        self.times.append(took_ms)
        gate.clock.now_ms = began_ms


class Days:
    """Some gates of one store, their callers, and the days that they have."""

    def __init__(self, tmp_path: Path, gates: int = 1, text: str = FILE) -> None:
        self.record = MemoryRecord(clock=lambda: self.gates[0].clock.now_ms)
        said = settings(tmp_path, text)
        self.gates = [PlayedGate(said, self.record) for _ in range(gates)]
        self.day = FIRST_DAY

    def set_clock(self, hour: int) -> None:
        for gate in self.gates:
            gate.clock.now_ms = self.day * DAY_MS + hour * 3_600_000

    def play(self, callers: list[Caller], days: int = 1) -> list[int]:
        """How far prices are moved after each day on which all callers called twice."""
        moved = []
        for _ in range(days):
            for hour in (1, 2):
                self.set_clock(hour)
                for number, caller in enumerate(callers):
                    caller.call(self.gates[number % len(self.gates)])
            for hour in (23, 24):
                self.set_clock(hour)
                for gate in self.gates:
                    gate.exchange()
            self.day += 1
            moved.append(self.gates[0].calibrating.offset_q)
            assert {gate.calibrating.offset_q for gate in self.gates} == {moved[-1]}
        return moved


def people(count: int = 40, *, seed: int = 1) -> list[Caller]:
    """Callers of a kind whose slow tenth does some 18,000 hashes a second."""
    draw = Random(seed)
    return [
        Caller(f"192.0.2.{number}", 23_500 * draw.lognormvariate(0, 0.2)) for number in range(count)
    ]


def hostile(count: int, hashrate: float) -> list[Caller]:
    return [Caller(f"198.51.100.{number}", hashrate) for number in range(count)]


def test_prices_said_as_times_settle_where_the_slow_tenth_solves_in_time(tmp_path: Path) -> None:
    days, callers = Days(tmp_path), people()
    moved = days.play(callers, 5)
    assert moved[0] == 256 < moved[-1] == moved[-2] == moved[-3]
    slow = sorted(caller.times[-1] for caller in callers)[-4]
    assert 0.97 * 500 <= 1.671 * slow <= 1.03 * 500
    (gate,) = days.gates
    asked = {where: float(gate.offer("203.0.113.9", where)["bits"]) for where in ("/x", "/bits")}
    assert asked["/x"] == pytest.approx((ANCHOR_Q + moved[-1]) / 1024)
    assert asked["/bits"] == 13.5


def test_two_gates_of_a_store_move_as_one_does(tmp_path: Path) -> None:
    assert Days(tmp_path, gates=2).play(people(), 3) == Days(tmp_path).play(people(), 3)


@pytest.mark.parametrize("hashrate", [100.0, 1e9])
def test_an_eleventh_of_hostile_callers_moves_prices_by_half_a_bit_at_most(
    hashrate: float, tmp_path: Path
) -> None:
    alone = Days(tmp_path).play(people(), 4)
    among = Days(tmp_path).play(people() + hostile(4, hashrate), 4)
    assert abs(alone[-1] - among[-1]) <= 512
    assert (alone[-1] > among[-1]) == (hashrate < 18_000)


@pytest.mark.parametrize(("hashrate", "sign"), [(100.0, -1), (1e9, 1)])
def test_hostile_callers_alone_move_prices_by_a_quarter_of_a_bit_a_day_and_two_at_most(
    hashrate: float, sign: int, tmp_path: Path
) -> None:
    moved = Days(tmp_path).play(hostile(31, hashrate), 9)
    assert moved == [sign * min(256 * day, 2048) for day in range(1, 10)]


def test_a_mean_of_the_samples_would_let_few_move_prices_far(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.play(people())
    told = read(asyncio.run(days.record.look())[0]).samples(FIRST_DAY)
    honest = [sample.rate_q for sample in told]
    few = [Sample(ANCHOR_Q, 600_000).rate_q] * 4
    assert sum(honest) / len(honest) - sum(honest + few) / (len(honest) + len(few)) > 512


def paid_for_before_and_after(days: Days, target: str, hashrate: float) -> list[int]:
    """What becomes of proofs whose challenges were issued before prices moved, and after."""
    (gate,), callers = days.gates, hostile(31, hashrate)
    days.play(callers)
    days.set_clock(1)
    for caller in callers * 2:
        caller.call(gate)
        gate.clock.now_ms += 60_000
    days.set_clock(24)
    gate.clock.now_ms -= 10_000
    before, was_q = gate.offer("192.0.2.7", target), gate.calibrating.offset_q
    gate.clock.now_ms += 20_000
    gate.exchange()
    assert abs(gate.calibrating.offset_q - was_q) == 256
    after = gate.offer("192.0.2.7", target)
    assert (before["bits"] == after["bits"]) == (target in ("/bits", "/a%2Fb"))
    return [gate.pay(offer, "192.0.2.7", target).status for offer in (before, after)]


@pytest.mark.parametrize("target", ["/x", "/free", "/bits", "/a%2Fb"])
@pytest.mark.parametrize("hashrate", [100.0, 1e9])
def test_no_proof_waits_or_fails_for_a_price_that_moved_since(
    target: str, hashrate: float, tmp_path: Path
) -> None:
    assert paid_for_before_and_after(Days(tmp_path), target, hashrate) == [200, 200]


def test_weights_that_moved_with_the_default_price_are_seen_to_refuse_a_proof(
    tmp_path: Path,
) -> None:
    days = Days(tmp_path)
    (gate,) = days.gates

    def weighed_anew(offset_q: int) -> Policy:
        policy, rows = gate.said.policy_moved(offset_q), gate.said.rows
        return replace(policy, entries=rows.entries(policy.default, offset_q=offset_q))

    gate.policy_of = weighed_anew
    assert paid_for_before_and_after(days, "/bits", 100.0) == [402, 200]


SLOW = {f"{number:016x}": Sample(ANCHOR_Q, 60_000) for number in range(40)}


async def gated(tmp_path: Path, text: str = FILE) -> App:
    """A server whose callers were found to be slow yesterday."""
    app = create_app(settings(tmp_path, text, store="memory:"), around=RecordingApp())
    record = app._store.calibration
    before, now_ms = await record.look()
    yesterday = now_ms // DAY_MS - 1
    await record.replace(before, read(before).told(yesterday, yesterday, SLOW).text())
    return app


async def bits(app: App) -> tuple[float, ...]:
    """What the gate asks for a call, and the API for that call, for any, and for one in bits."""
    host = [(b"host", b"localhost"), FINE]
    offered = offers(await call(app, "GET", b"/x", headers=host))[0]["bits"]
    asked = [
        document(await call(app, "GET", b"/api/challenge?puzzles=16" + what, headers=host))["bits"]
        for what in (b"&resource=GET%20/x", b"", b"&resource=GET%20/bits")
    ]
    return tuple(round(float(one), 3) for one in (offered, *asked))


SAID = tuple(round(q / 1024, 3) for q in (ANCHOR_Q, ANCHOR_Q, ANCHOR_Q, 13_824))
MOVED = tuple(round(q / 1024, 3) for q in (*[ANCHOR_Q - 256] * 3, 13_824))


def test_a_server_takes_over_what_the_store_knows_when_it_starts(tmp_path: Path) -> None:
    async def story() -> None:
        app = await gated(tmp_path)
        assert await bits(app) == SAID
        moved, move = asyncio.Event(), app._calibrating._moved

        def note() -> None:
            move()
            moved.set()

        app._calibrating._moved = note
        app.start()
        await moved.wait()
        assert await bits(app) == MOVED
        answer = await call(app.admin, "GET", b"/config", headers=[(b"host", b"localhost")])
        assert document(answer)["calibration"] == {
            "target_ms": 500,
            "default_bits": ANCHOR_Q / 1024,
            "moved_bits": -0.25,
            "samples": 0,
        }
        text, _ = await app.telemetry.exposition("")
        assert b"pypow_calibration_bits -0.25\n" in text
        assert b"pypow_calibration_samples 0.0\n" in text
        await app.stop()

    asyncio.run(asyncio.wait_for(story(), timeout=60))


def test_a_reload_keeps_what_was_moved_of_what_was_not_said_anew(tmp_path: Path) -> None:
    async def story() -> None:
        app = await gated(tmp_path)
        await app._calibrating.exchange()
        for text, expected in (
            (FILE.replace("500ms", "400ms"), MOVED),
            (FILE.replace('"500ms"', '"none"'), SAID),
            (FILE, SAID),
        ):
            app.reload(settings(tmp_path, text, store="memory:"))
            assert await bits(app) == expected
        await app._calibrating.exchange()
        assert await bits(app) == MOVED
        app.reload(settings(tmp_path, FILE.replace("5ms", "6ms"), store="memory:"))
        assert (await bits(app))[0] == pytest.approx(ANCHOR_Q / 1024 + 0.263, abs=0.002)
        await app.stop()

    asyncio.run(asyncio.wait_for(story(), timeout=60))


def test_a_reload_that_cannot_be_leaves_prices_where_they_were_moved(tmp_path: Path) -> None:
    async def story() -> None:
        app = await gated(tmp_path)
        await app._calibrating.exchange()
        (tmp_path / "keys.json").write_text("{", encoding="utf-8")
        with pytest.raises(InvalidInputError):
            app.reload(settings(tmp_path, FILE.replace("5ms", "6ms"), store="memory:"))
        assert await bits(app) == MOVED
        await app.stop()

    asyncio.run(asyncio.wait_for(story(), timeout=60))


def test_nobody_is_timed_where_nothing_is_calibrated(tmp_path: Path) -> None:
    app = create_app(
        settings(tmp_path, FILE.replace('"500ms"', '"none"'), store="memory:"),
        around=RecordingApp(),
    )
    assert app.gate._recorders == tuple(app.telemetry.recorders)
    app.reload(settings(tmp_path, FILE, store="memory:"))
    assert app.gate._recorders == (*app.telemetry.recorders, app._samples.record)
    app.reload(settings(tmp_path, "", store="memory:"))
    assert app.gate._recorders == tuple(app.telemetry.recorders)
    assert app._calibrating.shown() is None
    asyncio.run(app.stop())


def test_what_is_redeemed_for_a_pass_is_timed_too(tmp_path: Path) -> None:
    async def story() -> int:
        app = await gated(tmp_path)
        host = [(b"host", b"localhost")]
        for _ in range(2):
            asked = await call(app, "GET", b"/api/challenge?puzzles=16", headers=host)
            proof = engine.solve(decode_challenge(document(asked)["challenge"]), threads=1)
            body = json.dumps(proof.to_json()).encode()
            bought = await call(app, "POST", b"/api/verify", headers=host, body=body)
            assert bought.status == 200, bought.body
        found = len(app._samples._networks)
        await app.stop()
        return found

    assert asyncio.run(asyncio.wait_for(story(), timeout=60)) == 1
