# SPDX-License-Identifier: Apache-2.0
"""The doctor at servers that were made with the kits of others, as they are published."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import peer_home
from support.command import Command
from support.l402_clients import PROGRAMS, requirements

pytest.importorskip("coincurve", reason="signatures need the extra l402")

PAYS = ("--pay", "--wallet", "development:", "--max-sats", "7")


@contextmanager
def selling(kit: str) -> Iterator[str]:
    """A server made with a kit; its URL."""
    try:
        python = peer_home.python_with(*requirements(PROGRAMS / "python_clients"))
    except peer_home.UnavailableError as error:
        pytest.skip(str(error))
    (packages,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    server = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "python_servers" / "sells.py"), kit, str(packages)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def looked_at(capsys: pytest.CaptureFixture[str], kit: str) -> tuple[set[str], set[str], set[str]]:
    """What fails, what is warned of, and which clients would not pay."""
    with selling(kit) as url:
        printed: dict[str, Any] = Command(capsys)("l402", "doctor", url, *PAYS, "--json").json
    by_level = {
        level: {one["check"] for one in printed["findings"] if one["level"] == level}
        for level in ("fail", "warn")
    }
    lost = {one["client"] for one in printed["clients"] if one["fails"]}
    return by_level["fail"], by_level["warn"], lost


def test_a_kit_whose_tokens_have_no_signature_is_found_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails, warns, lost = looked_at(capsys, "l402kit")
    assert fails == {"forgery", "macaroon", "caching", "pay loop"}
    assert warns == {"body", "flood", "pay loop"}
    assert lost == {"Go lnget"}


def test_a_kit_that_its_own_client_cannot_pay_is_found_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails, warns, lost = looked_at(capsys, "lightning-toll")
    assert fails == {"spelling", "macaroon", "caching", "pay loop"}
    assert warns == {"body", "flood", "pay loop", "replay"}
    assert "PyPI lightning-toll" in lost
