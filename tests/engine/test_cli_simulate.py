# SPDX-License-Identifier: Apache-2.0
"""`pypow simulate`: tables, JSON, pictures, and what cannot be."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from pypow.laboratory import run
from pypow.laboratory.lineup import LINEUP
from support.command import Command

QUICK = ("--seconds", "100", "--capacity", "10", "--callers", "60")
FEW = "connections:100"
POLICY = """
[gate]
upstream = "http://127.0.0.1:8000"

[default]
bits = 20

[[price]]
match = "tools/call search"
bits = 22
free = "5/10s"

[[price]]
match = "tools/call *"
bits = 12
"""


def test_an_attack_is_shown_gate_by_gate(command: Command) -> None:
    ran = command("simulate", "--attack", "botnet:50", "--gates", "fair-share,fixed-18", *QUICK)
    assert (ran.status, ran.err) == (0, "")
    head, _, _, _, ours, fixed, _, verdict = ran.out.splitlines()
    assert head == "botnet:50, against 10 calls a second, of which honest callers want 1"
    assert ours.split()[:2] == ["pypow", "100.0%"]
    assert fixed.startswith("fixed, 18 bits")
    assert verdict == "pypow: known callers hold."


def test_where_known_callers_do_not_hold_the_other_rails_are_named(command: Command) -> None:
    ran = command("simulate", "--attack", "farmed:300,connections:300", *QUICK)
    assert "Open the paid or the account rail" in ran.out.splitlines()[-1]


def test_the_same_in_json(command: Command) -> None:
    found = command(
        "simulate",
        "--attack",
        f"gpu:1,addresses:256,{FEW}",
        "--gates",
        "bucket,fair-share",
        "--json",
        *QUICK,
    ).json
    assert found["attack"]["identities"] == 256
    assert found["world"]["capacity"] == 10
    assert [*found["gates"]] == ["bucket", "fair-share"]
    assert found["gates"]["fair-share"]["known"]["served"] == 1.0
    assert found["gates"]["bucket"]["bits_per_call"] is None


def test_every_gate_can_be_asked_for_at_once(command: Command) -> None:
    ran = command("simulate", "--gates", "all", *QUICK)
    assert [line for line in ran.out.splitlines() if "100.0%" in line]
    assert all(one.title in ran.out for one in LINEUP.values())


def test_a_picture_has_two_lines_for_each_gate(command: Command, tmp_path: Path) -> None:
    plot = tmp_path / "runs.svg"
    command("simulate", "--attack", "botnet:50,pulse:10", "--plot", str(plot), "--seeds", "2",
            "--gates", "fair-share,bucket", *QUICK)  # fmt: skip
    drawn = ElementTree.fromstring(plot.read_text(encoding="utf-8"))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert [line.attrib["class"] for line in lines] == ["of0", "of0", "of1", "of1"]
    assert all(line.attrib["points"].count(",") == 10 for line in lines)


def test_a_policy_file_gives_the_price_and_the_allowance(command: Command, tmp_path: Path) -> None:
    policy = tmp_path / "pypow.toml"
    policy.write_text(POLICY, encoding="utf-8")

    def quick_s(*options: str) -> float:
        gates = command("simulate", "--json", *options, *QUICK).json["gates"]
        return float(gates["fair-share"]["known"]["p50_s"])

    at_rest = quick_s()
    default = quick_s("--policy", str(policy))
    search = quick_s("--policy", str(policy), "--call", "tools/call search")
    other = quick_s("--policy", str(policy), "--call", "tools/call other")
    assert other < at_rest < default < search


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--attack", "gpus:1"), "attack: 'gpus' is unknown; did you mean gpu?"),
        (("--attack", "gpu:nan"), "attack: expected gpu:N with a whole number"),
        (("--capacity", "0"), "capacity: expected a number from 1 to 10000 calls a second, got 0"),
        (("--capacity", "nan"), "got nan"),
        (("--callers", "0"), "callers: expected a number from 1"),
        (("--fresh", "nan"), "fresh: expected a number from 0 to 1, got nan"),
        (("--seconds", "20"), "seconds: expected an attack of at least twice the patience"),
        (("--seeds", "0"), "expected 1 to 100 seeds, got 0"),
        (("--gates", "fare-share"), "gate 'fare-share' is unknown; did you mean fair-share?"),
        (("--mix", "abacus:100"), "mix: expected NAME:PERCENT or HASHES_PER_S:PERCENT"),
        (("--mix", "hashlib:50"), "expected a sum of 1, got 0.5"),
        (("--call", "tools/call x"), "--call: expected --policy FILE beside it"),
        (("--policy", "no-such.toml"), "no-such.toml: No such file or directory"),
        (("--policy", "x", "--gates", "bucket"), "--policy: expected fair-share among --gates"),
        (("--plot", "no/such/folder.svg", *QUICK), "cannot write the plot 'no/such/folder.svg'"),
    ],
)
def test_what_cannot_be_is_one_line_and_wrong_use(
    command: Command, options: tuple[str, ...], says: str
) -> None:
    ran = command("simulate", *options)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_a_call_without_a_price_is_wrong_use(command: Command, tmp_path: Path) -> None:
    policy = tmp_path / "pypow.toml"
    policy.write_text(POLICY, encoding="utf-8")
    ran = command("simulate", "--policy", str(policy), "--call", "ping")
    assert ran.status == 2
    assert "expected a call that has a price, got 'ping'" in ran.err


def test_ctrl_c_stops(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Run, "step", interrupted)
    ran = command("simulate", *QUICK)
    assert (ran.status, ran.err) == (130, "pypow: interrupted\n")
