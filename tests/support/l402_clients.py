# SPDX-License-Identifier: Apache-2.0
"""Third-party clients that pay, as they are published; each is a program in ``tests/interop``."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import peer_home
from support.lightning import LightningPair, node_programs

PROGRAMS: Final = Path(__file__).parents[1] / "interop"
TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class PayingClient:
    """One client.

    Attributes:
        name: as its package is called, and what of it.
        program: below ``tests/interop``.
        pays_by: the schemes that it pays by, the one it prefers first.
    """

    name: str
    program: str
    pays_by: tuple[str, ...]

    def fetch(self, url: str, lightning: LightningPair, *, times: int) -> list[tuple[int, str]]:
        """Fetch a URL as clients that have never been there; status and body of each."""
        settings = {
            "PYTHONPATH": str(PROGRAMS.parent),
            "PAYER_CLN_URL": lightning.payer_cln_url,
            "PAYER_RUNE": lightning.payer_rune,
        }
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                [*self._command(Path(folder)), url, str(times)],
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        assert ran.returncode == 0, ran.stderr
        return [(status, body) for status, body in json.loads(ran.stdout)]

    def _command(self, folder: Path) -> tuple[str, str]:
        program = PROGRAMS / self.program
        if program.suffix == ".mjs":
            home = node_programs(program.parent, folder / "clients")
            return peer_home.program("node"), str(home / program.name)
        try:
            python = peer_home.python_with(*_requirements(program.parent))
        except peer_home.UnavailableError as error:
            pytest.skip(str(error))
        return str(python), str(program)


def _requirements(folder: Path) -> list[str]:
    return (folder / "requirements.txt").read_text(encoding="utf-8").split()


CLIENTS: Final = (
    PayingClient("l402-requests", "python_clients/l402_requests_pays.py", ("L402", "Payment")),
    PayingClient("l402sdk", "python_clients/l402sdk_pays.py", ("L402",)),
    PayingClient("l402kit", "python_clients/l402kit_pays.py", ("L402",)),
    PayingClient("lightning-toll", "python_clients/lightning_toll_pays.py", ("L402",)),
    PayingClient("pympp", "python_clients/pympp_pays.py", ("Payment",)),
    PayingClient("npm l402", "node_clients/npm_l402_pays.mjs", ("L402",)),
    PayingClient("Alby fetchWithL402", "node_clients/alby_fetch_with_l402_pays.mjs", ("L402",)),
    PayingClient("Alby fetch402", "node_clients/alby_fetch402_pays.mjs", ("L402", "Payment")),
)
