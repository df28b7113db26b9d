# SPDX-License-Identifier: Apache-2.0
"""The core on other processors, built by a cross compiler and run by an emulator."""

import shutil
from pathlib import Path

import pytest

from support.check_program import Build, run

FLAGS = ("-O1", "-static", "-Wall", "-Wextra", "-Wshadow", "-Werror")


def cross(folder: Path, compiler: str, emulator: str) -> Build:
    for needed in (compiler, emulator):
        if shutil.which(needed) is None:
            pytest.skip(f"needs {needed}")
    return Build(compiler, FLAGS, folder)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, tuple[Path, ...]]:
    build = cross(tmp_path_factory.mktemp("arm"), "aarch64-linux-gnu-gcc", "qemu-aarch64")
    return build, build.objects()


def test_every_kernel_for_arm_is_right(arm: tuple[Build, tuple[Path, ...]]) -> None:
    build, objects = arm
    program = build.link(objects)
    names = run("qemu-aarch64", program, "names")
    assert set(names.stdout.split()) == {"armsha", "neon", "scalar"}
    done = run("qemu-aarch64", program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("kernel_armsha.c", "{UINT32_MAX, 0, 0, 0}", "{0, UINT32_MAX, 0, 0}"),
        ("kernel_neon.c", "{1, 2, 4, 8}", "{1, 2, 8, 4}"),
    ],
)
def test_the_check_itself_catches_a_wrong_kernel_for_arm(
    arm: tuple[Build, tuple[Path, ...]], file: str, what: str, instead: str, tmp_path: Path
) -> None:
    build, objects = arm
    wrong = Build(build.compiler, build.flags, tmp_path).twin(objects, file, what, instead)
    done = run("qemu-aarch64", wrong)
    assert done.returncode == 1
    assert f"kernel {file[len('kernel_') : -len('.c')]}," in done.stderr


@pytest.mark.deep
def test_the_core_is_right_on_a_big_endian_processor(tmp_path: Path) -> None:
    build = cross(tmp_path, "s390x-linux-gnu-gcc", "qemu-s390x")
    program = build.link(build.objects())
    assert run("qemu-s390x", program, "names").stdout.split() == ["scalar"]
    done = run("qemu-s390x", program)
    assert (done.returncode, done.stderr) == (0, "")
