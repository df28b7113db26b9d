# SPDX-License-Identifier: Apache-2.0
"""The speeds this project holds itself to, each tied to a row of a saved measurement.

A floor is what a release must reach; an aim is what the machine should allow.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from document import Document, Row


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise.

    Attributes:
        says: what is measured.
        kind: of the documents that hold it.
        row: name of the row there.
        floor: the bound that must hold.
        aim: the bound to strive for, or None.
        unit: of both and of the row.
        upward: whether more is better.
    """

    says: str
    kind: str
    row: str
    floor: float
    aim: float | None
    unit: str
    upward: bool = True

    def verdict(self, row: Row | None) -> str:
        """How a measured row stands: aim, floor, missed or not measured."""
        if row is None:
            return "not measured"
        if self.aim is not None and self._holds(row.value, self.aim):
            return "aim"
        return "floor" if self._holds(row.value, self.floor) else "missed"

    def found_in(self, documents: Mapping[str, Document]) -> Row | None:
        """The row that measures this goal, out of the newest document of each kind."""
        rows = documents[self.kind].rows if self.kind in documents else ()
        return next((row for row in rows if row.name == self.row), None)

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.upward else value <= bound


def _at_least(says: str, kind: str, row: str, floor: float, aim: float | None = None) -> Goal:
    return Goal(says, kind, row, floor, aim, "x")


def _at_most(
    says: str, kind: str, row: str, floor: float, aim: float | None = None, unit: str = "x"
) -> Goal:
    return Goal(says, kind, row, floor, aim, unit, upward=False)


GOALS = (
    _at_most(
        "AVX-512: cycles over the port bound, worst placement",
        "cycles",
        "avx512 / bound",
        1 / 0.95,
        1 / 0.98,
    ),
    _at_most("AVX2: the same", "cycles", "avx2 / bound", 1 / 0.92),
    _at_most("SSE4.1: the same", "cycles", "sse41 / bound", 1 / 0.90),
    _at_least("AVX-512 over OpenSSL's one-block transform", "cycles", "avx512 / openssl", 3.3, 3.6),
    _at_least("SHA-NI over the same", "cycles", "shani / openssl", 1.55),
    _at_least("SHA-NI with AVX-512VL over the same", "cycles", "shani-vl / openssl", 1.7),
    _at_least("solve from Python over a hashlib loop", "peers", "hashlib concat", 40, 50),
    _at_least("engine over the bare kernel, large puzzles", "small", "engine / kernel", 0.97, 0.99),
    _at_least("two threads over two bare kernels", "threads", "2 threads / 2 bare kernels", 0.97),
    _at_most("puzzle of 2^12 hashes, mean", "small", "2^12 puzzle", 70, 55, "us"),
    _at_most("16 sub-puzzles, p99 over mean", "small", "16 sub-puzzles p99 / mean", 1.75),
    *(
        _at_most(
            f"the same, of tens of ms, {threads}",
            "spread",
            f"16 puzzles, {threads}, p99 / mean",
            1.75,
        )
        for threads in ("1 thread", "4 threads", "16 threads")
    ),
    *(
        goal
        for figure, off in (("p50", 0.05), ("p99", 0.15))
        for goal in (
            _at_most(
                f"{figure} of real solves over forecast, at most",
                "forecast",
                f"{figure} of solves / forecast",
                1 + off,
            ),
            _at_least("the same, at least", "forecast", f"{figure} of solves / forecast", 1 - off),
        )
    ),
    _at_most("cancel to return, median", "cancel", "cancel", 25, 10, "us"),
    _at_most("one verify over an empty native call", "verify", "verify / empty call", 2),
    _at_least("MAC and work over hmac + hashlib", "verify", "check / hmac + hashlib", 5),
    _at_least("batch over a hashlib loop", "verify", "batch / hashlib loop", 35, 50),
    _at_most("batch, each", "verify", "batch", 28, 18, "ns"),
    _at_most(
        "native challenges in a batch, work, each", "verify", "challenges work", 50, None, "ns"
    ),
    _at_most(
        "challenges in a batch, work and MAC, each",
        "verify",
        "challenges check",
        120,
        None,
        "ns",
    ),
    _at_most("one L402 credential", "macaroons", "one credential, native call", 3000, None, "ns"),
    _at_most("L402 credentials, each", "macaroons", "credentials in a batch", 2000, 1000, "ns"),
    _at_least("PBKDF2 over hashlib.pbkdf2_hmac", "peers", "hashlib.pbkdf2_hmac", 7, 10),
    _at_least("a pass for a time, share of ungated", "gate", "pass for a time / ungated", 0.85),
    _at_least("a spend in memory, the same", "gate", "spend in memory / ungated", 0.75),
    _at_least("a spend in SQLite, the same", "gate", "spend in SQLite / ungated", 0.60),
    _at_least("a spend in Redis, the same", "gate", "spend in Redis / ungated", 0.50),
    _at_least("a refusal with an offer, the same", "gate", "refusal with an offer / ungated", 0.80),
    _at_least("garbage refused, the same", "gate", "garbage refused / ungated", 0.90),
    _at_most("added latency, memory, p50", "gate", "spend in memory, p50 added", 0.15, None, "ms"),
    _at_most("added latency, SQLite, p50", "gate", "spend in SQLite, p50 added", 1.0, None, "ms"),
    _at_most("a quote, each network", "pricing", "quote, each further level", 2, 1, "us"),
    _at_most("redeeming, each network", "pricing", "redeem, each further level", 2, 1, "us"),
    _at_most("an admission, each network", "pricing", "admit, each further level", 2, None, "us"),
    _at_most("a quote with its challenge", "pricing", "quote and issue", 20, 15, "us"),
)
