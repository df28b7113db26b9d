# SPDX-License-Identifier: Apache-2.0
"""What the gate decided about one request: what metrics, logs, audit and traces are made from."""

import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pypow.pricing import Quote

from .meter import networks_of
from .stores.holder import Holder

_LOG: Final = logging.getLogger("pypow_server.gate")


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
        entry: the price list's entry, ``default``, ``dearest``, ``free``, ``allow`` or
            ``deny``; ``none`` for what was refused before anybody asked for its price, and for a
            proof that bought a pass for a call that nobody named.
        rail: by which it was admitted; None for what was free or refused.
        problem: the name of the refusal's type; None without one.
        status: of the refusal; None without one.
        client: the network the caller comes from.
        principal: who was charged; None for nobody.
        method: HTTP's or MCP's, as the caller wrote it.
        name: path or tool, as the caller wrote it.
        limiter_failed: whether a limiter was asked that could not tell, and held nothing back; or
            what the caller used could not be told, and it got nothing free.
        traceparent: the trace that an MCP message names in its ``_meta`` (W3C Trace Context),
            as the caller wrote it; None without one.
        q: work in 1/1024 bit: paid, of what was admitted by it; asked, of what was refused for
            want of it; None of all else.
        solve_ms: from the issue of a challenge to its redeeming, by the gate's own clock; None
            without one.
        quote: what the call cost this caller, where that follows use and was not free; None of
            all else. Work may be asked for in coarser steps than it was reckoned in.
        retry_after_s: what a refused caller was told to wait; None for nothing.
        lane: where the call waited for its turn, ``paid``, ``known`` or ``new``; None where it
            had not to.
        waited_ms: how long; `seconds` are without it.
        holder: of the standing token that counted; None where there was none.
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
    traceparent: str | None = None
    q: int | None = None
    solve_ms: int | None = None
    quote: Quote | None = None
    retry_after_s: int | None = None
    lane: str | None = None
    waited_ms: int = 0
    holder: Holder | None = None

    @property
    def overdrawn(self) -> str | None:
        """Whose use raised the price: a token's holder, or a network that the caller is in."""
        quote = self.quote
        if quote is None or not quote.overdraft_q:
            return None
        charged = [network.prefix for network in networks_of(self.client)]
        if self.holder is not None:
            charged.insert(0, self.holder.account.decode("ascii"))
        return charged[quote.level]


Recorder = Callable[[Decision], None]
"""Takes each decision; is called in the event loop, so it must be quick, and must not raise."""


def tell(recorders: Sequence[Recorder], decision: Decision) -> None:
    """Tell all of a decision; who counts must not keep anybody waiting or out."""
    for record in recorders:
        try:
            record(decision)
        except Exception:  # noqa: BLE001 - whatever it is, the caller still gets its answer
            _LOG.exception("decision=%s was not recorded", decision.id)
