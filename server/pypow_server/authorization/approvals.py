# SPDX-License-Identifier: Apache-2.0
"""Which devices somebody has worked for, known to every gate of a store.

An approval is an id that stands for minutes, as a revocation does, so it is kept among these: all
gates read that list once a second, and none of them asks the store when a device does. Ids are
hashes with a purpose of their own, so that no approval revokes anything. Each costs a spent proof,
and there is an end to them, because the list is read as a whole.
"""

import logging
from dataclasses import dataclass
from typing import Final

from pypow_server import problems
from pypow_server.problems import Problem
from pypow_server.revoked import RevokedPasses
from pypow_server.settlement import store_unavailable

from .user_codes import GRACE_MS, UserCode

MOST: Final = 4096
"""Ids in the list; past that no device is approved, and nobody works for one."""

_LOG: Final = logging.getLogger("pypow_server.authorization")


@dataclass(frozen=True, slots=True)
class Approvals:
    """Records approvals, and knows them.

    Attributes:
        kept: the list that they are in.
    """

    kept: RevokedPasses

    async def has(self, code: UserCode) -> bool | Problem:
        """Whether somebody has worked for the device with this code; or why that is unknown."""
        return await self.kept.lists(code.approval)

    def full(self) -> Problem | None:
        """Why no more can be recorded now; None where they can."""
        if self.kept.count < MOST:
            return None
        return problems.store_unavailable("too many devices were let in just now; try again later")

    async def record(self, code: UserCode) -> Problem | None:
        """Record that somebody worked; doing so again changes nothing."""
        try:
            await self.kept.add(code.approval, expires_at_ms=code.ends_at_ms + GRACE_MS)
        except Exception:  # noqa: BLE001 - any store's fault; whoever worked must hear of it
            _LOG.exception("a device's approval could not be recorded")
            return store_unavailable()
        return None
