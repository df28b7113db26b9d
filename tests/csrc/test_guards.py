# SPDX-License-Identifier: Apache-2.0
"""No buffer is left by a byte, on either side, even where sanitizers do not look."""

import shutil
import signal
from pathlib import Path

import pytest

from support.check_program import COMPILER, Build, run

CHECK = Path(__file__).parent / "check_guards.c"

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, tuple[Path, ...]]:
    build = Build(COMPILER, ("-O0",), tmp_path_factory.mktemp("plain"))
    return build, build.objects(checks=[CHECK])


def test_no_buffer_is_left_between_guard_pages(plain: tuple[Build, tuple[Path, ...]]) -> None:
    build, objects = plain
    done = run(build.link(objects))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_no_buffer_is_left_by_optimised_code(tmp_path: Path) -> None:
    build = Build(COMPILER, ("-O3",), tmp_path)
    done = run(build.link(build.objects(checks=[CHECK])))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("message.c", "prefix_len / BLOCK_BYTES;", "prefix_len / BLOCK_BYTES + 1;"),
        ("base64.c", "i < quads;", "i <= quads;"),
        (
            "batch.c",
            "prefix + lane->block * BLOCK_BYTES",
            "prefix + (lane->block + 1) * BLOCK_BYTES",
        ),
        (
            "macaroon.c",
            "< octets_len; i++) {\n        const int",
            "<= octets_len; i++) {\n        const int",
        ),
        (
            "macaroon.c",
            "for (size_t i = 0; i < len; i++) {\n        const uint8_t c",
            "for (size_t i = 0; i <= len; i++) {\n        const uint8_t c",
        ),
        ("verify.c", "memcpy(message.nonce, nonces, ", "memcpy(message.nonce, nonces, 1 + "),
    ],
)
def test_the_check_itself_catches_a_step_outside(
    plain: tuple[Build, tuple[Path, ...]], tmp_path: Path, file: str, what: str, instead: str
) -> None:
    build, objects = plain
    wrong = Build(build.compiler, build.flags, tmp_path).twin(objects, file, what, instead)
    assert run(wrong).returncode == -signal.SIGSEGV
