# SPDX-License-Identifier: Apache-2.0
"""How a refusal says what it offers: status, order, spelling, body, caching and size."""

import re
from collections.abc import Iterator
from typing import Final

from pypow.base64_text import decode_either, encode
from pypow.errors import WireError
from pypow.findings import Finding, fail, ok, warn

from .observed import PAYMENT_REQUIRED, Answer, Offered, sats_of
from .readers import BODY_FORM, FORM

_L402 = re.compile(r"[ \t]*(?:l402|lsat)(?:[ \t]|$)", re.IGNORECASE)
_RIGHT = re.compile(r'(?:L402|LSAT) macaroon="[^"]+", invoice="[^"]+"(?:, .*)?')
_ANY_SCHEME = re.compile(r"(?:^|,)[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+[A-Za-z_]+[ \t]*=")
MOST_READ: Final = 16 * 1024
"""Characters of a whole header that common clients read."""

_MOST_LINE: Final = 8190
_MOST_HEADER: Final = 4096
"""What nginx takes of an upstream's header unless it is told otherwise: one page."""


def check(refusal: Answer, offers: Offered) -> Iterator[Finding]:
    """Whether callers find what is offered."""
    yield from _status(refusal)
    if refusal.header_size > MOST_READ:
        yield from _size(refusal)
        return
    if not offers.l402 and not offers.payments and not any(map(_L402.match, refusal.challenges)):
        yield _nothing(refusal)
        return
    yield from _order(refusal)
    yield from _spelling(refusal)
    if offers.l402:
        yield from _body(refusal, offers)
    yield from _caching(refusal)
    yield from _size(refusal)


def _nothing(refusal: Answer) -> Finding:
    said = refusal.members.get("offers")
    if isinstance(said, list) and any(isinstance(one, dict) and "work" in one for one in said):
        return fail(
            "offers",
            "an invoice costs work now: too many were asked for",
            fix="wait a minute and look again, or raise l402.invoices of the gate",
        )
    return fail(
        "offers",
        "there is no offer of L402 or Payment, in header or body",
        fix="ask for a path that is sold; pypow gate sells where a price says sats",
    )


def _status(refusal: Answer) -> Iterator[Finding]:
    if refusal.status == PAYMENT_REQUIRED:
        yield ok("status", "402, in which all clients look for offers")
    elif 300 <= refusal.status < 400:
        where = "".join(refusal.values("location"))[:200]
        yield fail(
            "status",
            f"it redirects ({refusal.status}) to {where!a}",
            fix="give clients the last URL: some follow no redirect, others lose what they paid",
        )
    elif refusal.admits:
        yield fail("status", f"{refusal.status}: it costs nothing", fix="ask for what is sold")
    else:
        yield fail(
            "status", f"{refusal.status}, where clients wait for 402", fix="answer 402 with offers"
        )


def _order(refusal: Answer) -> Iterator[Finding]:
    names = [name for line in refusal.challenges for name in _ANY_SCHEME.findall(line)]
    kinds = [name.lower() for name in names]
    first = next((place for place, kind in enumerate(kinds) if kind in ("l402", "lsat")), None)
    if first:
        yield fail(
            "order",
            f"{names[0]} stands before {names[first]}: clients that read the first line only are "
            "lost, and one pays without end",
            fix="send L402 first, then Payment, then Bearer, then others",
        )
    elif first == 0:
        yield ok("order", f"{', '.join(names)}: L402 is first")
    if any(len(_ANY_SCHEME.findall(line)) > 1 for line in refusal.challenges):
        yield warn(
            "lines",
            "one line holds several challenges",
            fix="send a line of WWW-Authenticate for each; a proxy may have joined them",
        )
    if "lsat" in kinds and "l402" not in kinds:
        yield warn(
            "scheme", "L402 is offered by its old name LSAT only", fix="offer it as L402 too"
        )


def _spelling(refusal: Answer) -> Iterator[Finding]:
    for line in refusal.challenges:
        if not _L402.match(line):
            continue
        wrong = _misspelt(line)
        if wrong is None:
            yield ok("spelling", f"{line[:4]} is spelt as all clients read it")
        else:
            yield fail("spelling", wrong, fix=FORM)


def _misspelt(line: str) -> str | None:
    """What is wrong with a line of L402; None for nothing."""
    if line[:4] not in ("L402", "LSAT"):
        return f"the scheme is written {line.strip()[:4]}, and not in capitals"
    if "macaroon=" not in line:
        return "there is token=, as the specification has it, and no macaroon=, as clients do"
    if 'macaroon="' not in line or 'invoice="' not in line:
        return "macaroon and invoice are not both in quotes"
    if _RIGHT.fullmatch(line) is None:
        return "macaroon does not follow the scheme, and invoice macaroon, with one space before"
    token = re.search(r'[ ,]token="([^"]*)"', line)
    macaroon = line.partition('"')[2].partition('"')[0]
    if token is not None and token[1] != macaroon:
        return "token and macaroon differ"
    return _alphabet(macaroon)


def _alphabet(macaroon: str) -> str | None:
    try:
        is_standard = encode(decode_either(macaroon)) == macaroon
    except WireError:
        return "the macaroon is not in base64"
    return None if is_standard else "the macaroon is in base64url, or has no padding"


def _body(refusal: Answer, offers: Offered) -> Iterator[Finding]:
    members, offer = refusal.members, offers.l402[0]
    if not refusal.is_whole:
        yield fail("body", "the body is more than 64 KiB, or has no end", fix="send a short one")
        return
    missing = [name for name in ("invoice", "macaroon", "amountSats") if name not in members]
    if missing:
        yield warn(
            "body",
            f"the body has no {', '.join(missing)}: clients that read no header are lost",
            fix=BODY_FORM,
        )
        return
    if (members["macaroon"], members["invoice"]) != (offer.token, offer.invoice):
        yield fail("body", "body and header offer different things", fix="make one offer of them")
    elif members["amountSats"] != sats_of(offer.invoice):
        yield fail(
            "body",
            f"the body says {ascii(members['amountSats'])[:40]} sats, the invoice "
            f"{sats_of(offer.invoice)}",
            fix="say in amountSats what the invoice asks for, as a number",
        )
    else:
        yield ok("body", "body and header offer the same")


def browsers(refusal: Answer) -> Iterator[Finding]:
    """Whether a page of another site, which asked, can read the offers."""
    exposed = ",".join(refusal.values("access-control-expose-headers")).lower()
    if not refusal.values("access-control-allow-origin"):
        return  # pages of other sites are not let in at all, which may be meant
    if "www-authenticate" in exposed or exposed.strip() == "*":
        yield ok("browsers", "pages of other sites can read the offers")
    else:
        yield warn(
            "browsers",
            "pages of other sites may ask, and cannot read the offers",
            fix="Access-Control-Expose-Headers: WWW-Authenticate, Payment-Receipt",
        )


def _caching(refusal: Answer) -> Iterator[Finding]:
    if "no-store" in ",".join(refusal.values("cache-control")).lower():
        yield ok("caching", "nobody stores the refusal")
    else:
        yield fail(
            "caching",
            "a cache may give one caller's invoice to another",
            fix="send Cache-Control: no-store with every refusal",
        )


def _size(refusal: Answer) -> Iterator[Finding]:
    longest = max((len(name) + len(value) for name, value in refusal.fields), default=0)
    if refusal.header_size > MOST_READ:
        yield fail(
            "size",
            f"the header has {refusal.header_size} characters",
            fix=f"stay below {MOST_READ}, where Node and others stop reading",
        )
    elif longest > _MOST_LINE:
        yield fail(
            "size",
            f"a line of the header has {longest} characters",
            fix=f"stay below {_MOST_LINE}, where common clients and proxies stop reading",
        )
    elif refusal.header_size > _MOST_HEADER:
        yield warn(
            "size",
            f"the header has {refusal.header_size} characters",
            fix=f"stay below {_MOST_HEADER}, or raise proxy_buffer_size of an nginx before it",
        )
    else:
        yield ok("size", f"the header has {refusal.header_size} characters")
