# SPDX-License-Identifier: Apache-2.0
"""What a gate remembers of callers' words to be quick must not fill its memory."""

import itertools
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from pypow_server import call, policy, resource
from pypow_server.rails import work
from support.gated import Bench

PARTS = 3
ROUNDS = 100
"""Of each part."""

LONG = 8000
"""Characters: those of a part together are far more than what may be kept."""

MAY_GROW = ROUNDS * LONG // 4


def _ask(bench: Bench, index: int) -> None:
    long = f"{index}-".ljust(LONG, "x")
    bench.send("GET", f"/{long}")
    bench.send("M" + long.upper())
    bench.send("GET", headers=[(long.encode(), b"1")])
    bench.send("GET", headers=[(b"authorization", b"Bearer " + long.encode())])
    bench.send("GET", headers=[(b"authorization", b"Bearer pyp_" + long.encode())])


def _ask_mcp(bench: Bench, index: int) -> None:
    long = f"{index}-".ljust(LONG, "x")
    bench.post_mcp(long, {})
    bench.post_mcp("tools/call", {"name": long})


def grown(ask: Callable[[Bench, int], None]) -> int:
    """Octets that are still held after so many long words, as each part of them adds.

    What grows once is no leak: the interpreter's table of interned strings takes 3.8 MB more when
    it holds some 87,000, whoever brings the last.
    """
    bench = Bench(body_limit=4 * LONG)
    for index in range(10):
        ask(bench, index)
    bench.app.scopes.clear()
    tracemalloc.start()
    try:
        held = [tracemalloc.get_traced_memory()[0]]
        for part in range(PARTS):
            for index in range(ROUNDS):
                ask(bench, 10 + part * ROUNDS + index)
                bench.decisions.clear()
            held.append(tracemalloc.get_traced_memory()[0])
        return min(after - before for before, after in itertools.pairwise(held))
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ask", [_ask, _ask_mcp])
def test_long_words_of_callers_are_not_remembered(ask: Callable[[Bench, int], None]) -> None:
    assert grown(ask) < MAY_GROW


@pytest.mark.parametrize(
    ("module", "name", "ask"),
    [
        (call, "_LONGEST_KNOWN", _ask),
        (call, "_LONGEST_AUTHORIZATION", _ask),
        (resource, "_REMEMBERED", _ask),
        (policy, "_LONGEST_REMEMBERED", _ask),
        (work, "_LONGEST_REMEMBERED", _ask_mcp),
    ],
)
def test_without_a_bound_they_would_be(
    module: object, name: str, ask: Callable[[Bench, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_KINDS", call._Kinds())  # with room for all of them
    monkeypatch.setattr(module, name, 1 << 20)
    assert grown(ask) > MAY_GROW


@pytest.mark.parametrize("at", [10, 10 + ROUNDS, 9 + PARTS * ROUNDS])
def test_what_grows_once_is_not_taken_for_words(at: int) -> None:
    held = []

    def ask(bench: Bench, index: int) -> None:
        if index == at:
            held.append(bytes(10 * MAY_GROW))

    assert grown(ask) < MAY_GROW


def test_secrets_that_callers_share_with_the_upstream_are_not_remembered() -> None:
    bench = Bench()
    secret = b"Basic " + b"c2VjcmV0Om9wZW4gc2VzYW1l"
    before = sys.getrefcount(secret)
    bench.send("GET", headers=[(b"authorization", secret)])
    assert sys.getrefcount(secret) == before
