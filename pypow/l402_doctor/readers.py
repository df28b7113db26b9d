# SPDX-License-Identifier: Apache-2.0
"""How the clients of others read a refusal: each function does what the source of one does.

Expressions and order are theirs, faults included; what they do not read is not read here either.
"""

import binascii
import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pypow import moments
from pypow.auth_params import read_challenges
from pypow.errors import WireError

from .observed import Answer, payment_hash_of, sats_of

FORM: Final = (
    'send a line of its own, the first: L402 macaroon="...", invoice="...", version="0", '
    'token="..."'
)
BODY_FORM: Final = "put invoice, macaroon and amountSats at the top level of a JSON body"
PAYMENT_FORM: Final = (
    'send Payment id="...", realm="...", method="lightning", intent="charge", request="..."'
)
_NOT_ECHOED: Final = {"l402-requests": ("header",), "alby": ("digest", "opaque", "header")}


@dataclass(frozen=True, slots=True)
class Taken:
    """What a client pays, and how it comes back.

    Attributes:
        scheme: what its credential begins with; "" for nothing.
        invoice: what it pays.
        token: what it sends back of L402; "" for the ``Payment`` scheme.
        leaves_out: what of a ``Payment`` challenge it does not echo, where the challenge has it.
    """

    scheme: str
    invoice: str
    token: str = ""
    leaves_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """A client that pays nothing, as it does not find what it looks for.

    Attributes:
        why: in words.
        fix: what the server would have to do.
    """

    why: str
    fix: str


Reading: TypeAlias = Taken | Missed

_REQUESTS = (
    re.compile(r'(?:L402|LSAT)\s+macaroon="([^"]+)"\s*,\s*invoice="([^"]+)"', re.IGNORECASE),
    re.compile(r"(?:L402|LSAT)\s+macaroon=([^\s,]+)\s*,?\s*invoice=([^\s,]+)", re.IGNORECASE),
)
_APERTURE = re.compile(r'(LSAT|L402) macaroon="(.*?)", invoice="(.*?)"')
_LNGET = re.compile(r'(LSAT|L402)\s+macaroon="([^"]+)",\s*invoice="([^"]+)"', re.IGNORECASE)
_NPM_SCHEME = re.compile(r"(?:LSAT|L402)")
_NPM_INVOICE = re.compile(r'invoice="([\w|]+)"', re.ASCII)
_NPM_MACAROON = re.compile(r'macaroon="([\w|+/=-]+)"', re.ASCII)
_ALBY = re.compile(r"""(\w+)=("([^"]*)"|'([^']*)'|([^,]*))""", re.ASCII)
_ALBY_PAYMENT = re.compile(r"""(\w+)=("([^"]*)"|'([^']*)'|([^,\s]*))""", re.ASCII)


def l402_requests(answer: Answer, now_ms: int) -> Reading:
    """PyPI l402-requests: every line by itself; L402 in any of them before ``Payment``."""
    for line in answer.challenges:
        for form in _REQUESTS:
            found = form.search(line)
            if found is not None:
                return _priced(Taken("L402", found[2].strip(), found[1].strip()))
    for params in _payments(answer):
        taken = _charge(params, "l402-requests")
        if isinstance(taken, Taken):
            expired = _expired(params, now_ms, must_read=False)
            return expired or _priced(taken, params)
    return Missed('no line has macaroon="...", invoice="..." behind the scheme', FORM)


def _priced(taken: Taken, params: Mapping[str, str] | None = None) -> Reading:
    amount = None if params is None else _request(params["request"]).get("amount")
    if not sats_of(taken.invoice) and not amount:
        return Missed("it pays no invoice for any amount", "put the amount into the invoice")
    return taken


def l402sdk(answer: Answer, _now_ms: int) -> Reading:
    """PyPI l402sdk: the first line only, and its scheme in capitals."""
    line = _first(answer).strip()
    if not line.startswith(("L402 ", "LSAT ")):
        return Missed("it reads the first line only, and that is not L402 in capitals", FORM)
    said: dict[str, str] = {}
    for part in _outside_quotes(line[len("L402 ") :]):
        name, equals, value = part.partition("=")
        if not equals:
            return Missed("a part of the line has no =", FORM)
        said[name.strip().lower()] = value.strip().strip('"')
    for name in ("macaroon", "invoice"):
        if name not in said:
            return Missed(f"the line has no {name}=", FORM)
    if not _is_base64(said["macaroon"]):
        return Missed("the macaroon is not in base64", "send the macaroon in base64 with padding")
    if not said["invoice"].startswith(("lnbc", "lntb")):
        return Missed("the invoice does not begin with lnbc or lntb", "write it in lower case")
    return Taken(line[:4], said["invoice"], said["macaroon"])


def l402kit(answer: Answer, _now_ms: int) -> Reading:
    """PyPI l402kit: the members of the body before the header."""
    if answer.document is not None and not isinstance(answer.document, dict):
        return Missed("the body is JSON, and no object", BODY_FORM)
    members, header = answer.members, _joined(answer)
    invoice = next(filter(None, map(members.get, ("invoice", "paymentRequest"))), None)
    invoice = invoice or members.get("payment_request") or _quoted(header, "invoice")
    macaroon = members.get("macaroon") or _quoted(header, "macaroon")
    if not invoice or not macaroon:
        return Missed("neither body nor header has macaroon and invoice", f"{FORM}; {BODY_FORM}")
    return Taken("L402", str(invoice), str(macaroon))


def lightning_toll(answer: Answer, _now_ms: int) -> Reading:
    """PyPI lightning-toll: the body, and never a header."""
    for name in ("invoice", "macaroon"):
        if not answer.members.get(name):
            return Missed(f"it reads the body only, where {name} is missing", BODY_FORM)
    if not isinstance(answer.members.get("amountSats", 0), int | float):
        return Missed("amountSats is no number", BODY_FORM)
    return Taken("L402", str(answer.members["invoice"]), str(answer.members["macaroon"]))


def pympp(answer: Answer, now_ms: int) -> Reading:
    """PyPI pympp: ``Payment`` in any line."""
    for params in _payments(answer):
        taken = _charge(params, "pympp")
        if isinstance(taken, Taken):
            return _expired(params, now_ms, must_read=True) or taken
    return Missed("no line has a whole Payment challenge over Lightning", PAYMENT_FORM)


def npm_l402(answer: Answer, _now_ms: int) -> Reading:
    """Npm l402: both values wherever they are; the scheme from the very beginning, or none."""
    header = _joined(answer)
    invoice, macaroon = _NPM_INVOICE.search(header), _NPM_MACAROON.search(header)
    if invoice is None or macaroon is None:
        return Missed('no macaroon="..." and invoice="..." in quotes', FORM)
    scheme = _NPM_SCHEME.match(header)
    return Taken("" if scheme is None else scheme[0], invoice[1], macaroon[1])


def alby_with_l402(answer: Answer, _now_ms: int) -> Reading:
    """Npm @getalby/lightning-tools fetchWithL402: all names of all lines, the last of each."""
    header = _joined(answer)
    said = _last_of_each(_ALBY, header.replace("L402", "", 1).replace("LSAT", "", 1))
    token, invoice = said.get("token") or said.get("macaroon"), said.get("invoice")
    if not token or not invoice:
        return Missed("no token= or macaroon= with an invoice=", FORM)
    is_old = re.match(r"\s*LSAT\b", header, re.IGNORECASE)
    return Taken("LSAT" if is_old else "L402", invoice, token)


def alby_402(answer: Answer, now_ms: int) -> Reading:
    """Npm @getalby/lightning-tools fetch402: L402 or ``Payment``, where it stands first."""
    header = _joined(answer).lstrip()
    if header.lower().startswith(("l402", "lsat")):
        return alby_with_l402(answer, now_ms)
    if not header.lower().startswith("payment"):
        return Missed("neither L402 nor Payment is the first word of the header", FORM)
    return _charge(_last_of_each(_ALBY_PAYMENT, header), "alby")


def aperture(answer: Answer, _now_ms: int) -> Reading:
    """Aperture's client, in Go: any line with one space between its words."""
    for line in answer.challenges:
        found = _APERTURE.search(line)
        if found is not None:
            if not _is_standard_base64(found[2]):
                return Missed("the macaroon is not in base64 with padding", _STANDARD)
            return Taken(found[1], found[3], found[2])
    return Missed('no line has just: L402 macaroon="...", invoice="..."', FORM)


def lnget(answer: Answer, now_ms: int) -> Reading:
    """Lnget, in Go: the first line for L402, whose macaroon it decodes; else ``Payment``."""
    if _first(answer).lower().startswith(("l402 ", "lsat ")):
        found = _LNGET.search(_first(answer))
        if found is None:
            return Missed('the first line has no macaroon="...", invoice="..."', FORM)
        if payment_hash_of(found[2]) is None:
            return Missed("the token is no macaroon with an identifier of L402", _STANDARD)
        return Taken(found[1].upper(), found[3], found[2])
    for params in _payments(answer):
        if "=" in params.get("request", ""):
            return Missed("the request has padding", "send base64url without padding")
        return _expired(params, now_ms, must_read=True) or _charge(params, "lnget")
    return Missed("the first line is not L402, and none is Payment", FORM)


_STANDARD = "send a macaroon of version 2 with L402's identifier, in base64 with padding"


def _first(answer: Answer) -> str:
    return next(iter(answer.challenges), "")


def _joined(answer: Answer) -> str:
    """As axios, httpx and every browser hand over several lines."""
    return ", ".join(answer.challenges)


def _quoted(header: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]+)"', header)
    return "" if found is None else found[1]


def _last_of_each(form: re.Pattern[str], text: str) -> dict[str, str]:
    return {found[1]: found[3] or found[4] or found[5] or "" for found in form.finditer(text)}


def _outside_quotes(text: str) -> list[str]:
    """Parts between commas that no quotes hold."""
    parts = re.findall(r'(?:[^",]|"[^"]*(?:"|$))+', text)
    return [part.strip() for part in parts if part.strip()]


def _is_base64(text: str) -> bool:
    bare = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    return _is_standard_base64(bare + "=" * (-len(bare) % 4))


def _is_standard_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return True


def _payments(answer: Answer) -> Iterator[Mapping[str, str]]:
    """The parameters of every ``Payment`` challenge."""
    for line in answer.challenges:
        try:
            found = read_challenges(line)
        except WireError:
            continue
        yield from (one.parameters for one in found if one.scheme == "payment")


def _charge(params: Mapping[str, str], client: str) -> Reading:
    """The invoice of a ``Payment`` challenge over Lightning."""
    missing = [name for name in ("id", "realm", "request") if not params.get(name)]
    if missing or (params.get("method"), params.get("intent")) != ("lightning", "charge"):
        what = ", ".join(missing) or "the method lightning and the intent charge"
        return Missed(f"the Payment challenge has no {what}", PAYMENT_FORM)
    request = _request(params["request"])
    details = request.get("methodDetails")
    invoice = details.get("invoice") if isinstance(details, dict) else None
    if not isinstance(invoice, str) or not invoice:
        return Missed("the Payment request has no methodDetails.invoice", PAYMENT_FORM)
    if str(request.get("currency", "sat")).lower() != "sat" and client != "alby":
        return Missed("the currency of the Payment request is not sat", 'say "currency": "sat"')
    left_out = tuple(name for name in _NOT_ECHOED.get(client, ()) if params.get(name))
    return Taken("Payment", invoice, leaves_out=left_out)


def _request(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _expired(params: Mapping[str, str], now_ms: int, *, must_read: bool) -> Missed | None:
    if not params.get("expires"):
        return None
    try:
        is_past = moments.moment_of(params["expires"]) <= now_ms
    except WireError:
        return Missed("expires is no moment", "write it as RFC 3339 does") if must_read else None
    return Missed("the Payment challenge has expired", "send a fresh one") if is_past else None
