# SPDX-License-Identifier: Apache-2.0
"""The official MCP conformance suite asks our authorization server what it asks of any."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlencode

import pytest

from support.issuing import issuing_process
from support.lightning import node_packages
from support.oidc_provider import PROGRAMS, node_22
from support.plain_http import ask, solve
from support.waiting import free_port, wait_until_it_listens

CALLBACK = "http://127.0.0.1:{port}/callback"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextmanager
def suite(url: str, *said: str, port: int, results: Path) -> Iterator[IO[str]]:
    """The suite, asking an issuer, with its callback at a port; what it says."""
    packages = node_packages(PROGRAMS) / "@modelcontextprotocol" / "conformance"
    process = subprocess.Popen(
        [node_22(), str(packages / "dist" / "index.js"), "authorization",
         "--url", url, "--port", str(port), "--output-dir", str(results), *said],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            wait_until_it_listens(process, port)
            yield process.stdout
            process.wait(timeout=30)
        finally:
            process.kill()


def verdicts(results: Path) -> dict[str, str]:
    """What the suite thinks of each thing that it looked at."""
    checks: list[dict[str, Any]] = [
        check for file in results.rglob("checks.json") for check in json.loads(file.read_text())
    ]
    return {check["id"]: check["status"] for check in checks}


def without_a_browser(url: str) -> str:
    """Where whoever earns what the page at this URL asks for is sent."""
    offered = ask(url).json
    proof = {
        "request": offered["request"],
        "challenge": offered["work"]["challenge"],
        "nonce": solve(offered["work"]),
    }
    answer = ask(offered["post"], method="POST", headers=FORM, body=urlencode(proof).encode())
    assert answer.status == 200, answer.body
    sent: str = answer.json["redirect_to"]
    return sent


@pytest.mark.parametrize("resource", [(), ("--resource", "{url}/mcp")], ids=["any", "named"])
def test_metadata_and_codes_are_as_the_suite_expects(
    tmp_path: Path, resource: tuple[str, ...]
) -> None:
    port = free_port()
    with issuing_process(tmp_path, "http://127.0.0.1:1") as gate:
        client = ask(
            f"{gate.url}/oauth/register",
            method="POST",
            headers=JSON,
            body=json.dumps({"redirect_uris": [CALLBACK.format(port=port)]}).encode(),
        ).json["client_id"]
        named = [each.format(url=gate.url) for each in resource]
        asked = ("--client-id", client, *named)
        with suite(gate.url, *asked, port=port, results=tmp_path / "results") as said:
            page = f"{gate.url}/oauth/authorize?"
            where = next(line.strip() for line in said if line.startswith(page))
            assert ("resource", f"{gate.url}/mcp") in parse_qsl(where) or not named
            ask(without_a_browser(where))
            rest = said.read()
    found = verdicts(tmp_path / "results")
    assert found.pop("authorization-code-grant") == "SUCCESS", rest
    assert "FAILURE" not in found.values(), rest
