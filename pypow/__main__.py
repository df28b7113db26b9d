# SPDX-License-Identifier: Apache-2.0
"""The ``pypow`` command: its commands in one place, and what their failures look like.

Every failure is one line on standard error, ``pypow: ...``; with ``--json`` also one object,
``{"error": {"type", "message"}}``, on standard output. Exit codes: 0 done, 1 no solution or
refused, 2 wrong use, 130 interrupted.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from .cli import (
    advise,
    bench,
    calibrate,
    doctor,
    explain,
    gate,
    info,
    keys,
    l402,
    passes,
    simulate,
    solve,
    verify,
)
from .errors import InvalidInputError, KernelUnavailableError, PowError

DONE, REFUSED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

SERVER_EXTRA = frozenset(
    {
        "aiohttp",
        "fastapi",
        "httptools",
        "prometheus_client",
        "pypow_server",
        "structlog",
        "tomlkit",
        "uvicorn",
        "uvloop",
    }
)
"""What `pypow gate` imports and a plain install lacks."""

COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "info": (info.info, info.EPILOG),
    "solve": (solve.solve, solve.EPILOG),
    "verify": (verify.verify, verify.EPILOG),
    "bench": (bench.bench, bench.EPILOG),
    "calibrate": (calibrate.calibrate, calibrate.EPILOG),
    "advise": (advise.advise, advise.EPILOG),
    "simulate": (simulate.simulate, simulate.EPILOG),
    "explain": (explain.explain, explain.EPILOG),
    "gate": (gate.gate, gate.EPILOG),
    "keys": (keys.keys, keys.EPILOG),
    "doctor": (doctor.doctor, doctor.EPILOG),
}

GROUPS: dict[str, typer.Typer] = {"l402": l402.app, "pass": passes.app}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, (_command, _epilog) in COMMANDS.items():
    app.command(_name, epilog=_epilog)(_command)


def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(WRONG_USE)


for _name, _group in GROUPS.items():
    _group.callback(invoke_without_command=True)(_help)
    app.add_typer(_group, name=_name)


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 no solution or refused, 2 wrong use, 130 interrupted.",
)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """SHA-256 proof of work: solve it, verify it, and put a gate of it before a server."""
    if version:
        typer.echo(f"pypow {info.version()}")
    else:
        _help(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; nothing that a user can do ends in a traceback.

    Args:
        arguments: without the program's name; by default those of this process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        status = app(args=given, prog_name="pypow", standalone_mode=False)
    except typer.TyperException as error:
        hint = " ".join(["pypow", *_words(given), "--help"])
        line = f"{error.format_message().rstrip('.')}; see '{hint}'"
        return _fail("UsageError", line, as_json=as_json)
    except (InvalidInputError, KernelUnavailableError) as error:
        return _fail(type(error).__name__, str(error), as_json=as_json)
    except PowError as error:
        return _fail(type(error).__name__, str(error), as_json=as_json, status=REFUSED)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in SERVER_EXTRA:
            raise
        line = "the gate is not installed; pip install 'pypow-engine[server]'"
        return _fail("NotInstalled", line, as_json=as_json)
    except OSError as error:
        # Every file that is read has its own line; this is an answer that cannot be written.
        return _fail("OSError", f"cannot write: {error.strerror}", as_json=False, status=REFUSED)
    except KeyboardInterrupt:
        status = INTERRUPTED
    # Outside its standalone mode typer answers an interrupt with its exit code.
    if status == INTERRUPTED:
        return _fail("Interrupted", "interrupted", as_json=as_json, status=INTERRUPTED)
    return status or DONE


def _words(given: Sequence[str]) -> Sequence[str]:
    """The words of what was given that name a command."""
    if (group := GROUPS.get(given[0] if given else "")) is not None:
        known = {one.name for one in group.registered_commands}
        return given[:2] if set(given[1:2]) & known else given[:1]
    return [*COMMANDS.keys() & set(given[:1])]


def _fail(kind: str, message: str, *, as_json: bool, status: int = WRONG_USE) -> int:
    line = " ".join(message.split())
    if as_json:
        typer.echo(json.dumps({"error": {"type": kind, "message": line}}))
    typer.echo(f"pypow: {line}", err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
