# SPDX-License-Identifier: Apache-2.0
"""`pypow pass`: look at a pass, and revoke one."""

import asyncio
import datetime
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pypow import base64_text
from pypow.errors import InvalidInputError

from .options import AsJson, PolicyFile, StateDir, StoreUrl

if TYPE_CHECKING:
    from pypow_server.passes import Pass

SHOW_EPILOG = """
Examples:

\b
  pypow pass show pyp_AQABAAEC...
  pbpaste | pypow pass show - --json

Exit codes: 0 done, 2 not a pass.
"""

REVOKE_EPILOG = """
Examples:

\b
  pypow pass revoke pyp_AQABAAEC... --config /etc/pypow/pypow.toml
  pypow pass revoke 000102030405060708090a0b0c0d0e0f --store redis://127.0.0.1:6379

Gates that share the store turn the pass away within two seconds. Likewise, for 30 days, the
account of a login, by its name in the log: oauth: and 32 hex digits.

Exit codes: 0 done, 1 the store did not record it, 2 wrong use.
"""

_ID = re.compile(r"(?:pass:|oauth:)?([0-9a-f]{32})", re.ASCII)
_MAX_TEXT = 200

PassText: TypeAlias = Annotated[
    str, typer.Argument(metavar="PASS", help="The text of a pass; - is standard input.")
]

app = typer.Typer(help="Look at a pass, or revoke one.")


@app.command("show", epilog=SHOW_EPILOG)
def show(text: PassText, *, as_json: AsJson = False) -> None:
    """Show what a pass says of itself. Whether a gate issued it is not checked."""
    given = _decoded(_given(text))
    expires = datetime.datetime.fromtimestamp(given.expires_at_ms / 1000, datetime.UTC)
    if as_json:
        document = {
            "id": given.id.hex(),
            "calls": given.calls,
            "expires_at": given.expires_at_ms // 1000,
            "weight": given.weight,
            "key": given.key,
            "resource": given.resource.hex(),
            "any_resource": not any(given.resource),
            "bound": any(given.principal) or any(given.thumbprint),
        }
        typer.echo(json.dumps(document))
        return
    passed = " (over)" if given.expires_at_ms <= _now_ms() else ""
    typer.echo(f"id        {given.id.hex()}")
    typer.echo(f"calls     {given.calls or 'as many as fit in its time'}")
    typer.echo(f"expires   {expires:%Y-%m-%d %H:%M:%S} UTC{passed}")
    typer.echo(f"resource  {given.resource.hex() if any(given.resource) else 'any'}")
    typer.echo(f"weight    {given.weight}")
    typer.echo(f"key       {given.key}")
    if any(given.thumbprint):
        typer.echo(f"holder    {base64_text.encode_url(given.thumbprint)}")


@app.command("revoke", epilog=REVOKE_EPILOG)
def revoke(
    text: Annotated[
        str,
        typer.Argument(metavar="PASS", help="The text of a pass, or its id; - is standard input."),
    ],
    *,
    config: PolicyFile = None,
    store: StoreUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a pass worth nothing, for every gate that shares the store."""
    from pypow_server.settings import Settings
    from pypow_server.stores import Store
    from pypow_server.stores.opening import open_store
    from pypow_server.stores.sqlite import file_of

    identity, expires_at_ms = _identity(_given(text))
    settings = Settings.from_env(
        os.environ, {"config": config, "store": store, "state_dir": state_dir}
    )
    if settings.store_url.startswith("memory:"):
        raise InvalidInputError(
            "a memory: store lives in its gate's process; restart the gate with a new key, or use "
            "a store that commands can reach: sqlite:PATH or redis://HOST"
        )
    scheme, _, rest = settings.store_url.partition(":")
    if scheme == "sqlite" and not file_of(rest).exists():
        # A new file would take the revocation, and no gate would ever read it.
        raise InvalidInputError(f"there is no {rest}; name the gates' own store with --store")

    async def record(opened: Store) -> None:
        try:
            await opened.revocations.revoke(identity, expires_at_ms=expires_at_ms, now_ms=_now_ms())
        finally:
            await opened.limiter.aclose()
            await opened.ledger.aclose()

    asyncio.run(record(open_store(settings.store_url)))
    if as_json:
        typer.echo(json.dumps({"revoked": identity.hex()}))
    else:
        typer.echo(f"revoked {identity.hex()}")


def _given(text: str) -> str:
    return sys.stdin.readline(_MAX_TEXT).strip() if text == "-" else text.strip()


def _identity(text: str) -> tuple[bytes, int]:
    """The id of a pass, and until when it has to be remembered."""
    from pypow_server.passes import PREFIX
    from pypow_server.policy import MAX_PASS_LIFETIME_S

    found = _ID.fullmatch(text)
    if found is not None:
        return bytes.fromhex(found[1]), _now_ms() + 1000 * MAX_PASS_LIFETIME_S
    if not text.startswith(PREFIX):
        raise InvalidInputError(
            "expected a pass, pyp_ and 135 base64url characters, its id, 32 hex digits, or a "
            f"subject, oauth: and 32 hex digits; got {len(text)} characters"
        )
    given = _decoded(text)
    return given.id, given.expires_at_ms


def _decoded(text: str) -> "Pass":
    from pypow_server import passes

    return passes.decode(text)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
