# SPDX-License-Identifier: Apache-2.0
"""slowhttptest's three attacks on `pypow gate`: honest callers are served through each."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.edge_servers import uvicorn_gate
from support.gated import RecordingApp
from support.plain_http import ask
from support.serving import served

CONNECTIONS = 1000
SECONDS = 30

ATTACKS = {
    "slow heads": ["-H", "-i", "5"],
    "slow bodies": ["-B", "-i", "5", "-s", "100000", "-t", "POST"],
    "slow reading": ["-X", "-w", "1", "-y", "2", "-n", "5", "-z", "1", "-k", "3"],
}

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(
        shutil.which("slowhttptest") is None, reason="needs slowhttptest, a Debian package"
    ),
]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_gate_answers_while_it_is_attacked(name: str, tmp_path: Path) -> None:
    with served(RecordingApp()) as upstream, uvicorn_gate(tmp_path, upstream) as url:
        command = ["slowhttptest", *ATTACKS[name], "-u", f"{url}/.well-known/x", "-p", "5"]
        command += ["-c", str(CONNECTIONS), "-r", "500", "-l", str(SECONDS)]
        attack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with attack:
            asked = 0
            while attack.poll() is None:
                assert ask(f"{url}/x").status == 402
                asked += 1
            assert attack.stdout is not None
            told = re.sub(r"\x1b\[[0-9;]*m", "", attack.stdout.read())
        assert asked
        assert set(re.findall(r"service available:\s+(\w+)", told)) == {"YES"}
