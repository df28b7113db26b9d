# SPDX-License-Identifier: Apache-2.0
"""`pypow gate`: guard a server, so that callers earn their way in."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from pypow import difficulty
from pypow.errors import InvalidInputError
from pypow.profiles import device_of

from . import gate_check
from .figures import work
from .options import AsJson

if TYPE_CHECKING:
    from pypow_server.settings import Settings

EPILOG = """
Examples:

\b
  pypow gate --upstream http://127.0.0.1:8000
  pypow gate --upstream http://127.0.0.1:8000 --listen 0.0.0.0:8402 --public-url https://mcp.example.com
  pypow gate --config pypow.toml --check --request "tools/call search"
  PYPOW_UPSTREAM=http://127.0.0.1:8000 PYPOW_BITS=18 pypow gate --store memory:

Every option can be given in the environment too: PYPOW_UPSTREAM, PYPOW_LISTEN and so on.

An option beats its variable, which beats the policy file. SIGHUP has the file and the keys read
again; what cannot be is logged, and everything stays as it was.

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
        typer.Option(
            metavar="URL", help="sqlite:PATH, redis://HOST or memory:. [a file in --state-dir]"
        ),
    ] = None,
    bits: Annotated[
        str | None, typer.Option(metavar="F", help="Price of a call in bits, 1 to 44. [16]")
    ] = None,
    mcp_path: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Where the upstream speaks MCP, or none. [/mcp]"),
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
    max_connections: Annotated[
        str | None, typer.Option(metavar="N", help="Connections at once. [4096]")
    ] = None,
    max_per_network: Annotated[
        str | None,
        typer.Option(metavar="N", help="Connections at once of each network. [256]"),
    ] = None,
    min_rate: Annotated[
        str | None,
        typer.Option(metavar="N", help="Octets a second that a caller must keep up. [240]"),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A policy file, pypow.toml (docs/policy.md)."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="enforce; or observe: decide, and let all pass."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name of the gate beside --public-url's; * is any."),
    ] = None,
    admin_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name of --admin beside addresses and localhost."),
    ] = None,
    free_limit: Annotated[
        str | None,
        typer.Option(metavar="N/TIME", help="Free calls of each network, or none. [600/60s]"),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The secrets. [keys.json in --state-dir]"),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="NET", help="A network of proxies that name the caller."),
    ] = None,
    client_header: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where they name it. [X-Forwarded-For]"),
    ] = None,
    forward_auth: Annotated[
        str | None,
        typer.Option(metavar="PROXY", help="Decide for nginx, caddy, traefik or envoy."),
    ] = None,
    mcp_headers: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="checked: the upstream checks MCP's headers."),
    ] = None,
    bound_passes: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="on or nonces: bind passes to keys that callers prove."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Explain settings and prices, and end.")
    ] = False,
    request: Annotated[
        str | None,
        typer.Option(metavar="CALL", help='With --check: the price of "tools/call search".'),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a policy file, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stand in front of a server: each call costs a little work, done once and never reused.

    Keys and the ledger are made on the first run and kept. Serves until Ctrl-C.
    """
    given = {
        "upstream": upstream,
        "listen": listen,
        "admin": admin,
        "public_url": public_url,
        "store": store,
        "bits": bits,
        "mcp_paths": _joined(mcp_path),
        "lifetime_s": lifetime,
        "state_dir": state_dir,
        "audit": audit,
        "log_level": log_level,
        "log_format": log_format,
        "drain_s": drain,
        "max_connections": max_connections,
        "max_per_network": max_per_network,
        "min_rate": min_rate,
        "config": config,
        "mode": mode,
        "hosts": _joined(host),
        "admin_hosts": _joined(admin_host),
        "free_limit": free_limit,
        "keys": keys,
        "trusted_proxies": _joined(trusted_proxy),
        "client_header": client_header,
        "forward_auth": forward_auth,
        "mcp_headers": mcp_headers,
        "bound_passes": bound_passes,
    }
    if request is not None and not check:
        raise InvalidInputError("--request: expected --check with it; nothing is asked otherwise")
    if schema:
        gate_check.print_schema()
    elif check:
        gate_check.check(_read(given), request=request, as_json=as_json)
    else:
        _serve(given, as_json=as_json)


def _joined(texts: list[str] | None) -> str | None:
    return ",".join(texts) if texts else None


def _read(given: Mapping[str, str | None]) -> "Settings":
    from pypow_server.settings import Settings

    return Settings.from_env(os.environ, given)


def _serve(given: Mapping[str, str | None], *, as_json: bool) -> None:
    from pypow_server import listeners, logs, reload
    from pypow_server.app import create_app
    from pypow_server.connection_limits import this_machine

    asked = _read(given)
    if asked.upstream is None and asked.forward_auth is None:
        raise InvalidInputError(
            "expected --upstream URL, the server to guard, such as http://127.0.0.1:8000"
        )
    logs.configure(level=asked.log_level, form=asked.log_format)
    reload.warn(asked)
    with (
        listeners.bind(asked.listen, option="--listen") as public_socket,
        listeners.bind(asked.admin, option="--admin") as admin_socket,
    ):
        settings = asked.bound_to(
            listen=listeners.bound_address(public_socket),
            admin=listeners.bound_address(admin_socket),
        )
        gated = create_app(settings)
        read_again = reload.Reload(
            lambda: _read(given), gated.reload, asked=asked, serving=settings
        )

        def hangup() -> None:
            # Whatever becomes of the settings: what rotates logs has moved the file away.
            gated.telemetry.reopen()
            read_again()

        listeners.run(
            (public_socket, gated),
            (admin_socket, gated.admin),
            draining=gated.drain,
            drain_s=settings.drain_s,
            hangup=hangup,
            limits=settings.limits,
            uncounted=lambda: (*this_machine(), *gated.gate.policy.trusted.networks),
            ready=lambda: typer.echo(_as_json(settings) if as_json else greeting(settings)),
        )


def _as_json(settings: "Settings") -> str:
    from pypow_server.stores import without_secrets

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
            "store": without_secrets(settings.store_url),
        }
    )


def greeting(settings: "Settings") -> str:
    """What an operator reads once the gate is up."""
    from pypow_server.stores import without_secrets

    price = work(difficulty.from_bits(settings.bits), device_of(settings.rows.profile))
    return f"""\
guarding  {settings.upstream or f"what {settings.forward_auth} passes on"}
callers   {settings.url}  (MCP at {", ".join(settings.mcp_paths) or "no path"})
operators {settings.admin.url}/  (live; health: /readyz, API: /docs)
price     {price}, on average
keys      {settings.key_file}
ledger    {without_secrets(settings.store_url)}

try       curl -i {settings.url}/
          curl -s {settings.url}/api/challenge
stop      Ctrl-C
"""
