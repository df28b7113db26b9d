# SPDX-License-Identifier: Apache-2.0
"""What a payment bought, and what it should not have."""

from collections.abc import Iterable, Iterator

from pypow.errors import WireError
from pypow.findings import Finding, fail, ok, warn
from pypow.payment_receipt import read_receipt

from .observed import Answer, Outcome
from .paying import Outlay, Trial, Unpaid, passes


def check(outlays: Iterable[Outlay]) -> Iterator[Finding]:
    """What to think of each payment."""
    for outlay in outlays:
        if isinstance(outlay, Unpaid):
            told = fail if outlay.was_asked_for else warn
            yield told("payment made", outlay.why, fix=outlay.fix)
        elif outlay.is_late:
            yield _late(outlay)
            yield from _leaks(outlay)
        else:
            yield from _one(outlay)


def _one(trial: Trial) -> Iterator[Finding]:
    paid = f"{trial.sats} sats by {trial.scheme}"
    went_elsewhere = passes(trial.elsewhere)
    if passes(trial.used):
        yield ok("payment made", f"{paid} bought the call")
    elif went_elsewhere or passes(trial.widened):
        yield warn(
            "payment made",
            f"{paid} had bought something else before it was used",
            fix="mend what is told below, and look again",
        )
    else:
        yield fail(
            "payment made",
            f"{paid} bought nothing: {_said(trial.used)}",
            fix="let in who comes with macaroon and preimage as you offered them",
        )
    yield from _once(trial)
    yield from _scope(trial)
    if trial.scheme == "Payment" and passes(trial.used):
        yield from _receipt(trial)
    yield from _leaks(trial)


def _once(trial: Trial) -> Iterator[Finding]:
    if not passes(trial.used):
        return
    if passes(trial.again) and trial.calls > 1:
        yield ok(
            "replay", f"a payment by {trial.scheme} is for {trial.calls} calls, as its offer says"
        )
    elif passes(trial.again):
        told = fail if trial.scheme == "Payment" else warn
        yield told(
            "replay",
            f"the same credential of {trial.scheme} was let in twice",
            fix="count what a payment buys, or have it end soon: whoever sees it has it",
        )
    elif passes(trial.crossed):
        yield fail(
            "one counter",
            "a payment that was used by one scheme was let in by the other",
            fix="count by the payment hash, whichever scheme it comes by",
        )
    elif trial.again is not None:
        yield ok("replay", f"a payment by {trial.scheme} buys once")


def _scope(trial: Trial) -> Iterator[Finding]:
    if passes(trial.elsewhere):
        yield warn(
            "other path",
            "the payment was let in at another path that is sold",
            fix="say in a caveat what was bought, where not all is sold as one service",
        )
    elif trial.elsewhere is not None:
        yield ok("other path", "the payment opens no other path")
    if passes(trial.widened):
        yield warn(
            "widened",
            "a macaroon was let in with a later end added to its own",
            fix="refuse a caveat that permits more than one before it: some read the last only",
        )
    elif trial.widened is not None:
        yield ok("widened", "a macaroon with a later end added is turned away")
    if trial.beside is not None:
        if passes(trial.beside):
            yield ok("login beside", "Payment-Authorization is read: a login keeps the other")
        else:
            yield warn(
                "login beside",
                "Payment-Authorization is not read: nobody can log in and pay at once",
                fix="read a payment there too",
            )


def _receipt(trial: Trial) -> Iterator[Finding]:
    values = trial.used.values("payment-receipt") if isinstance(trial.used, Answer) else ()
    if not values:
        yield warn(
            "receipt",
            "there is no Payment-Receipt for a payment that was taken",
            fix="send one, as draft-httpauth-payment section 5.3 has it",
        )
        return
    try:
        is_its = read_receipt(values[0]).reference == trial.payment_hash.hex()
    except WireError as error:
        yield fail("receipt", str(error), fix="send status, method, timestamp and reference")
        return
    if is_its:
        yield ok("receipt", "the receipt names the payment")
    else:
        yield fail(
            "receipt",
            "the receipt names another payment",
            fix="say the payment hash, in hex, as reference",
        )


def _leaks(trial: Trial) -> Iterator[Finding]:
    secret = trial.preimage.hex().encode()
    for answer in trial.answers:
        said = [value.encode(errors="replace") for _, value in answer.fields]
        if any(secret in text.lower() for text in (*said, answer.body, *_unpacked(answer))):
            yield fail(
                "secret",
                "an answer holds the preimage: whoever sees it can present the payment",
                fix="name payments by their hash; keep preimages out of receipts, pages and logs",
            )
            return


def _unpacked(answer: Answer) -> Iterator[bytes]:
    """What receipts say."""
    for value in answer.values("payment-receipt"):
        try:
            yield repr(read_receipt(value)).encode()
        except WireError:
            continue


def _late(trial: Trial) -> Finding:
    if passes(trial.used):
        return ok("late", "a payment is taken after its invoice expired")
    return fail(
        "late",
        f"{trial.sats} sats bought nothing once their invoice had expired: {_said(trial.used)}",
        fix="honour payments for a while after that: some arrive as the invoice ends",
    )


def _said(outcome: Outcome | None) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Answer) else "no answer"
