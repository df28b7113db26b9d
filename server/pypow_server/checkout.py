# SPDX-License-Identifier: Apache-2.0
"""Where a call that has a price is let in: what it brings is judged, spent and charged.

One that brings nothing, or nothing that will do, hears what it costs its caller now.
"""

import logging
from collections.abc import Awaitable
from functools import partial
from typing import TypeVar, assert_never

from pypow.pricing import Beyond, Offered

from . import charging, problems, signing_in
from .call import Call
from .crowd import waiting
from .crowd.conditions import Conditions
from .crowd.turns import Turns
from .hearing import Hearing
from .meter import Meter
from .paid_calls import PaidCall, PaidCalls
from .policy import Price
from .problems import Problem
from .rails import LOGIN, Absent, Admit, Claim, Refuse
from .settlement import guard, redeem, settle, store_unavailable, take
from .stores import Charge, Charged, Credits, Ledger
from .used_up import UsedUp

_LOG = logging.getLogger("pypow_server.gate")

_Found = TypeVar("_Found")


class Checkout:
    """Lets priced calls in, for one gate.

    Attributes:
        ledger: remembers what is spent.
        credit: the ledger's; without them every price is the same whatever its callers use, and
            no priced call is free.
        conditions: the climate that calls are charged under, and who counts them.
        turns: of the upstream.
        paid_calls: those of this process; without them nobody remembers what was sold.
    """

    def __init__(
        self,
        ledger: Ledger,
        credit: Credits | None,
        conditions: Conditions,
        turns: Turns,
        paid_calls: PaidCalls | None = None,
    ) -> None:
        """Let calls in by what these remember."""
        self.ledger = ledger
        self.credit = credit
        self.conditions = conditions
        self.turns = turns
        self.paid_calls = paid_calls
        self._used_up = UsedUp()

    async def admit(self, hearing: Hearing, call: Call, price: Price) -> Problem | None:
        """Let the call in, and fill in its hearing; else what keeps it out, with offers."""
        holders = hearing.rulebook.holders
        if call.standing and holders is not None:
            hearing.bearer = holders.bearer(
                call.standing, client=call.client, now_ms=hearing.now_ms
            )
        refused = await signing_in.sign_in(hearing, call, price) if price.scopes else None
        if hearing.login is not None:
            price = price.signed_in
        standing = await self._judge(hearing, call, price)
        if price.scopes:
            standing = signing_in.with_login(hearing, price, standing, refused)
        judged: Admit | None = None
        if isinstance(standing, list):
            judged, problem = await self._let_in_by_one(hearing, price, standing)
            if problem is None:
                hearing.admission = judged
                self._count(hearing, price, judged)
                if hearing.charge is not None:
                    self._thank(hearing, judged)
                return None
            if judged.spend is not None and problem.status in (429, 503):
                self.conditions.sent_back(judged.spend.key, judged.solve_ms)
        else:
            problem = standing or _nothing_came(price)
        if problem.status not in (401, 402, 429) and not problem.authenticate:
            return problem
        owed = await self._owed(hearing, price, problem, take_free=judged is None)
        if owed is not problem or hearing.is_observed:
            return owed
        return await self._offer(hearing, call, price, problem)

    async def _owed(
        self, hearing: Hearing, price: Price, problem: Problem, *, take_free: bool
    ) -> Problem | None:
        """None for a call that was free, and is charged; the problem itself where work helps."""
        if price.meter is None or self.credit is None:
            return problem
        take_free = take_free and price.free is not None and not problem.authenticate
        login = hearing.login
        account = b""
        if take_free and login is not None and login.guard is not None:
            account = f"{login.principal} {price.name}".encode("utf-8", "surrogatepass")
            take_free = not self._used_up.holds(account, now_ms=hearing.now_ms)
            replayed = await self._guard(hearing, login.guard) if take_free else None
            if replayed is not None:
                return replayed
        found = await (self._free if take_free else self._quote)(
            self.credit, price.meter, hearing, price
        )
        if isinstance(found, Charged):
            hearing.newcomer = found is Charged.FIRST
            if login is not None:
                hearing.admission, hearing.rail = login, LOGIN
            self._count(hearing, price)
            self._thank(hearing, None)
            return None
        if isinstance(found, Problem):
            return found
        if account and take_free:
            self._used_up.note(account, now_ms=hearing.now_ms)
        if login is not None and not price.is_sold:
            return signing_in.used_up(found, hearing)
        if isinstance(found, Beyond):
            hearing.quote = found.quote
            return charging.overdrawn(found) if problem.status == 402 else problem
        hearing.quote = found
        return problem

    async def _let_in_by_one(
        self, hearing: Hearing, price: Price, standing: list[tuple[str, Admit]]
    ) -> tuple[Admit, Problem | None]:
        """Let the call in by the first that is not spent: a used-up pass voids no payment."""
        for rail, judged in standing:
            hearing.rail, problem = rail, None
            if judged.spend or judged.guard or self.turns.capacity is not None:
                problem = await self._let_in(hearing, price, judged)
            if problem is None or problem.status != 402:
                break
        return judged, problem

    async def _let_in(self, hearing: Hearing, price: Price, judged: Admit) -> Problem | None:
        """Spend, when it is the call's turn."""
        claim, charge = judged.spend, self._charge(hearing, price, judged)
        if not self._has_turns(hearing):
            return await self._spend(hearing, judged, charge)
        own = charge
        if own is None and price.meter is not None:
            own = price.meter.charge(
                hearing.charged, climate=self.conditions.climate, holder=hearing.holder
            )
        problem = await waiting.turn(
            self.turns,
            self.credit,
            hearing,
            price,
            own,
            ticket=claim.key if claim is not None and claim.limit == 1 else None,
            uncharged=claim is None,
            goes_first=judged.goes_first,
            hindrance=lambda rank: None if charge is None else waiting.too_early(rank, charge),
        )
        if problem is not None:
            return problem
        return await self._using(price, self._spend(hearing, judged, charge))

    def _has_turns(self, hearing: Hearing) -> bool:
        return self.turns.capacity is not None and not hearing.is_observed

    async def _using(self, price: Price, use: Awaitable[_Found]) -> _Found:
        """Use a turn; one that comes to nothing is given back."""
        admitted = False
        try:
            found = await use
            admitted = found is None or isinstance(found, Charged)
            return found
        finally:
            if not admitted:
                self.turns.give_back(price.weight)

    def _charge(self, hearing: Hearing, price: Price, judged: Admit) -> Charge | None:
        """What is charged with the spend; None for nothing."""
        paid = judged.paid
        if paid is None or price.meter is None or self.credit is None:
            return None
        meter = hearing.rulebook.meter(price, issued_at_ms=paid.issued_at_ms)
        if meter is None:
            return None
        return meter.charge(
            hearing.charged,
            calls=paid.calls,
            overdraft=paid.overdraft,
            climate=self.conditions.climate,
            holder=hearing.holder,
        )

    async def _spend(
        self, hearing: Hearing, judged: Admit, charge: Charge | None
    ) -> Problem | None:
        if judged.guard is None:
            return await self._take(hearing, judged.spend, charge)
        key = None if judged.spend is None else judged.spend.key
        problem = None if key is None else self._used_up.refusal(key, now_ms=hearing.now_ms)
        if problem is None:
            problem = await self._guard(hearing, judged.guard)
        if problem is not None:
            return problem
        problem = await self._take(hearing, judged.spend, charge)
        if key is not None and problem is not None and problem.status == 402:
            self._used_up.note(key, now_ms=hearing.now_ms)
        return problem

    async def _guard(self, hearing: Hearing, claim: Claim) -> Problem | None:
        """Use up the proof of a key, once for all that the call brings beside it."""
        if hearing.guarded == claim.key:
            return None
        problem = await guard(self.ledger, claim, now_ms=hearing.now_ms)
        if problem is None:
            hearing.guarded = claim.key
        return problem

    async def _take(
        self, hearing: Hearing, claim: Claim | None, charge: Charge | None
    ) -> Problem | None:
        """Spend what must be, and charge for it."""
        if claim is None:
            return None
        found: Charged | Problem | None
        if claim.sale is not None and self.paid_calls is not None:
            found, hearing.paid = await take(
                self.paid_calls,
                claim,
                claim.sale,
                await hearing.digest(),
                charge,
                now_ms=hearing.now_ms,
            )
        elif charge is None or self.credit is None:
            return await settle(self.ledger, claim, now_ms=hearing.now_ms)
        else:
            found = await redeem(self.credit, claim, charge, now_ms=hearing.now_ms)
        if not isinstance(found, Charged):
            return found
        hearing.charge, hearing.newcomer = charge, found is Charged.FIRST
        return None

    async def _free(
        self, credit: Credits, meter: Meter, hearing: Hearing, price: Price
    ) -> Charged | Offered | Problem:
        """As `_quote`, of a call that may be free; a problem when it would be, and has no turn."""
        taking = partial(self._quote, credit, meter, hearing, price)
        if not self._has_turns(hearing):
            return await taking(take_free=True)
        charge = meter.charge(
            hearing.charged, climate=self.conditions.climate, holder=hearing.holder
        )
        owes = _nothing_came(price)
        problem = await waiting.turn(
            self.turns,
            credit,
            hearing,
            price,
            charge,
            hindrance=lambda rank: owes if waiting.owes(rank, charge) else None,
        )
        if problem is owes:
            return await taking()
        if problem is not None:
            return problem
        return await self._using(price, taking(take_free=True))

    async def _quote(
        self,
        credit: Credits,
        meter: Meter,
        hearing: Hearing,
        price: Price,
        *,
        take_free: bool = False,
    ) -> Charged | Offered:
        """What the call costs its caller, or that it was free, and is charged."""
        try:
            ask = charging.take_free if take_free else charging.quote
            return await ask(
                credit,
                meter,
                hearing.charged,
                now_ms=hearing.now_ms,
                climate=self.conditions.climate,
                holder=hearing.holder,
            )
        except Exception as error:  # noqa: BLE001 - any store's fault
            hearing.limiter_failed = True
            return charging.untold(price, error)

    def _count(self, hearing: Hearing, price: Price, admit: Admit | None = None) -> None:
        conditions = self.conditions
        if conditions.rules is None:
            return
        delay_ms, key = None, b""
        if admit is not None and admit.spend is not None:
            delay_ms, key = admit.solve_ms, admit.spend.key
        conditions.admitted(price.weight, newcomer=hearing.newcomer, delay_ms=delay_ms, key=key)

    def _thank(self, hearing: Hearing, paid: Admit | None) -> None:
        """Let a caller who was charged have the standing token that this call earned."""
        holder, holders = hearing.holder, hearing.rulebook.holders
        if paid is not None and holder is not None:
            hearing.admission = paid._replace(principal=holder.account.decode("ascii"))
        if holders is not None and hearing.login is None:
            hearing.thanks = holders.thanks(
                hearing.bearer, client=hearing.client, now_ms=hearing.now_ms, paid=paid is not None
            )

    async def give_back(
        self, claim: Claim, charge: Charge | None, paid: PaidCall | None = None
    ) -> None:
        """Undo a spend that bought nothing."""
        if paid is not None:
            await paid.give_up(charge)
        elif charge is not None and self.credit is not None:
            await self.credit.give_back(claim.key, charge)
        else:
            await self.ledger.release(claim.key)

    async def _offer(self, hearing: Hearing, call: Call, price: Price, problem: Problem) -> Problem:
        try:
            epoch = await self.ledger.epoch()
        except Exception:  # noqa: BLE001 - any store's fault; without an epoch nothing is offered
            _LOG.exception("the ledger does not tell its epoch")
            return store_unavailable()
        asked = [
            await rail.offer(call, price, now_ms=hearing.now_ms, epoch=epoch, quote=hearing.quote)
            for rail in hearing.rulebook.rails
        ]
        asked.append(signing_in.offer(hearing, price))
        hearing.offers = [offer for offer in asked if offer is not None]
        return problem

    async def _judge(
        self, hearing: Hearing, call: Call, price: Price
    ) -> list[tuple[str, Admit]] | Problem | None:
        """What stands of what was presented, by rail; else why none does, or None for nothing.

        What only is not good any more (402) gives way to what is: a cookie with an old pass must
        make nobody pay twice.
        """
        standing: list[tuple[str, Admit]] = []
        outdated: Problem | None = None
        for rail in hearing.rulebook.rails:
            verdict = await rail.judge(call, price, now_ms=hearing.now_ms)
            if isinstance(verdict, Admit):
                standing.append((rail.name, verdict))
            elif isinstance(verdict, Refuse):
                if verdict.problem.status != 402:
                    return verdict.problem
                outdated = outdated or verdict.problem
            elif not isinstance(verdict, Absent):
                assert_never(verdict)
        return standing or outdated


def _nothing_came(price: Price) -> Problem:
    if price.sats is None:
        return problems.work_required("this call has a price and came without a proof or pass")
    return problems.payment_required(
        "this call has a price and came without a proof, pass or payment"
    )
