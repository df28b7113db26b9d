# SPDX-License-Identifier: Apache-2.0
"""The advisor: forecasts that follow from rates and rents, and files of rents that cannot be."""

import json
import math
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path

import pytest

import pypow
from pypow import InvalidInputError, difficulty
from pypow.advise import Advice, advise, most_calls
from pypow.attackers import Attacker, read_attackers
from pypow.cli.verdict import verdict
from pypow.profiles import DEVICES
from pypow.solve_times import plain_times, solve_times
from pypow.tariff import Constants
from support.command import Command
from support.pricing_laws import log_bound

SHIPPED = resources.files("pypow").joinpath("attackers.toml").read_text(encoding="utf-8")
GPU = Attacker("GPU", 2.0**34, "drawn", 3.6, "drawn", "2026-06")
CPU = Attacker("CPU", 2.0**24, "drawn", 0.0018, "drawn", "2026-01")
MACHINE = {
    "name": "GPU",
    "hashes_per_s": 1e9,
    "rate_source": "s",
    "usd_per_hour": 1,
    "price_source": "s",
    "price_as_of": "2026-06",
}


def advised(bits: float = 20, capacity: float = 64, burst: int = 60) -> Advice:
    return advise(
        difficulty.from_bits(bits),
        capacity_per_s=capacity,
        burst=burst,
        callers={"slow": 2.0**18, "fast": 2.0**26},
        attackers=(CPU, GPU),
    )


def machine_file(**changes: object) -> str:
    said = {key: value for key, value in (MACHINE | changes).items() if value is not None}
    return "[[machine]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in said.items())


def _toml(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool | int) else str(value)


def test_callers_wait_as_the_distribution_says() -> None:
    slow, fast = advised().callers
    assert slow.times == solve_times(20 * 1024, hashes_per_s=2.0**18)
    assert slow.times.mean_s == 4
    assert fast.times.mean_s == 1 / 64
    assert slow.plain_p99_s == plain_times(20 * 1024, hashes_per_s=2.0**18).p99_s
    assert slow.burst_p99_s == solve_times(20 * 1024, hashes_per_s=2.0**18, calls=60).p99_s


def test_attackers_pay_rent_for_the_time_that_solves_take() -> None:
    cpu, gpu = advised().attackers
    assert gpu.solves_per_s == 2**14
    assert gpu.times_capacity == 2**8
    assert gpu.usd_per_million == pytest.approx(1e6 * 3.6 / 3600 / 2**14)
    assert gpu.usd_per_hour_to_fill == pytest.approx(3.6 / 2**8)
    assert gpu.bits_to_hold == 28
    assert (cpu.solves_per_s, cpu.times_capacity) == (16, 0.25)
    assert (advised().strongest, advised().cheapest) == (gpu, cpu)


def test_one_bit_more_doubles_times_and_rents_and_halves_what_a_machine_solves() -> None:
    one, other = advised(20), advised(21)
    for before, after in zip(one.callers, other.callers, strict=True):
        assert after.times.p99_s == pytest.approx(2 * before.times.p99_s)
    for less, more in zip(one.attackers, other.attackers, strict=True):
        assert more.usd_per_million == pytest.approx(2 * less.usd_per_million)
        assert more.times_capacity == pytest.approx(less.times_capacity / 2)
        assert more.bits_to_hold == less.bits_to_hold


def test_hash_power_counts_by_its_logarithm_where_prices_follow_use() -> None:
    constants = Constants(base_q=18 * 1024, slack_q=0)
    rates = {"hashlib": 0.78e6, "core": 80e6, "16 cores": 1.2e9, "H100": 16.3e9, "many": 16.3e12}
    most = {
        name: most_calls(rate, 18 * 1024, constants, seconds=3600) for name, rate in rates.items()
    }
    assert most_calls(0, 18 * 1024, constants, seconds=3600) == 3660
    for name, rate in rates.items():
        assert most[name] == pytest.approx(log_bound(constants, rate, 3600))
    assert [round(calls) for calls in most.values()] == [3704, 3731, 3746, 3761, 3801]
    assert most["H100"] < 1.03 * 3660


@pytest.mark.parametrize("capacity", [0, -1, math.nan, math.inf, True, 1e10])
def test_a_capacity_of_no_server_is_refused_with_one_that_would_do(capacity: float) -> None:
    with pytest.raises(InvalidInputError, match=r"more than 0 .* such as 50"):
        advised(capacity=capacity)


@pytest.mark.parametrize("bits", [44.01, 60])
def test_bits_beyond_what_a_challenge_can_have_are_refused(bits: float) -> None:
    with pytest.raises(InvalidInputError, match=r"1 to 44 bits, got .* 16 is a good start"):
        advised(bits)


def test_the_verdict_says_that_price_alone_does_not_hold_one_gpu() -> None:
    slow, alone, fill, as_one, in_turn, *limits = verdict(advised())
    assert slow.startswith("too slow for slow: ")
    assert "at most 19.58 bits would do" in slow
    assert alone == (
        "price alone does not hold: one GPU pays for 256 times your capacity; to hold it takes "
        "28.0 bits, which is 17 min 4 s a call on slow"
    )
    assert fill == "filling your capacity costs $0.0072 an hour (CPU, prices of 2026-01)"
    assert as_one == (
        'with [pricing] quota = "60/60s" each network\'s price follows its own use: one GPU at one '
        "address gets at most 3,762 calls an hour; everybody may make 3,660"
    )
    assert in_turn.startswith('with capacity = "64/s" beside it, calls beyond what you can serve ')
    assert "does not tell people from machines" in limits[0]
    assert "many callers from one with many addresses" in limits[0]
    assert "paid rail where a million calls are worth more than $0.0312" in limits[1]
    assert "account rail" in limits[1]


def test_the_verdict_says_how_many_machines_it_takes_where_price_holds_one() -> None:
    found = " ".join(verdict(advised(30)))
    assert "price alone holds one GPU, which pays for 25 % of your capacity; 4 of them" in found
    assert "does not tell people from machines" in found


def test_the_verdict_names_callers_that_only_their_one_puzzle_makes_slow() -> None:
    found = verdict(advised(18))
    assert found[0].startswith("too slow for slow where callers only count zeros")
    assert verdict(advised(8))[0].startswith("price alone does not hold")


def test_every_shipped_machine_has_a_source_and_a_date_for_its_rent() -> None:
    shipped = read_attackers(SHIPPED, name="shipped")
    assert len(shipped) >= 3
    assert any("GPU" in one.name or "RTX" in one.name for one in shipped)
    assert all(one.rate_source and one.price_source and one.price_as_of for one in shipped)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected 1 to 64 tables [[machine]]"),
        ("machine = 1", "expected 1 to 64 tables [[machine]]"),
        ("machine = [1]", "expected 1 to 64 tables [[machine]]"),
        ("[machine]", "expected 1 to 64 tables [[machine]]"),
        (machine_file() * 65, "expected 1 to 64 tables [[machine]]"),
        (machine_file() + "[other]\n", "and nothing else"),
        ("[[machine]", "this is no TOML"),
        ("a = " + "[" * 10_000, "this is no TOML"),
        (machine_file() * 2, "different names"),
        (machine_file(usd_per_hours=1), "[[machine]] 1: expected no key 'usd_per_hours'"),
        (machine_file(price_as_of=None), "expected key 'price_as_of'"),
        (machine_file(price_source=None), "expected key 'price_source'"),
        (machine_file(price_as_of="June 2026"), "such as \"2026-06\", got 'June 2026'"),
        (machine_file(price_as_of="2026-13"), "2026-13"),
        (machine_file(price_as_of=2026), "got 2026"),
        (machine_file(name=""), "name: expected 1 to 24"),
        (machine_file(name="x" * 25), "name: expected 1 to 24"),
        (machine_file(name="a\tb"), "name: expected 1 to 24"),
        (machine_file(rate_source=1), "rate_source: expected 1 to 200"),
        (machine_file(hashes_per_s="fast"), "hashes_per_s: expected a number"),
        (machine_file(hashes_per_s=True), "hashes_per_s: expected a number"),
        (machine_file(hashes_per_s=math.nan), "hashes_per_s: expected a number"),
        (machine_file(hashes_per_s=0), "hashrate of 1 to 1e18"),
        (machine_file(usd_per_hour=-1), "usd_per_hour: expected 0 to 1e6"),
        (machine_file(usd_per_hour=math.inf), "usd_per_hour: expected 0 to 1e6"),
        (machine_file(usd_per_hour=math.nan), "usd_per_hour: expected 0 to 1e6"),
    ],
)
def test_a_file_of_rents_that_cannot_be_is_told_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_attackers(text, name="prices.toml")
    assert str(caught.value).startswith("prices.toml: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_tells_callers_attackers_and_the_verdict(command: Command) -> None:
    told = command("advise", "--bits", "22", "--capacity", "50").out
    assert told.startswith("price   22 bits, 4.19 M hashes, 271 ms on laptop; in 16 sub-puzzles")
    for device in DEVICES.values():
        assert f"\n{device.name} " in told
    for attacker in read_attackers(SHIPPED, name="shipped"):
        assert attacker.name in told
        assert attacker.price_as_of in told
    assert "\n- price alone does not hold" in told
    assert "\n- work does not tell people from machines" in told


def test_the_same_in_json(command: Command) -> None:
    document = command("advise", "--bits", "22.5", "--capacity", "50", "--json").json
    assert (document["bits"], document["puzzles"], document["plain_bits"]) == (22.5, 16, 24)
    assert [one["name"] for one in document["callers"]] == list(DEVICES)
    assert all(one["attacker"]["price_as_of"] for one in document["attackers"])
    assert len(document["verdict"]) >= 4


def test_prices_are_shown_as_a_file_that_can_be_changed(command: Command, tmp_path: Path) -> None:
    shown = command("advise", "--show-prices").out
    assert shown == SHIPPED.rstrip("\n") + "\n"
    path = tmp_path / "prices.toml"
    path.write_text(shown.replace("usd_per_hour = 0.35", "usd_per_hour = 35.0"), encoding="utf-8")
    asked = ("advise", "--bits", "22", "--capacity", "50", "--json")
    before, after = command(*asked).json, command(*asked, "--prices", str(path)).json
    costs = [
        [one["usd_per_million"] for one in document["attackers"]] for document in (before, after)
    ]
    assert costs[1] == pytest.approx([*costs[0][:-1], costs[0][-1] * 100])


def test_the_table_and_the_prices_are_in_json_too(command: Command) -> None:
    machines = command("advise", "--show-prices", "--json").json["machine"]
    assert [Attacker(**one) for one in machines] == [*read_attackers(SHIPPED, name="shipped")]
    for row in command("advise", "--table", "--json").json["prices"]:
        asked = command("advise", "--bits", str(row["bits"]), "--capacity", "1", "--json").json
        assert row["p99_s"] == {one["name"]: one["times"]["p99_s"] for one in asked["callers"]}
        assert row["usd_per_million"] == {
            one["attacker"]["name"]: one["usd_per_million"] for one in asked["attackers"]
        }


def test_this_machine_can_be_one_of_the_callers(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pypow.engine, "hashrate", lambda *_, threads=1, **__: 1e6 * threads)
    monkeypatch.setattr("pypow.cli.advise.usable_processors", lambda: 8)
    document = command("advise", "--bits", "22", "--capacity", "50", "--here", "--json").json
    assert {one["name"]: one["hashes_per_s"] for one in document["callers"][-2:]} == {
        "here": 1e6,
        "here, 8 threads": 8e6,
    }


@pytest.mark.parametrize("bits", ["1", "8", "22", "43.9"])
def test_the_plot_is_a_picture_with_everybody_in_it(
    command: Command, tmp_path: Path, bits: str
) -> None:
    path = tmp_path / "advice.svg"
    assert command("advise", "--bits", bits, "--capacity", "50", "--plot", str(path)).status == 0
    drawn = ET.fromstring(path.read_text(encoding="utf-8"))
    words = " ".join(text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    assert all(name in words for name in DEVICES)
    assert all(one.name in words for one in read_attackers(SHIPPED, name="shipped"))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * len(DEVICES)
    width, height = map(float, drawn.attrib["viewBox"].split()[2:])
    for polyline in lines:
        points = [
            tuple(map(float, point.split(","))) for point in polyline.attrib["points"].split()
        ]
        assert len(points) > 20
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_a_faster_caller_is_drawn_further_left(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "advice.svg"
    command("advise", "--bits", "22", "--capacity", "50", "--plot", str(path))
    drawn = ET.fromstring(path.read_text(encoding="utf-8"))
    peaks = []
    for polyline in drawn.findall("{http://www.w3.org/2000/svg}polyline[@class='ridge']"):
        points = [point.split(",") for point in polyline.attrib["points"].split()]
        peaks.append(float(min(points, key=lambda point: float(point[1]))[0]))
    assert peaks == sorted(peaks, reverse=True)
    assert len(set(peaks)) == len(DEVICES)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "expected --bits"),
        (["--bits", "20"], "expected --capacity"),
        (["--bits", "nan", "--capacity", "50"], "1 to 60 bits, got nan"),
        (["--bits", "50", "--capacity", "50"], "1 to 44 bits, got 50"),
        (["--bits", "20", "--capacity", "0"], "such as 50"),
        (["--bits", "20", "--capacity", "nan"], "such as 50"),
        (["--bits", "20", "--capacity", "50", "--burst", "0"], "1 to 100000 calls, got 0"),
        (["--table", "--prices", "no-such"], "cannot read the prices 'no-such'"),
        (["--table", "--prices", "/dev/zero"], "at most 65536 octets"),
        (["--bits", "20", "--capacity", "50", "--plot", "/no/where"], "cannot write the plot"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    command: Command, arguments: list[str], complaint: str
) -> None:
    ran = command("advise", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1


def test_prices_in_another_encoding_are_refused(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(b"\xff")
    assert "expected UTF-8" in command("advise", "--table", "--prices", str(path)).err
