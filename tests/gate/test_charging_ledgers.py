# SPDX-License-Identifier: Apache-2.0
"""One contract for all ledgers that charge, and proof that it catches those that are wrong."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pypow.pricing import Offered
from pypow_server.stores import Charge, Charged, Early, Rank, Spend
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger
from support import credit_contract as contract
from support.credit_contract import CHARGE, CONTRACT, ChargingLedger, Check, OpenCredits, pay
from support.every_ledger import NAMES, opener
from support.ledger_contract import NOW_MS, spend


@pytest.fixture(params=NAMES)
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> OpenCredits:
    return opener(request, tmp_path)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_ledger_keeps_the_contract(open_ledger: OpenCredits, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_ledger), timeout=60))


class SpendsWithoutCharging(MemoryLedger):
    """Looks whether the call may pass, and charges nobody."""

    async def redeem(
        self,
        key: bytes,
        *,
        epoch: int | None,
        expires_at_ms: int,
        now_ms: int,
        limit: int = 1,
        charge: Charge,
    ) -> Charged | Spend | Early:
        spent = await self.spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )
        return Charged.AGAIN if spent is Spend.WON else spent


class ChargesWithoutSpending(MemoryLedger):
    """Charges before it knows who wins."""

    async def redeem(
        self,
        key: bytes,
        *,
        epoch: int | None,
        expires_at_ms: int,
        now_ms: int,
        limit: int = 1,
        charge: Charge,
    ) -> Charged | Spend | Early:
        found = self._accounts.redeem(charge, now_ms)
        if isinstance(found, Early):
            return found
        spent = await self.spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )
        return found if spent is Spend.WON else spent


class CallsEverybodyANewcomer(MemoryLedger):
    """Counts calls for callers."""

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        found = await super().take_free(charge, now_ms=now_ms)
        return Charged.FIRST if isinstance(found, Charged) else found


class SpendsWhatIsEarly(MemoryLedger):
    """Loses the proof of whoever has to wait."""

    def _unuse(self, key: bytes) -> bool:
        return False


class ChargesAgainOnRelease(MemoryLedger):
    """Takes a release for another call."""

    async def give_back(self, key: bytes, charge: Charge) -> None:
        self._accounts.redeem(charge, NOW_MS)
        self._unuse(key)


class GivesBackWhatWasNeverCharged(MemoryLedger):
    """Gives back without looking whether there is a use to give back."""

    async def give_back(self, key: bytes, charge: Charge) -> None:
        self._unuse(key)
        self._accounts.give_back(charge)


class KeepsTheChargeOfWhatItReleases(MemoryLedger):
    """Gives the proof back, and not what it cost."""

    async def give_back(self, key: bytes, charge: Charge) -> None:
        self._unuse(key)


class ChargesForAsking(MemoryLedger):
    """Moves the price by being asked for it."""

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        found = self._accounts.quote(charge, now_ms)
        self._accounts.redeem(charge._replace(overdraft=255), now_ms)
        return found


class ChargesForLooking(MemoryLedger):
    """Charges who only wants to know where it stands."""

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        found = self._accounts.rank(charge, now_ms)
        self._accounts.redeem(charge, now_ms)
        return found


class RanksEverybodyAlike(MemoryLedger):
    """Takes everybody for somebody whom it does not know."""

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        return Rank(known=False, score=0, missing=0)


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (ChargesForLooking, contract.looking_where_a_caller_stands_changes_nothing),
        (RanksEverybodyAlike, contract.looking_where_a_caller_stands_changes_nothing),
        (RanksEverybodyAlike, contract.it_answers_as_the_rules_do),
        (SpendsWithoutCharging, contract.what_is_won_is_charged_once),
        (SpendsWithoutCharging, contract.of_many_at_once_only_so_many_are_in_time),
        (ChargesWithoutSpending, contract.what_is_not_won_is_not_charged),
        (ChargesWithoutSpending, contract.what_is_won_is_charged_once),
        (SpendsWithoutCharging, contract.whoever_was_never_charged_is_told_apart),
        (CallsEverybodyANewcomer, contract.whoever_was_never_charged_is_told_apart),
        (SpendsWhatIsEarly, contract.a_proof_that_came_early_is_good_later),
        (ChargesAgainOnRelease, contract.what_is_given_back_is_given_back_whole_and_once),
        (GivesBackWhatWasNeverCharged, contract.what_is_given_back_is_given_back_whole_and_once),
        (KeepsTheChargeOfWhatItReleases, contract.what_is_given_back_is_given_back_whole_and_once),
        (ChargesForAsking, contract.asking_changes_nothing),
    ],
)
def test_the_contract_catches_a_ledger_that_is_wrong(
    twin: Callable[[], ChargingLedger], check: Check
) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin))


def test_a_closed_ledger_charges_nobody(open_ledger: OpenCredits) -> None:
    async def story() -> None:
        ledger = open_ledger()
        await ledger.aclose()
        assert await pay(ledger) is Spend.UNKNOWN

    asyncio.run(story())


def test_a_full_memory_ledger_forgets_whom_it_charged_longest_ago() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_accounts=2)
        one, two, three = (CHARGE._replace(keys=(key,), shares=()) for key in (b"1", b"2", b"3"))
        for charge in (one, two, one, three):
            await ledger.take_free(charge, now_ms=NOW_MS)
        owed = [await contract.free_in_ms(ledger, one._replace(weight=4)) for one in (one, two)]
        assert owed == [2000, 0]

    asyncio.run(story())


def test_accounts_outlive_a_restart_of_a_durable_ledger(tmp_path: Path) -> None:
    async def story() -> None:
        for number in range(6):
            ledger = SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
            assert await pay(ledger, b"%d" % number) is Spend.WON
            owed = await contract.free_in_ms(ledger)
            await ledger.aclose()
        assert owed == 3000

    asyncio.run(story())


def test_a_file_of_an_older_release_is_charged_in(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "ledger.db"
        await SqliteLedger(path, clock=lambda: NOW_MS).aclose()
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE accounts")
        ledger = SqliteLedger(path, clock=lambda: NOW_MS)
        assert await spend(ledger, b"old") is Spend.WON
        assert await pay(ledger) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())
