# SPDX-License-Identifier: Apache-2.0
"""Batches under the compiler's sanitizers, in buffers without slack, on every kernel."""

import shutil
from pathlib import Path

import pytest

from support.check_program import COMPILER, Build, has_sanitizer, run

CHECK = Path(__file__).parent / "check_batches.c"
ADDRESS = "-fsanitize=address,undefined"

Built = tuple[Build, tuple[Path, ...]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("batches")
    if shutil.which(COMPILER) is None or not has_sanitizer(folder, ADDRESS):
        pytest.skip(f"no program with {ADDRESS} can be built and run here")
    build = Build(COMPILER, ("-O0", "-g", ADDRESS, "-fno-sanitize-recover=all"), folder)
    return build, build.objects(checks=[CHECK])


@pytest.mark.deep
def test_no_batch_leaves_its_buffers(built: Built) -> None:
    build, objects = built
    done = run(build.link(objects))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("batch.c", "memcpy(row, batch->layout.alike, BLOCK_BYTES);", ""),
        ("batch.c", "lane->blocks = blocks_of(", "lane->blocks = 1 + blocks_of("),
        ("batch.c", "return left < batch->kernel->lanes ?", "return left > SIZE_MAX ?"),
        ("challenge_batch.c", "left < group.kernel->lanes ?", "left > SIZE_MAX ?"),
        ("base64.c", "seen |= a | b | c | d;", "seen |= a | b | c;"),
    ],
)
def test_the_check_itself_catches_a_mistake(
    built: Built, tmp_path: Path, file: str, what: str, instead: str
) -> None:
    build, objects = built
    wrong = Build(build.compiler, build.flags, tmp_path).twin(objects, file, what, instead)
    assert run(wrong).returncode != 0


@pytest.mark.deep
def test_batches_are_right_on_arm(tmp_path: Path) -> None:
    for needed in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(needed) is None:
            pytest.skip(f"needs {needed}")
    build = Build("aarch64-linux-gnu-gcc", ("-O1", "-static"), tmp_path)
    done = run("qemu-aarch64", build.link(build.objects(checks=[CHECK])))
    assert (done.returncode, done.stderr) == (0, "")
