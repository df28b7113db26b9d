# SPDX-License-Identifier: Apache-2.0
"""`pypow gate`: guard a server, so that callers earn their way in."""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from pypow import difficulty
from pypow.errors import InvalidInputError

from .figures import count
from .options import AsJson

if TYPE_CHECKING:
    from pypow_server.settings import Settings

EPILOG = """
Examples:

\b
  pypow gate --upstream http://127.0.0.1:8000
  pypow gate --upstream http://127.0.0.1:8000 --listen 0.0.0.0:8402 --public-url https://mcp.example.com
  PYPOW_UPSTREAM=http://127.0.0.1:8000 PYPOW_BITS=18 pypow gate --store memory:

Every option can be given in the environment too: PYPOW_UPSTREAM, PYPOW_LISTEN and so on.

Exit codes: 0 stopped by SIGTERM or Ctrl-C, 2 wrong use, or a port, file or store it cannot have.
"""


def gate(
    *,
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="The server to guard.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where callers come in. [127.0.0.1:8402]"),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Health, metrics, API pages. [127.0.0.1:8403]"),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The gate as callers see it. [http://HOST:PORT]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="sqlite:PATH or memory:. [a file in --state-dir]"),
    ] = None,
    bits: Annotated[
        str | None, typer.Option(metavar="F", help="Price of a call in bits, 1 to 44. [16]")
    ] = None,
    mcp_path: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Where the upstream speaks MCP. [/mcp]"),
    ] = None,
    lifetime: Annotated[
        str | None,
        typer.Option(metavar="S", help="Seconds to solve and send, 1 to 600. [120]"),
    ] = None,
    state_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keys and ledger. [~/.local/state/pypow]"),
    ] = None,
    audit: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Gets a JSON line for each paid or refused call."),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="debug, info, warning or error. [info]"),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="logfmt, json or console. [logfmt]")
    ] = None,
    drain: Annotated[
        str | None,
        typer.Option(metavar="S", help="Seconds for calls in flight at the end. [30]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stand in front of a server: each call costs a little work, done once and never reused.

    Keys and the ledger are made on the first run and kept. Serves until Ctrl-C.
    """
    from pypow_server import listeners, logs
    from pypow_server.app import create_app
    from pypow_server.settings import Settings

    settings = Settings.from_env(
        os.environ,
        {
            "upstream": upstream,
            "listen": listen,
            "admin": admin,
            "public_url": public_url,
            "store": store,
            "bits": bits,
            "mcp_paths": ",".join(mcp_path) if mcp_path else None,
            "lifetime_s": lifetime,
            "state_dir": state_dir,
            "audit": audit,
            "log_level": log_level,
            "log_format": log_format,
            "drain_s": drain,
        },
    )
    if settings.upstream is None:
        raise InvalidInputError(
            "expected --upstream URL, the server to guard, such as http://127.0.0.1:8000"
        )
    logs.configure(level=settings.log_level, form=settings.log_format)
    with (
        listeners.bind(settings.listen, option="--listen") as public_socket,
        listeners.bind(settings.admin, option="--admin") as admin_socket,
    ):
        settings = settings.bound_to(
            listen=listeners.bound_address(public_socket),
            admin=listeners.bound_address(admin_socket),
        )
        gated = create_app(settings)
        listeners.run(
            (public_socket, gated),
            (admin_socket, gated.admin),
            draining=gated.readiness.drain,
            drain_s=settings.drain_s,
            ready=lambda: typer.echo(_as_json(settings) if as_json else greeting(settings)),
        )


def _as_json(settings: "Settings") -> str:
    return json.dumps(
        {
            "ready": True,
            "url": settings.url,
            "listen_url": settings.listen.url,
            "admin_url": settings.admin.url,
            "upstream": settings.upstream,
            "bits": settings.bits,
            "mcp_paths": settings.mcp_paths,
            "keys": str(settings.key_file),
            "store": settings.store_url,
        }
    )


def greeting(settings: "Settings") -> str:
    """What an operator reads once the gate is up."""
    hashes = difficulty.expected_hashes(difficulty.from_bits(settings.bits))
    return f"""\
guarding  {settings.upstream}
callers   {settings.url}  (MCP at {", ".join(settings.mcp_paths)})
operators {settings.admin.url}/readyz  (API: /docs)
price     {settings.bits:g} bits a call, {count(hashes)} hashes on average
keys      {settings.key_file}
ledger    {settings.store_url}

try       curl -i {settings.url}/
          curl -s {settings.url}/api/challenge
stop      Ctrl-C
"""
