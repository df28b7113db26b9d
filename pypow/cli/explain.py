# SPDX-License-Identifier: Apache-2.0
"""`pypow explain`: why a caller was asked for so much, by its challenge or by a decision's id."""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pypow import difficulty, wire
from pypow.errors import InvalidInputError, shown
from pypow.profiles import DEFAULT_DEVICE, Device, device_of
from pypow.tariff import OVERDRAFT_STEP_Q
from pypow.wire import ANY_RESOURCE, ANYONE, Challenge

from .figures import columns, duration, work
from .operators_side import DEFAULT_ADMIN, decision, plain
from .options import AsJson

EPILOG = """
Examples:

\b
  pypow explain AQEAADAAAAEAAQAAAAcB...  (104 characters)
  pypow explain 91f0c2a47be3d85e --admin http://127.0.0.1:8403 --json

Exit codes: 0 explained, 1 unknown to the gate, or no gate there, 2 wrong use.
"""

_PARTS = ("base_q", "weight_q", "overdraft_q", "entry_q")
_DECISION = re.compile(r"[0-9a-f]{16}")


def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CHALLENGE_OR_DECISION",
            help="A challenge's 104 characters; or the 16 of a refusal's `decision`.",
        ),
    ],
    *,
    admin: Annotated[
        str,
        typer.Option(metavar="URL", help="Where the operators of the gate that decided come in."),
    ] = DEFAULT_ADMIN,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Whose times to tell: a profile or a device.")
    ] = DEFAULT_DEVICE,
    as_json: AsJson = False,
) -> None:
    """Say what a challenge asks for and why, or what a gate decided.

    A challenge is read here; whether it was signed by a gate, or spent, is the gate's to say. A
    decision is asked for at the gate, which keeps its last 1000 refusals.
    """
    device = device_of(profile)
    if _DECISION.fullmatch(what):
        document = decision(admin, what)
        if document["q"] is not None:
            document |= _amount(document["q"], device)
        told = _told_decision(document, device, now_ms=time.time_ns() // 1_000_000)
    elif len(what) == wire.CHALLENGE_TEXT:
        challenge, now_ms = wire.decode_challenge(what), time.time_ns() // 1_000_000
        document = _terms(challenge, device, now_ms=now_ms)
        told = _told_challenge(challenge, device, now_ms=now_ms)
    else:
        raise InvalidInputError(
            f"expected a challenge ({wire.CHALLENGE_TEXT} characters) or a decision's id "
            f"(16 hex digits), got {shown(what)}"
        )
    typer.echo(json.dumps(document) if as_json else told)


def _amount(q: int, device: Device) -> dict[str, object]:
    """A difficulty in its three forms."""
    hashes = difficulty.expected_hashes(q)
    return {
        "bits": difficulty.bits(q),
        "hashes": round(hashes),
        "milliseconds": round(1000 * hashes / device.hashes_per_s, 3),
        "device": device.name,
    }


def _terms(challenge: Challenge, device: Device, *, now_ms: int) -> dict[str, object]:
    """A challenge as ``--json`` prints it."""
    return {
        **_amount(challenge.q, device),
        "puzzles": challenge.puzzles,
        "bits_each": difficulty.bits(challenge.sub_q),
        "overdraft_bits": difficulty.bits(challenge.overdraft * OVERDRAFT_STEP_Q),
        "weight": challenge.weight,
        "for_any_call": challenge.resource == ANY_RESOURCE,
        "for_anyone": challenge.principal == ANYONE,
        "key": challenge.key,
        "epoch": challenge.epoch,
        "id": challenge.id.hex(),
        "issued_at_ms": challenge.issued_at_ms,
        "lifetime_s": challenge.lifetime_s,
        "expires_at_ms": challenge.expires_at_ms,
        "expired": challenge.expires_at_ms <= now_ms,
    }


def _told_challenge(challenge: Challenge, device: Device, *, now_ms: int) -> str:
    left_s = (challenge.expires_at_ms - now_ms) / 1000
    good = f"{duration(left_s)} are left" if left_s > 0 else f"expired {duration(-left_s)} ago"
    each = ""
    if challenge.puzzles > 1:
        bits = difficulty.bits(challenge.sub_q)
        each = f", in {challenge.puzzles} sub-puzzles of {bits:.4g} bits"
    units = "1 unit" if challenge.weight == 1 else f"{challenge.weight} units"
    is_for = "any call of no more weight" if challenge.resource == ANY_RESOURCE else "one call only"
    whom = "anybody" if challenge.principal == ANYONE else "one caller only"
    rows = [
        ("work", work(challenge.q, device) + each),
        ("overdraft", _told_overdraft(challenge)),
        ("weight", units),
        ("for", f"{is_for}, by {whom}"),
        ("issued", f"{_moment(challenge.issued_at_ms)}, for {challenge.lifetime_s} s; {good}"),
        ("signed by", f"key {challenge.key}, in epoch {challenge.epoch} of the ledger"),
    ]
    return columns(rows, left=2)


def _told_overdraft(challenge: Challenge) -> str:
    if not challenge.overdraft:
        return "none: the work is for price and weight alone"
    surcharge_q = challenge.overdraft * OVERDRAFT_STEP_Q
    times = difficulty.expected_hashes(surcharge_q)
    return (
        f"up to {difficulty.bits(surcharge_q):.4g} of these bits, {times:.3g} times the work: "
        "the caller, its network or newcomers used more than their share"
    )


def _told_decision(document: Mapping[str, Any], device: Device, *, now_ms: int) -> str:
    price = "no work would help" if document["q"] is None else work(document["q"], device)
    problem = f"{plain(document['problem'])} ({document['status']}); docs/errors.md has its fix"
    rows = [
        ("decision", f"{plain(document['outcome'])}, {_moment(document['at_ms'])}"),
        ("call", plain(f"{document['method']} {document['name']}")),
        ("from", plain(document["client"])),
        ("entry", plain(document["entry"])),
        ("problem", problem),
        ("price", price),
    ]
    if document.get("quote") is not None:
        rows += _told_quote(document["quote"], document, now_ms=now_ms)
    if document.get("retry_after_s") is not None:
        rows.append(("wait", f"{duration(document['retry_after_s'])}, as the caller was told"))
    return columns(rows, left=2)


def _told_quote(
    quote: Mapping[str, int], document: Mapping[str, Any], *, now_ms: int
) -> list[tuple[str, str]]:
    """What a price that follows use is made of."""
    rows = [("base", f"{_bits(quote['base_q'])}, for anybody")]
    if quote["weight_q"]:
        units = difficulty.expected_hashes(min(quote["weight_q"], difficulty.MAX_Q))
        told = f"{_bits(quote['weight_q'])} more: it costs {units:.3g} times the default price"
        rows.append(("weight", told))
    if quote["overdraft_q"]:
        whose = _whose(plain(document.get("overdrawn") or "its network"), document)
        rows.append(
            ("overdraft", f"{_bits(quote['overdraft_q'])} more: {whose} used more than its share")
        )
    if quote["entry_q"]:
        told = f"{_bits(quote['entry_q'])} more: there are many newcomers, and this is one"
        rows.append(("newcomer", told))
    if document.get("limiter_failed"):
        rows.append(("overdraft", "not known: the store could not tell what the caller used"))
    asked, found_q = document["q"], sum(quote[name] for name in _PARTS)
    if asked is not None and asked != found_q:
        rows.append(("rounded", f"from {_bits(found_q)}, to the steps that this caller takes"))
    if quote["overdraft_q"]:
        left_ms = quote["free_in_ms"] - max(0, now_ms - max(0, document["at_ms"]))
        rows.append(("base again", _told_return(left_ms)))
    return rows


def _whose(overdrawn: str, document: Mapping[str, Any]) -> str:
    is_own = overdrawn == plain(document["client"]) or overdrawn.startswith("standing:")
    return f"the caller, {overdrawn}," if is_own else overdrawn


def _told_return(left_ms: int) -> str:
    if left_ms > 0:
        return f"in {duration(left_ms / 1000)}, if nobody calls meanwhile"
    return f"{duration(-left_ms / 1000)} ago, if nobody has called since"


def _bits(q: int) -> str:
    bits = difficulty.bits(q)
    return "1 bit" if bits == 1 else f"{bits:.4g} bits"


def _moment(unix_ms: int) -> str:
    try:
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{unix_ms} ms after 1970"  # beyond the year 9999, as 48 bits allow
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
