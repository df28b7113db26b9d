# SPDX-License-Identifier: Apache-2.0
"""Two real Lightning nodes with a channel on a regtest chain, by the programs in ``tests/ln``."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

import peer_home
from support.plain_http import Response, ask

PROGRAMS: Final = Path(__file__).parents[1] / "ln"


@dataclass(frozen=True, slots=True)
class LightningPair:
    """Where the two nodes are, and what opens their doors.

    Attributes:
        channel_sat: what the channel holds.
        pushed_sat: what of it the gate's node had from the start.
        gate_url: LND's REST, as a seller uses it.
        gate_macaroon: for it, in hex.
        payer_lnd_url: LND's ``/v2/router/send``, as a buyer uses it.
        payer_macaroon: for it, in hex.
        payer_cln_url: Core Lightning's ``/v1/pay``.
        payer_rune: for it.
        control_url: what no wallet offers: payments that are wrong, and the close.
    """

    channel_sat: int
    pushed_sat: int
    gate_url: str
    gate_macaroon: str = field(repr=False)
    payer_lnd_url: str
    payer_macaroon: str = field(repr=False)
    payer_cln_url: str
    payer_rune: str = field(repr=False)
    control_url: str

    def gate(self, method: str, path: str, **said: object) -> Response:
        """Ask the gate's node."""
        return _asked(
            method, self.gate_url + path, said, {"Grpc-Metadata-macaroon": self.gate_macaroon}
        )

    def invoice(self, sats: int, *, expiry_s: int = 600, **said: object) -> str:
        """A new invoice of the gate's node."""
        added = self.gate("POST", "/v1/invoices", value=sats, expiry=expiry_s, **said)
        assert added.status == 200, added.body
        text: str = added.json["payment_request"]
        return text

    def found(self, payment_hash: bytes) -> dict[str, Any]:
        """What the gate's node says of an invoice."""
        invoice: dict[str, Any] = self.gate("GET", f"/v1/invoice/{payment_hash.hex()}").json
        return invoice

    def pay(self, invoice: str, **how: object) -> Response:
        """Pay: ``insist`` whatever the time and however often, ``msat`` another amount."""
        return _asked("POST", f"{self.control_url}/pay", {"invoice": invoice, **how})

    def send_by_lnd(self, invoice: str) -> Response:
        """Pay as LND's users do."""
        key = {"Grpc-Metadata-macaroon": self.payer_macaroon}
        url = f"{self.payer_lnd_url}/v2/router/send"
        return _asked("POST", url, {"payment_request": invoice}, key)

    def pay_by_cln(self, invoice: str) -> Response:
        """Pay as Core Lightning's users do."""
        key = {"Rune": self.payer_rune}
        return _asked("POST", f"{self.payer_cln_url}/v1/pay", {"bolt11": invoice}, key)

    def paid(self) -> list[dict[str, Any]]:
        """Every payment of the payer's node that went through."""
        payments: list[dict[str, Any]] = ask(f"{self.control_url}/paid").json
        return payments

    def close(self) -> dict[str, Any]:
        """Close the channel together, mine that, and tell what it pays whom."""
        closed = _asked("POST", f"{self.control_url}/close", {})
        assert closed.status == 200, closed.body
        told: dict[str, Any] = closed.json
        return told


def _asked(
    method: str, url: str, said: Mapping[str, object], headers: dict[str, str] | None = None
) -> Response:
    body = json.dumps(said).encode() if method == "POST" else b""
    return ask(url, method=method, headers=headers, body=body)


def node_packages(folder: Path) -> Path:
    """The packages that a folder's lock pins; skips the test where they cannot be had."""
    try:
        return peer_home.node_modules(folder)
    except peer_home.UnavailableError as error:
        pytest.skip(str(error))


def node_programs(folder: Path, into: Path) -> Path:
    """A folder's programs for Node beside the packages that they import."""
    packages = node_packages(folder)
    into.mkdir()
    for program in folder.glob("*.mjs"):
        shutil.copy(program, into)
    (into / "node_modules").symlink_to(packages)
    return into


@contextmanager
def lightning(folder: Path) -> Iterator[LightningPair]:
    """Both nodes, their channel and their chain, for as long as a block lasts."""
    home = node_programs(PROGRAMS, folder / "ln")
    errors = folder / "ln.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [peer_home.program("node"), "main.mjs"],
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    with process:
        try:
            assert process.stdout is not None
            begun = next((line for line in process.stdout if line.startswith(b"{")), None)
            assert begun is not None, errors.read_text(errors="replace")
            yield LightningPair(**json.loads(begun))
        finally:
            process.kill()
