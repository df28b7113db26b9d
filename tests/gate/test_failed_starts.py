# SPDX-License-Identifier: Apache-2.0
"""Every line of docs/errors.md about a gate that does not start is what such a gate says."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from support.gate_process import failed_start

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
UPSTREAM = ("--upstream", "http://127.0.0.1:9")
FREE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def documented() -> dict[str, tuple[str, str]]:
    """What a line has, to its cause and fix."""
    section = DOCS.read_text("utf-8").partition("## The gate does not start\n")[2]
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return {text: (cause, fix) for text, cause, fix in rows}


def key_file(home: Path, text: str, mode: int = 0o600) -> None:
    path = home / ".local" / "state" / "pypow" / "keys.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)


def nothing(_home: Path) -> None:
    """All is as on a machine where the gate never ran."""


def open_keys(home: Path) -> None:
    key_file(home, json.dumps({"keys": [{"id": 0, "secret": "5a" * 32}]}), 0o644)


def damaged_keys(home: Path) -> None:
    key_file(home, '{"keys": [')


CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "expected --upstream URL": (nothing, FREE),
    "is not a setting; did you mean": (nothing, (*UPSTREAM, *FREE)),
    "the port is taken": (nothing, (*UPSTREAM, "--admin", "127.0.0.1:0")),
    "others can read or change the keys": (open_keys, (*UPSTREAM, *FREE)),
    "restore it from a backup": (damaged_keys, (*UPSTREAM, *FREE)),
    "the state directory must be": (nothing, (*UPSTREAM, *FREE, "--state-dir", "/dev/null")),
    "docs/stores.md lists them": (nothing, (*UPSTREAM, *FREE, "--store", "etcd:x")),
    "check that it runs and can be reached": (
        nothing,
        (*UPSTREAM, *FREE, "--store", "redis://127.0.0.1:9"),
    ),
    "the audit log must be a file": (nothing, (*UPSTREAM, *FREE, "--audit", "/nowhere/a.log")),
}


def test_every_line_is_documented_with_cause_and_fix_and_no_other_is() -> None:
    assert documented().keys() == CASES.keys()
    assert all(cause.strip() and fix.strip() for cause, fix in documented().values())


@pytest.mark.parametrize("text", CASES)
def test_a_gate_that_cannot_start_says_what_the_documents_say(text: str, tmp_path: Path) -> None:
    prepare, options = CASES[text]
    prepare(tmp_path)
    more = {"PYPOW_UPSTREEM": "http://x"} if text.startswith("is not a setting") else {}
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        if "--listen" not in options:
            options = (*options, "--listen", f"127.0.0.1:{occupant.getsockname()[1]}")
        ended = failed_start(tmp_path, *options, **more)

    assert ended.returncode == 2
    assert text in ended.stderr
    assert (ended.stderr[:7], ended.stderr.count("\n")) == ("pypow: ", 1)
