# SPDX-License-Identifier: Apache-2.0
"""The core under valgrind, whose processor has no AVX-512 and no SHA extensions."""

import platform
import shutil
from pathlib import Path

import pytest

from support.check_program import COMPILER, Build, run

VALGRIND = ("valgrind", "--quiet", "--error-exitcode=9")


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}")
def test_kernels_fall_back_to_what_the_processor_offers_and_read_nothing_unset(
    tmp_path: Path,
) -> None:
    build = Build(COMPILER, ("-O1", "-g"), tmp_path)
    program = build.link(build.objects())
    names = run(*VALGRIND, program, "names")
    offered = set(names.stdout.split())
    assert names.returncode == 0
    assert "scalar" in offered
    if platform.machine() == "x86_64":
        assert "sse41" in offered
        assert not offered & {"avx512", "shani", "shani-vl"}
    done = run(*VALGRIND, program)
    assert (done.returncode, done.stderr) == (0, "")
