# SPDX-License-Identifier: Apache-2.0
"""The MCP client for TypeScript, as it is published, holds a pass that is bound to its key."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pypow.base64_text import encode_url
from pypow_server import passes
from support.gate_process import gate_process
from support.gated import RecordingApp, solved
from support.lightning import node_programs
from support.oidc_provider import PROGRAMS, node_22
from support.plain_http import ask
from support.serving import served

TIMEOUT_S = 60
TOML = """
[[price]]
match = "GET /search"
bits = 4
pass = "4 calls / 5m"
"""


def held(folder: Path, **said: Any) -> dict[str, Any]:
    """What came of a pass, and of who stole it."""
    home = node_programs(PROGRAMS, folder / "typescript")
    ran = subprocess.run(
        [node_22(), "holds_a_pass.mjs"],
        cwd=home,
        input=json.dumps(said) + "\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    ("word", "alg", "buying"), [("on", "ES256", [200]), ("nonces", "EdDSA", [401, 200])]
)
def test_a_client_of_others_holds_a_pass_that_nobody_else_can_use(
    word: str, alg: str, buying: list[int], tmp_path: Path
) -> None:
    app, policy = RecordingApp(), tmp_path / "pypow.toml"
    policy.write_text(TOML, encoding="utf-8")
    options = ("--bound-passes", word, "--config", str(policy), "--store", "memory:")
    with served(app) as upstream, gate_process(tmp_path, upstream, *options) as gate:
        url = f"{gate.url}/search"
        work = solved(json.loads(ask(url).body)["offers"][0])
        found = held(tmp_path, url=url, solution=work, alg=alg, calls=4)
    assert found["statuses"] == [*buying, 200, 200, 200, 402]
    assert found["stolen"] == [402, 402]
    assert encode_url(passes.decode(found["pass"]).thumbprint) == found["thumbprint"]
    assert app.reached == 4
    assert app.header(b"dpop") == app.header(b"authorization") == []
