# SPDX-License-Identifier: Apache-2.0
"""The command line: what each command answers, and its exit code."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pypow
from pypow.cli import bench, machine, options
from support.challenges import fixed_challenge
from support.command import BINARY_PUZZLE, PUZZLE, Command, Ran

ABC123 = "00003a635f2e7c4192a4a66bf18e3ce19ce01d1033ac2410f7becdb57f3451d2"


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that measures one million hashes a second, always."""
    monkeypatch.setattr(pypow.engine, "hashrate", lambda *_, **__: 1e6)


def test_a_bare_text_is_answered_with_one_json_object(command: Command) -> None:
    ran = command("solve", "--challenge", "abc123", "--difficulty", "4")
    assert ran == Ran(0, f'{{"nonce": "506", "solution": "{ABC123}"}}\n', "")


def test_bits_and_hex_zeros_ask_for_the_same(command: Command) -> None:
    assert command("solve", "--challenge", "abc123", "--bits", "16").json["nonce"] == "506"


def test_json_adds_what_it_took(command: Command) -> None:
    ran = command("solve", "--challenge", "abc123", "--difficulty", "4", "--json", "--threads", "1")
    assert ran.json.keys() == {"nonce", "solution", "hashes", "seconds", "kernel", "threads"}
    assert ran.json["hashes"] == 507
    assert ran.json["threads"] == 1


@pytest.mark.parametrize("puzzles", [1, 16])
def test_a_native_challenge_is_answered_with_the_header_to_send(
    command: Command, puzzles: int
) -> None:
    challenge = fixed_challenge(q=14 * 1024, puzzles=puzzles)
    answer = command("solve", "--challenge", challenge.text).json
    proof = pypow.proof_from_header(answer["header"])
    assert pypow.verify(challenge, proof)
    assert answer["nonce"] == proof.to_json()["nonce"]
    verified = command("verify", "--challenge", challenge.text, "--nonce", answer["nonce"])
    assert verified.status == 0
    assert verified.out.startswith("yes\n")
    assert verified.out.count("digest") == puzzles


def test_a_native_challenge_may_be_solved_as_a_bare_text_too(command: Command) -> None:
    challenge = fixed_challenge(q=8 * 1024)
    answer = command("solve", "--challenge", challenge.text, "--difficulty", "2").json
    assert pypow.verify(challenge, answer["nonce"])


def test_a_puzzle_file_is_answered_in_hex_and_text(command: Command, puzzle_file: str) -> None:
    answer = command("solve", "--puzzle", puzzle_file, "--json").json
    assert answer["nonce"] == b"506".hex()
    assert answer["nonce_text"] == "506"
    assert answer["digest"] == ABC123
    shown = command("solve", "--puzzle", puzzle_file).out
    assert shown.startswith(f"nonce   353036 (506)\ndigest  {ABC123}\nwork    ")


HASHES: list[dict[str, object]] = [
    {"name": "sha256"},
    {"name": "sha256d"},
    {"name": "sha256-iterated", "iterations": 100},
    {"name": "pbkdf2-hmac-sha256", "iterations": 10, "salt": "73616c74"},
]


@pytest.mark.parametrize("hashed", HASHES, ids=lambda hashed: str(hashed["name"]))
def test_a_puzzle_of_any_hash_is_solved_and_verified(
    command: Command, tmp_path: Path, hashed: dict[str, object]
) -> None:
    document = PUZZLE | {"hash": hashed}
    path = tmp_path / "hashed.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    answer = command("solve", "--puzzle", str(path), "--bits", "9.5", "--json").json
    nonce = bytes.fromhex(answer["nonce"])
    assert answer["digest"] == pypow.Puzzle.from_json(document).digest(nonce).hex()
    ran = command(
        "verify", "--puzzle", str(path), "--bits", "9.5", "--nonce", answer["nonce"], "--json"
    )
    assert (ran.status, ran.json["digest"]) == (0, answer["digest"])
    assert ran.json["needed_bits"] == 9.5
    assert ran.json["bits"] >= 9.5


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", ["at_most", "at_least"])
def test_bits_take_the_place_of_a_puzzles_target_and_keep_its_rule(
    command: Command, tmp_path: Path, kind: str, order: str
) -> None:
    rule = {"type": kind, "order": order, "target": "80" + "00" * 31}
    path = tmp_path / "puzzle.json"
    path.write_text(json.dumps(PUZZLE | {"rule": rule}), encoding="utf-8")
    for option, value, bits in (("--bits", "8.25", 8.25), ("--difficulty", "2", 8)):
        answer = command("solve", "--puzzle", str(path), option, value, "--json").json
        number = int.from_bytes(bytes.fromhex(answer["digest"]), order)  # type: ignore[arg-type]
        if kind == "at_least":
            number = 2**256 - 1 - number
        assert number < 2 ** (256 - bits)
    assert command("solve", "--puzzle", str(path), "--json").json["hashes"] < 64


def test_a_puzzle_is_read_from_standard_input(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(json.dumps(BINARY_PUZZLE).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    answer = command("solve", "--puzzle", "-", "--json").json
    assert pypow.verify(pypow.Puzzle.from_json(BINARY_PUZZLE), bytes.fromhex(answer["nonce"]))
    assert answer["nonce_text"] is None


@pytest.mark.parametrize(
    ("nonce", "status", "first_line"),
    [
        ("353036", 0, "yes"),
        ("353037", 1, "no"),
        ("30353036", 1, "no: the puzzle's encoding never writes this nonce"),
        ("", 1, "no: the puzzle's encoding never writes this nonce"),
    ],
)
def test_a_puzzles_nonce_is_judged(
    command: Command, puzzle_file: str, nonce: str, status: int, first_line: str
) -> None:
    ran = command("verify", "--puzzle", puzzle_file, "--nonce", nonce)
    assert (ran.status, ran.out.splitlines()[0]) == (status, first_line)


def test_a_verdict_in_json_tells_the_work(command: Command) -> None:
    ran = command("verify", "--challenge", "abc123", "--bits", "16", "--nonce", "506", "--json")
    assert ran.json == {
        "valid": True,
        "digest": ABC123,
        "bits": 18.132,
        "needed_bits": 16.0,
        "why": "",
    }


def test_a_nonce_of_another_tool_is_taken_as_it_comes(command: Command) -> None:
    asked = ("verify", "--challenge", "abc", "--bits", "1", "--nonce")
    statuses = {command(*asked, f"x-{number:03}!").status for number in range(64)}
    assert statuses == {0, 1}


@pytest.mark.parametrize(
    ("rule", "bits"),
    [
        ({"type": "at_least", "target": "00" * 32}, True),
        ({"type": "at_most", "target": "ff" * 32, "order": "little"}, True),
        ({"type": "masked", "mask": "00" * 32, "value": "00" * 32}, False),
    ],
)
def test_the_worth_of_a_digest_follows_its_rule(
    command: Command, tmp_path: Path, rule: dict[str, str], bits: bool
) -> None:
    path = tmp_path / "puzzle.json"
    path.write_text(json.dumps(PUZZLE | {"rule": rule}), encoding="utf-8")
    found = command("verify", "--puzzle", str(path), "--nonce", "30", "--json").json
    assert found["valid"]
    assert (found["bits"] is not None) == bits


def test_a_native_challenges_wrong_nonce_is_named(command: Command) -> None:
    challenge = fixed_challenge(q=14 * 1024, puzzles=16).text
    ran = command("verify", "--challenge", challenge, "--nonce", "1.2")
    assert ran.status == 1
    assert ran.out.startswith("no: expected 16 nonces, one for each sub-puzzle, got 2\n")


def test_info_lists_every_kernel_and_the_chosen_one(command: Command) -> None:
    document = command("info", "--json").json
    assert document["version"] == Path(pypow.__file__).with_name("VERSION").read_text().strip()
    assert [kernel["name"] for kernel in document["kernels"]] == [k.name for k in pypow.kernels()]
    chosen = [kernel["name"] for kernel in document["kernels"] if kernel["chosen"]]
    assert chosen == [pypow.chosen_kernel().name]
    assert document["machine"]["threads"] >= 1
    price = document["default_price"]
    assert (price["bits"], price["hashes"]) == (16, 65536)
    assert price["here_ms"] == pytest.approx(65.536e6 / pypow.chosen_kernel().hashes_per_s)
    assert price["reference_ms"] == pytest.approx(4.23, abs=0.01)
    shown = command("info").out
    assert "\nprice     16 bits, 65.5 k hashes, 4.23 ms on laptop, " in shown
    assert all(kernel.name in shown for kernel in pypow.kernels())


def test_the_environment_names_the_kernel(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYPOW_KERNEL", "scalar")
    document = command("info", "--json").json
    chosen = [kernel["name"] for kernel in document["kernels"] if kernel["chosen"]]
    assert chosen == ["scalar"]
    monkeypatch.setenv("PYPOW_KERNEL", "abacus")
    ran = command("info")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pypow: kernel 'abacus' (from PYPOW_KERNEL) is unknown; usable: ")


def test_bench_measures_every_usable_kernel_and_hashlib(command: Command) -> None:
    document = command("bench", "--seconds", "0.01", "--threads", "1,2", "--json").json
    names = [kernel.name for kernel in pypow.kernels() if kernel.usable]
    assert [(row["name"], row["threads"]) for row in document["rows"]] == [
        *((name, 1) for name in names),
        *((name, 2) for name in names),
        ("hashlib", 1),
    ]
    for row in document["rows"]:
        assert 2 ** row["bits_per_s"] == pytest.approx(row["hashes_per_s"])
    assert document["rows"][-1]["ratio"] == 1
    asked = ("bench", "--seconds", "0.01", "--kernel", "scalar", "--threads", "1")
    shown = command(*asked, "--no-history").out
    assert [line.split()[0] for line in shown.splitlines()] == ["kernel", "scalar", "hashlib"]


def test_bench_tries_one_thread_and_all_that_can_run(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "usable_processors", lambda: 3)
    document = command("bench", "--seconds", "0.01", "--kernel", "scalar", "--json").json
    assert [row["threads"] for row in document["rows"]] == [1, 3, 1]


def test_a_ratio_is_taken_within_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([10.0, 1.0, 60.0, 2.0, 60.0, 4.0])
    monkeypatch.setattr(pypow.engine, "hashrate", lambda *_, **__: next(speeds))
    monkeypatch.setattr(bench, "hashlib_rate", lambda _: next(speeds))
    kernel, loop = bench.measure(["x"], threads=[3], slice_s=1, rounds=3)
    assert (kernel.hashes_per_s, kernel.ratio, kernel.threads) == (60.0, 15.0, 3)
    assert (loop.hashes_per_s, loop.ratio, loop.threads) == (2.0, 1.0, 1)


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (["--bits", "41"], "--max-bits 41 --max-seconds 2199024 --timeout 0"),
        (["--bits", "38"], "--max-seconds 274878 --timeout 0"),
        (["--bits", "38", "--timeout", "0"], "--max-seconds 274878"),
        (["--bits", "20", "--max-bits", "19.5"], "--max-bits 20"),
        (["--bits", "30", "--max-seconds", "100"], "--max-seconds 1074 --timeout 0"),
    ],
)
def test_what_would_take_too_long_is_refused_with_its_time_and_the_way_round(
    command: Command, asked: list[str], remedy: str
) -> None:
    ran = command("solve", "--challenge", "x", *asked)
    assert ran.status == 1
    assert ran.out == ""
    assert "here at 1.00 MH/s" in ran.err
    assert ran.err.endswith(f"to begin all the same, give {remedy}\n")
    assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("slow_machine")
def test_each_nonce_counts_for_what_its_hash_is_made_of(command: Command, tmp_path: Path) -> None:
    hashed = {"name": "pbkdf2-hmac-sha256", "iterations": 2**20, "salt": ""}
    path = tmp_path / "slow.json"
    path.write_text(json.dumps(PUZZLE | {"hash": hashed}), encoding="utf-8")
    ran = command("solve", "--puzzle", str(path), "--max-bits", "36.5")
    assert ran.status == 1
    assert "expected 37.0 bits of work" in ran.err
    assert "--max-bits 37 --max-seconds 137439" in ran.err


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("cap", [["--max-bits", "50"], ["--limit", "1000"]])
def test_the_way_round_and_a_limit_let_it_begin(command: Command, cap: list[str]) -> None:
    wide = ["--max-seconds", "inf", "--timeout", "0.001"]
    ran = command("solve", "--challenge", "x", "--bits", "48", *cap, *wide)
    assert ran.status == 1
    assert "no winning nonce within" in ran.err


def test_a_timeout_of_0_is_none(command: Command) -> None:
    ran = command("solve", "--challenge", "abc123", "--difficulty", "4", "--timeout", "0")
    assert (ran.status, json.loads(ran.out)["nonce"]) == (0, "506")


def test_help_names_examples_and_exit_codes(command: Command) -> None:
    for name in ("info", "solve", "verify", "bench", "calibrate", "advise", "gate"):
        ran = command(name, "--help")
        assert ran.status == 0
        assert "Examples:" in ran.out
        assert f"  pypow {name}" in ran.out
        assert "Exit codes: 0" in ran.out
        assert name in command("--help").out


def test_without_a_command_the_help_is_shown_as_wrong_use(command: Command) -> None:
    ran = command()
    assert (ran.status, ran.out) == (2, "")
    assert "Commands:" in ran.err


def test_a_machine_is_described_where_no_cpu_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "Path", lambda _: Path("/nonexistent"))
    monkeypatch.setattr(machine, "_compiler", lambda: "unknown")
    assert machine.this_machine().cpu != ""


def test_the_largest_puzzle_fits_into_a_file() -> None:
    largest = pypow.Puzzle(
        prefix=bytes(2**20),
        nonce=pypow.Alphabet("".join(map(chr, range(128))), 64),
        rule=pypow.Masked(mask=bytes(32), value=bytes(32)),
        suffix=bytes(2**20),
        hash=pypow.Pbkdf2HmacSha256(1, bytes(2**20)),
    )
    assert len(json.dumps(largest.to_json())) < options.MAX_PUZZLE_FILE_BYTES
