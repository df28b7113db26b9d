# SPDX-License-Identifier: Apache-2.0
"""Every kernel, for every length of message and every place of the nonce in it."""

import shutil
from pathlib import Path

import pytest

from support.check_program import COMPILER, ROOT, Build, run

FUZZ = ROOT / "tests" / "fuzz"
CHECK = [Path(__file__).parent / "check_layouts.c", FUZZ / "given.c", FUZZ / "reference.c"]

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}"),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, tuple[Path, ...]]:
    build = Build(COMPILER, ("-O1", f"-I{FUZZ}"), tmp_path_factory.mktemp("plain"))
    return build, build.objects(checks=CHECK)


def test_no_layout_of_a_message_is_searched_wrongly(plain: tuple[Build, tuple[Path, ...]]) -> None:
    build, objects = plain
    done = run(build.link(objects))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "what", "instead"),
    [
        ("message.c", "BLOCK_BYTES - 1) / BLOCK_BYTES", "BLOCK_BYTES - 2) / BLOCK_BYTES"),
        ("rule.c", "rule->value + 4 * word)", "rule->value + 4 * (word % 7))"),
        ("layout.c", "digit : layout->digits - 1 - digit", "layout->digits - 1 - digit : digit"),
    ],
)
def test_the_check_itself_catches_a_mistake(
    plain: tuple[Build, tuple[Path, ...]], tmp_path: Path, file: str, what: str, instead: str
) -> None:
    build, objects = plain
    wrong = Build(build.compiler, build.flags, tmp_path).twin(objects, file, what, instead)
    assert run(wrong).returncode != 0
