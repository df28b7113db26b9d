# SPDX-License-Identifier: Apache-2.0
"""Decisions to record, without a gate."""

from dataclasses import replace
from typing import Any

from pypow_server.decision import Decision, Outcome

REFUSED = Decision(
    id="00112233aabbccdd",
    outcome=Outcome.REFUSED,
    at_ms=1_700_000_000_123,
    seconds=0.0002,
    entry="default",
    rail=None,
    problem="work-required",
    status=402,
    client="192.0.2.7/32",
    principal=None,
    method="tools/call",
    name="search",
)
ADMITTED = replace(
    REFUSED,
    id="ffeeddccbbaa9988",
    outcome=Outcome.ADMITTED,
    rail="work",
    problem=None,
    status=None,
    principal="192.0.2.7/32",
)


def refused(**changes: Any) -> Decision:
    """`REFUSED`, but for these attributes."""
    return replace(REFUSED, **changes)


def solved(solve_ms: int, **changes: Any) -> Decision:
    """`ADMITTED`, for a proof of 20 bits that came so long after its challenge was issued."""
    return replace(ADMITTED, **{"q": 20 * 1024, "solve_ms": solve_ms, **changes})
