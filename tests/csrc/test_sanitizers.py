# SPDX-License-Identifier: Apache-2.0
"""The core under the compiler's sanitizers: no step outside a buffer, no race, no undefined act."""

import shutil
from pathlib import Path

import pytest

from support.check_program import COMPILER, CSRC, Build, changed, has_sanitizer, run

ADDRESS = "-fsanitize=address,undefined"
THREAD = "-fsanitize=thread"


def build(folder: Path, sanitizer: str, *, csrc: Path = CSRC) -> Path:
    """The core and the check program, without optimisation: that is quick, and hides nothing."""
    made = Build(COMPILER, ("-O0", "-g", sanitizer, "-fno-sanitize-recover=all"), folder)
    return made.link(made.objects(csrc))


def require_sanitizer(folder: Path, sanitizer: str) -> None:
    """Skip where there is no compiler, or none that can build and run with the sanitizer."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"needs the C compiler {COMPILER}")
    if not has_sanitizer(folder, sanitizer):
        pytest.skip(f"no program with {sanitizer} can be built and run here")


@pytest.mark.deep
def test_no_kernel_leaves_its_buffers(tmp_path: Path) -> None:
    require_sanitizer(tmp_path, ADDRESS)
    done = run(build(tmp_path, ADDRESS))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_the_pool_has_no_race(tmp_path: Path) -> None:
    require_sanitizer(tmp_path, THREAD)
    done = run(build(tmp_path, THREAD), "pools")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_the_check_itself_catches_a_table_without_room_for_the_last_group(tmp_path: Path) -> None:
    require_sanitizer(tmp_path, ADDRESS)
    tight = changed(tmp_path, "search.h", "table[MAX_INNER + MAX_LANES]", "table[MAX_INNER]")
    done = run(build(tmp_path, ADDRESS, csrc=tight))
    assert "AddressSanitizer" in done.stderr or "runtime error" in done.stderr


@pytest.mark.deep
def test_the_check_itself_catches_a_read_without_a_lock(tmp_path: Path) -> None:
    require_sanitizer(tmp_path, THREAD)
    atomic = "__atomic_load_n(watch->ceiling, __ATOMIC_RELAXED)"
    racy = changed(tmp_path, "search.h", atomic, "*watch->ceiling")
    done = run(build(tmp_path, THREAD, csrc=racy), "pools")
    assert "data race" in done.stderr


@pytest.mark.deep
def test_the_check_itself_catches_speeds_that_are_set_twice(tmp_path: Path) -> None:
    require_sanitizer(tmp_path, THREAD)
    once = "atomic_compare_exchange_strong(figure, &unset, value);"
    twice = changed(tmp_path, "dispatch.c", once, "*(uint64_t *)figure = value + unset;")
    done = run(build(tmp_path, THREAD, csrc=twice), "pools")
    assert "data race" in done.stderr
