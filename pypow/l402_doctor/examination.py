# SPDX-License-Identifier: Apache-2.0
"""All that is asked of a server, and all that comes of it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from pypow.findings import Finding, Level, fail

from . import conduct_checks, header_checks, offer_checks, paid_checks
from .asking import Asker
from .clients import Verdict, verdicts
from .observed import Answer, Offered, Outcome, Unanswered, offered
from .paying import Spending, trials
from .probes import Probe, asks

MOST_CALLS: Final = 12
"""Calls without a credential, for a server that makes an invoice for every one of them."""

_MOST_UNANSWERED: Final = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it.

    Attributes:
        refusal: the answer to a call without a credential; None where there is none.
        offers: what it offers.
        findings: about the server.
        verdicts: what becomes of each client; none where nothing is offered.
    """

    refusal: Answer | None
    offers: Offered
    findings: list[Finding]
    verdicts: list[Verdict]

    @property
    def fails(self) -> bool:
        """Whether anything would fail."""
        return any(finding.level is Level.FAIL for finding in self.findings) or any(
            verdict.fate.is_failure for verdict in self.verdicts
        )


async def examine(
    asker: Asker,
    *,
    is_near: bool,
    now_ms: Callable[[], int],
    spending: Spending | None = None,
    tell: Callable[[float, str], None] | None = None,
) -> Report:
    """Look at a server.

    Args:
        asker: asks it.
        is_near: whether it is on this machine or a private network.
        now_ms: the time, in Unix milliseconds.
        spending: what may be paid; None for nothing.
        tell: is told the share done, and what is done next.
    """
    refusal = await asker.ask()
    if isinstance(refusal, Unanswered):
        silent = fail("answer", refusal.why, fix="start the server, or look at URL, name and TLS")
        return Report(None, Offered((), ()), [silent], [])
    offers = offered(refusal)
    findings = [*header_checks.check(refusal, offers)]
    if refusal.header_size > header_checks.MOST_READ:
        return Report(refusal, offers, findings, [])
    if not offers.l402 and not offers.payments:
        # What cannot be read may still be somebody's: a client is told of it, and nothing asked.
        found = verdicts(refusal, None, now_ms=now_ms()) if refusal.challenges else []
        return Report(refusal, offers, findings, found)
    findings += offer_checks.check(refusal, offers, is_near=is_near, now_ms=now_ms())
    if spending is not None:
        if tell is not None:
            tell(0.0, "what a payment buys")
        # First of all: probes use up the invoices that some servers make without work.
        outlays = [one async for one in trials(asker, offers, spending, now_ms)]
        findings += paid_checks.check(outlays)
    answers: dict[Probe, Outcome] = {}
    again: list[Outcome] = []
    async for what, outcome in _asked(asker, offers, now_ms(), tell):
        if what is None:
            again.append(outcome)
        else:
            answers[what] = outcome
    findings += conduct_checks.check(refusal, answers, again)
    found = verdicts(refusal, answers.get(Probe.NO_SCHEME), now_ms=now_ms())
    return Report(refusal, offers, findings, found)


async def _asked(
    asker: Asker,
    offers: Offered,
    now_ms: int,
    tell: Callable[[float, str], None] | None,
) -> AsyncIterator[tuple[Probe | None, Outcome]]:
    """Every probe with its answer, then calls without a credential, which have no name."""
    unanswered = 0
    todo = asks(offers, now_ms=now_ms)
    steps = len(todo) + MOST_CALLS
    for step, (probe, ask) in enumerate(todo.items()):
        if tell is not None:
            tell(step / steps, probe.value)
        outcome = await asker.ask(ask.method, ask.headers)
        yield probe, outcome
        unanswered += isinstance(outcome, Unanswered)
        if unanswered == _MOST_UNANSWERED:
            return
    seen = {offers.invoices}
    for call in range(1, MOST_CALLS):
        if tell is not None:
            tell((len(todo) + call) / steps, "calls without a credential")
        outcome = await asker.ask()
        yield None, outcome
        invoices = offered(outcome).invoices if isinstance(outcome, Answer) else ()
        if not invoices or invoices in seen:
            return
        seen.add(invoices)
