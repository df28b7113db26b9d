# SPDX-License-Identifier: Apache-2.0
"""The decision over spends, as a value: who wins, given what is recorded of the keys."""

from collections.abc import Mapping
from typing import NamedTuple

from pypow_server.stores import SKEW_MS, Charged, Early, Spend
from pypow_server.stores.accounts import Accounts
from pypow_server.stores.attempts import Attempts, Ending, Return, Taken
from pypow_server.stores.operations import Claim, Release


class Use(NamedTuple):
    """What is recorded of one key.

    Attributes:
        uses: how often it is spent.
        expires_at_ms: until when that must be known, in Unix ms, but for the skew.
    """

    uses: int
    expires_at_ms: int


_UNUSED = Use(0, 0)


class Uses:
    """The uses of a batch's keys, within one transaction.

    Attributes:
        changed: what must be recorded for the answers given to hold.
        won: the spends that won, in their order.
        released: the keys of which a use was given back.
    """

    def __init__(
        self,
        recorded: Mapping[bytes, Use],
        accounts: Accounts,
        attempts: Attempts,
        *,
        epoch: int,
        high_water_ms: int,
    ) -> None:
        """Begins with what is recorded.

        Args:
            recorded: of every key that the batch names, unless it was never spent.
            accounts: what is charged.
            attempts: who took the uses of payments.
            epoch: the ledger's.
            high_water_ms: the ledger's clock.
        """
        self.changed: dict[bytes, Use] = {}
        self.won: list[Claim] = []
        self.released: list[bytes] = []
        self._known = dict(recorded)
        self._accounts = accounts
        self._attempts = attempts
        self._epoch = epoch
        self._dropped_ms = high_water_ms - SKEW_MS

    def claim(self, claim: Claim) -> Charged | Spend | Early:
        """Decides over one spend, after those before it."""
        if claim.epoch is not None and claim.epoch != self._epoch:
            return Spend.STALE
        if claim.expires_at_ms <= self._dropped_ms:
            return Spend.UNKNOWN
        back = Return.NEW
        beside: tuple[Taken, ...] | None = ()
        if claim.attempt is not None:
            back = self._attempts.back(claim.key, claim.attempt)
            if back is Return.AGAIN:
                return Spend.WON if claim.charge is None else Charged.AGAIN
        uses, expires_at_ms = self._known.get(claim.key, _UNUSED)
        if uses >= claim.limit:
            return Spend.HELD if back is Return.HELD else Spend.LOST
        if claim.attempt is not None:
            beside = self._attempts.beside(claim.key, claim.attempt)
        if beside is None:
            return Spend.HELD
        won: Charged | Spend = Spend.WON
        if claim.charge is not None:
            found = self._accounts.redeem(claim.charge, claim.now_ms)
            if isinstance(found, Early):
                return found
            won = found
        self._record(claim.key, Use(uses + 1, max(expires_at_ms, claim.expires_at_ms)))
        self.won.append(claim)
        if claim.attempt is not None:
            self._attempts.add(claim.key, claim.attempt, beside)
        return won

    def release(self, release: Release) -> None:
        """Gives one use back, if there is one, and what it was charged."""
        own = release.attempt
        if own is not None and not self._attempts.end(
            release.key, own.life, own.number, Ending.ANSWERED
        ):
            return
        uses, expires_at_ms = self._known.get(release.key, _UNUSED)
        if uses > 0:
            self._record(release.key, Use(uses - 1, expires_at_ms))
            self.released.append(release.key)
            if release.charge is not None:
                self._accounts.give_back(release.charge)

    def _record(self, key: bytes, use: Use) -> None:
        self._known[key] = self.changed[key] = use
