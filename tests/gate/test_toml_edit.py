# SPDX-License-Identifier: Apache-2.0
"""Prices set in a policy file: nothing else in it changes, and no wrong file is ever written."""

import stat
from pathlib import Path

import pytest

from pypow import InvalidInputError, difficulty
from pypow.__main__ import main
from pypow_server.pypow_toml import read
from pypow_server.toml_edit import Change, NewPrice, with_price, write

EXAMPLE = (Path(__file__).parents[2] / "examples" / "pypow.toml").read_text(encoding="utf-8")
PRICE = NewPrice(20.22, "by calibrate", profile="browser")


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    one, other = before.splitlines(), after.splitlines()
    gone = [line for line in one if line not in other]
    return gone, [line for line in other if line not in one]


def test_only_the_lines_of_price_and_profile_change() -> None:
    gone, come = changed_lines(EXAMPLE, with_price(EXAMPLE, PRICE))
    assert [line.split()[0] for line in gone] == ["profile", "bits"]
    assert come[0].startswith('profile = "browser"')
    assert come[0].endswith('# whose speed "250ms" means')
    assert come[1:] == ["bits = 20.22 # by calibrate"]


@pytest.mark.parametrize("said", ['work = "250ms"', "bits = 8", "hashes = 1_000"])
def test_a_price_said_in_another_way_gives_way(said: str) -> None:
    text = f'[default]\n{said}\nfree = "60/60s" # kept\n'
    after = with_price(text, PRICE)
    assert said not in after
    assert 'free = "60/60s" # kept' in after
    assert read(after).default_q == difficulty.from_bits(20.22)


def test_a_price_that_is_set_again_has_one_comment() -> None:
    once = with_price(EXAMPLE, PRICE)
    assert with_price(once, PRICE) == once
    assert "bits = 18 # other\n" in with_price(once, NewPrice(18, "other"))


def test_the_row_of_a_match_is_changed_where_it_stands() -> None:
    after = with_price(EXAMPLE, NewPrice(22.5, "dear", match="tools/call beta_*"))
    gone, come = changed_lines(EXAMPLE, after)
    assert (gone, come) == (["bits = 22"], ["bits = 22.5 # dear"])


def test_a_new_row_comes_last_and_nothing_else_changes() -> None:
    after = with_price(EXAMPLE, NewPrice(22.5, "dear", match="tools/call render"))
    assert changed_lines(EXAMPLE, after) == (
        [],
        ['match = "tools/call render"', "bits = 22.5 # dear"],
    )
    rows = read(after).rows.prices
    assert [row.match for row in rows[:-1]] == [row.match for row in read(EXAMPLE).rows.prices]
    assert (rows[-1].match, rows[-1].q) == ("tools/call render", difficulty.from_bits(22.5))


def test_an_empty_file_gets_what_it_needs() -> None:
    found = read(with_price("", NewPrice(17.83, "x", profile="dormant", mode="observe")))
    assert found.default_q == difficulty.from_bits(17.83)
    assert found.rows.profile == "dormant"
    assert found.texts["gate.mode"][0] == "observe"


@pytest.mark.parametrize(
    ("text", "price", "complaint"),
    [
        ("[gate", PRICE, "this is no TOML"),
        ("[gates]\n", PRICE, "there is no such table"),
        ("work = { profile = 'phone' }\n", PRICE, "expected work as a [work] table"),
        (
            "price = [{ match = 'x', bits = 8 }]\n",
            NewPrice(20, "x", match="y"),
            "expected prices as [[price]] tables",
        ),
        (EXAMPLE, NewPrice(20, "x", match="tools/call search_web"), "takes all calls of"),
        (EXAMPLE, NewPrice(20, "x", match=" "), "expected an entry like"),
        (EXAMPLE, NewPrice(45, "x"), "expected a price of 1 to 44 bits"),
        (EXAMPLE, NewPrice(20, "x", profile="abacus"), "expected a profile"),
    ],
)
def test_what_cannot_be_leaves_the_file_as_it_was(
    tmp_path: Path, text: str, price: NewPrice, complaint: str
) -> None:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError) as caught:
        write(path, price)
    assert complaint in str(caught.value)
    assert path.read_text(encoding="utf-8") == text
    assert [*tmp_path.iterdir()] == [path]


def test_prices_that_change_with_the_profile_are_told(tmp_path: Path) -> None:
    path = tmp_path / "pypow.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    search, default = write(path, PRICE)
    assert (search.entry, default) == ("tools/call search_*", Change("default", 16, 20.2197265625))
    assert search.before is not None
    assert search.before - search.after == pytest.approx(1.92, abs=0.01)
    assert write(path, PRICE) == ()


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "real.toml", tmp_path / "pypow.toml"
    path.write_bytes(b"[default]\r\nbits = 8\r\n")
    path.chmod(0o640)
    link.symlink_to(path)
    write(link, NewPrice(20.22, "by calibrate"))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"[default]\r\nbits = 20.22 # by calibrate\r\n"
    new = tmp_path / "new.toml"
    assert write(new, PRICE) == (Change("default", None, 20.2197265625),)
    assert stat.S_IMODE(new.stat().st_mode) == 0o644
    assert {*tmp_path.iterdir()} == {new, link, path}


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot write the price to .*No such file"):
        write(tmp_path / "no" / "pypow.toml", PRICE)


def test_the_command_writes_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pypow.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert main(["calibrate", "--profile", "browser", "--write", str(path)]) == 0
    told = capsys.readouterr().out
    assert "price     20.22 bits, 1.22 M hashes, 298 ms on phone" in told
    assert "changed   default: 16 bits before, 20.22 bits now\n" in told
    assert "bits = 20.22 # p99 500 ms on phone, 4.10 MH/s, 2026-07\n" in path.read_text("utf-8")
    assert read(path.read_text("utf-8")).rows.profile == "browser"


def test_a_longer_wait_that_was_forced_is_allowed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pypow.toml"
    asked = ["calibrate", "--profile", "browser", "--force", "--write", str(path), "--p99"]
    for p99, allowed in (("8s", 8000), ("20s", 20_000), ("1s", 20_000)):
        assert main([*asked, p99]) == 0
        assert read(path.read_text("utf-8")).rows.max_p99_ms == allowed


def test_step_up_is_about_some_calls_and_dormant_keeps_nobody_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pypow.toml"
    asked = ["calibrate", "--write", str(path), "--profile"]
    assert main([*asked, "step-up"]) == 2
    assert '--match "tools/call NAME" with --profile step-up' in capsys.readouterr().err
    assert not path.exists()
    assert main([*asked, "dormant"]) == 0
    assert main([*asked, "step-up", "--match", "tools/call render", "--json"]) == 0
    found = read(path.read_text("utf-8"))
    assert found.texts["gate.mode"][0] == "observe"
    assert found.rows.profile == "dormant"
    assert [(row.match, row.q) for row in found.rows.prices] == [
        ("tools/call render", difficulty.from_bits(19.83))
    ]
