# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what happens.

- A ``python`` block runs as it stands, in a process of its own; warnings are errors.
- In a ``console`` block each ``$ pypow ...`` line runs, and what it prints is compared with the
  lines below it, where ``...`` stands for anything.
- A block right below ``<!-- file: NAME -->`` is put beside them as that file.
- A link to a file of this repository leads somewhere.
- The examples in docstrings run.
"""

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("server/*.md")])

_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


@dataclass(frozen=True)
class Block:
    language: str
    file: str | None
    text: str
    line: int


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    for found in _BLOCK.finditer(document):
        line = document.count("\n", 0, found.start("text")) + 1
        yield Block(found["language"], found["file"], found["text"], line)


@dataclass(frozen=True)
class Command:
    arguments: list[str]
    shown: str


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block, each with what it is said to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield Command(shlex.split(line), shown.strip())


def matches(shown: str, printed: str) -> bool:
    """Whether a text is as shown, with ``...`` for anything and any run of blanks for another."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in shown.split("...")]
    return re.fullmatch(r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*", printed, re.DOTALL) is not None


def run(arguments: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments where nothing of the user's can be touched."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory,
        env=environment | {"HOME": str(directory), "XDG_STATE_HOME": str(directory / ".state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


def complaints(document: str, directory: Path) -> list[str]:
    """What a document shows that does not happen."""
    wrong = []
    for block in blocks(document):
        if block.file is not None:
            (directory / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            ran = run(["-c", block.text], directory)
            if ran.returncode != 0:
                wrong.append(f"line {block.line}: {ran.stdout}")
        elif block.language == "console":
            for command in commands(block.text):
                program, *arguments = command.arguments
                assert program == "pypow", f"line {block.line}: only pypow is run here"
                ran = run(["-m", "pypow", *arguments], directory)
                if not matches(command.shown, ran.stdout):
                    wrong.append(f"line {block.line}: {arguments} printed\n{ran.stdout}")
    return wrong


each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


@each_document
def test_what_a_document_shows_happens(document: Path, tmp_path: Path) -> None:
    assert complaints(document.read_text(encoding="utf-8"), tmp_path) == []


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "document",
    [
        "```python\nassert False\n```",
        "```python\nimport warnings\nwarnings.warn('old')\n```",
        "```console\n$ pypow --version\npypow 999.0\n```",
        "```console\n$ pypow solve --challenge abc123 --difficulty 4\n```",
        "```console\n$ pypow nonsense\nfine\n```",
    ],
)
def test_a_document_that_shows_what_does_not_happen_is_caught(
    document: str, tmp_path: Path
) -> None:
    assert len(complaints(document, tmp_path)) == 1


MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "pypow").rglob("*.py"))
    if path.name != "gate.py"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    if name == "pypow.lightning.nwc":
        pytest.importorskip("nostr_sdk", reason="relays need the extra nwc")
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert doctest.testmod(module).failed == 0
