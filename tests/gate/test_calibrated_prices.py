# SPDX-License-Identifier: Apache-2.0
"""Prices said as times move together with the callers' speed; all else stays where it was."""

from pathlib import Path

import pytest

from pypow import InvalidInputError, difficulty
from pypow_server.policy import Policy
from pypow_server.pypow_toml import read
from pypow_server.resource import Resource
from pypow_server.settings import Settings

FILE = """
[work]
calibrate = "500ms"
[default]
work = "299ms"
[[price]]
match = "tools/call timed"
work = "598ms"
[[price]]
match = "tools/call free"
work = "598ms"
free = "60/60s"
[[price]]
match = "tools/call bits"
bits = 22
[[price]]
match = "tools/call hashes"
hashes = 4_000_000
"""
NAMES = ("timed", "free", "bits", "hashes")


def settings(text: str, tmp_path: Path, **more: object) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_env({"HOME": "/srv", "PYPOW_CONFIG": str(path)}, more)  # type: ignore[arg-type]


def costs(policy: Policy) -> dict[str, int]:
    found = {name: policy.price_of(Resource("mcp", "tools/call", name)) for name in NAMES}
    return {"default": policy.default.q} | {
        name: price.q for name, price in found.items() if price is not None
    }


@pytest.mark.parametrize("offset_q", [-2048, -1, 0, 1, 256, 2048])
def test_an_offset_moves_what_was_said_as_a_time_and_nothing_else(
    offset_q: int, tmp_path: Path
) -> None:
    said = settings(FILE, tmp_path)
    before, after = costs(said.policy), costs(said.policy_moved(offset_q))
    assert {name: after[name] - before[name] for name in before} == {
        "default": offset_q, "timed": offset_q, "free": offset_q, "bits": 0, "hashes": 0,
    }  # fmt: skip


@pytest.mark.parametrize("offset_q", [-2048, -700, 700, 2048])
def test_no_offset_moves_a_weight(offset_q: int, tmp_path: Path) -> None:
    said = settings(FILE, tmp_path)
    before, after = said.policy, said.policy_moved(offset_q)
    for name in ("default", "dearest", *(f"tools/call {name}" for name in NAMES)):
        then, now = before.named(name), after.named(name)
        assert then is not None
        assert now is not None
        assert then.weight == now.weight


@pytest.mark.parametrize("offset_q", [-2048, 0, 2048])
def test_a_challenge_for_any_call_is_no_cheaper_way_to_a_call_that_did_not_move(
    offset_q: int, tmp_path: Path
) -> None:
    policy = settings(FILE, tmp_path).policy_moved(offset_q)
    bought = [policy.default, *(entry.price for entry in policy.entries if entry.price)]
    light = [price.q for price in bought if price.weight <= policy.any_call.weight]
    assert policy.any_call.q == max(light)
    assert (policy.any_call.q > policy.default.q) == (offset_q < 0)


def test_no_offset_moves_a_price_to_where_it_could_not_rise_or_be_issued(tmp_path: Path) -> None:
    dear = '[work]\nprofile = "{}"\nmax_p99 = "10m"\n[default]\nwork = "3m"\n{}\n'
    said = settings(dear.format("native", 'free = "60/60s"'), tmp_path)
    assert said.policy.default.q < 34 * 1024 < said.policy.default.q + 2048
    assert said.policy_moved(2048).default.q == 34 * 1024
    above = settings(dear.format("server", ""), tmp_path)
    assert above.policy_moved(2048).default.q == above.policy.default.q > 34 * 1024
    easy = settings('[work]\nprofile = "python"\n[default]\nwork = "1ms"\n', tmp_path)
    assert easy.policy_moved(-20 * 1024).default.q == difficulty.MIN_Q


def test_the_anchor_is_the_default_price_and_only_one_said_as_a_time_will_do(
    tmp_path: Path,
) -> None:
    anchored = settings(FILE, tmp_path).calibration
    assert anchored is not None
    assert (anchored.anchor_q, anchored.target_ms) == (difficulty.from_hashes(15.5e6 * 0.299), 500)
    for text, more in (
        ('[work]\ncalibrate = "500ms"\n', {}),
        ('[work]\ncalibrate = "500ms"\n[default]\nbits = 22\n', {}),
        (FILE, {"bits": "16"}),
    ):
        with pytest.raises(InvalidInputError) as caught:
            settings(text, tmp_path, **more)
        assert str(caught.value).startswith("work.calibrate: expected the default price as a time")
        assert '[default] work = "299ms" would do' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        *((text, "250ms") for text in ("", "500", "0ms", "-1s", "nan", "None")),
        *((text, "give 5s") for text in ("5001ms", "8s", "10m")),
    ],
)
def test_a_target_that_cannot_be_is_told_with_its_line_and_what_would_do(
    text: str, advice: str
) -> None:
    with pytest.raises(InvalidInputError, match=rf"line 2: work.calibrate: .*{advice}"):
        read(f'[work]\ncalibrate = "{text}"\n')


def test_without_a_target_nothing_is_calibrated(tmp_path: Path) -> None:
    assert settings(FILE.replace('"500ms"', '"none"'), tmp_path).calibration is None
    assert settings("", tmp_path).calibration is None
