# SPDX-License-Identifier: Apache-2.0
"""The slow, obvious search that every kernel is held against, and cases that tell them apart."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pypow._bridge import SHA256, HashSpec, HashType, NonceSpec, RuleSpec, RuleType

DECIMAL = NonceSpec(symbols=b"0123456789", width=0, little=False)
HEX = NonceSpec(symbols=b"0123456789abcdef", width=0, little=False)
NEVER = RuleSpec(type=RuleType.AT_MOST, value=bytes(32), mask=bytes(32), little=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A puzzle and the range of indices to search."""

    prefix: bytes
    nonce: NonceSpec
    suffix: bytes
    rule: RuleSpec
    first: int
    count: int
    hash: HashSpec = SHA256

    def message(self, index: int) -> bytes:
        return self.prefix + encode(self.nonce, index) + self.suffix

    def digest(self, index: int) -> bytes:
        return digest(self.hash, self.message(index))


# What is being checked: the lowest winning index or None, and how many nonces were tried.
Outcome = tuple[int | None, int]
Search = Callable[[Case], Outcome]


def hexadecimal(width: int) -> NonceSpec:
    return NonceSpec(symbols=HEX.symbols, width=width, little=False)


def binary(width: int, *, little: bool = False) -> NonceSpec:
    return NonceSpec(symbols=bytes(range(256)), width=width, little=little)


def exactly(digest: bytes) -> RuleSpec:
    return RuleSpec(type=RuleType.MASKED, value=digest, mask=b"\xff" * 32, little=False)


def zero_bits(bits: int, *, little: bool = False) -> RuleSpec:
    value = ((1 << (256 - bits)) - 1).to_bytes(32, "big")
    return RuleSpec(type=RuleType.AT_MOST, value=value, mask=bytes(32), little=little)


def flipped(octets: bytes, bit: int) -> bytes:
    return (int.from_bytes(octets, "big") ^ (1 << bit)).to_bytes(len(octets), "big")


def encode(nonce: NonceSpec, index: int) -> bytes:
    digits: list[int] = []
    while index or not digits:
        index, digit = divmod(index, len(nonce.symbols))
        digits.append(nonce.symbols[digit])
    digits += nonce.symbols[:1] * (nonce.width - len(digits))
    return bytes(digits if nonce.little else reversed(digits))


def digest(spec: HashSpec, message: bytes) -> bytes:
    if spec.type is HashType.PBKDF2_HMAC_SHA256:
        return hashlib.pbkdf2_hmac("sha256", message, spec.salt, spec.iterations)
    for _ in range(spec.iterations):
        message = hashlib.sha256(message).digest()
    return message


def wins(rule: RuleSpec, digest: bytes) -> bool:
    number = int.from_bytes(digest, "little" if rule.little else "big")
    value = int.from_bytes(rule.value, "big")
    if rule.type is RuleType.AT_MOST:
        return number <= value
    if rule.type is RuleType.AT_LEAST:
        return number >= value
    return int.from_bytes(digest, "big") & int.from_bytes(rule.mask, "big") == value


def indices(case: Case) -> range:
    """The part of the case's range that its encoding has."""
    exist = 2**64
    if case.nonce.width:
        exist = min(exist, len(case.nonce.symbols) ** case.nonce.width)
    return range(min(case.first, exist), min(case.first + case.count, exist))


def winners(case: Case) -> Iterator[int]:
    for index in indices(case):
        if wins(case.rule, case.digest(index)):
            yield index


def expected(case: Case) -> Outcome:
    winner = next(winners(case), None)
    tried = len(indices(case)) if winner is None else winner - case.first + 1
    return winner, tried


def check_search(search: Search, cases: Iterable[Case]) -> None:
    """Fail where the search differs from the reference."""
    for case in cases:
        assert search(case) == expected(case), case


def needle(
    prefix: bytes,
    nonce: NonceSpec,
    suffix: bytes,
    *,
    first: int,
    at: int,
    hash: HashSpec = SHA256,
) -> Case:
    """A case of 70 indices of which exactly one wins: `first + at`."""
    whole = Case(prefix, nonce, suffix, NEVER, first, 70, hash)
    return replace(whole, rule=exactly(whole.digest(first + at)))


def every_lane_and_place() -> Iterator[Case]:
    """The winner in each of 70 positions of a scan, the fast digits at each byte of a block.

    70 is two groups of the widest kernel, and some more.
    """
    for place, at in itertools.product(range(64), (0, 1, 7, 8, 15, 16, 31, 32, 33, 69)):
        yield needle(_octets(place), hexadecimal(6), b"", first=4096, at=at)
    for at in range(70):
        yield needle(_octets(48), hexadecimal(5), b"!", first=256, at=at)


def every_block_layout() -> Iterator[Case]:
    """Prefixes and suffixes of all lengths around the ends of blocks, and nonces across them."""
    lengths = (0, 1, 3, 4, 40, 47, 48, 55, 56, 60, 63, 64, 65, 119, 120, 128, 200)
    for before, after in itertools.product(lengths, lengths):
        yield needle(_octets(before), hexadecimal(7), _octets(after)[::-1], first=1000, at=41)
    for before in range(0, 130, 3):
        yield needle(_octets(before), binary(64), b"x" * 20, first=2**63, at=22)
        yield needle(_octets(before), binary(64, little=True), b"", first=2**63 + 200, at=60)
        yield needle(_octets(before), DECIMAL, b"x" * 9, first=95, at=9)


ITERATED = [HashSpec(HashType.SHA256, times) for times in (2, 3, 64, 65, 150)]
STRETCHED = [
    HashSpec(HashType.PBKDF2_HMAC_SHA256, iterations, salt)
    for iterations, salt in (
        (1, b""),
        (2, b"salt"),
        (3, b"s" * 51),
        (40, b"s" * 52),
        (9, b"s" * 200),
    )
]


def every_hash() -> Iterator[Case]:
    """Each hash in the lanes of two groups; keys of HMAC up to, of and above one block."""
    for spec, at in itertools.product([*ITERATED, *STRETCHED], (0, 1, 2, 7, 8, 31, 32, 69)):
        yield needle(_octets(11), hexadecimal(6), b"", first=4096, at=at, hash=spec)
    for spec, before, after in itertools.product(
        [ITERATED[0], ITERATED[3], STRETCHED[1]], (0, 52, 56, 58, 62, 64, 65, 130), (0, 7, 130)
    ):
        yield needle(_octets(before), DECIMAL, _octets(after), first=95, at=9, hash=spec)


def _octets(length: int) -> bytes:
    # 251 is prime: no two blocks are alike, so that swapped or forgotten ones show.
    return bytes(i % 251 for i in range(length))


def _specs() -> st.SearchStrategy[NonceSpec]:
    symbols = st.sampled_from([2, 3, 10, 16, 36, 64, 255, 256]).flatmap(
        lambda base: st.permutations(range(256)).map(lambda order: bytes(order[:base]))
    )
    fixed = st.builds(NonceSpec, symbols=symbols, width=st.integers(1, 64), little=st.booleans())
    return fixed | st.builds(NonceSpec, symbols=symbols, width=st.just(0), little=st.just(False))


def _rules() -> st.SearchStrategy[RuleSpec]:
    thresholds = st.builds(
        RuleSpec,
        type=st.sampled_from([RuleType.AT_MOST, RuleType.AT_LEAST]),
        value=st.integers(0, 2**256 - 1).map(lambda n: n.to_bytes(32, "big"))
        | st.integers(1, 10).map(lambda bits: zero_bits(bits).value)
        | st.integers(1, 10).map(lambda bits: flipped_all(zero_bits(bits).value)),
        mask=st.just(bytes(32)),
        little=st.booleans(),
    )
    bits = st.dictionaries(st.integers(0, 255), st.booleans(), max_size=9)
    return thresholds | bits.map(_masked)


def _hashes() -> st.SearchStrategy[HashSpec]:
    again = st.integers(2, 5) | st.integers(60, 70)
    return st.one_of(
        again.map(lambda times: HashSpec(HashType.SHA256, times)),
        st.builds(
            HashSpec,
            type=st.just(HashType.PBKDF2_HMAC_SHA256),
            iterations=st.integers(1, 3) | st.integers(30, 40),
            salt=st.binary(max_size=130),
        ),
    )


def flipped_all(octets: bytes) -> bytes:
    return bytes(255 - octet for octet in octets)


def _masked(bits: dict[int, bool]) -> RuleSpec:
    mask = sum(1 << place for place in bits)
    value = sum(1 << place for place, wanted in bits.items() if wanted)
    return RuleSpec(
        type=RuleType.MASKED,
        value=value.to_bytes(32, "big"),
        mask=mask.to_bytes(32, "big"),
        little=False,
    )


def cases() -> st.SearchStrategy[Case]:
    """Any puzzle over a short range, also at and past the ends of its encoding."""
    return st.builds(
        Case,
        prefix=st.binary(max_size=200),
        nonce=_specs(),
        suffix=st.just(b"") | st.binary(max_size=200),
        rule=_rules(),
        first=st.integers(0, 300) | st.integers(0, 2**64 - 1) | st.integers(2**64 - 300, 2**64 - 1),
        count=st.integers(0, 300),
    )


def hashed_cases() -> st.SearchStrategy[Case]:
    """Any puzzle with another hash than plain SHA-256, over a shorter range."""
    shorter = cases().map(lambda case: replace(case, count=case.count % 80))
    return st.builds(lambda case, spec: replace(case, hash=spec), shorter, _hashes())
