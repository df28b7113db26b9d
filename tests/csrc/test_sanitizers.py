# SPDX-License-Identifier: Apache-2.0
"""The core under the compiler's sanitizers: no step outside a buffer, no race, no undefined act."""

from pathlib import Path

import pytest

from support.compiler import (
    ADDRESS,
    CSRC,
    THREAD,
    changed,
    core_sources,
    has_sanitizer,
    linked,
    objects,
    require_compiler,
    run,
)

HERE = Path(__file__).parent


def build(folder: Path, sanitizer: str, *, csrc: Path = CSRC) -> Path:
    require_compiler()
    if not has_sanitizer(folder, sanitizer):
        pytest.skip(f"no program with {sanitizer} can be built and run here")
    flags = [sanitizer, "-fno-sanitize-recover=all"]
    parts = objects(folder, [*core_sources(csrc), HERE / "check_core.c"], flags, csrc=csrc)
    return linked(folder / "check", parts, flags)


@pytest.mark.deep
def test_no_kernel_leaves_its_buffers(tmp_path: Path) -> None:
    done = run(build(tmp_path, ADDRESS))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_the_pool_has_no_race(tmp_path: Path) -> None:
    done = run(build(tmp_path, THREAD), "pools")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_the_check_itself_catches_a_table_without_room_for_the_last_group(tmp_path: Path) -> None:
    tight = changed(tmp_path, "search.h", "table[MAX_INNER + MAX_LANES]", "table[MAX_INNER]")
    done = run(build(tmp_path, ADDRESS, csrc=tight))
    assert "AddressSanitizer" in done.stderr or "runtime error" in done.stderr


@pytest.mark.deep
def test_the_check_itself_catches_a_read_without_a_lock(tmp_path: Path) -> None:
    atomic = "__atomic_load_n(watch->ceiling, __ATOMIC_RELAXED)"
    racy = changed(tmp_path, "search.h", atomic, "*watch->ceiling")
    done = run(build(tmp_path, THREAD, csrc=racy), "pools")
    assert "data race" in done.stderr


@pytest.mark.deep
def test_the_check_itself_catches_speeds_that_are_set_twice(tmp_path: Path) -> None:
    once = "atomic_compare_exchange_strong(figure, &unset, value);"
    twice = changed(tmp_path, "dispatch.c", once, "*(uint64_t *)figure = value + unset;")
    done = run(build(tmp_path, THREAD, csrc=twice), "pools")
    assert "data race" in done.stderr
