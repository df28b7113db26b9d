# SPDX-License-Identifier: Apache-2.0
"""Which clients of others there are, and what becomes of each at a server.

Every verdict is that of a client as it is published and set up by default. What
``tests/interop/test_doctor_agrees.py`` runs of them behaves so against wrong servers.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from . import readers
from .observed import (
    PAYMENT_REQUIRED,
    Answer,
    Outcome,
    decoded_invoice,
    payment_hash_of,
    sats_of,
)
from .readers import Missed, Reading, Taken


class Fate(enum.StrEnum):
    """What becomes of a client."""

    PAYS = "pays"
    """Once, and has its answer."""
    OTHER_SCHEME = "other scheme"
    """It knows none of those that are offered, and pays nothing."""
    GIVES_UP = "gives up"
    """It pays nothing, though its scheme is offered."""
    IN_VAIN = "pays in vain"
    AGAIN = "pays again and again"

    @property
    def is_failure(self) -> bool:
        """Whether the server could do better by it."""
        return self in (Fate.GIVES_UP, Fate.IN_VAIN, Fate.AGAIN)


@dataclass(frozen=True, slots=True)
class Client:
    """A client of somebody else.

    Attributes:
        name: with where it is from.
        version: whose source was read.
        knows: the schemes that it can pay by.
        read: how it reads a refusal.
        most_sats: what it pays at most for a call unless it is told; None for anything.
        needs_402: whether it looks for offers in an answer of 402 only.
    """

    name: str
    version: str
    knows: frozenset[str]
    read: Callable[[Answer, int], Reading]
    most_sats: int | None = None
    needs_402: bool = True


_L402: Final = frozenset({"L402"})
_PAYMENT: Final = frozenset({"Payment"})
_ALBY: Final = "@getalby/lightning-tools"

CLIENTS: Final = (
    Client("PyPI l402-requests", "0.9.0", _L402 | _PAYMENT, readers.l402_requests, 1000),
    Client("PyPI l402sdk", "0.1.0", _L402, readers.l402sdk),
    Client("PyPI l402kit", "1.10.1", _L402, readers.l402kit),
    Client("PyPI lightning-toll", "0.1.1", _L402, readers.lightning_toll, 100),
    Client("PyPI pympp", "0.16.0", _PAYMENT, readers.pympp),
    Client("npm l402", "0.5.1", _L402, readers.npm_l402),
    Client(f"npm {_ALBY} fetchWithL402", "9.0.1", _L402, readers.alby_with_l402, needs_402=False),
    Client(f"npm {_ALBY} fetch402", "9.0.1", _L402 | _PAYMENT, readers.alby_402, needs_402=False),
    Client("Go aperture's interceptor", "0.5.0", _L402, readers.aperture, 1000),
    Client("Go lnget", "1.1.0", _L402 | _PAYMENT, readers.lnget, 1000),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one client.

    Attributes:
        client: which.
        fate: what.
        why: the reason; empty for one that pays.
        fix: what the server would have to do; empty likewise.
    """

    client: Client
    fate: Fate
    why: str = ""
    fix: str = ""


def verdicts(refusal: Answer, without_scheme: Outcome | None, *, now_ms: int) -> list[Verdict]:
    """What becomes of every client; of a redirect nothing, which some follow.

    Args:
        refusal: the answer to a call without a credential.
        without_scheme: the answer to a credential that names no scheme, as one client sends it
            when it takes the wrong offer for its own; None where nobody asked.
        now_ms: Unix milliseconds.
    """
    if 300 <= refusal.status < 400:
        return []
    return [_verdict(client, refusal, without_scheme, now_ms) for client in CLIENTS]


def _verdict(client: Client, refusal: Answer, without: Outcome | None, now_ms: int) -> Verdict:
    read = client.read(refusal, now_ms)
    if client.needs_402 and refusal.status != PAYMENT_REQUIRED:
        read = Missed(
            f"it looks at answers of 402 only, and this is {refusal.status}", "answer 402"
        )
    if isinstance(read, Missed):
        knows = bool(client.knows & schemes(refusal))
        return Verdict(client, Fate.GIVES_UP if knows else Fate.OTHER_SCHEME, read.why, read.fix)
    fate, why, fix = _of(client, read, refusal)
    if fate is Fate.IN_VAIN and not read.scheme and _asks_again(client, without, now_ms):
        why += ", and the server asks for another payment"
        fix += "; answer 401 without an offer to an Authorization of no scheme"
        fate = Fate.AGAIN
    return Verdict(client, fate, why, fix)


def _of(client: Client, taken: Taken, refusal: Answer) -> tuple[Fate, str, str]:
    invoice = decoded_invoice(taken.invoice)
    if invoice is None:
        return Fate.GIVES_UP, "no wallet reads this invoice", "send an invoice as BOLT 11 has it"
    sats = sats_of(taken.invoice) or 0
    if client.read is readers.lightning_toll:
        sats = refusal.members.get("amountSats", 0)
    if client.most_sats is not None and sats > client.most_sats:
        why = f"{sats} sats are more than the {client.most_sats} that it pays unless told"
        return Fate.GIVES_UP, why, "sell smaller parts, or tell its users which limit to raise"
    if not taken.scheme:
        why = "it takes the offer for its own, and comes back without a scheme"
        return Fate.IN_VAIN, why, readers.FORM
    if taken.leaves_out:
        lost = ", ".join(taken.leaves_out)
        why = f"it does not send back {lost} of the Payment challenge"
        return Fate.IN_VAIN, why, f"offer L402 first, or leave {lost} out"
    bought = payment_hash_of(taken.token)
    if bought is not None and bought != invoice.payment_hash:
        why = "the macaroon that it sends is for another invoice than the one it pays"
        return Fate.IN_VAIN, why, "make macaroon and invoice, in header and body, one offer"
    return Fate.PAYS, "", ""


def _asks_again(client: Client, without: Outcome | None, now_ms: int) -> bool:
    return (
        isinstance(without, Answer)
        and without.status == PAYMENT_REQUIRED
        and isinstance(client.read(without, now_ms), Taken)
    )


_NAMED = re.compile(r"(?:^|,)[ \t]*(l402|lsat|payment)(?=[ \t])", re.IGNORECASE)


def schemes(answer: Answer) -> frozenset[str]:
    """The schemes that an answer names at all, however badly."""
    found = {named for line in answer.challenges for named in _NAMED.findall(line)}
    said = {"Payment" if named.lower() == "payment" else "L402" for named in found}
    has_body = bool(answer.members.get("macaroon") or answer.members.get("invoice"))
    return frozenset(said | ({"L402"} if has_body else set()))
