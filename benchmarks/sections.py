# SPDX-License-Identifier: Apache-2.0
"""The words of docs/performance.md: what each kind of measurement means and how it is repeated."""

from dataclasses import dataclass

HEAD = """\
# Performance

Every figure here was measured by a command in this repository and saved as JSON in \
[benchmarks/results](../benchmarks/results); `python benchmarks/report.py` renders this page from \
those files, and a test holds that it says what they say. Edit `benchmarks/sections.py`, not this \
page.

## How it is measured

- **Interleaved.** Both sides of a comparison take turns in short slices, and the ratio is taken \
within each turn. A machine that slows down for a while slows both.
- **Medians, with quartiles.** A figure is the median over the turns; the brackets hold the middle \
half of them.
- **CPU time** of one thread on each side where a peer runs in a process of its own, so that a \
neighbour on the machine takes from neither.
- **The same work.** A peer solves the puzzle that pypow solves: one digest wins, and it lies a \
known number of hashes away. The count is exact, and a peer that finds another nonce is caught.
- **Cycles** come from a chain of dependent multiplications run just before and after each slice: \
it costs a known number of core cycles a link, whatever the clock does. A slice whose two chains \
disagree is dropped.

## What to be wary of

These are virtual machines with neighbours: clocks move by a fifth within minutes, and two threads \
may share one core for a while. Ratios survive that, absolute speeds do not; so no goal is an \
absolute hashrate, and no test asserts a time. Other machines give other ratios: most of all those \
without AVX-512. Repeat what matters to you on yours.
"""

GOALS = """\
## Goals

What this project holds itself to. A floor must hold for a release; an aim is what the machine \
should allow.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of measurement on the page; it appears when a run of the kind is saved.

    Attributes:
        kind: of the document.
        title: of the section.
        says: what the figures mean.
        command: repeats them.
        elsewhere: whether it is left out of a run of everything, for it wants a larger machine.
    """

    kind: str
    title: str
    says: str
    command: str
    elsewhere: bool = False


SECTIONS = (
    Section(
        "peers",
        "Against the field",
        "How many times the hashes pypow does in the same CPU time, on one thread, from the "
        "Python call of `pypow.solve` to its return. The puzzle is what most web puzzles are: "
        "SHA-256 over a salt of 32 hex digits and a decimal nonce; where a row says PBKDF2 or "
        "Bitcoin headers, both sides do that. Each peer runs the solver it ships, or the loop its "
        "users write.",
        "python benchmarks/peers.py all --save benchmarks/results",
    ),
    Section(
        "kernels",
        "Kernels beside a hashlib loop",
        "Each kernel on puzzles shaped like the native challenge, whose nonce lies where grinding "
        "is cheapest, over the obvious loop in Python.",
        "python benchmarks/compare.py --save benchmarks/results",
    ),
    Section(
        "cycles",
        "Kernels against the machine's limit",
        "With ternary logic a SHA-256 round is 17 vector operations (6 rotates, 2 three-way XORs, "
        "Ch, Maj and 7 additions) and a schedule word is 11. Rounds and words that do not depend "
        "on the nonce are computed once, so the count falls with the place of the nonce in the "
        "block: with one varying word, the 13th, 1210 operations check the first digest word of "
        "16 hashes. The port bound of a kernel is that count over lanes times operations a "
        "cycle, as the harness measures them on the CPU at hand: 37.8 cycles a hash where two "
        "512-bit operations start each cycle (Golden Cove), 18.9 where four do (Zen 5). For SHA-NI "
        "it is the number of `sha256rnds2` times their throughput.",
        "python benchmarks/cycles.py --save benchmarks/results",
    ),
    Section(
        "small",
        "Small puzzles and what the engine adds",
        "Easy puzzles are dominated by everything but hashing; large ones show what the engine "
        "costs over its bare kernel.",
        "python benchmarks/small.py --save benchmarks/results",
    ),
    Section(
        "threads",
        "Threads",
        "The engine's threads over as many bare kernels, each pinned to a processor, in the same "
        "slices: what sharing one search costs.",
        "python benchmarks/threads.py --save benchmarks/results",
    ),
    Section(
        "scaling",
        "Scaling",
        "The same on a larger machine.",
        "python benchmarks/threads.py --threads 1,2,4,8,16 --save benchmarks/results",
        elsewhere=True,
    ),
    Section(
        "forecast",
        "Forecasts",
        "Real solves over what `pypow advise` says they take, in CPU time of one thread. The speed "
        "is measured before and after each block of 50 solves, and each solve is held against the "
        "forecast for the speed of its block.",
        "python benchmarks/forecast.py --save benchmarks/results",
    ),
    Section(
        "spread",
        "The spread of solve times",
        "How much longer than the average the slowest hundredth of solves takes. A puzzle's time "
        "is exponential, so that one in a hundred solves of a single puzzle takes 4.6 times the "
        "average; the sum of 16 has a p99 of 1.671 times its mean, on whatever machine: that is "
        "the law. Threads share each sub-puzzle, so that their number must not change it. CPU "
        "time is that of all threads, over the speed that they have just before and after each "
        "solve. By the clock there is in it what else the machine does, and that more threads "
        "than processors wait for each other at the end of each sub-puzzle; a solver starts no "
        "more than can run, and is made to here. Where neighbours keep the processors busy, what "
        "is above the law by the clock is theirs: a thread that shares one is stopped for as long "
        "as a solve takes.",
        "python benchmarks/spread.py --save benchmarks/results",
    ),
    Section(
        "cancel",
        "Cancelling",
        "From the call that stops a search to the return of the search, in C.",
        "python benchmarks/cancel.py --save benchmarks/results",
    ),
    Section(
        "gate",
        "The gate under load",
        "One worker of `pypow gate`'s server, asked by wrk over 32 connections: requests that the "
        "gate passes or refuses, as a share of what the same app does without it. The app answers "
        "two octets from memory, which takes uvicorn, with its parser and event loop in C, some "
        "20 microseconds; an app that does anything loses a smaller share. By the clock a share "
        "holds what is spent waiting for a disk or for Redis, and what the neighbours take; by "
        "CPU time it does not.",
        "python benchmarks/gate.py --save benchmarks/results",
    ),
    Section(
        "stores",
        "Spends",
        "What a spend of a fresh key costs each ledger without a gate, in CPU time of the process, "
        "for so many callers at once, each of whom waits for the answer. Beside it, in the same "
        "turns, what one writes by hand: an INSERT and a commit for each spend, or a SET NX for "
        "each through `redis.asyncio`. Callers who wait share a flush or a round trip, so that "
        "many of them cost little each; one alone pays for the handing over to a thread, too. "
        "Those by hand know no epoch, no limit and no doubt.",
        "python benchmarks/stores.py --save benchmarks/results",
    ),
    Section(
        "verify",
        "Verifying",
        "What a server pays, for one proof and for batches; on one thread.",
        "python benchmarks/verify_ratios.py --save benchmarks/results",
    ),
    Section(
        "macaroons",
        "Macaroons",
        "What checking an L402 credential costs, from its characters to a verdict: base64, V2 "
        "binary, the root key, the chain of HMACs, four caveats and the preimage. The libraries "
        "of the field and the twin in plain Python read the same text, hash the preimage and look "
        "at each caveat; the libraries are handed the root key.",
        "python benchmarks/macaroons.py --save benchmarks/results",
    ),
    Section(
        "pricing",
        "Prices",
        "What prices that follow use cost the gate, by CPU time: a caller in overdraft, with its "
        "own account alone, and what each network around it adds.",
        "python benchmarks/pricing.py --save benchmarks/results",
    ),
)
