# SPDX-License-Identifier: Apache-2.0
"""`pypow calibrate`: prices of profiles, as bits, hashes and time on their device."""

import pytest

import pypow
from pypow import difficulty
from pypow.profiles import PROFILES
from pypow.solve_times import solve_times
from support.command import Command


def test_every_profile_is_listed_with_its_price_device_and_date(command: Command) -> None:
    head, *rows = command("calibrate").out.splitlines()
    assert " ".join(head.split()) == "profile bits p99 on hashes a second as of for"
    assert [row.split()[0] for row in rows] == list(PROFILES)
    for row, profile in zip(rows, PROFILES.values(), strict=True):
        assert f" {profile.device.name} " in row
        assert f" {profile.device.as_of} " in row


def test_the_same_in_json(command: Command) -> None:
    for document in command("calibrate", "--json").json["profiles"]:
        profile = PROFILES[document["profile"]["name"]]
        assert document["device"]["hashes_per_s"] == profile.device.hashes_per_s
        assert document["times"]["p99_s"] == pytest.approx(profile.p99_ms / 1000, rel=0.01)


def test_a_price_is_told_in_bits_hashes_and_time(command: Command) -> None:
    ran = command("calibrate", "--profile", "mcp-native", "--p99", "500ms")
    assert ran.out.splitlines() == [
        "profile   mcp-native: agents that solve with pypow",
        "device    native, 80.3 MH/s (measured, 2026-07: pypow on one core of a 16-core Xeon, "
        "AVX-512)",
        "price     24.51 bits, 23.9 M hashes, 297 ms on native, in 16 sub-puzzles",
        "times     p50 291 ms  p95 429 ms  p99 497 ms",
        "plain     24 bits in one puzzle for callers that only count zeros: p99 962 ms",
    ]


def test_a_rate_may_be_given_or_measured(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypow.engine, "hashrate", lambda *_, **__: 1e6)
    asked = ("calibrate", "--profile", "browser", "--json")
    given = command(*asked, "--hashrate", "1e6").json
    here = command(*asked, "--here").json
    assert given["bits"] == here["bits"] == 18.19
    assert (given["device"]["name"], here["device"]["name"]) == ("given", "here")
    assert here["device"]["measured"]
    assert len(here["device"]["as_of"]) == len("2026-07")


@pytest.mark.parametrize("p99", ["5s", "60s", "10m"])
def test_more_than_five_seconds_take_force(command: Command, p99: str) -> None:
    asked = ("calibrate", "--profile", "mixed-agents", "--p99", p99, "--json")
    seconds = {"5s": 5, "60s": 60, "10m": 600}[p99]
    if seconds > 5:
        assert "at most 5 s" in command(*asked).err
    document = command(*asked, "--force").json
    times = solve_times(difficulty.from_bits(document["bits"]), hashes_per_s=0.78e6)
    assert times.p99_s == pytest.approx(seconds, rel=0.01)
    assert times.p99_s <= seconds


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--profile", "browsers"], "did you mean browser?"),
        (["--profile", "phone"], "expected a profile out of browser, mixed-agents"),
        (["--profile", "browser", "--p99", "6s"], "got 6 s; give 5s, or --force"),
        (["--profile", "browser", "--p99", "11m", "--force"], "got 660 s; give 600s"),
        (["--profile", "browser", "--p99", "fast"], "expected a time such as 250ms"),
        (["--profile", "browser", "--p99", "nan"], "expected a time such as 250ms"),
        (["--profile", "browser", "--hashrate", "nan"], "hashrate of 1 to 1e18"),
        (["--profile", "browser", "--hashrate", "0"], "hashrate of 1 to 1e18"),
        (["--profile", "browser", "--hashrate", "1e16"], "at most 2.94 ms"),
        (["--profile", "browser", "--hashrate", "10"], "expected a p99 of at least 926 ms"),
        (["--profile", "browser", "--hashrate", "1e6", "--here"], "--hashrate or --here, got both"),
        (["--profile", "browser", "--match", "POST /x"], "expected --write FILE with it"),
        (["--p99", "500ms"], "expected --profile, one of browser"),
        (["--write", "pypow.toml"], "expected --profile, one of browser"),
        (["--hashrate", "0"], "expected --profile, one of browser"),
        (["--force"], "expected --profile, one of browser"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    command: Command, arguments: list[str], complaint: str
) -> None:
    ran = command("calibrate", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1
