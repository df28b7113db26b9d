# SPDX-License-Identifier: Apache-2.0
"""Wrong use of the command line: one clear line, the right exit code, never a traceback."""

import json
import sys
from pathlib import Path

import pytest

from support.challenges import fixed_challenge
from support.command import PUZZLE, Command, Ran

NATIVE = fixed_challenge(q=14 * 1024, puzzles=16).text

WRONG_USE: list[tuple[list[str], str]] = [
    (["nonsense"], "No such command 'nonsense'"),
    (["--nonsense"], "No such option: --nonsense"),
    (["solve", "--nonsense"], "No such option: --nonsense"),
    (["solve", "left-over", "--challenge", "x", "--bits", "1"], "unexpected extra argument"),
    (["solve", "--challenge"], "--challenge"),
    (["solve"], "expected --challenge TEXT or --puzzle FILE, got neither"),
    (["solve", "--challenge", "x", "--puzzle", "y"], "got both"),
    (["solve", "--challenge", ""], "needs --difficulty N or --bits F"),
    (["solve", "--challenge", "", "--bits", "8"], "is a variable empty?"),
    (["solve", "--challenge", "x"], "this text of 1 characters is not one of pypow's own"),
    (["solve", "--challenge", "x" * 104], "challenge version 1"),
    (["solve", "--challenge", NATIVE[:-1]], "this text of 103 characters"),
    (["solve", "--challenge", NATIVE[:-1] + "="], "104 base64url characters"),
    (["solve", "--challenge", "x", "--difficulty", "4", "--bits", "16"], "got both"),
    (["solve", "--challenge", "x" * 2_000_000, "--bits", "8"], "at most 1048576 bytes of prefix"),
    (["solve", "--challenge", "\udcff", "--bits", "8"], "expected a challenge in UTF-8"),
    (["solve", "--challenge", "x", "--algorithm", "md5", "--bits", "8"], "sha256, got 'md5'"),
    *(
        (["solve", "--challenge", "x", "--difficulty", value], "--difficulty")
        for value in ("four", "", "4.5", "nan", "1e3", "٤x")
    ),
    *(
        (["solve", "--challenge", "x", "--difficulty", value], "expected 1 to 15 leading zero")
        for value in ("0", "-1", "16", "9" * 40)
    ),
    *(
        (["solve", "--challenge", "x", "--bits", value], "expected a difficulty of 1 to 60 bits")
        for value in ("0", "0.99", "-8", "60.1", "nan", "inf", "-inf", "1e400")
    ),
    (["solve", "--challenge", "x", "--bits", "many"], "--bits"),
    *(
        (["solve", "--challenge", "x", "--bits", "8", "--threads", value], "1 to 1024 threads")
        for value in ("0", "-1", "1025", "9" * 40)
    ),
    (["solve", "--challenge", "x", "--bits", "8", "--timeout", "-1"], "--timeout of 0"),
    (["solve", "--challenge", "x", "--bits", "8", "--timeout", "nan"], "--timeout of 0"),
    (["solve", "--challenge", "x", "--bits", "8", "--limit", "0"], "limit of 1 or more"),
    (["solve", "--challenge", "x", "--bits", "8", "--limit", "-3"], "limit of 1 or more"),
    (["solve", "--challenge", "x", "--bits", "8", "--max-bits", "nan"], "--max-bits above 0"),
    (["solve", "--challenge", "x", "--bits", "8", "--max-seconds", "-1"], "--max-seconds above 0"),
    (["solve", "--challenge", "x", "--bits", "8", "--kernel", "abacus"], "kernel 'abacus'"),
    (["solve", "--puzzle", "no-such-file"], "No such file or directory"),
    (["solve", "--puzzle", "nul\0byte"], "cannot read the puzzle"),
    (["solve", "--puzzle", "."], "Is a directory"),
    (["solve", "--puzzle", "/dev/zero"], "expected a puzzle of at most"),
    (["solve", "--puzzle", "x", "--bits", "0"], "expected a difficulty of 1 to 60 bits"),
    (["verify", "--challenge", "x", "--bits", "8"], "Missing option '--nonce'"),
    (["verify", "--challenge", "x", "--bits", "8", "--nonce", ""], "1 to 64 ASCII characters"),
    (["verify", "--challenge", "x", "--bits", "8", "--nonce", "1" * 65], "1 to 64 ASCII"),
    (["verify", "--challenge", "x", "--bits", "8", "--nonce", "é"], "1 to 64 ASCII"),
    (["verify", "--challenge", NATIVE, "--nonce", "."], "1 to 64 ASCII"),
    (["verify", "--nonce", "1"], "got neither"),
    (["info", "--kernel", ""], "kernel '' is unknown"),
    (["bench", "--seconds", "0"], "expected 0.01 to 3600 seconds"),
    (["bench", "--seconds", "nan"], "expected 0.01 to 3600 seconds"),
    *(
        (["bench", "--threads", value], "1 to 1024 threads")
        for value in ("0", "-1", "1025", "9" * 40, "", "1,", "1,x", "1.5")
    ),
    (["bench", "--kernel", "abacus"], "kernel 'abacus'"),
    (["explain"], "CHALLENGE_OR_DECISION"),
    (["explain", ""], "expected a challenge (104 characters) or a decision's id"),
    (["explain", NATIVE[:-1]], "or a decision's id (16 hex digits), got 'AQEEAD"),
    (["explain", "x" * 104], "challenge version 1"),
    (["explain", "0123456789ABCDEF"], "16 hex digits"),
    (["explain", NATIVE, "--profile", "abacus"], "expected a profile or device"),
    *(
        (["explain", "0" * 16, "--admin", value], "--admin: expected a URL such as http://127")
        for value in ("", "nonsense", "ftp://h", "http://", "http://h:x", "http://h:99999", "//h")
    ),
]


@pytest.mark.parametrize(("arguments", "complaint"), WRONG_USE, ids=lambda value: str(value)[:60])
def test_wrong_use_is_one_line_and_exit_code_2(
    command: Command, arguments: list[str], complaint: str
) -> None:
    ran = command(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pypow: ")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1
    assert len(ran.err) < 400


@pytest.mark.parametrize("arguments", [WRONG_USE[0][0], WRONG_USE[5][0], ["info", "--kernel", "x"]])
def test_with_json_a_failure_is_an_object_too(command: Command, arguments: list[str]) -> None:
    ran = command(*arguments, "--json")
    assert ran.status == 2
    assert ran.err == f"pypow: {ran.json['error']['message']}\n"
    assert ran.json["error"]["type"].endswith("Error")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "expected JSON"),
        (b"\x7fELF\x00\xff\xfe", "expected JSON in UTF-8"),
        (b"\0" * 1000, "expected JSON"),
        (b"[]", "expected a JSON object for puzzle, got an array"),
        (b"[" * 1_000_000, "too deep a nesting"),
        (b"9" * 1_000_000, "expected JSON"),
        (json.dumps(PUZZLE | {"prefx": ""}).encode(), "unknown field 'prefx'"),
        (json.dumps(PUZZLE | {"hash": {"name": "md5"}}).encode(), "'md5'"),
        (
            json.dumps(
                PUZZLE | {"rule": {"type": "masked", "mask": "00" * 32, "value": "ff" * 32}}
            ).encode(),
            "no digest can ever win",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_puzzle_file_is_one_line_and_exit_code_2(
    command: Command, tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "puzzle.json"
    path.write_bytes(content)
    for arguments in (["solve"], ["verify", "--nonce", "00"]):
        ran = command(*arguments, "--puzzle", str(path))
        assert (ran.status, ran.out) == (2, "")
        assert complaint in ran.err
        assert ran.err.count("\n") == 1


def test_a_rule_by_mask_has_no_other_difficulty(command: Command, tmp_path: Path) -> None:
    rule = {"type": "masked", "mask": "ff" + "00" * 31, "value": "00" * 32}
    path = tmp_path / "masked.json"
    path.write_text(json.dumps(PUZZLE | {"rule": rule}), encoding="utf-8")
    for option in ("--bits", "--difficulty"):
        ran = command("solve", "--puzzle", str(path), option, "8")
        assert (ran.status, ran.out) == (2, "")
        assert "leave --difficulty and --bits out" in ran.err


def test_an_unreadable_nonce_in_hex_is_wrong_use(command: Command, puzzle_file: str) -> None:
    for nonce in ("5", "xx", "35 30", "٣٥"):
        ran = command("verify", "--puzzle", puzzle_file, "--nonce", nonce)
        assert (ran.status, ran.out) == (2, "")
        assert "expected a puzzle's nonce in hex" in ran.err


def test_a_puzzle_without_a_winner_is_no_wrong_use(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "puzzle.json"
    hopeless = {"nonce": {"encoding": "bytes", "width": 1}, "rule": PUZZLE["rule"]}
    path.write_text(json.dumps(hopeless), encoding="utf-8")
    ran = command("solve", "--puzzle", str(path))
    assert ran == Ran(1, "", "pypow: none of the 256 possible nonces wins\n")


def test_a_missing_server_extra_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypow_server", None)
    ran = command("gate", "--upstream", "http://127.0.0.1:9")
    assert ran == Ran(
        2, "", "pypow: the gate is not installed; pip install 'pypow-engine[server]'\n"
    )


def test_a_module_that_is_missing_for_another_reason_is_not_hidden(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'abacus'", name="abacus")

    monkeypatch.setattr("pypow.engine.kernels", broken)
    with pytest.raises(ModuleNotFoundError):
        command("bench")
