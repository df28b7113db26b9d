# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 doctor`: look at any server that sells calls over Lightning, as its callers do."""

import asyncio
import dataclasses
import json
import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pypow.errors import InvalidInputError, shown

from .info import version
from .options import AsJson
from .progress_line import bar_line

if TYPE_CHECKING:
    from pypow.l402_doctor.examination import Report

EPILOG = """
Examples:

\b
  pypow l402 doctor https://api.example.com/paid
  pypow l402 doctor http://127.0.0.1:8402/search --json

It makes some twenty calls, and pays nothing.

Exit codes: 0 nothing fails (warnings may be told), 1 something would fail, 2 wrong use.
"""

_METHOD = re.compile(r"[A-Z]{1,20}", re.ASCII)
_WIDE = 9


def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="What is sold, as its callers ask.")],
    *,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="The HTTP method that is sold.")
    ] = "GET",
    as_json: AsJson = False,
) -> None:
    """Probe a server that sells by L402 or Payment (MPP), and tell which clients would fail."""
    host = _host(url)
    if not _METHOD.fullmatch(method):
        raise InvalidInputError(
            f"--method: expected a name in capitals such as POST, got {shown(method)}"
        )
    try:
        from pypow.l402_doctor.asking import asker
        from pypow.l402_doctor.examination import examine
        from pypow.lightning.near import is_near
    except ModuleNotFoundError:
        raise InvalidInputError(
            "the doctor needs aiohttp; pip install 'pypow-engine[l402]'"
        ) from None

    async def look() -> "Report":
        agent = f"pypow-doctor/{version()}"
        with bar_line(quiet=as_json) as tell:
            async with asker(url, method, agent=agent) as asking:
                return await examine(asking, is_near=is_near(host), now_ms=_now_ms, tell=tell)

    report = asyncio.run(look())
    typer.echo(_as_json(url, report) if as_json else _printable(text(report)))
    if report.fails:
        raise typer.Exit(1)


def text(report: "Report") -> str:
    """One line for each finding and each client, and the fix below."""
    lines = []
    for finding in report.findings:
        lines.append(f"{finding.level.value:<5} {finding.check:<{_WIDE}} {finding.found}")
        if finding.fix:
            lines.append(f"{'':{_WIDE + 7}}fix: {finding.fix}")
    if report.verdicts:
        lines += ["", "clients"]
    for verdict in report.verdicts:
        client = verdict.client
        lines.append(f"  {client.name} {client.version}: {verdict.fate}")
        if verdict.fate.is_failure:
            lines += [f"{'':6}{verdict.why}", f"{'':6}fix: {verdict.fix}"]
    return "\n".join(lines)


def _as_json(url: str, report: "Report") -> str:
    findings = [
        dataclasses.asdict(finding) | {"level": finding.level.value} for finding in report.findings
    ]
    clients = [
        {
            "client": verdict.client.name,
            "version": verdict.client.version,
            "fate": verdict.fate.value,
            "fails": verdict.fate.is_failure,
            "why": verdict.why,
            "fix": verdict.fix,
        }
        for verdict in report.verdicts
    ]
    said = {"ok": not report.fails, "url": url, "findings": findings, "clients": clients}
    return json.dumps(said)


def _printable(words: str) -> str:
    """The words without what moves a cursor: servers chose some of them."""
    return "".join(
        one if one.isascii() and (one.isprintable() or one == "\n") else "?" for one in words
    )


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInputError(
            f"expected a URL such as https://api.example.com/paid, got {shown(url)}"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("expected a URL without a login: others may read this command")
    return parts.hostname or ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
