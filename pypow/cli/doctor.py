# SPDX-License-Identifier: Apache-2.0
"""`pypow doctor`: look at a gate from all sides, and name the fix for what is wrong."""

import asyncio
import dataclasses
import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson

if TYPE_CHECKING:
    from pypow_server.doctor import Finding

EPILOG = """
Examples:

\b
  pypow doctor --config /etc/pypow/pypow.toml
  pypow doctor --upstream http://127.0.0.1:8000 --public-url https://mcp.example.com --json

Give it the options and the environment of the gate that it is to look at.

Exit codes: 0 nothing fails (warnings may be told), 1 something fails, 2 wrong use.
"""


def doctor(
    *,
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="The server that is guarded.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The gate as callers see it.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where callers come in.")
    ] = None,
    admin: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where operators come in.")
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="The gate's store.")] = None,
    mcp_path: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Where it speaks MCP, or none.")
    ] = None,
    state_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the keys are.")
    ] = None,
    keys: Annotated[
        str | None, typer.Option(metavar="FILE", help="The secrets. [keys.json in --state-dir]")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="The gate's policy file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check keys, store, clock, upstream and the public URL, up to a call paid with real work."""
    from pypow_server.doctor.examination import examine
    from pypow_server.settings import Settings
    from pypow_server.stores.opening import open_store

    settings = Settings.from_env(
        os.environ,
        {
            "upstream": upstream,
            "public_url": public_url,
            "listen": listen,
            "admin": admin,
            "store": store,
            "mcp_paths": ",".join(mcp_path) if mcp_path else None,
            "state_dir": state_dir,
            "keys": keys,
            "config": config,
        },
    )
    findings = asyncio.run(examine(settings, open_store))
    fails = any(finding.level.value == "fail" for finding in findings)
    typer.echo(_as_json(findings, fails=fails) if as_json else report(findings))
    if fails:
        raise typer.Exit(1)


def report(findings: "list[Finding]") -> str:
    """One line for each finding, and its fix below."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level.value:<5} {finding.check:<9} {finding.found}")
        if finding.fix:
            lines.append(f"{'':16}fix: {finding.fix}")
    return "\n".join(lines)


def _as_json(findings: "list[Finding]", *, fails: bool) -> str:
    shown = [dataclasses.asdict(finding) | {"level": finding.level.value} for finding in findings]
    return json.dumps({"ok": not fails, "findings": shown})
