# SPDX-License-Identifier: Apache-2.0
"""Solve and verify as callers see them: limits, timeouts, progress, kernels, cancellation."""

import hashlib
import inspect
import math
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pypow
from pypow import (
    AtLeast,
    AtMost,
    Decimal,
    Hex,
    InvalidInputError,
    KernelUnavailableError,
    NoSolutionError,
    Progress,
    Proof,
    Puzzle,
    SolveTimeoutError,
    TooHardError,
    _bridge_search,
)
from support.challenges import fixed_challenge

EASY = Puzzle(b"abc123", Decimal(), AtMost(2**240 - 1))
HOPELESS = Puzzle(b"hopeless", Hex(width=15), AtMost(0))

usable_kernels = pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(
            known.name,
            marks=[] if known.usable else pytest.mark.skip(f"this CPU cannot run {known.name}"),
        )
        for known in pypow.kernels()
    ],
)


@usable_kernels
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_nonce_wins_on_every_kernel_and_number_of_threads(
    kernel: str, threads: int
) -> None:
    proof = pypow.solve(EASY, kernel=kernel, threads=threads)
    assert proof.nonce == b"506"
    assert proof.work is not None
    assert proof.work.kernel == kernel
    assert proof.work.threads == threads
    assert proof.work.digests == (hashlib.sha256(b"abc123506").digest(),)
    assert proof.work.hashes >= 507


def test_one_thread_tries_no_nonce_past_the_winner() -> None:
    proof = pypow.solve(EASY, threads=1)
    assert proof.work is not None
    assert proof.work.hashes == 507


@given(
    prefix=st.binary(max_size=130),
    suffix=st.binary(max_size=130),
    zero_bits=st.integers(1, 9),
)
def test_what_is_solved_wins_by_hashlib_and_nothing_lower_does(
    prefix: bytes, suffix: bytes, zero_bits: int
) -> None:
    target = 2 ** (256 - zero_bits) - 1
    puzzle = Puzzle(prefix, Decimal(), AtMost(target), suffix)
    winner = int(pypow.solve(puzzle).nonce)
    wins = [
        int.from_bytes(hashlib.sha256(prefix + b"%d" % nonce + suffix).digest()) <= target
        for nonce in range(winner + 1)
    ]
    assert wins == [False] * winner + [True]


@pytest.mark.parametrize("puzzles", [1, 4, 16])
def test_a_challenge_is_solved_as_value_and_as_text(puzzles: int) -> None:
    challenge = fixed_challenge(q=14 * 1024, puzzles=puzzles)
    proof = pypow.solve(challenge)
    assert proof == pypow.solve(challenge.text)
    assert len(proof.nonces) == puzzles
    assert proof.challenge == challenge.text
    assert pypow.verify(challenge, proof)
    assert pypow.verify(challenge.text, proof.nonces)
    assert pypow.proof_from_header(proof.header()) == proof


def test_a_proof_of_another_challenge_does_not_verify() -> None:
    proof = pypow.solve(fixed_challenge())
    assert not pypow.verify(fixed_challenge(weight=2), proof)
    relabelled = replace(proof, challenge=fixed_challenge(weight=2).text)
    assert not pypow.verify(fixed_challenge(), relabelled)


@pytest.mark.parametrize(
    "nonces",
    [(), (b"506", b"506"), (b"507",), (b"",), (b"0506",), (b"506\0",), (b"x" * 1000,)],
)
def test_a_wrong_nonce_is_no_error_but_no(nonces: tuple[bytes, ...]) -> None:
    assert not pypow.verify(EASY, nonces)
    assert not pypow.verify(EASY, Proof(nonces=nonces))
    assert not pypow.verify(fixed_challenge(q=20 * 1024), nonces)


def test_a_text_that_no_octets_stand_for_is_a_wrong_nonce() -> None:
    assert not pypow.verify(EASY, "\ud800")
    assert not pypow.verify(fixed_challenge(), "\ud800")


@pytest.mark.parametrize("proof", [None, 506, 1.5, bytearray(b"506"), [506], ["506"], [None], {}])
def test_what_is_no_proof_at_all_is_refused(proof: object) -> None:
    for what in (EASY, fixed_challenge()):
        with pytest.raises(InvalidInputError, match="expected a Proof, or nonces as bytes"):
            pypow.verify(what, proof)  # type: ignore[arg-type]  # the type may be wrong


def test_a_nonce_may_be_given_as_bytes_and_as_text() -> None:
    assert pypow.verify(EASY, b"506")
    assert pypow.verify(EASY, "506")


def test_too_hard_a_puzzle_is_refused_before_it_is_begun() -> None:
    with pytest.raises(TooHardError, match=r"256\.0 bits .* cap is 40; raise max_bits"):
        pypow.solve(HOPELESS)
    with pytest.raises(TooHardError, match=r"cap is 15\.5"):
        pypow.solve(EASY, max_bits=15.5)


@usable_kernels
@pytest.mark.parametrize("threads", [1, 2])
def test_a_limit_is_kept_to_the_hash(kernel: str, threads: int) -> None:
    with pytest.raises(NoSolutionError, match="within the limit of 506 hashes; raise the limit"):
        pypow.solve(EASY, limit=506, kernel=kernel, threads=threads)
    assert pypow.solve(EASY, limit=507, kernel=kernel, threads=threads).nonce == b"506"


def test_a_limit_holds_over_all_sub_puzzles() -> None:
    challenge = fixed_challenge(q=14 * 1024, puzzles=16)
    work = pypow.solve(challenge, threads=1).work
    assert work is not None
    assert pypow.solve(challenge, threads=1, limit=work.hashes)
    with pytest.raises(NoSolutionError, match="limit"):
        pypow.solve(challenge, threads=1, limit=work.hashes - 1)


def test_a_puzzle_without_a_winner_says_so() -> None:
    puzzle = Puzzle(b"", Hex(width=2), AtLeast(2**256 - 1))
    with pytest.raises(NoSolutionError, match="none of the 256 possible nonces wins"):
        pypow.solve(puzzle, max_bits=256)


def test_a_timeout_ends_a_hopeless_solve() -> None:
    with pytest.raises(SolveTimeoutError, match=r"within 0\.01 s .* raise the timeout"):
        pypow.solve(HOPELESS, timeout=0.01, max_bits=256)


class _EnoughError(Exception):
    pass


def test_progress_grows_and_an_exception_in_it_ends_the_solve() -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise _EnoughError

    with pytest.raises(_EnoughError):
        pypow.solve(HOPELESS, progress=watch, max_bits=256, threads=2)
    hashes = [progress.hashes for progress in seen]
    assert hashes == sorted(hashes)
    assert hashes[0] > 0
    assert seen[0].expected_hashes == 2.0**256
    assert threading.active_count() == 1


@pytest.mark.parametrize(
    ("progress", "share", "eta_s"),
    [
        (Progress(0, 0.0, 1000.0, 0, 1, 0), 0.0, math.inf),
        (Progress(1000, 1.0, 1000.0, 0, 1, 1000), 1 - math.exp(-1), 1.0),
        (Progress(2000, 1.0, 1000.0, 0, 1, 2000), 1 - math.exp(-2), 0.5),
        (Progress(500, 0.5, 1000.0, 2, 4, 0), 0.5, 0.5),
        (Progress(750, 0.5, 1000.0, 2, 4, 250), (2 + 1 - math.exp(-1)) / 4, 1 / 3),
    ],
)
def test_progress_tells_the_chance_to_be_done_and_the_time_ahead(
    progress: Progress, share: float, eta_s: float
) -> None:
    assert progress.share == pytest.approx(share)
    assert progress.eta_s == pytest.approx(eta_s)


WRONG_OPTIONS: list[dict[str, object]] = [
    {"threads": 0},
    {"threads": -1},
    {"threads": 1025},
    {"threads": True},
    {"threads": 1.5},
    {"timeout": 0},
    {"timeout": -1},
    {"timeout": math.nan},
    {"limit": 0},
    {"limit": -5},
    {"limit": True},
    {"limit": 1.5},
    {"max_bits": math.nan},
    {"max_bits": "40"},
    {"max_bits": 10**400},
    {"max_bits": True},
    {"timeout": 10**400},
    {"timeout": True},
    {"timeout": "1"},
    {"threads": 10**5000},
    {"limit": -(10**5000)},
    {"progress": 5},
]


@pytest.mark.parametrize("option", WRONG_OPTIONS, ids=range(len(WRONG_OPTIONS)))
def test_an_option_that_cannot_be_is_refused(option: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        pypow.solve(EASY, **option)  # type: ignore[arg-type]  # a table of wrong values


UNBOUNDED = [{"timeout": math.inf}, {"limit": 2**70}, {"max_bits": math.inf}]


@pytest.mark.parametrize("option", UNBOUNDED, ids=str)
def test_an_option_without_bounds_is_no_bound(option: dict[str, float]) -> None:
    assert pypow.solve(EASY, **option).nonce == b"506"  # type: ignore[arg-type]  # one of each


@pytest.mark.parametrize("what", [None, 7, b"abc", {}, "", "x" * 104, "short"])
def test_what_cannot_be_solved_cannot_be_verified_either(what: object) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        pypow.solve(what)  # type: ignore[arg-type]  # the type may be wrong
    with pytest.raises(InvalidInputError, match="expected"):
        pypow.verify(what, b"1")  # type: ignore[arg-type]  # the type may be wrong


def test_a_kernel_is_chosen_by_argument_then_environment_then_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usable = [known for known in pypow.kernels() if known.usable]
    monkeypatch.delenv("PYPOW_KERNEL", raising=False)
    assert pypow.chosen_kernel() == usable[0]
    monkeypatch.setenv("PYPOW_KERNEL", "scalar")
    assert pypow.chosen_kernel().name == "scalar"
    assert pypow.chosen_kernel(usable[0].name) == usable[0]
    monkeypatch.setenv("PYPOW_KERNEL", "nonsense")
    with pytest.raises(
        KernelUnavailableError,
        match=r"'nonsense' \(from PYPOW_KERNEL\) is unknown; usable: .*scalar",
    ):
        pypow.chosen_kernel()
    monkeypatch.setenv("PYPOW_KERNEL", "")
    assert pypow.chosen_kernel() == usable[0]


@pytest.mark.parametrize("name", ["", "nonsense", "SCALAR", "scalar\0", "x" * 10_000])
def test_an_unknown_kernel_is_an_error_and_never_another_one(name: str) -> None:
    for use in (
        lambda: pypow.solve(EASY, kernel=name),
        lambda: pypow.hashrate(name),
        lambda: pypow.chosen_kernel(name),
    ):
        with pytest.raises(KernelUnavailableError, match="usable: "):
            use()


@usable_kernels
def test_a_hashrate_is_measured(kernel: str) -> None:
    assert pypow.hashrate(kernel, seconds=0.01) > 0


def test_a_hashrate_is_measured_in_slices_that_ctrl_c_can_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slices: list[int] = []
    run = _bridge_search.Pool.run

    def watched(pool: _bridge_search.Pool, slice_ms: int) -> _bridge_search.Progress:
        slices.append(slice_ms)
        return run(pool, slice_ms)

    monkeypatch.setattr(_bridge_search.Pool, "run", watched)
    pypow.hashrate(seconds=0.1)
    assert len(slices) > 2
    assert max(slices) <= 20


@pytest.mark.parametrize("seconds", [0, -1, 3601, math.nan, math.inf, None, "1", [], True])
def test_a_hashrate_over_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInputError, match="expected more than 0 and at most 3600 seconds"):
        pypow.hashrate(seconds=seconds)


def test_a_solve_gives_up_after_ten_minutes_unless_told_otherwise() -> None:
    for solve in (pypow.solve, pypow.asolve, pypow.Solver.solve, pypow.Solver.asolve):
        assert inspect.signature(solve).parameters["timeout"].default == 600
        assert inspect.signature(solve).parameters["max_bits"].default == 40


def test_no_timeout_is_none() -> None:
    assert pypow.solve(EASY, timeout=None).nonce == b"506"
