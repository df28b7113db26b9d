# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 doctor`: look at any server that sells calls over Lightning, as its callers do."""

import asyncio
import dataclasses
import json
import os
import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pypow.errors import InvalidInputError, shown

from .info import version
from .options import AsJson
from .progress_line import bar_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pypow.bolt11 import Invoice
    from pypow.l402_doctor.examination import Report

EPILOG = """
Examples:

\b
  pypow l402 doctor https://api.example.com/paid
  pypow l402 doctor http://127.0.0.1:8402/search --json
  pypow l402 doctor https://mcp.example.com/mcp --header X-PoW-Accept:1 \\
      --data '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}}'

\b
  pypow l402 doctor https://api.example.com/paid \\
      --pay --wallet phoenixd:http://127.0.0.1:9740 --max-sats 100

It makes some twenty calls, and pays nothing without --pay. With it, it pays for a call by each
scheme that is offered, and tells what else a payment buys. What opens the wallet is read from the
file that PYPOW_WALLET_CREDENTIAL_FILE names, or from PYPOW_WALLET_CREDENTIAL.

Exit codes: 0 nothing fails (warnings may be told), 1 something would fail, 2 wrong use.
"""

_METHOD = re.compile(r"[A-Z]{1,20}", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_VALUE = re.compile(r"[ -~]*", re.ASCII)
_OURS = frozenset({"authorization", "content-length", "host", "payment-authorization"})
_WIDE = 12
_MAX_FEE_MSAT = 10_000


def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="What is sold, as its callers ask.")],
    *,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The HTTP method that is sold. [GET; with --data POST]"),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="What callers send anyhow; once for each."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The body of the call. [with POST]")
    ] = None,
    pay: Annotated[bool, typer.Option("--pay", help="Pay, and see what a payment buys.")] = False,
    wallet: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Who pays, such as lnd:https://HOST:8080.")
    ] = None,
    max_sats: Annotated[
        int | None, typer.Option(metavar="N", help="What all payments together may cost.")
    ] = None,
    other: Annotated[
        str | None,
        typer.Option(metavar="URL", help="What else is sold there. [URL with -other behind]"),
    ] = None,
    patience: Annotated[
        int, typer.Option(metavar="S", help="Seconds to wait for an invoice to expire.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Probe a server that sells by L402 or Payment (MPP), and tell which clients would fail."""
    _, host, _ = _origin(url)
    named = method or ("GET" if data is None else "POST")
    if not _METHOD.fullmatch(named):
        raise InvalidInputError(
            f"--method: expected a name in capitals such as POST, got {shown(method)}"
        )
    headers = dict(map(_field, header or ()))
    _require_means(url, pay=pay, wallet=wallet, max_sats=max_sats, other=other, patience=patience)
    try:
        from pypow.l402_doctor.asking import Call, asker
        from pypow.l402_doctor.examination import examine
        from pypow.l402_doctor.paying import Spending
        from pypow.lightning.near import is_near
    except ModuleNotFoundError:
        raise InvalidInputError(
            "the doctor needs aiohttp; pip install 'pypow-engine[l402]'"
        ) from None

    async def look() -> "Report":
        spending = None
        if wallet is not None and max_sats is not None:
            spending = Spending(await _payer(wallet), max_sats, other or f"{url}-other", patience)
        call = Call(url, named, headers, (data or "").encode(errors="replace"))
        agent = f"pypow-doctor/{version()}"
        with bar_line(quiet=as_json) as tell:
            async with asker(call, agent=agent) as asking:
                return await examine(
                    asking, is_near=is_near(host), now_ms=_now_ms, spending=spending, tell=tell
                )

    report = asyncio.run(look())
    typer.echo(_as_json(url, report) if as_json else _printable(text(report)))
    if report.fails:
        raise typer.Exit(1)


def _require_means(
    url: str,
    *,
    pay: bool,
    wallet: str | None,
    max_sats: int | None,
    other: str | None,
    patience: int,
) -> None:
    if pay and (wallet is None or max_sats is None or max_sats < 1 or patience < 0):
        raise InvalidInputError(
            "--pay: expected --wallet ADDRESS and --max-sats N, 1 or more, with it"
        )
    if not pay and (wallet, max_sats, other, patience) != (None, None, None, 0):
        raise InvalidInputError(
            "expected --pay with --wallet, --max-sats, --other and --patience: nothing is paid "
            "without it"
        )
    if other is not None and _origin(other) != _origin(url):
        # Whoever else got the credential could use it.
        raise InvalidInputError(f"--other: expected a URL of the same server, got {shown(other)}")


async def _payer(address: str) -> "Callable[[Invoice], Awaitable[bytes]]":
    """Pays with a wallet, which is found out now if there is no such."""
    from pypow.bolt11 import Network
    from pypow.lightning.wallets import open_wallet

    async def pay(invoice: "Invoice") -> bytes:
        opened = open_wallet(address, network=invoice.network, environment=os.environ)
        try:
            can_limit = opened.abilities.can_limit_fees
            return await opened.pay(invoice, max_fee_msat=_MAX_FEE_MSAT if can_limit else None)
        finally:
            await opened.aclose()

    network = Network.REGTEST if address == "development:" else Network.MAINNET
    await open_wallet(address, network=network, environment=os.environ).aclose()
    return pay


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


def _field(text: str) -> tuple[str, str]:
    """A name and a value."""
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip()):
        # What came is not quoted: it may be a login.
        raise InvalidInputError("--header: expected NAME:VALUE, in printable ASCII")
    if name.lower() in _OURS:
        raise InvalidInputError(f"--header: {name} is what the doctor itself sends; leave it out")
    return name, value.strip()


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        found = (parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        found = ("", "", None)
    if found[0] not in ("http", "https") or not found[1]:
        raise InvalidInputError(
            f"expected a URL such as https://api.example.com/paid, got {shown(url)}"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("expected a URL without a login: others may read this command")
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
