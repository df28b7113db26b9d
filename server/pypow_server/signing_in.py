# SPDX-License-Identifier: Apache-2.0
"""What a login does for a call: it admits, or it makes a payment good, or it has free calls.

A login that a price only allows is as good as a payment. One that a price needs is judged before
anything is spent, and a payment that came without it stays good.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from pypow.pricing import Offered, Quote

from . import problems
from .call import Call
from .price import Price
from .problems import Problem
from .rails import LOGIN, Absent, Admit, LoginRail, Offer, Refuse
from .settlement import store_unavailable
from .stores.holder import Holder

if TYPE_CHECKING:
    from .hearing import Hearing


_SERVED_MINUTES: Final = 1 << 16
"""What an issuer's word is worth: as much as having been served in so many minutes."""


async def sign_in(hearing: "Hearing", call: Call, price: Price) -> Problem | None:
    """Judge the access token that came, and note whose it is; what is wrong with it, if it is."""
    rail = hearing.rulebook.login
    if rail is None:
        return None
    verdict = await rail.judge(call, price, now_ms=hearing.now_ms)
    match verdict:
        case Admit():
            hearing.login = verdict
            hearing.subject = _account_of(verdict.principal)
        case Refuse():
            return verdict.problem
        case Absent():
            pass
        case _:
            assert_never(verdict)
    return None


def with_login(
    hearing: "Hearing",
    price: Price,
    standing: list[tuple[str, Admit]] | Problem | None,
    refused: Problem | None,
) -> list[tuple[str, Admit]] | Problem | None:
    """What stands of all that was presented, or what the caller hears; None: it has to pay.

    Args:
        hearing: of a call whose token was judged.
        price: of the call; a token is of use for it.
        standing: what stands without the login, or why nothing does; None where nothing came.
        refused: what is wrong with the token; None where it is good, or none came.
    """
    login, rail = hearing.login, hearing.rulebook.login
    paid = isinstance(standing, list)
    if login is None:
        if paid and not price.login:
            return standing
        if refused is not None:
            return refused
        asks_first = price.login or (hearing.rulebook.policy.asks_login_first and standing is None)
        return _required(rail, price) if asks_first else standing
    alone = []
    if price.free is None and not (price.login and price.is_sold):
        alone = [(LOGIN, login)]  # the last: it is not used up
    if isinstance(standing, list):
        return [*((name, _also(admit, login)) for name, admit in standing), *alone]
    if standing is not None and standing.status != 402:
        return standing
    return alone or standing


def used_up(found: Offered, hearing: "Hearing") -> Problem:
    """What a caller hears who has signed in, has no free calls left, and could not pay for one."""
    if hearing.limiter_failed:
        return store_unavailable()
    quote = found if isinstance(found, Quote) else found.quote
    wait_s = max(1, -(-quote.free_in_ms // 1000))
    return problems.overdrawn(
        f"your account has used what it may for now; wait {wait_s} s", retry_after_s=wait_s
    )


def offer(hearing: "Hearing", price: Price) -> Offer | None:
    """Where to sign in; None where that helps nobody, or not whoever has."""
    rail = hearing.rulebook.login
    if not price.scopes or rail is None or hearing.login is not None:
        return None
    return rail.offer(price)


def _also(paid: Admit, login: Admit) -> Admit:
    """A payment by somebody who is known by a login."""
    return paid._replace(
        principal=login.principal,
        guard=login.guard or paid.guard,
        receipt=paid.receipt + login.receipt,
    )


def _account_of(principal: str) -> Holder:
    """The account of somebody who has signed in: it begins full, and stands for itself at once."""
    return Holder(
        principal.encode("ascii"),
        identified=True,
        minutes=_SERVED_MINUTES,
        last_minute=0,
        first_ms=0,
    )


def _required(rail: LoginRail | None, price: Price) -> Problem:
    if rail is None:
        return problems.issuer_unavailable("this call needs a login, and the gate trusts no issuer")
    problem = problems.login_required(
        "expected an access token of one of the issuers that the offer names"
    )
    return replace(problem, authenticate=(rail.challenge(price),))
