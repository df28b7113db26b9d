# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found worth keeping is tried again, and random inputs, under sanitizers.

`run.py` finds them. Here any compiler will do; kernels are compiled without sanitizers, because
that is quick: tests/csrc has proofs of its own for them.
"""

import shutil
from pathlib import Path

import pytest

from fuzz.run import SHARED_SOURCES, TARGETS, executions, known, unpack
from support.check_program import COMPILER, Build, core, has_sanitizer, run

HERE = Path(__file__).parent
RANDOM = {
    "puzzle": 1000,
    "verify": 4000,
    "batch": 4000,
    "proofs": 4000,
    "wire": 20_000,
    "macaroon": 1000,
}
"""How many random inputs are tried too: borders that no corpus keeps."""

REPLAYING = [HERE / f"{name}.c" for name in (*SHARED_SOURCES, "replay")]


INCLUDES = (f"-I{HERE}", f"-I{HERE.parent / 'csrc'}")
CHECKED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, tuple[Path, ...]]:
    """All but the target; kernels without sanitizers, for that is quick to compile."""
    folder = tmp_path_factory.mktemp("replay")
    checked = CHECKED if has_sanitizer(folder, CHECKED[0]) else ()
    plain = Build(COMPILER, ("-O0", "-g"), folder)
    build = Build(COMPILER, ("-O0", "-g", *checked, *INCLUDES), folder)
    kernels = [path for path in core() if path.name.startswith("kernel_")]
    rest = [path for path in core() if path not in kernels]
    return build, (*plain.each(kernels), *build.each([*rest, *REPLAYING]))


@pytest.mark.parametrize("target", TARGETS)
def test_the_core_stands_whatever_was_fed_to_it_before(
    built: tuple[Build, tuple[Path, ...]], tmp_path: Path, target: str
) -> None:
    build, objects = built
    inputs = unpack(target, tmp_path / "inputs")
    program = build.link([*objects, build.compile(HERE / f"fuzz_{target}.c")], target)
    done = run(program, str(RANDOM[target]), *inputs)
    expected = (0, f"{RANDOM[target] + len(inputs)}\n", "")
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.parametrize(
    ("target", "file", "what", "instead"),
    [
        ("puzzle", "puzzle.c", "nonce->width) - 1;", "nonce->width);"),
        ("puzzle", "puzzle.c", "count - 1 < beyond", "count < beyond"),
        ("puzzle", "rule.c", "compare(digest, rule->value, rule->little) <= 0", "false"),
        ("puzzle", "hash.c", "> BLOCK_BYTES;", ">= BLOCK_BYTES;"),
        ("verify", "verify.c", "> PYPOW_MAX_NONCE_BYTES", "> PYPOW_MAX_NONCE_BYTES + 1"),
        ("verify", "verify.c", "*failed = i;", "*failed = i + 1;"),
        ("verify", "message.c", "prefix_len / BLOCK_BYTES;", "(prefix_len + 1) / BLOCK_BYTES;"),
        ("batch", "batch.c", "lane->nonce.len == layout->nonce_len", "true"),
        ("batch", "batch.c", "lane->block + 1 == lane->blocks", "lane->block + 2 == lane->blocks"),
        ("proofs", "challenge_batch.c", "count < terms->puzzles", "false"),
        ("wire", "challenge.c", "expected->now_ms >= expires_ms", "expected->now_ms > expires_ms"),
        ("wire", "challenge.c", "difference == 0", "(difference & 0xfe) == 0"),
        ("wire", "challenge.c", "terms->weight < expected->weight", "false"),
        ("wire", "base64.c", "seen |= a | b | c | d;", "seen |= a | b | c;"),
        ("macaroon", "macaroon.c", "|= words[i] ^", "|= i > 3 ? 0 : words[i] ^"),
        ("macaroon", "macaroon.c", "location.len + verification.len > 0;", "location.len > 0;"),
        ("macaroon", "macaroon.c", "c == '+' ? '-' : c ==", "c =="),
        ("macaroon", "macaroon.c", "(preimage->len == 0 || within.len > 0)", "within.len > 0"),
        ("macaroon", "caveats.c", "|| tier > before)", "|| tier > before + 1)"),
        (
            "macaroon",
            "caveats.c",
            "reading->now_s < (int64_t)value",
            "reading->now_s <= (int64_t)value",
        ),
        ("macaroon", "caveats.c", "|| place.at[whole.len] == '/'", "|| true"),
        ("macaroon", "caveats.c", "reading->repeated && entry.len > 0", "false && entry.len > 0"),
        ("macaroon", "caveats.c", "last[SERVICES].at == NULL ||", "last[SERVICES].at == NULL &&"),
        (
            "macaroon",
            "macaroon_chain.c",
            "LENGTH_BYTES <= BLOCK_BYTES)",
            "LENGTH_BYTES < BLOCK_BYTES)",
        ),
        ("macaroon", "macaroon_batch.c", "(uint8_t)reason;", "PYPOW_MACAROON_MALFORMED;"),
    ],
)
def test_a_mistake_in_the_core_is_caught(
    built: tuple[Build, tuple[Path, ...]],
    tmp_path: Path,
    target: str,
    file: str,
    what: str,
    instead: str,
) -> None:
    build, objects = built
    here = Build(build.compiler, build.flags, tmp_path)
    fuzz = here.compile(HERE / f"fuzz_{target}.c")
    done = run(
        here.twin([*objects, fuzz], file, what, instead),
        str(RANDOM[target]),
        *unpack(target, tmp_path / "inputs"),
    )
    assert done.returncode != 0
    assert "wrong: " in done.stderr or "Sanitizer" in done.stderr or "runtime error" in done.stderr


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
@pytest.mark.parametrize("target", TARGETS)
def test_no_answer_depends_on_memory_that_was_never_written(tmp_path: Path, target: str) -> None:
    """Valgrind knows neither AVX-512 nor SHA extensions: the other kernels are run."""
    build = Build(COMPILER, ("-O1", *INCLUDES), tmp_path)
    program = build.link(build.objects(checks=[*REPLAYING, HERE / f"fuzz_{target}.c"]))
    watched = ("valgrind", "--quiet", "--error-exitcode=9")
    done = run(*watched, program, "100", *unpack(target, tmp_path / "inputs"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_corpus_is_there_and_is_small() -> None:
    for target in TARGETS:
        inputs = known(target)
        assert len(inputs) > 20
        assert sum(map(len, inputs)) < 100_000


def test_executions_are_counted_to_the_last_line_that_a_process_wrote() -> None:
    assert executions("#2\tINITED cov: 1\n#4096\tpulse  cov: 9\n") == 4096
    assert executions("#4096\tpulse\nstat::number_of_executed_units: 5000\n") == 5000
    assert executions("") == 0
