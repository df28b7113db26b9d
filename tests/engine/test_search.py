# SPDX-License-Identifier: Apache-2.0
"""Ranges: the lowest nonce wins, counts add up, and what cannot be is refused in one line."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import _bridge
from pypow._bridge import HashSpec, HashType, NonceSpec, RuleSpec, RuleType
from pypow._bridge_search import Pool, Progress, Status, open_search
from pypow._native import ffi, lib
from pypow.errors import InvalidInputError, KernelUnavailableError
from support.reference import (
    DECIMAL,
    HEX,
    NEVER,
    Case,
    Outcome,
    Search,
    binary,
    cases,
    encode,
    exactly,
    expected,
    hexadecimal,
    indices,
    winners,
    zero_bits,
)

USABLE = [info.name for info in _bridge.kernels() if info.usable]
ALWAYS = RuleSpec(type=RuleType.AT_LEAST, value=bytes(32), mask=bytes(32), little=False)


def native(case: Case) -> _bridge.NativePuzzle:
    return _bridge.NativePuzzle(case.prefix, case.nonce, case.suffix, case.rule, case.hash)


def check_all_winners(search: Search, case: Case) -> None:
    """Searching on from each winner meets every winner once, and every index once."""
    found, tried, at, end = [], 0, case.first, case.first + case.count
    while True:
        winner, hashes = search(replace(case, first=at, count=end - at))
        tried += hashes
        if winner is None:
            break
        found.append(winner)
        at = winner + 1
    assert found == list(winners(case))
    assert tried == len(indices(case))


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("before", [45, 46, 47, 48])
@pytest.mark.parametrize("rule", [zero_bits(4), zero_bits(7, little=True), ALWAYS, NEVER])
@pytest.mark.parametrize("nonce", [DECIMAL, HEX, hexadecimal(9), binary(4, little=True)])
def test_every_winner_of_a_range_is_met_once(
    kernel: str, before: int, rule: RuleSpec, nonce: NonceSpec
) -> None:
    # Four places of the digits in their words; the range begins and ends inside of runs.
    case = Case(b"p" * before, nonce, b"", rule, 990, 700 if rule is ALWAYS else 5000)
    puzzle = native(case)
    check_all_winners(lambda part: puzzle.search(part.first, part.count, kernel), case)


def shuffled(base: int, width: int, *, little: bool = False) -> NonceSpec:
    """Symbols of which neighbours differ by anything, so that no table serves for two runs."""
    symbols = bytes(97 * digit % 256 for digit in range(base))
    return NonceSpec(symbols=symbols, width=width, little=little)


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("before", [45, 46, 47, 48])
@pytest.mark.parametrize(
    "nonce",
    [
        binary(8),
        shuffled(256, 5),
        shuffled(256, 8, little=True),
        shuffled(100, 4),
        shuffled(17, 6, little=True),
        shuffled(5, 20),
    ],
)
def test_a_run_takes_in_a_part_of_a_digit_whatever_its_symbols(
    kernel: str, before: int, nonce: NonceSpec
) -> None:
    case = Case(b"p" * before, nonce, b"", zero_bits(8), 3000, 12_000)
    puzzle = native(case)
    check_all_winners(lambda part: puzzle.search(part.first, part.count, kernel), case)


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("before", [45, 46, 47, 48])
@pytest.mark.parametrize("nonce", [DECIMAL, hexadecimal(9), binary(8), binary(8, little=True)])
def test_the_longer_runs_of_a_hard_puzzle_hold_every_nonce_once(
    kernel: str, before: int, nonce: NonceSpec
) -> None:
    first, winner, count = 10**6 + 17, 10**6 + 140_000, 150_000
    rare = Case(b"p" * before, nonce, b"", NEVER, first, count)
    puzzle = native(replace(rare, rule=exactly(rare.digest(winner))))
    assert puzzle.search(first, count, kernel) == (winner, winner - first + 1)
    assert puzzle.search(winner + 1, first + count - winner - 1, kernel) == (
        None,
        first + count - winner - 1,
    )
    assert puzzle.search(winner, 1, kernel) == (winner, 1)


LONGEST = 10_000_000
FOREVER = {
    "iterated": Case(b"", DECIMAL, b"", NEVER, 0, 0, HashSpec(HashType.SHA256, LONGEST)),
    "stretched": Case(
        b"", DECIMAL, b"", NEVER, 0, 0, HashSpec(HashType.PBKDF2_HMAC_SHA256, LONGEST, b"salt")
    ),
    "of a long message": Case(b"", DECIMAL, bytes(2**24), NEVER, 0, 0),
}


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("forever", FOREVER.values(), ids=FOREVER)
def test_a_stop_is_seen_in_the_middle_of_the_longest_hash(kernel: str, forever: Case) -> None:
    puzzle = native(forever)
    stop, progress = ffi.new("int *"), ffi.new("struct pypow_progress *")
    outcomes: list[int] = []

    def search() -> None:
        arguments = puzzle.native, kernel.encode(), 0, 2**63, stop
        outcomes.append(lib.pypow_search(progress, *arguments))

    progress.hashes = 1
    thread = threading.Thread(target=search)
    thread.start()
    while progress.hashes == 1:  # until the search sets out
        continue
    stop[0] = 1
    thread.join()
    assert (outcomes, progress.hashes) == ([lib.PYPOW_STOPPED], 0)


def misses_the_one_after_a_winner(case: Case) -> Outcome:
    found, tried = expected(replace(case, first=case.first + 1, count=max(0, case.count - 1)))
    return found, tried + min(1, case.count)


def finds_some_winner(case: Case) -> Outcome:
    later = list(winners(case))[:2]
    return (later[-1], later[-1] - case.first + 1) if later else expected(case)


def visits_the_last_index_twice(case: Case) -> Outcome:
    found, tried = expected(case)
    return found, tried + (found is None)


@pytest.mark.parametrize(
    "wrong", [misses_the_one_after_a_winner, finds_some_winner, visits_the_last_index_twice]
)
def test_the_check_itself_catches_a_wrong_range(wrong: Callable[[Case], Outcome]) -> None:
    case = Case(b"p", DECIMAL, b"", zero_bits(3), 95, 200)
    check_all_winners(expected, case)
    with pytest.raises(AssertionError):
        check_all_winners(wrong, case)


@given(case=cases(), cut=st.integers(0, 300), kernel=st.sampled_from(USABLE))
def test_a_range_searched_in_two_parts_gives_the_same(case: Case, cut: int, kernel: str) -> None:
    puzzle = native(case)
    cut = min(cut, case.count, 2**64 - 1 - case.first)
    whole = puzzle.search(case.first, case.count, kernel)
    found, hashes = puzzle.search(case.first, cut, kernel)
    if found is None:
        found, more = puzzle.search(case.first + cut, case.count - cut, kernel)
        hashes += more
    assert (found, hashes) == whole


CHUNK = 2**14
EXIST = 16**6


def opened(case: Case, first: int, count: int, kernel: str | None = None) -> Progress:
    specs = (case.prefix, case.nonce, case.suffix, case.rule)
    return open_search(*specs, first=first, count=count, kernel=kernel)


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("winner", [0, 1, CHUNK - 1])
def test_the_opening_of_a_search_holds_at_least_a_chunk(kernel: str, winner: int) -> None:
    case = Case(b"p" * 49, hexadecimal(6), b"", NEVER, 0, 0)
    case = replace(case, rule=exactly(_bridge.sha256(case.message(7 + winner))))
    found = opened(case, 7, 4 * CHUNK, kernel)
    assert (found.status, found.index, found.hashes) == (Status.FOUND, 7 + winner, winner + 1)
    assert opened(case, 8 + winner, 100, kernel) == Progress(Status.NOT_FOUND, 100)


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("first", [0, 1, 999])
def test_the_opening_of_a_search_says_what_is_left(kernel: str, first: int) -> None:
    case = Case(b"p" * 49, hexadecimal(6), b"", NEVER, 0, 0)
    hopeless = opened(case, first, EXIST, kernel)
    assert hopeless.status is Status.RUNNING
    assert CHUNK <= hopeless.hashes < EXIST // 8
    rest = first + hopeless.hashes
    for winner in (rest - 1, rest):
        solvable = replace(case, rule=exactly(_bridge.sha256(case.message(winner))))
        found = opened(solvable, first, EXIST, kernel)
        assert (found.status is Status.FOUND) == (winner < rest)
        assert opened(solvable, winner, 1, kernel).index == winner


def test_a_nonce_that_takes_long_has_no_opening() -> None:
    slow = HashSpec(type=HashType.PBKDF2_HMAC_SHA256, iterations=1_000_000, salt=b"salt")
    state = open_search(b"", DECIMAL, b"", NEVER, slow, first=0, count=2**63, kernel=None)
    assert state == Progress(Status.RUNNING, hashes=0)


@given(case=cases(), salt=st.none() | st.binary(max_size=200))
def test_an_opening_finds_what_a_search_finds(case: Case, salt: bytes | None) -> None:
    spec = _bridge.SHA256
    if salt is not None:
        spec = HashSpec(type=HashType.PBKDF2_HMAC_SHA256, iterations=2, salt=salt)
    specs = (case.prefix, case.nonce, case.suffix, case.rule, spec)
    found = open_search(*specs, first=case.first, count=case.count, kernel=None)
    searched = _bridge.NativePuzzle(*specs).search(case.first, case.count)
    assert (found.index, found.hashes) == searched


@given(data=st.data(), width=st.integers(0, 64), little=st.booleans(), base=st.integers(2, 256))
def test_nonces_are_written_as_the_digits_of_their_index(
    data: st.DataObject, width: int, little: bool, base: int
) -> None:
    symbols = bytes(data.draw(st.permutations(range(256)))[:base])
    spec = NonceSpec(symbols=symbols, width=width, little=little and width > 0)
    most = min(base**width, 2**64) - 1 if width else 2**64 - 1
    for index in (0, most, data.draw(st.integers(0, most))):
        assert _bridge.encode_nonce(spec, index) == encode(spec, index)
    if most < 2**64 - 1:
        with pytest.raises(InvalidInputError, match=f"{width} digits of base {base} cannot hold"):
            _bridge.encode_nonce(spec, most + 1)


@pytest.mark.parametrize("kernel", USABLE)
def test_indices_that_the_encoding_does_not_have_are_no_part_of_a_range(kernel: str) -> None:
    two_digits = native(Case(b"", hexadecimal(2), b"", NEVER, 0, 0))
    assert two_digits.search(250, 100, kernel) == (None, 6)
    assert two_digits.search(256, 100, kernel) == (None, 0)
    assert two_digits.search(2**64 - 1, 2**64 - 1, kernel) == (None, 0)
    any_width = native(Case(b"", DECIMAL, b"", NEVER, 0, 0))
    assert any_width.search(2**64 - 40, 2**64 - 1, kernel) == (None, 40)
    assert any_width.search(0, 0, kernel) == (None, 0)


@pytest.mark.parametrize("kernel", USABLE)
def test_the_very_last_index_can_win(kernel: str) -> None:
    puzzle = native(Case(b"", binary(8), b"", ALWAYS, 0, 0))
    assert puzzle.search(2**64 - 1, 1, kernel) == (2**64 - 1, 1)


@pytest.mark.parametrize("name", ["nonsense", "", "scalar\0", "scälar", "SCALAR"])
def test_an_unknown_kernel_is_refused_and_the_usable_ones_named(name: str) -> None:
    case = Case(b"", DECIMAL, b"", NEVER, 0, 0)
    puzzle = native(case)
    for call in (
        lambda: puzzle.search(0, 1, name),
        lambda: _bridge.sha256(b"", name),
        lambda: opened(case, 0, 1, name),
        lambda: Pool(threads=1, kernel=name),
    ):
        with pytest.raises(KernelUnavailableError, match=r"unknown .*usable: .*scalar"):
            call()


@pytest.mark.parametrize("number", [-1, 2**64, True, 1.0, "1", None])
def test_a_number_that_is_no_index_is_refused(number: int) -> None:
    case = Case(b"", DECIMAL, b"", NEVER, 0, 0)
    puzzle = native(case)
    pool = Pool(threads=1, kernel=None)
    for call in (
        lambda: puzzle.search(number, 1),
        lambda: puzzle.search(0, number),
        lambda: _bridge.encode_nonce(DECIMAL, number),
        lambda: opened(case, number, 1),
        lambda: opened(case, 0, number),
        lambda: pool.begin(puzzle, first=number, count=1),
        lambda: pool.begin(puzzle, first=0, count=number),
    ):
        with pytest.raises(InvalidInputError, match="expected"):
            call()


@pytest.mark.parametrize(
    ("symbols", "width", "little"),
    [
        (b"", 1, False),
        (b"0", 1, False),
        (b"00", 1, False),
        (b"01", 65, False),
        (b"01", -1, False),
        (b"01", 0, True),
        ("01", 1, False),
        (bytes(range(256)) + b"!", 1, False),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(symbols: bytes, width: int, little: bool) -> None:
    with pytest.raises(InvalidInputError):
        NonceSpec(symbols=symbols, width=width, little=little)


def test_a_rule_that_cannot_be_is_refused() -> None:
    for value, mask in ((b"", bytes(32)), (bytes(32), bytes(33))):
        with pytest.raises(InvalidInputError, match="expected 32 bytes"):
            RuleSpec(type=RuleType.AT_MOST, value=value, mask=mask, little=False)
    with pytest.raises(InvalidInputError, match="outside the mask"):
        RuleSpec(type=RuleType.MASKED, value=b"\1" * 32, mask=bytes(32), little=False)


def test_text_is_refused_where_octets_are_wanted() -> None:
    with pytest.raises(InvalidInputError, match="expected bytes for prefix, got str"):
        _bridge.NativePuzzle("prefix", DECIMAL, b"", NEVER)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="expected bytes for message, got str"):
        _bridge.sha256("abc")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="expected a kernel's name, got int"):
        _bridge.sha256(b"abc", 7)  # type: ignore[arg-type]
