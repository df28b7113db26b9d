# SPDX-License-Identifier: Apache-2.0
"""Third-party clients that pay, as they are published; each is a program in ``tests/interop``."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

import peer_home
from support.lightning import node_programs

PROGRAMS: Final = Path(__file__).parents[1] / "interop"
NODE: Final = PROGRAMS / "node_clients"
TIMEOUT_S: Final = 60


class Payer(Protocol):
    """A wallet that speaks as Core Lightning does."""

    @property
    def payer_cln_url(self) -> str:
        """Of its ``/v1/pay``."""
        ...

    @property
    def payer_rune(self) -> str:
        """What opens it."""
        ...


@dataclass(frozen=True, slots=True)
class PayingClient:
    """One client.

    Attributes:
        package: as its registry calls it.
        program: below ``tests/interop``.
        pays_by: the schemes that it pays by, the one it prefers first.
        part: of the package, where that has several.
        needs_l402_first: whether it pays only where L402 is the first offer.
    """

    package: str
    program: str
    pays_by: tuple[str, ...]
    part: str = ""
    needs_l402_first: bool = False

    @property
    def name(self) -> str:
        """The package, and what of it."""
        return f"{self.package} {self.part}".rstrip()

    @property
    def version(self) -> str:
        """The one that is tried."""
        folder = (PROGRAMS / self.program).parent
        if folder == NODE:
            pinned = json.loads((folder / "package.json").read_text(encoding="utf-8"))
            version: str = pinned["dependencies"][self.package]
            return version
        return dict(line.split("==") for line in requirements(folder))[self.package]

    def fetch(
        self, url: str, lightning: Payer, *, times: int, who: str = "strangers"
    ) -> list[tuple[int, str]]:
        """Fetch a URL, and tell status and body of each answer.

        Args:
            url: what to fetch; ``{}`` in it is the number of the fetch, from 0.
            lightning: who pays.
            times: how often.
            who: ``strangers`` that have never been there, or ``one`` client all the time.
        """
        settings = {
            "PYTHONPATH": str(PROGRAMS.parent),
            "PAYER_CLN_URL": lightning.payer_cln_url,
            "PAYER_RUNE": lightning.payer_rune,
        }
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                [*self._command(Path(folder)), who, url, str(times)],
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
            python = peer_home.python_with(*requirements(program.parent))
        except peer_home.UnavailableError as error:
            pytest.skip(str(error))
        return str(python), str(program)


def requirements(folder: Path) -> list[str]:
    """What the programs of a folder import, each at one version."""
    return (folder / "requirements.txt").read_text(encoding="utf-8").split()


ALBY: Final = "@getalby/lightning-tools"
CLIENTS: Final = (
    PayingClient("l402-requests", "python_clients/l402_requests_pays.py", ("L402", "Payment")),
    PayingClient("l402sdk", "python_clients/l402sdk_pays.py", ("L402",), needs_l402_first=True),
    PayingClient("l402kit", "python_clients/l402kit_pays.py", ("L402",)),
    PayingClient("lightning-toll", "python_clients/lightning_toll_pays.py", ("L402",)),
    PayingClient("pympp", "python_clients/pympp_pays.py", ("Payment",)),
    PayingClient("l402", "node_clients/npm_l402_pays.mjs", ("L402",), needs_l402_first=True),
    PayingClient(
        ALBY, "node_clients/alby_fetch_with_l402_pays.mjs", ("L402",), part="fetchWithL402"
    ),
    PayingClient(ALBY, "node_clients/alby_fetch402_pays.mjs", ("L402", "Payment"), part="fetch402"),
)


def table() -> str:
    """What is known of each client, as ``docs/l402-clients.md`` shows it."""
    rows = [
        "| client | version | pays by | with `Payment` alone | with L402 after `Payment` |",
        "|---|---|---|---|---|",
    ]
    for client in CLIENTS:
        registry = "npm" if NODE.name in client.program else "PyPI"
        alone = "pays" if "Payment" in client.pays_by else "gives up"
        last = "gives up" if client.needs_l402_first else "pays"
        cells = (f"{registry} {client.name}", client.version, client.pays_by[0], alone, last)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
