# SPDX-License-Identifier: Apache-2.0
"""The MCP clients for TypeScript, as they are published, signing in as machines."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from support.lightning import node_programs
from support.oidc_provider import PROGRAMS, node_22

TIMEOUT_S: Final = 60


def calls_a_tool(
    folder: Path,
    url: str,
    *,
    signed_in_as: Mapping[str, object],
    tool: Mapping[str, object],
    line: int = 2,
    mode: str = "auto",
    times: int = 1,
) -> list[dict[str, Any]]:
    """Connect, call a tool some times, and tell of each result its text and whether it is an error.

    Args:
        folder: for its programs.
        url: of the MCP server.
        signed_in_as: ``clientId`` with ``clientSecret``, or with ``privateKey`` (a JWK) and
            ``algorithm``; ``expectedIssuer``, ``scope``; ``dpop`` for tokens bound to a key.
        tool: ``name`` and ``arguments``.
        line: of the SDK, 1 or 2.
        mode: how line 2 finds out which era to speak: ``auto`` or ``legacy``.
        times: how many calls.
    """
    home = folder / "typescript"
    if not home.exists():
        node_programs(PROGRAMS, home)
    said = {"line": line, "mode": mode, "url": url, "as": dict(signed_in_as)}
    ran = subprocess.run(
        [node_22(), "calls_a_tool.mjs"],
        cwd=home,
        input=json.dumps({**said, "tool": dict(tool), "times": times}) + "\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    results: list[dict[str, Any]] = json.loads(ran.stdout)
    return results
