# SPDX-License-Identifier: Apache-2.0
"""Who may import whom. Each law is shown to catch a module that breaks it.

Imports under ``if TYPE_CHECKING:`` name a type and load nothing; they are left out.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
SERVER = "pypow_server/"


@dataclass(frozen=True)
class Import:
    name: str
    on_loading: bool


@dataclass(frozen=True)
class Law:
    """Modules that match ``binds`` and not ``spares`` do not import what ``forbids`` matches.

    All three are regular expressions: of a path below its source root (``pypow/engine.py``),
    and of a dotted name (``pypow.engine.solve``). `breach` is a module that breaks the law.
    """

    says: str
    binds: str
    forbids: str
    breach: tuple[str, str]
    spares: str = r"(?!)"
    allows_in_functions: bool = False


WEB = "aiohttp|asyncio.streams|fastapi|h11|http|httptools|httpx|httpx2|mcp|requests|socket|ssl"
WEB += r"|starlette|urllib|uvicorn|uvloop|yarl"
ENGINE = r"pypow/\w+\.py"
COMMAND_LINE = r"pypow/(__main__\.py|cli/.*)"

LAWS = [
    Law(
        "only the bridge touches the C core",
        binds=".*",
        spares=r"pypow/_bridge(_checks|_macaroons|_search)?\.py",
        forbids=r"pypow\._native",
        breach=("pypow/engine.py", "from . import _native"),
    ),
    Law(
        "only the engine uses the bridge",
        binds=".*",
        spares=ENGINE,
        forbids=r"pypow\._\w+",
        breach=("pypow_server/gate.py", "from pypow import _bridge"),
    ),
    Law(
        "the engine knows no web, no store and no terminal",
        binds=ENGINE,
        spares=COMMAND_LINE,
        forbids=rf"{WEB}|sqlite3|redis|subprocess|typer|rich|argparse",
        breach=("pypow/wire.py", "def f():\n    import urllib.parse"),
    ),
    Law(
        "the engine knows nothing that is built on it",
        binds=ENGINE,
        spares=COMMAND_LINE,
        forbids=r"pypow_server|pypow\.(cli|client|lightning|dialects|laboratory)",
        breach=("pypow/challenge.py", "from .cli.figures import rate"),
    ),
    Law(
        "the laboratory is arithmetic: no clock, socket, file, environment or terminal",
        binds=r"pypow/laboratory/.*",
        forbids=rf"{WEB}|time|datetime|os|pathlib|random|secrets|subprocess|typer|rich|pypow_server"
        r"|pypow\.(cli|client)",
        breach=("pypow/laboratory/run.py", "import random"),
    ),
    Law(
        "time enters challenges as a value; only a solve looks at a clock",
        binds=ENGINE,
        # Moments are read and written as texts there, and none is asked for.
        spares=r"pypow/(engine|search|moments)\.py",
        forbids=r"time|datetime",
        breach=("pypow/challenge.py", "from time import time"),
    ),
    Law(
        "a solve measures spans and reads no date",
        binds=r"pypow/(engine|search)\.py",
        forbids=r"time\.(time|time_ns|localtime|gmtime)|datetime",
        breach=("pypow/engine.py", "from time import time_ns"),
    ),
    Law(
        "only the choice of a kernel reads the environment, for PYPOW_KERNEL",
        binds=ENGINE,
        # The other two ask for processors, and to be told of forks.
        spares=r"pypow/(kernel_choice|processors|forks)\.py",
        forbids=r"os",
        breach=("pypow/wire.py", "import os.path"),
    ),
    Law(
        "only signatures of Lightning nodes know their library",
        binds=r".*",
        spares=r"pypow/secp256k1\.py",
        forbids=r"coincurve",
        breach=("pypow/bolt11.py", "def f():\n    import coincurve"),
    ),
    Law(
        "wallets know no server, and ask over HTTP through one module",
        binds=r"pypow/lightning/.*",
        spares=r"pypow/lightning/exchange\.py",
        forbids=r"pypow_server|pypow\.(cli|client)|aiohttp|ssl|socket|httpx2?",
        breach=("pypow/lightning/lnd.py", "import aiohttp"),
    ),
    Law(
        "the doctor of those who sell asks over HTTP through one module, and knows no server",
        binds=r"pypow/l402_doctor/.*",
        spares=r"pypow/l402_doctor/asking\.py",
        forbids=rf"{WEB}|pypow_server|pypow\.(cli|client)|time|os",
        breach=("pypow/l402_doctor/clients.py", "import aiohttp"),
    ),
    Law(
        "only wallets behind Nostr relays know their library",
        binds=r".*",
        spares=r"pypow/lightning/nwc\.py",
        forbids=r"nostr_sdk",
        breach=("pypow/lightning/wallets.py", "def f():\n    import nostr_sdk"),
    ),
    Law(
        "the library of Nostr relays is loaded for a wallet behind one",
        binds=r"pypow/lightning/.*",
        forbids=r"pypow\.lightning\.nwc",
        allows_in_functions=True,
        breach=("pypow/lightning/wallets.py", "from pypow.lightning.nwc import NwcWallet"),
    ),
    Law(
        "signatures load their library when one is looked at",
        binds=r"pypow/secp256k1\.py",
        forbids=r"coincurve",
        allows_in_functions=True,
        breach=("pypow/secp256k1.py", "import coincurve"),
    ),
    Law(
        "numbers and octets know nothing of kernels",
        binds=r"pypow/(difficulty|strict_json|errors|durations|profiles|solve_times|calibrate|attackers|advise|bech32|secp256k1|bolt11|base64_\w+|canonical_json|moments|auth_params|l402_wire|payment_\w+|accept_payment)\.py",
        forbids=r"pypow\.(_bridge|engine|puzzle|challenge|wire)",
        breach=("pypow/difficulty.py", "from .puzzle import AtMost"),
    ),
    Law(
        "the gate's code is loaded by its command alone, when it runs",
        binds=r"pypow/.*",
        forbids=r"pypow_server",
        allows_in_functions=True,
        breach=("pypow/__main__.py", "from pypow_server.settings import Settings"),
    ),
    Law(
        "only the commands of a gate know the server",
        binds=r"pypow/.*",
        spares=r"pypow/cli/(gate|gate_check|keys|doctor|l402_ledger|passes|calibrate|simulate)\.py",
        forbids=r"pypow_server",
        breach=("pypow/cli/solve.py", "def f():\n    import pypow_server"),
    ),
    Law(
        "the command line loads rich and the web only when it needs them",
        binds=COMMAND_LINE,
        forbids=rf"rich|numpy|{WEB}",
        allows_in_functions=True,
        breach=("pypow/cli/bench.py", "from rich.table import Table"),
    ),
    Law(
        "only the app knows concrete rails, stores and fronts",
        binds=r"pypow_server/[^/]+\.py",
        spares=r"pypow_server/app\.py",
        forbids=r"pypow_server\.(rails\.(work|l402|oauth)|stores\.(memory|sqlite|redis)\w*|fronts\.\w+)",
        breach=("pypow_server/gate.py", "from .rails.work import WorkRail"),
    ),
    Law(
        "the gate knows no concrete carrier",
        binds=r"pypow_server/[^/]+\.py",
        spares=r"pypow_server/app\.py",
        forbids=r"pypow_server\.carriers\.(http_402|mcp_\w+)",
        breach=("pypow_server/gate.py", "from pypow_server.carriers import http_402"),
    ),
    *(
        Law(
            f"{one} do not know {others.replace('|', ', ')}",
            binds=rf"pypow_server/{one}/.*",
            forbids=rf"pypow_server\.({others})\.\w+\.\w+",
            breach=(
                f"pypow_server/{one}/x.py",
                f"from pypow_server.{others.split('|')[0]}.y import z",
            ),
        )
        for one, others in (
            ("rails", "carriers|stores|fronts"),
            ("carriers", "rails|stores|fronts"),
            ("stores", "rails|carriers|fronts"),
            ("fronts", "rails|carriers|stores"),
        )
    ),
    Law(
        "who calls is found out without the gate, and asked over HTTP through one module",
        binds=r"pypow_server/identity/.*",
        spares=r"pypow_server/identity/(fetching|names)\.py",
        forbids=r"aiohttp|asyncio\.streams|fastapi|h11|http|httptools|httpx2?|requests|socket|ssl"
        r"|starlette|uvicorn|pypow_server\.(?!identity|fixable|fresh|stores)\w+",
        breach=("pypow_server/identity/jwks.py", "import aiohttp"),
    ),
    Law(
        "tokens are held against signatures by one module",
        binds=r"pypow_server/identity/\w+\.py",
        spares=r"pypow_server/identity/signatures\.py",
        forbids=r"joserfc|cryptography|jwt",
        breach=("pypow_server/identity/judging.py", "from joserfc import jwt"),
    ),
    Law(
        "the verifier of DPoP knows no gate, no web and no clock",
        binds=r"pypow_server/identity/dpop/.*",
        forbids=rf"{WEB}|time|datetime|os|secrets|random|pypow_server\.(?!identity|stores)\w+",
        breach=("pypow_server/identity/dpop/verifying.py", "from pypow_server.gate import Gate"),
    ),
    Law(
        "stores and rails know no web framework",
        binds=r"pypow_server/(stores|rails|gate|checkout|policy|passes|call|mcp_message).*",
        forbids=r"fastapi|starlette|uvicorn|aiohttp|pydantic|mcp",
        breach=("pypow_server/gate.py", "from fastapi import FastAPI"),
    ),
    Law(
        "only entries for servers and apps, and the gate's command, import the app, in functions",
        binds=r".*",
        forbids=r"pypow_server\.app",
        allows_in_functions=True,
        breach=("pypow_server/asgi.py", "from .app import create_app"),
    ),
    Law(
        "nobody else imports the app",
        binds=r"pypow_server/.*",
        spares=r"pypow_server/(asgi|embedding)\.py",
        forbids=r"pypow_server\.app",
        breach=("pypow_server/gate.py", "def f():\n    from pypow_server import app"),
    ),
]


def imports(path: str, source: str) -> Iterator[Import]:
    """Every dotted name that a module imports; ``from a import b`` counts as a and as a.b."""
    package = PurePosixPath(path).parent.parts

    def walk(node: ast.AST, *, on_loading: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names):
                yield from (Import(alias.name, on_loading) for alias in names)
            case ast.ImportFrom(module, names, level):
                start = package[: len(package) - level + 1] if level else ()
                base = ".".join([*start, *([module] if module else [])])
                yield Import(base, on_loading)
                yield from (Import(f"{base}.{alias.name}", on_loading) for alias in names)
            case ast.If(ast.Name("TYPE_CHECKING")):
                return
            case _:
                lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, on_loading=on_loading and not lazy)

    yield from walk(ast.parse(source), on_loading=True)


def breaches(law: Law, path: str, source: str) -> list[str]:
    """What a module imports against a law."""
    if not re.fullmatch(law.binds, path) or re.fullmatch(law.spares, path):
        return []
    return [
        f"{path} imports {found.name}"
        for found in imports(path, source)
        if re.match(rf"(?:{law.forbids})(?:\.|$)", found.name)
        and (found.on_loading or not law.allows_in_functions)
    ]


def modules() -> dict[str, str]:
    """All shipped modules, by their path below their source root."""
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for root in (ROOT, ROOT / "server")
        for path in (root / ("pypow" if root == ROOT else "pypow_server")).rglob("*.py")
    }


each_law = pytest.mark.parametrize("law", LAWS, ids=[law.says for law in LAWS])


@each_law
def test_no_module_breaks_a_law(law: Law) -> None:
    assert [b for path, source in modules().items() for b in breaches(law, path, source)] == []


@each_law
def test_a_module_that_breaks_the_law_is_caught(law: Law) -> None:
    path, source = law.breach
    assert breaches(law, path, source) != []


def test_imports_are_seen_in_every_form() -> None:
    source = """
import a.b as c
from . import d
from ..e import f, g
if TYPE_CHECKING:
    from h import i
class C:
    import j
    def k(self):
        from l import m
try:
    import n
except ImportError:
    pass
"""
    found = {(seen.name, seen.on_loading) for seen in imports("p/q/r.py", source)}
    assert found == {
        ("a.b", True),
        ("p.q", True), ("p.q.d", True),
        ("p.e", True), ("p.e.f", True), ("p.e.g", True),
        ("j", True),
        ("l", False), ("l.m", False),
        ("n", True),
    }  # fmt: skip


INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def wrong_includes(name: str, source: str) -> list[str]:
    """What a C file includes against the laws: no Python anywhere, kernels keep to themselves."""
    own = {"kernel.h", "cpu.h"}
    return [
        included
        for included in INCLUDE.findall(source)
        if included == "Python.h"
        or (name.startswith("kernel_") and included.startswith("kernel_"))
        or (
            name.startswith("kernel_")
            and included not in own
            and not included.endswith(".tpl.h")
            and included not in ("immintrin.h", "string.h", "arm_neon.h")
        )
    ]


def test_the_c_core_knows_no_python_and_kernels_only_what_a_kernel_is() -> None:
    sources = [*(ROOT / "csrc").glob("*.[ch]")]
    assert len(sources) > 10
    assert {path.name: wrong_includes(path.name, path.read_text()) for path in sources} == {
        path.name: [] for path in sources
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pool.c", "#include <Python.h>"),
        ("kernel_avx2.c", '#include "kernel_avx512.c"'),
        ("kernel_avx2.c", '# include "pypow.h"'),
    ],
)
def test_a_wrong_include_is_caught(name: str, line: str) -> None:
    assert wrong_includes(name, f'#include "kernel.h"\n{line}\n') != []


SAY_NOTHING = {"utils", "helpers", "common", "misc", "base", "core", "manager"}
MAX_LINES = 400


def test_every_module_is_named_for_one_idea_and_has_room_for_no_second() -> None:
    found = modules()
    assert {Path(path).stem for path in found} & SAY_NOTHING == set()
    assert {path for path, source in found.items() if source.count("\n") > MAX_LINES} == set()


def test_what_is_shipped_is_every_folder_with_modules() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["setuptools"]["packages"]
    assert sorted(shipped) == sorted({".".join(Path(path).parent.parts) for path in modules()})
