# SPDX-License-Identifier: Apache-2.0
"""Does the gate work for callers, through whatever proxies stand before it?

Asked through the public URL: a challenge, signed with our keys; a refusal that arrives whole; the
address that the gate takes for the caller's, also when the caller lies about it; and a call that
is paid for with real work.
"""

import ipaddress
import secrets
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from pypow import (
    Expected,
    Keyring,
    PowError,
    Proof,
    Reason,
    Refusal,
    asolve,
    check,
    decode_challenge,
)

from . import Finding, fail, ok, warn
from .exchange import Answer, Exchange, Unreachable

LIE: Final = "203.0.113.77"
"""An address that nobody has (RFC 5737), claimed in headers that callers must not be heard in."""

_LIES: Final = {
    "X-Forwarded-For": LIE,
    "X-Real-IP": LIE,
    "Forwarded": f"for={LIE}",
    "CF-Connecting-IP": LIE,
    "True-Client-IP": LIE,
}
_SECOND: Final = "127.0.0.2"
_REPLICAS_ASKED: Final = 8
_SOLVE_TIMEOUT_S: Final = 60.0

_FIX_OF: Final = {
    "wrong-resource": "--public-url must be the URL that callers use",
    "bad-signature": "give every gate behind this name the same key file",
    "unknown-key": "give every gate behind this name the same key file",
    "stale-epoch": "give every gate behind this name the same --store",
    "expired": "set the clocks of all gates by NTP, or raise --lifetime",
    "not-yet-valid": "set the clocks of all gates by NTP",
    "work-required": "let the proxy pass the header X-PoW-Solution on",
    "bad-gateway": "start the upstream, or correct --upstream",
    "gateway-timeout": "look at the upstream's load",
    "store-unavailable": "see the line of the store",
}


class PublicUrl:
    """The gate as callers reach it."""

    def __init__(self, exchange: Exchange, *, url: str, admin_url: str, source: str | None) -> None:
        """Prepare to ask.

        Args:
            exchange: asks.
            url: the public URL, without a slash at its end.
            admin_url: the operators' side of the same gate.
            source: the address that the gate should take us for; None where it is not known.
        """
        self._exchange = exchange
        self._url = url
        self._admin_url = admin_url
        self._source = source
        self.ahead_s: float | None = None

    async def check(self, keys: Keyring | None) -> list[Finding]:
        """Everything, until something fails that the rest needs."""
        answer = await self._exchange.ask(f"{self._url}/api/challenge")
        if isinstance(answer, Unreachable):
            return [
                fail(
                    "public",
                    f"{self._url}: {answer.why}",
                    fix="start pypow gate; check the name, TLS, and where the proxy sends to",
                )
            ]
        self.ahead_s = answer.clock_ahead_s
        if answer.status != 200 or "challenge" not in answer.document:
            return [self._stranger(answer)]
        findings = [] if keys is None else [await self._signed_with(keys)]
        target = f"/pypow-doctor-{secrets.token_hex(8)}"
        refusal = await self._exchange.ask(self._url + target, headers=_LIES)
        unfit = self._unfit(refusal)
        if unfit is not None:
            return [*findings, unfit]
        assert isinstance(refusal, Answer)
        return [*findings, await self._client(refusal), await self._paid(target, refusal)]

    def _stranger(self, answer: Answer) -> Finding:
        if answer.status == 421:
            return self._misdirected()
        return fail(
            "public",
            f"{self._url}/api/challenge answers {answer.status}, and it is not a gate's answer",
            fix="let the proxy send every path to --listen",
        )

    async def _signed_with(self, keys: Keyring) -> Finding:
        """Whether all gates behind the name hold our keys; each request may meet another one."""
        for _ in range(_REPLICAS_ASKED):
            answer = await self._exchange.ask(f"{self._url}/api/challenge")
            if isinstance(answer, Answer) and not _is_ours(answer, keys):
                return fail(
                    "public",
                    f"{self._url} signs challenges with a key that is not in the key file",
                    fix="give every gate behind this name the same key file",
                )
        return ok("public", f"{self._url} signs its challenges with a key of the key file")

    def _unfit(self, refusal: Answer | Unreachable) -> Finding | None:
        """Why a call without a proof does not get what a caller needs to go on."""
        if isinstance(refusal, Unreachable):
            return fail("public", f"{self._url}: {refusal.why}", fix="look at the proxy's log")
        if refusal.status == 402 and refusal.document.get("offers"):
            return None
        if refusal.status == 402:
            return fail(
                "public",
                "the refusal arrives without its body",
                fix="let the proxy pass the bodies of errors on; nginx: proxy_intercept_errors off",
            )
        if refusal.status == 421:
            return self._misdirected()
        if refusal.status in (500, 502, 503, 504):
            problem = str(refusal.document.get("type", "")).rpartition(":")[2]
            return fail(
                "public",
                f"a call without a proof is answered {refusal.status} {problem}".rstrip(),
                fix=_FIX_OF.get(problem, "nginx's auth_request needs docs/deploy/nginx.conf"),
            )
        return warn(
            "public",
            f"a call without a proof is answered {refusal.status}: it cost nothing",
            fix='nothing, if mode is "observe" or this caller is allowed; else look for a way '
            "around the gate",
        )

    def _misdirected(self) -> Finding:
        return fail(
            "public",
            "the gate does not know the Host that it is asked for",
            fix="let the proxy pass Host on (nginx: proxy_set_header Host $host), or list its name "
            "under hosts",
        )

    async def _client(self, refusal: Answer) -> Finding:
        """Whom the gate took us for, told by its operators' side."""
        decision = str(refusal.document.get("decision"))
        told = await self._exchange.ask(f"{self._admin_url}/decisions/{decision}")
        if isinstance(told, Unreachable) or told.status != 200:
            return warn(
                "public",
                f"{self._admin_url} does not tell whom the gate took this call from",
                fix="run pypow doctor where the gate's --admin can be reached",
            )
        network = str(told.document.get("client"))
        if _contains(network, LIE):
            return fail(
                "public",
                "callers choose their own address: the gate believes a header that they send",
                fix="let the proxy overwrite that header, and trust no other one",
            )
        if self._source is None or _contains(network, self._source) or _is_global(network):
            return ok("public", f"the gate takes this call to come from {network}")
        return warn(
            "public",
            f"the gate takes every caller for the proxy at {network}, so all share one quota",
            fix="name the proxy's network and its header as trusted",
        )

    async def _paid(self, target: str, refusal: Answer) -> Finding:
        """Solve what is offered, and send the call again."""
        challenges = _challenges(refusal.document["offers"])
        if not challenges:
            return warn("public", "nothing is offered that work could earn", fix="nothing")
        began = time.monotonic()
        try:
            proof = await asolve(challenges[0], timeout=_SOLVE_TIMEOUT_S)
        except PowError as error:
            return fail("public", f"the price is too high to be paid: {error}", fix="lower it")
        solved_s = time.monotonic() - began
        answer = await self._exchange.ask(
            self._url + target, headers={"X-PoW-Solution": proof.header()}
        )
        if isinstance(answer, Unreachable):
            return fail("public", f"{self._url}: {answer.why}", fix="look at the proxy's log")
        problem = str(answer.document.get("type", ""))
        if not problem.startswith("urn:pypow:error:"):
            return ok(
                "public",
                f"a proof, solved in {solved_s:.2f} s, reached the upstream, which answered "
                f"{answer.status}",
            )
        name = problem.rpartition(":")[2]
        return fail(
            "public",
            f"a good proof is answered {answer.status} {name}",
            fix=_FIX_OF.get(name, f"see docs/errors.md under {name}"),
        )


def own_address(url: str) -> tuple[str | None, str | None]:
    """From which address to ask this URL, and which one the gate should then see.

    To a gate on this machine from 127.0.0.2, which no proxy has, so that the two are told apart.
    """
    parts = urlsplit(url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
            unsent.connect((parts.hostname, parts.port or 443))
            outgoing: str = unsent.getsockname()[0]
    except OSError:
        return None, None
    return (_SECOND, _SECOND) if outgoing.startswith("127.") else (None, outgoing)


def _is_ours(answer: Answer, keys: Keyring) -> bool:
    text = str(answer.document.get("challenge"))
    try:
        challenge = decode_challenge(text)
    except PowError:
        return False
    # The nonces are nobody's solution: what is looked at is who signed.
    unsolved = Proof((b"0",) * challenge.puzzles, text)
    expected = Expected(now_ms=challenge.issued_at_ms, epoch=challenge.epoch)
    found = check(unsolved, keys, expected)
    return not (isinstance(found, Refusal) and found.reason in (Reason.UNKNOWN_KEY, Reason.BAD_MAC))


def _challenges(offers: object) -> list[str]:
    """What may be solved, of whatever a server that may be no gate calls offers."""
    if not isinstance(offers, list):
        return []
    named = [offer.get("challenge") for offer in offers if isinstance(offer, dict)]
    return [challenge for challenge in named if isinstance(challenge, str)]


def _contains(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network)
    except ValueError:
        return False


def _is_global(network: str) -> bool:
    """Whether it is an address of the public internet: ours, behind a router that translates."""
    try:
        return ipaddress.ip_network(network).is_global
    except ValueError:
        return False
