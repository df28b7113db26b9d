# SPDX-License-Identifier: Apache-2.0
"""How many operations a SHA-256 puzzle takes: what a kernel's cycles are held against.

    work = grind(13, 0)                        # one varying word, the first digest word checked
    work.with_ternary_logic().total == 1210    # for a vector of hashes

Only what depends on the varying words counts; the rest is computed once for all hashes. Loads,
and so constants in memory, are free.
"""

from dataclasses import dataclass

ROUNDS = 64
BLOCK_WORDS = 16


@dataclass(frozen=True, slots=True)
class Operations:
    """Instructions that work on data.

    Attributes:
        shifts: shifts and rotates, which fewer units can do.
        others: additions and logic.
    """

    shifts: int
    others: int

    @property
    def total(self) -> int:
        return self.shifts + self.others


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed of one hash, in the standard's operations (FIPS 180-4, 4.1.2)."""

    rotates: int = 0
    shifts: int = 0
    xor3: int = 0
    ch: int = 0
    maj: int = 0
    adds: int = 0
    compares: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            rotates=self.rotates + other.rotates,
            shifts=self.shifts + other.shifts,
            xor3=self.xor3 + other.xor3,
            ch=self.ch + other.ch,
            maj=self.maj + other.maj,
            adds=self.adds + other.adds,
            compares=self.compares + other.compares,
        )

    def with_ternary_logic(self) -> Operations:
        """AVX-512: a rotate and any logic of three operands are one instruction."""
        logic = self.xor3 + self.ch + self.maj
        return Operations(self.rotates + self.shifts, logic + self.adds + self.compares)

    def with_rotates(self) -> Operations:
        """Scalar code: logic has two operands. Maj shares one of its four with the round before."""
        logic = 2 * self.xor3 + 3 * self.ch + 3 * self.maj
        return Operations(self.rotates + self.shifts, logic + self.adds + self.compares)

    def with_shifts(self) -> Operations:
        """AVX2 and SSE4.1: a rotate is two shifts and an OR besides."""
        scalar = self.with_rotates()
        return Operations(scalar.shifts + self.rotates, scalar.others + self.rotates)


# Variable e after this many rounds is digest word 7, less the chaining value ...
LAST_WORD_END = ROUNDS - 3
# ... and from this round on, no new a goes into it.
LAST_WORD_E_ONLY = LAST_WORD_END - 4

BIG_SIGMA = Work(rotates=3, xor3=1)
SMALL_SIGMA = Work(rotates=2, shifts=1, xor3=1)


def varying_words(first: set[int]) -> set[int]:
    """Those of the schedule that vary when these words of the block do."""
    varying = set(first)
    for i in range(BLOCK_WORDS, ROUNDS):
        if varying & {i - 2, i - 7, i - 15, i - 16}:
            varying.add(i)
    return varying


def _schedule_word(i: int, varying: set[int]) -> Work:
    terms = len(varying & {i - 2, i - 7, i - 15, i - 16})
    work = Work(adds=terms - 1 + (terms < 4))
    for _ in varying & {i - 2, i - 15}:
        work += SMALL_SIGMA
    return work


def _round(*, has_h: bool, has_w: bool, makes_a: bool = True, makes_e: bool = True) -> Work:
    """One round; the constant, with whatever is uniform, comes from memory."""
    work = BIG_SIGMA + Work(ch=1, adds=2 + has_h + has_w)
    if makes_a:
        work += BIG_SIGMA + Work(maj=1, adds=2)
    return work + Work(adds=makes_e)


def grind(word: int, digest_word: int) -> Work:
    """A hash whose block varies in one word, up to a look at digest word 0 or 7.

    Args:
        word: 0 to 15.
        digest_word: 0, or 7, which is variable e three rounds before the end.
    """
    varying = varying_words({word})
    end = ROUNDS if digest_word == 0 else LAST_WORD_END
    work = Work(adds=3, compares=1)  # the word itself, and round `word`
    for i in range(word + 1, end):
        if i in varying and i >= BLOCK_WORDS:
            work += _schedule_word(i, varying)
        work += _round(
            has_h=i > word + 3,
            has_w=i in varying,
            makes_a=digest_word == 0 or i < LAST_WORD_E_ONLY,
            makes_e=digest_word == 7 or i < end - 1,
        )
    return work


def block() -> Work:
    """A block of which every word varies, and its whole chaining value."""
    varying = set(range(ROUNDS))
    work = Work(adds=8)
    for i in range(ROUNDS):
        if i >= BLOCK_WORDS:
            work += _schedule_word(i, varying)
        work += _round(has_h=True, has_w=True)
    return work


def sha_instructions(place: tuple[int, int] | None) -> int:
    """How many sha256rnds2, of two rounds each, `grind(*place)` takes, or a block for None."""
    if place is None:
        return ROUNDS // 2
    word, digest_word = place
    end = ROUNDS if digest_word == 0 else LAST_WORD_END + 1
    return end // 2 - (word + 1) // 2
