# SPDX-License-Identifier: Apache-2.0
"""No buffer is left by a byte, on either side, even where sanitizers do not look."""

import signal
from pathlib import Path

import pytest

from support.compiler import changed, core_sources, linked, objects, require_compiler, run

CHECK = Path(__file__).parent / "check_guards.c"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    require_compiler()
    return objects(tmp_path_factory.mktemp("guards"), [*core_sources(), CHECK])


def test_no_buffer_is_left_between_guard_pages(parts: list[Path], tmp_path: Path) -> None:
    done = run(linked(tmp_path / "guards", parts))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_no_buffer_is_left_by_optimised_code(tmp_path: Path) -> None:
    require_compiler()
    optimised = objects(tmp_path, [*core_sources(), CHECK], ["-O3"])
    done = run(linked(tmp_path / "guards", optimised))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("message.c", "prefix_len / BLOCK_BYTES;", "prefix_len / BLOCK_BYTES + 1;"),
        ("base64.c", "i < quads;", "i <= quads;"),
        ("verify.c", "memcpy(message.nonce, nonces, ", "memcpy(message.nonce, nonces, 1 + "),
    ],
)
def test_the_check_itself_catches_a_step_outside(
    parts: list[Path], tmp_path: Path, file: str, what: str, instead: str
) -> None:
    csrc = changed(tmp_path, file, what, instead)
    wrong = objects(tmp_path / "wrong", [csrc / file], csrc=csrc)
    done = run(linked(tmp_path / "guards", [*parts, *wrong]))
    assert done.returncode == -signal.SIGSEGV
