# SPDX-License-Identifier: Apache-2.0
"""The page about security names tests that there are, and leaves no threat and no advisory out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ADVISORIES = sorted((ROOT / "tests" / "gate").glob("test_advisories_*.py"))
STATES = {"held", "documented", "does not apply", "comes with", "open"}

_REFERENCE = re.compile(r"`(tests/[a-z_0-9/]+\.py)(?:::(test_[a-z0-9_]+))?")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a module's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    )


def missing(text: str) -> list[str]:
    """What a text names that is not there."""
    return [
        f"{path}::{name}"
        for path, name in _REFERENCE.findall(text)
        if not (ROOT / path).is_file() or (name and name not in names_in(ROOT / path))
    ]


@pytest.mark.parametrize("page", ["docs/security.md", "docs/stores.md", "ARCHITECTURE.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    assert missing((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_page_that_names_no_test_is_caught() -> None:
    gone = "`tests/gate/test_security_page.py::test_of_nothing` and `tests/gate/test_nothing.py`"
    assert len(missing(gone)) == 2


def test_every_threat_has_a_number_a_state_and_who_holds_it() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 66))
    assert {state for _, _, state, _ in rows} <= STATES
    assert [row for row in rows if row[2] == "held" and not _REFERENCE.search(row[3])] == []


@pytest.mark.parametrize("module", ADVISORIES, ids=lambda module: module.stem)
def test_every_advisory_that_is_tested_is_listed(module: Path) -> None:
    listed = set(re.findall(r"[SRT] `(test_[a-z0-9_]+)` \|$", PAGE, re.MULTILINE))
    assert names_in(module) <= listed
    assert listed <= frozenset.union(*map(names_in, ADVISORIES))
