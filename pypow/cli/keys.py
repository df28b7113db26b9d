# SPDX-License-Identifier: Apache-2.0
"""`pypow keys`: list and change the secrets that a gate signs with."""

import enum
import json
import os
from typing import Annotated

import typer

from pypow.errors import InvalidInputError

from .options import AsJson

EPILOG = """
Examples:

\b
  pypow keys list
  pypow keys rotate --config /etc/pypow/pypow.toml
  pypow keys drop 0

rotate adds a key that signs; where several gates share the file, add, reload them all, sign ID, and
reload again. A running gate takes changes over on SIGHUP. Secrets are never shown.

Exit codes: 0 done, 2 wrong use, or keys that cannot be read or written.
"""


class Action(enum.StrEnum):
    """What to do with the keys."""

    LIST = "list"
    ADD = "add"
    ROTATE = "rotate"
    SIGN = "sign"
    DROP = "drop"


def keys(
    *,
    action: Annotated[Action, typer.Argument(help="What to do.")],
    identity: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Which key; for sign and drop.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="The gate's policy file.")
    ] = None,
    key_file: Annotated[
        str | None,
        typer.Option("--keys", metavar="FILE", help="The secrets. [keys.json in --state-dir]"),
    ] = None,
    state_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="The gate's. [~/.local/state/pypow]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys that a gate signs and verifies with, or change them."""
    from pypow_server import key_rotation, keyfile
    from pypow_server.settings import Settings

    path = Settings.from_env(
        os.environ, {"config": config, "keys": key_file, "state_dir": state_dir}
    ).key_file
    named = action in (Action.SIGN, Action.DROP)
    if named != (identity is not None):
        expected = "the ID of a key" if named else "no ID"
        raise InvalidInputError(f"pypow keys {action.value}: expected {expected}")
    match action:
        case Action.LIST:
            found = keyfile.load_keys(path)
        case Action.ADD:
            found = key_rotation.add(path)
        case Action.ROTATE:
            found = key_rotation.rotate(path)
        case Action.SIGN:
            found = key_rotation.sign(path, identity or 0)
        case Action.DROP:
            found = key_rotation.drop(path, identity or 0)
    ids = [key.id for key in found]
    if as_json:
        typer.echo(json.dumps({"file": str(path), "signs": ids[0], "verify": ids}))
        return
    typer.echo(f"{path}: key {ids[0]} signs; {', '.join(map(str, sorted(ids)))} verify")
    if action is not Action.LIST:
        typer.echo("Now have every gate reload: systemctl reload pypow, or kill -HUP.")
