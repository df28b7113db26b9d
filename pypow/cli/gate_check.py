# SPDX-License-Identifier: Apache-2.0
"""`pypow gate --check` and `--schema`: what a policy file means, without serving it."""

import dataclasses
import json
from typing import TYPE_CHECKING

import typer

from .figures import columns, count, duration

if TYPE_CHECKING:
    from pypow_server.explain import Cost, Explanation, PriceLine
    from pypow_server.settings import Settings


def print_schema() -> None:
    """The JSON schema of a policy file, for editors."""
    from pypow_server.toml_document import schema

    typer.echo(json.dumps(schema(), indent=2))


def check(settings: "Settings", *, request: str | None, as_json: bool) -> None:
    """Print what the settings mean, and what a request would cost.

    Raises:
        InvalidInputError: a request that cannot be read.
    """
    from pypow_server.explain import cost, explain

    explained = explain(settings)
    asked = None if request is None else cost(settings, request)
    if as_json:
        document = dataclasses.asdict(explained)
        document["request"] = None if asked is None else dataclasses.asdict(asked)
        typer.echo(json.dumps(document))
        return
    typer.echo(_shown(explained))
    if asked is not None:
        typer.echo(_shown_cost(asked))


def _shown(explained: "Explanation") -> str:
    reference = explained.reference
    origin = "measured" if reference.measured else "estimate"
    rows = [
        ("entry", "bits", "hashes", "time", "p99", "free", "pass"),
        *(_row(line) for line in explained.prices),
    ]
    if explained.sold is not None:
        sats = (
            "sats",
            *("-" if line.sats is None else str(line.sats) for line in explained.prices),
        )
        rows = [(*row, cell) for row, cell in zip(rows, sats, strict=True)]
    if explained.logins is not None:
        ways = ("let in by", *(_ways(line) for line in explained.prices))
        rows = [(*row, cell) for row, cell in zip(rows, ways, strict=True)]
    speed = (
        f"times are a {reference.name}'s: {count(reference.hashes_per_s)} hashes a second "
        f"({origin}, {reference.as_of}: {reference.source})"
    )
    warnings = [f"warning: {text}" for text in explained.warnings]
    hints = [f"hint: {text}" for text in explained.hints]
    use = [
        *_shown_use(explained),
        *_shown_calibrated(explained),
        *_shown_sold(explained),
        *_shown_logins(explained),
        *_shown_given_out(explained),
    ]
    return "\n".join([columns(rows, left=len(rows[0])), "", speed, *use, *warnings, *hints])


def _shown_use(explained: "Explanation") -> list[str]:
    if explained.quota is None:
        return []
    calls, period_ms = explained.quota
    doubling = f"every {calls / 15:.3g} calls" if calls > 15 else "each call"
    said = [
        f"each network may make {calls} calls of the default price in {duration(period_ms / 1000)}"
        f"; past that, prices rise by 1 bit for {doubling}"
    ]
    if explained.capacity_per_s is not None:
        served = f"{explained.capacity_per_s:.4g}"
        said.append(f"the upstream serves {served} of these a second; more wait for their turn")
    return said


def _shown_calibrated(explained: "Explanation") -> list[str]:
    calibrated = explained.calibrated
    if calibrated is None:
        return []
    return [
        f"calibrated: {', '.join(calibrated.entries)}; these move by "
        f"{calibrated.most_bits_a_day:g} bits a day, and {calibrated.most_bits:g} in all, until 99 "
        "of 100 solves of the default price by the slow tenth of known callers take less than "
        f"{duration(calibrated.target_ms / 1000)}"
    ]


def _shown_sold(explained: "Explanation") -> list[str]:
    sold = explained.sold
    if sold is None:
        return []
    free = "no invoice"
    if sold.invoices is not None:
        free = f"{sold.invoices[0]} invoices in {duration(sold.invoices[1] / 1000)}"
    asked = ["the wallet is asked before a payment admits the first time"] if sold.strict else []
    return [
        f"sats are paid over Lightning ({sold.network}) to {sold.wallet}; an invoice can be paid "
        f"for {duration(sold.expiry_s)} and is honoured for {duration(sold.grace_s)} more",
        f"each network gets {free} without work, and past that one for {sold.invoice_bits:g} bits; "
        f"sats rise with use as the work does, to {sold.max_sats} at most",
        *asked,
    ]


def _shown_logins(explained: "Explanation") -> list[str]:
    logins = explained.logins
    if logins is None:
        return []
    issuers = ", ".join(
        url if kind == "jwt" else f"{url} (asked about each)" for url, kind in logins.issuers
    )
    said = []
    if issuers:
        said.append(
            f"access tokens are taken that are for {logins.resource} and from {issuers}; they "
            f"{'travel on' if logins.forwards_tokens else 'do not travel on'} to the upstream"
        )
    if logins.asks_first:
        said.append("who brings nothing is asked for a login first (401) where one helps")
    return said


def _shown_given_out(explained: "Explanation") -> list[str]:
    given = explained.given_out
    if given is None:
        return []
    paid = "work" if explained.sold is None else "work and sats"
    said = [f"access tokens are given out for {paid} at {given.endpoint}"]
    if given.fetches_clients:
        said.append("clients there may be https URLs of documents about them, which are fetched")
    for platform, scopes in given.workloads:
        said.append(f"jobs of {platform} get tokens there for nothing: {' '.join(scopes)}")
    return said


def _ways(line: "PriceLine") -> str:
    """What lets a call in, as a reader says it."""
    login = f"oauth ({' '.join(line.scopes)})"
    ways = ", or ".join(way.replace("oauth", login, 1) for way in line.ways)
    return ways if line.login_free is None else f"{ways}; oauth has {_free(line.login_free)} free"


def _free(quota: tuple[int, int] | None) -> str:
    return "-" if quota is None else f"{quota[0]}/{quota[1] / 1000:g}s"


def _row(line: "PriceLine") -> tuple[str, ...]:
    free = _free(line.free)
    sold = "1 call"
    if line.sells is not None:
        calls, seconds = line.sells
        sold = f"{calls} calls / {seconds}s" if calls else f"{seconds}s"
    entry = f"{line.entry} (observed)" if line.observe else line.entry
    if not any("work" in way for way in line.ways):
        return (entry, "-", "-", "-", "-", free, sold if line.sats is not None else "-")
    times = duration(line.seconds), duration(line.p99_s)
    return (entry, f"{line.bits:.4g}", count(line.hashes), *times, free, sold)


def _shown_cost(asked: "Cost") -> str:
    if asked.price is None:
        what = {
            "deny": "is not let in",
            "allow": "is let in for nothing",
            "free": "is free",
            "none": "is refused: MCP is spoken there, and its calls are priced one by one",
        }
        return f"\n{asked.request}: {what[asked.entry]}"
    price = asked.price
    if not any("work" in way for way in price.ways):
        paid = "" if price.sats is None else f", {price.sats} sats"
        return f"\n{asked.request}: {_ways(price)}{paid} ({asked.entry}){_shown_burst(asked)}"
    sats = "" if price.sats is None else f" or {price.sats} sats"
    login = f"; let in by {_ways(price)}" if price.scopes else ""
    return (
        f"\n{asked.request}: {price.bits:.4g} bits, {count(price.hashes)} hashes, "
        f"{duration(price.seconds)}{sats} ({asked.entry}){login}{_shown_burst(asked)}"
    )


def _shown_burst(asked: "Cost") -> str:
    if not asked.burst:
        return ""
    told = []
    for one in asked.burst:
        cost = "not sold" if one.bits is None else f"{one.bits:.4g} bits" if one.bits else "free"
        told.append(f"call {one.number} {cost}")
    return f"\nof a burst by a caller with its whole quota: {', '.join(told)}"
