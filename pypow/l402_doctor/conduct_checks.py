# SPDX-License-Identifier: Apache-2.0
"""How a server answers what is no payment: nothing is let in, and nobody made to pay twice."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pypow.findings import Finding, fail, ok, warn

from .header_checks import browsers
from .observed import PAYMENT_REQUIRED, Answer, Outcome, Unanswered, offered
from .probes import MUST_NOT_ADMIT, MUST_NOT_LOOP, Probe

_SLOW_S: Final = 2.0


def check(
    refusal: Answer, answers: Mapping[Probe, Outcome], again: Sequence[Outcome]
) -> Iterator[Finding]:
    """What to think of the answers.

    Args:
        refusal: the answer to a call without a credential.
        answers: to each probe that was asked.
        again: the answers to more such calls, one after the other.
    """
    yield from _forgeries(answers)
    yield from _loops(answers)
    yield from _faults(answers)
    if isinstance(page := answers.get(Probe.FROM_A_PAGE), Answer):
        yield from browsers(page)
    yield from _methods(answers)
    yield from _flood(refusal, again)
    if refusal.seconds > _SLOW_S:
        yield warn(
            "speed",
            f"the refusal took {refusal.seconds:.1f} s",
            fix="callers wait for it before they can pay: look at what makes the invoices",
        )
    else:
        yield ok("speed", f"the refusal took {1000 * refusal.seconds:.0f} ms")


def _forgeries(answers: Mapping[Probe, Outcome]) -> Iterator[Finding]:
    asked = [probe for probe in MUST_NOT_ADMIT if isinstance(answers.get(probe), Answer)]
    admitted = [probe for probe in asked if _admits(answers[probe])]
    for probe in admitted:
        yield fail(
            "forgery",
            f"{probe.value} was let in",
            fix="let in only what was issued here, and was paid: check MAC, hash and preimage",
        )
    if asked and not admitted:
        yield ok("forgery", f"{len(asked)} credentials that are worth nothing were turned away")


def _loops(answers: Mapping[Probe, Outcome]) -> Iterator[Finding]:
    looping = [
        probe
        for probe in MUST_NOT_LOOP
        if isinstance(answer := answers.get(probe), Answer)
        and answer.status == PAYMENT_REQUIRED
        and offered(answer).invoices
    ]
    for probe in looping:
        # A login of another scheme may be what the upstream wants, with a payment beside it.
        told = warn if probe is Probe.UNKNOWN_SCHEME else fail
        yield told(
            "pay loop",
            f"{probe.value} is answered by another invoice: a client that writes its credential "
            "so pays again and again",
            fix="answer it with 401 and no invoice",
        )
    if not looping and Probe.NO_SCHEME in answers:
        yield ok("pay loop", "no invoice for what is no credential")


def _faults(answers: Mapping[Probe, Outcome]) -> Iterator[Finding]:
    for probe, answer in answers.items():
        if isinstance(answer, Unanswered):
            yield fail("answers", f"{probe.value}: {answer.why}", fix="answer every request")
        elif answer.status >= 500 and probe in MUST_NOT_ADMIT:
            yield fail(
                "answers",
                f"{probe.value} is answered by {answer.status}",
                fix="read credentials as what strangers send: refuse what cannot be read",
            )


def _methods(answers: Mapping[Probe, Outcome]) -> Iterator[Finding]:
    if _admits(answers.get(Probe.HEAD)):
        yield warn("HEAD", "HEAD is let in for nothing", fix="sell it as GET, or answer 405")
    options = answers.get(Probe.OPTIONS)
    if isinstance(options, Answer) and options.status in (401, PAYMENT_REQUIRED):
        yield warn(
            "OPTIONS",
            f"OPTIONS is answered by {options.status}: browsers ask it without credentials",
            fix="answer OPTIONS for nothing",
        )


def _flood(refusal: Answer, again: Sequence[Outcome]) -> Iterator[Finding]:
    answers = [refusal, *(answer for answer in again if isinstance(answer, Answer))]
    found = [invoices for answer in answers if (invoices := offered(answer).invoices)]
    if len(answers) < 2:
        return
    distinct = len({invoice for invoices in found for invoice in invoices})
    if len(found) < len(answers) or len(set(found)) < len(found):
        yield ok("flood", f"invoices for {len(answers)} calls without a credential: {distinct}")
    else:
        yield warn(
            "flood",
            f"invoices for {len(answers)} calls without a credential: {distinct}; whoever asks "
            "fills the wallet with them",
            fix="offer the last invoice again, or ask for a little work before the next one",
        )


def _admits(answer: Outcome | None) -> bool:
    return isinstance(answer, Answer) and answer.admits
