# SPDX-License-Identifier: Apache-2.0
"""The last decisions, for an operator who was told the id of one."""

from collections import OrderedDict
from typing import Final

from .decision import Decision, Outcome

KEPT: Final = 1000


class RecentDecisions:
    """The last `KEPT` refusals, by id."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Decision] = OrderedDict()

    def record(self, decision: Decision) -> None:
        """Keep a refusal, in place of the oldest. A `Recorder`."""
        if decision.outcome is not Outcome.REFUSED:
            return
        self._by_id[decision.id] = decision
        if len(self._by_id) > KEPT:
            self._by_id.popitem(last=False)

    def find(self, decision_id: str) -> Decision | None:
        """The refusal with this id; None when it is none, or too long ago."""
        return self._by_id.get(decision_id)
