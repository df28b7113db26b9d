# SPDX-License-Identifier: Apache-2.0
"""Is the guarded server there, and which revision of MCP does it speak?"""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from . import Finding, fail, ok, warn
from .exchange import Answer, Exchange, Unreachable

_ASKED: Final = "2025-11-25"
_ACCEPT: Final = {"Accept": "application/json, text/event-stream"}


async def check(exchange: Exchange, url: str | None, mcp_paths: Sequence[str]) -> list[Finding]:
    """Connect to the upstream, and begin an MCP conversation at each path."""
    if url is None:
        return [fail("upstream", "no upstream is given", fix="give --upstream URL")]
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, port)
        writer.close()
    except (OSError, TimeoutError) as error:
        why = str(error) or "no answer within 5 s"
        return [
            fail("upstream", f"{url}: {why}", fix="start it, or correct --upstream and firewalls")
        ]
    if not mcp_paths:
        return [ok("upstream", f"{url} takes connections")]
    return [await _mcp(exchange, url.rstrip("/"), path) for path in mcp_paths]


async def _mcp(exchange: Exchange, url: str, path: str) -> Finding:
    modern = await exchange.ask(
        url + path,
        method="POST",
        headers={**_ACCEPT, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"},
        document=_message(
            "server/discover",
            {
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                }
            },
        ),
    )
    versions = _result(modern).get("supportedVersions")
    if isinstance(versions, list):
        return ok("upstream", f"{url}{path} speaks MCP {', '.join(map(str, versions))}")
    handshake = await exchange.ask(
        url + path,
        method="POST",
        headers=_ACCEPT,
        document=_message(
            "initialize",
            {
                "protocolVersion": _ASKED,
                "capabilities": {},
                "clientInfo": {"name": "pypow doctor", "version": "1"},
            },
        ),
    )
    version = _result(handshake).get("protocolVersion")
    if isinstance(version, str):
        return ok("upstream", f"{url}{path} speaks MCP {version[:20]}, by a handshake")
    said = handshake.why if isinstance(handshake, Unreachable) else f"it answers {handshake.status}"
    return warn(
        "upstream",
        f"{url} is up, and no MCP server answers at {path}: {said}",
        fix=f"name its path with --mcp-path; if it speaks no MCP, --mcp-path none: until then GET "
        f"and DELETE of {path} are free",
    )


def _message(method: str, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _result(answer: Answer | Unreachable) -> dict[str, object]:
    result = {} if isinstance(answer, Unreachable) else answer.document.get("result")
    return result if isinstance(result, dict) else {}
