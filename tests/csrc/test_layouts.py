# SPDX-License-Identifier: Apache-2.0
"""Every kernel, for every length of message and every place of the nonce in it."""

from pathlib import Path

import pytest

from support.compiler import TESTS, changed, core_sources, linked, objects, require_compiler, run

CHECK = Path(__file__).parent / "check_layouts.c"
PLAIN = [TESTS / "fuzz" / f"{name}.c" for name in ("given", "reference")]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    require_compiler()
    folder = tmp_path_factory.mktemp("layouts")
    return objects(folder, [*core_sources(), *PLAIN, CHECK], ["-O1"])


@pytest.mark.deep
def test_no_layout_of_a_message_is_searched_wrongly(parts: list[Path], tmp_path: Path) -> None:
    done = run(linked(tmp_path / "layouts", parts))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("message.c", "BLOCK_BYTES - 1) / BLOCK_BYTES", "BLOCK_BYTES - 2) / BLOCK_BYTES"),
        ("rule.c", "rule->value + 4 * word)", "rule->value + 4 * (word % 7))"),
        ("search.c", "<= most && digit < search->digits", "<= most && digit <= search->digits"),
    ],
)
def test_the_check_itself_catches_a_mistake(
    parts: list[Path], tmp_path: Path, file: str, what: str, instead: str
) -> None:
    csrc = changed(tmp_path, file, what, instead)
    wrong = objects(tmp_path / "wrong", [csrc / file], csrc=csrc)
    done = run(linked(tmp_path / "layouts", [*parts, *wrong]))
    assert done.returncode != 0
