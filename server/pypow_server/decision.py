# SPDX-License-Identifier: Apache-2.0
"""What the gate decided about one request: what metrics, logs, audit and traces are made from."""

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass

_LOG = logging.getLogger("pypow_server.gate")


class Outcome(enum.Enum):
    """What became of a request."""

    FREE = "free"
    """It costs nothing, or its principal had free calls left."""
    ADMITTED = "admitted"
    REFUSED = "refused"
    OBSERVED = "observed"
    """It would have been refused; the policy only observes, so it passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision, taken before the app is called.

    Nothing in it is a secret, and nothing in `entry`, `rail` and `problem` is a caller's word:
    these three are fit to be labels of a metric.

    Attributes:
        id: 16 hex digits; a refusal carries the same.
        outcome: what became of the request.
        at_ms: Unix milliseconds.
        seconds: how long the decision took.
        entry: the price list's entry, ``default``, ``free``, ``allow`` or ``deny``; ``none`` for
            what was refused before anybody asked for its price.
        rail: by which it was admitted; None for what was free or refused.
        problem: the name of the refusal's type; None without one.
        status: of the refusal; None without one.
        client: the network the caller comes from.
        principal: who was charged; None for nobody.
        method: HTTP's or MCP's, as the caller wrote it.
        name: path or tool, as the caller wrote it.
        limiter_failed: whether a limiter was asked that could not tell, and held nothing back.
    """

    id: str
    outcome: Outcome
    at_ms: int
    seconds: float
    entry: str
    rail: str | None
    problem: str | None
    status: int | None
    client: str
    principal: str | None
    method: str
    name: str
    limiter_failed: bool = False


Recorder = Callable[[Decision], None]
"""Takes each decision; is called in the event loop, so it must be quick, and must not raise."""


def log_refusal(decision: Decision) -> None:
    """A `Recorder`: one line for each refusal. What callers sent is quoted as ASCII, and cut."""
    if decision.problem is not None:
        _LOG.info(
            "%s decision=%s problem=%s status=%d entry=%s client=%s call=%s",
            decision.outcome.value,
            decision.id,
            decision.problem,
            decision.status,
            ascii(decision.entry),
            decision.client,
            ascii(f"{decision.method} {decision.name}"[:200]),
        )
