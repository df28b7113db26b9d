# SPDX-License-Identifier: Apache-2.0
"""The verification URI: where somebody works for a device (RFC 8628 section 3.3).

The proof is spent first and the approval recorded then: nothing is written for who has not paid.
Whose approval could not be recorded gets a receipt, sealed, that is good for it in place of work.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from pypow import wire
from pypow.errors import WireError
from pypow_server.api_decisions import Asked, asked_in
from pypow_server.problems import Problem
from pypow_server.reply import Reply, json_reply
from pypow_server.scope import Receive, Scope

from .approvals import Approvals
from .authorize_page import error_page, reads_html
from .device_page import code_page, done_page, retry_page, work_page
from .forms import Parameters, read_form, read_query
from .oauth_error import NO_STORE, OAuthError, of_problem
from .offers import Offers
from .place import DEVICE, Place
from .purchases import Purchases, Secret
from .sealing import Seals
from .user_codes import GRACE_MS, UserCode, UserCodes

_RECEIPT: Final = "device receipt"
_NO_CODE: Final = OAuthError(
    "invalid_request", "expected the user_code that the device shows; it is good for ten minutes"
)


class DeviceApproval:
    """Answers at the verification URI: a page for browsers, JSON for callers without one."""

    def __init__(
        self,
        place: Place,
        *,
        user_codes: UserCodes,
        approvals: Approvals,
        purchases: Purchases,
        offers: Offers,
        seals: Seals,
        clock: Callable[[], int],
    ) -> None:
        """Approve devices of this place."""
        self._place = place
        self._user_codes = user_codes
        self._approvals = approvals
        self._purchases = purchases
        self._offers = offers
        self._seals = seals
        self._clock = clock

    async def ask(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer whoever comes with a code, or has yet to type it (GET)."""
        said = read_query(scope)
        if isinstance(said, OAuthError):
            return _refuse(said, scope)
        if "user_code" not in said and reads_html(scope):
            return code_page()
        code = self._user_codes.read(said.get("user_code", ""), now_ms=self._clock())
        if code is None:
            return _no_code(scope)
        standing = await self._standing(code, scope)
        return standing or await self._offer(code, scope)

    async def approve(self, scope: Scope, receive: Receive) -> Reply:
        """Take a proof for a device (POST)."""
        said = await read_form(scope, receive)
        if isinstance(said, OAuthError):
            return _refuse(said, scope)
        now_ms = self._clock()
        code = self._user_codes.read(said.get("user_code", ""), now_ms=now_ms)
        if code is None:
            return _no_code(scope)
        if self._is_paid(code, said, now_ms=now_ms):
            return await asyncio.shield(self._record(code, scope))
        standing = await self._standing(code, scope)
        if standing is not None:
            return standing
        secret = _secret(said)
        if isinstance(secret, OAuthError):
            return await self._again(code, secret, scope)
        # Whoever goes away in between has worked as well.
        return await asyncio.shield(self._spend(code, secret, scope, now_ms=now_ms))

    async def _spend(self, code: UserCode, secret: Secret, scope: Scope, *, now_ms: int) -> Reply:
        found = await self._purchases.buy(secret, asked_in(scope), now_ms=now_ms)
        if isinstance(found, Problem):
            return await self._again(code, _told(found, asked_in(scope)), scope)
        return await self._record(code, scope)

    async def _record(self, code: UserCode, scope: Scope) -> Reply:
        problem = await self._approvals.record(code)
        if problem is None:
            return _done(scope)
        error = of_problem(problem, "access_denied")
        receipt = self._seals.seal(
            _RECEIPT, {"approval": code.approval.hex()}, until_ms=code.ends_at_ms + GRACE_MS
        )
        if reads_html(scope):
            return retry_page(code, receipt, error=error)
        return json_reply(error.status, {**error.members, "receipt": receipt}, headers=(NO_STORE,))

    def _is_paid(self, code: UserCode, said: Parameters, *, now_ms: int) -> bool:
        receipt = self._seals.open(_RECEIPT, said.get("receipt", ""), now_ms=now_ms)
        return receipt is not None and receipt["approval"] == code.approval.hex()

    async def _standing(self, code: UserCode, scope: Scope) -> Reply | None:
        """What is answered without work: it was done, or nothing would come of it now."""
        approved = await self._approvals.has(code)
        if approved is True:
            return _done(scope)
        problem = self._approvals.full() if approved is False else approved
        return None if problem is None else _refuse(_told(problem, asked_in(scope)), scope)

    async def _offer(
        self, code: UserCode, scope: Scope, *, error: OAuthError | None = None
    ) -> Reply:
        asked = asked_in(scope)
        earning = await self._offers.work(asked, now_ms=self._clock())
        if isinstance(earning, Problem):
            return _refuse(_told(earning, asked), scope)
        if reads_html(scope):
            return work_page(code, earning, issuer=self._place.issuer, error=error)
        document = {
            "user_code": code.text,
            "post": self._place.url(DEVICE),
            "work": {
                **earning.challenge.published(),
                "solve": earning.solve,
                "send": "user_code=<user_code>&challenge=<challenge>&nonce=<nonce>",
            },
        }
        return json_reply(200, document, headers=(NO_STORE,))

    async def _again(self, code: UserCode, error: OAuthError, scope: Scope) -> Reply:
        """A person may try again; a program is told."""
        if reads_html(scope):
            return await self._offer(code, scope, error=error)
        return error.reply()


def _secret(said: Parameters) -> Secret | OAuthError:
    """The proof in a form. One for a single call could be cheaper than what the device gets."""
    challenge = said.get("challenge", "")
    try:
        is_for_any = wire.decode_challenge(challenge).resource == wire.ANY_RESOURCE
    except WireError:
        is_for_any = False
    if not is_for_any:
        return OAuthError("invalid_request", "expected a challenge for any call, and its nonce")
    return Secret(f"challenge={challenge},nonce={said.get('nonce', '')}", None)


def _told(problem: Problem, asked: Asked) -> OAuthError:
    asked.problem = problem
    return of_problem(problem, "access_denied")


def _no_code(scope: Scope) -> Reply:
    return code_page(error=_NO_CODE) if reads_html(scope) else _NO_CODE.reply()


def _done(scope: Scope) -> Reply:
    if reads_html(scope):
        return done_page()
    return json_reply(200, {"approved": True}, headers=(NO_STORE,))


def _refuse(error: OAuthError, scope: Scope) -> Reply:
    return error_page(error) if reads_html(scope) else error.reply()
