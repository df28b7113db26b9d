# SPDX-License-Identifier: Apache-2.0
"""No kernel leaves upper halves of vector registers in use, which slows SHA extensions 50 times.

Built without the optimisation in which the compiler itself clears them.
"""

import platform
import shutil
from pathlib import Path

import pytest

from pypow import _bridge
from support.check_program import COMPILER, CSRC, Build, run

USABLE = {known.name for known in _bridge.kernels() if known.usable}

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86 processor"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}"),
    pytest.mark.skipif("avx2" not in USABLE, reason="needs a processor with AVX2"),
]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, tuple[Path, ...]]:
    build = Build(COMPILER, ("-O1",), tmp_path_factory.mktemp("native"))
    return build, build.objects()


def test_no_function_of_a_kernel_leaves_upper_halves_in_use(
    native: tuple[Build, tuple[Path, ...]],
) -> None:
    build, objects = native
    done = run(build.link(objects))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kernel", ["avx2", "avx512"])
def test_the_check_itself_catches_a_kernel_that_leaves_them_in_use(
    native: tuple[Build, tuple[Path, ...]], kernel: str, tmp_path: Path
) -> None:
    if kernel not in USABLE:
        pytest.skip(f"this CPU or operating system cannot run the kernel {kernel}")
    build, objects = native
    file = f"kernel_{kernel}.c"
    wrong = Build(build.compiler, build.flags, tmp_path)
    done = run(wrong.twin(objects, file, "{ _mm256_zeroupper(); }", "{}"))
    assert done.returncode == 1
    for function in ("scan", "compress", "compress_many", "rehash", "stretch"):
        assert f"{function} leaves upper halves dirty: kernel {kernel}," in done.stderr


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump")
def test_kernels_with_sha_extensions_touch_no_wide_register(tmp_path: Path) -> None:
    for optimisation in ("-O0", "-O3"):
        for name in ("shani", "shani_vl"):
            made = Build(COMPILER, (optimisation,), tmp_path).compile(CSRC / f"kernel_{name}.c")
            listing = run("objdump", "-d", made).stdout
            assert "sha256rnds2" in listing
            assert "%ymm" not in listing
            assert "%zmm" not in listing
