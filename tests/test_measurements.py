# SPDX-License-Identifier: Apache-2.0
"""Saved measurements: what is written is what is read, and nothing else passes for one."""

import json
from pathlib import Path

import pytest

import document
from document import Row

ROWS = [document.summary("a", [3.0, 1.0, 2.0, 5.0, 4.0], "ns", "noted"), Row("b", 1, "x", 1, 1)]


def test_a_document_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = document.measured("kind", ROWS, versions={"peer": "1.0"}, skipped={"other": "gone"})
    assert document.load(document.save(saved, tmp_path / "new")) == saved


def test_a_summary_is_median_and_quartiles() -> None:
    assert ROWS[0] == Row("a", 3.0, "ns", 2.0, 4.0, "noted")


def test_the_newest_document_of_its_own_kind_is_found(tmp_path: Path) -> None:
    saved = document.measured("kind", ROWS)
    path = document.save(saved, tmp_path)
    for name in ("kind-20200101T000000Z.json", "zzz-20990101T000000Z.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert path.name > "kind-20200101T000000Z.json"
    assert document.newest("kind", tmp_path) == saved
    assert document.newest("nothing", tmp_path) is None


@pytest.mark.parametrize("change", [{"rows": None}, {"extra": 1}, {"machine": {}}])
def test_what_is_no_document_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = document.save(document.measured("kind", ROWS), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(ValueError, match="no saved measurement"):
        document.load(path)
