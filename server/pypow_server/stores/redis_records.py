# SPDX-License-Identifier: Apache-2.0
"""A ledger's and a limiter's operations as runs of scripts in Redis."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

from pypow.accounts import Account
from pypow.pricing import UNIT, Constants, offered, score
from pypow_server.sale import Sale
from pypow_server.stores import (
    SKEW_MS,
    Allowance,
    Charge,
    Charged,
    Early,
    Rank,
    Spend,
    StoreError,
    credit_script,
)
from pypow_server.stores import redis_scripts as scripts
from pypow_server.stores.accounts import first_credit, paid_alone_from
from pypow_server.stores.attempts import Attempt
from pypow_server.stores.gcra import Level, allowance
from pypow_server.stores.operations import (
    Ask,
    Claim,
    End,
    FindRank,
    FindSales,
    ForgetSales,
    LedgerOperation,
    LedgerOutcome,
    ListRevoked,
    Live,
    Look,
    OtherOperation,
    Probe,
    Release,
    Replace,
    Revoke,
    Take,
)
from pypow_server.stores.redis_address import RedisAddress
from pypow_server.stores.redis_connection import RedisConnection, Reply, ScriptCall

MAX_LEVELS: Final = 1_000_000
"""Principals that the limiter remembers, about 300 octets each."""

_SPENDS: Final[Mapping[int, Spend | Charged]] = {
    ord(str(scripts.WON)): Spend.WON,
    ord(str(scripts.LOST)): Spend.LOST,
    ord(str(scripts.STALE)): Spend.STALE,
    ord(str(scripts.UNKNOWN)): Spend.UNKNOWN,
    ord(str(scripts.HELD)): Spend.HELD,
    ord(str(scripts.CHARGED)): Charged.AGAIN,
    ord(str(scripts.CHARGED_FIRST)): Charged.FIRST,
}
"""By the digit that stands for it in an answer."""
_LEDGER_SCRIPTS: Final = (
    scripts.BEAT,
    scripts.CLAIM,
    scripts.RELEASE,
    scripts.END,
    scripts.LIVE,
    scripts.REVOKE,
    scripts.REVOKED,
    scripts.SOLD,
    scripts.FORGET,
    scripts.LOOK,
    scripts.REPLACE,
    credit_script.ASK,
    credit_script.CHARGE,
)


_EARLY: Final = ord(str(scripts.EARLY))


class RedisRecords:
    """The records of one deployment; `epoch` and `high_water_ms` are those of the last batch."""

    def __init__(self, address: RedisAddress, *, high_water_ms: int) -> None:
        """Connects, and settles the epoch.

        Args:
            address: where they are.
            high_water_ms: The ledger's clock as this process last saw it.

        Raises:
            StoreError: They cannot be reached, or would not be kept.
        """
        self.epoch = 0
        self.high_water_ms = high_water_ms
        self._address = address
        self._keys = (address.key("spends"), address.key("expiries"))
        self._account = f"{address.key('account')}:".encode()
        self._sales = (address.key("sales"), address.key("sold"))
        self._attempts, self._lives = address.key("attempts"), address.key("lives")
        self._revoked = (address.key("revoked"),)
        self._connection = RedisConnection(address, _LEDGER_SCRIPTS)
        try:
            self.apply(())
        except StoreError:
            self.close()
            raise

    def apply(self, operations: Sequence[LedgerOperation]) -> list[LedgerOutcome | StoreError]:
        """Does all of ``operations`` in one round trip, and keeps the heartbeat fresh.

        Raises:
            StoreError: What was done is unknown.
        """
        claims = [each for each in operations if isinstance(each, Claim)]
        others = [each for each in operations if not isinstance(each, Claim)]
        if not claims and not any(isinstance(other, Probe) for other in others):
            others.append(Probe())
        calls = [self._call(other) for other in others]
        replies = self._connection.run([self._claim(claims), *calls] if claims else calls)
        spends = iter(self._spends_in(replies.pop(0), claims) if claims else ())
        outcomes = iter([self._read(*each) for each in zip(others, replies, strict=True)])
        found: list[LedgerOutcome | StoreError] = [
            next(spends) if isinstance(each, Claim) else next(outcomes) for each in operations
        ]
        for outcome in outcomes:  # of the heartbeat's own probe
            if isinstance(outcome, StoreError):
                raise outcome
        return found

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _claim(self, claims: Sequence[Claim]) -> ScriptCall:
        """One run that decides over all of them."""
        accounts: list[bytes] = []
        asked = []
        for key, epoch, expires_at_ms, now_ms, limit, charge, sale, attempt in claims:
            keys: Sequence[bytes] = ()
            figures = said = b""
            if charge is not None:
                keys = self._accounts(charge)
                paid = credit_script.paid(charge.overdraft, charge.tariff)
                figures = b" ".join(b"%d" % one for one in (*_terms(charge, now_ms), *paid))
                accounts += keys
            if sale is not None and attempt is not None:
                said = _text(sale, attempt)
            head = (len(key), -1 if epoch is None else epoch, expires_at_ms, limit)
            sizes = (len(keys), len(figures), len(said))
            asked.append(b"%d %d %d %d %d %d %d %b%b%b" % (*head, *sizes, key, figures, said))
        latest_ms = max(claim.now_ms for claim in claims)
        values = (*self._seen(), latest_ms, b"".join(asked))
        return ScriptCall(
            scripts.CLAIM,
            (*self._keys, *self._sales, self._attempts, self._lives, *accounts),
            values,
        )

    def _spends_in(
        self, reply: Reply | StoreError, claims: Sequence[Claim]
    ) -> list[Charged | Spend | Early | StoreError]:
        if isinstance(reply, StoreError):
            return [reply] * len(claims)
        waits = iter(reply.pop())
        return [
            Early(next(waits)) if digit == _EARLY else _SPENDS[digit]
            for digit in self._settled(reply)
        ]

    def _accounts(self, charge: Charge) -> list[bytes]:
        return [self._account + key for key in charge.keys]

    def _seen(self) -> tuple[str, int]:
        return secrets.token_hex(16), self.high_water_ms

    def _call(self, operation: OtherOperation) -> ScriptCall:
        match operation:
            case Release() | End() | Live() | FindSales() | ForgetSales():
                return self._of_uses(operation)
            case Ask(charge, now_ms, take):
                script = credit_script.CHARGE if take else credit_script.ASK
                figures = (*_terms(charge, now_ms), *credit_script.unpaid(charge.tariff))
                return ScriptCall(script, self._accounts(charge), figures)
            case FindRank(charge, now_ms):
                keys = self._accounts(charge)
                return ScriptCall(credit_script.ASK, keys, _terms(charge, now_ms))
            case Probe():
                return ScriptCall(scripts.BEAT, self._keys, (*self._seen(), 0))
            case Revoke(identity, expires_at_ms, now_ms):
                values = (identity, expires_at_ms, now_ms - SKEW_MS)
                return ScriptCall(scripts.REVOKE, self._revoked, values)
            case ListRevoked(now_ms):
                return ScriptCall(scripts.REVOKED, self._revoked, (now_ms - SKEW_MS,))
            case Look(record):
                return ScriptCall(scripts.LOOK, (self._address.key(record),), ())
            case Replace(record, before, after):
                return ScriptCall(scripts.REPLACE, (self._address.key(record),), (before, after))
            case _:
                assert_never(operation)

    def _of_uses(self, operation: Release | End | Live | FindSales | ForgetSales) -> ScriptCall:
        match operation:
            case Release():
                return self._release(operation)
            case End(key, attempt, ending):
                said = (key, _own(attempt), ending.value)
                return ScriptCall(scripts.END, (self._attempts,), said)
            case Live(life, lasts_ms):
                return ScriptCall(scripts.LIVE, (self._lives,), (life.hex(), lasts_ms))
            case FindSales(since_ms, until_ms, after, most):
                at_ms, last = (since_ms, b"") if after is None else after
                return ScriptCall(scripts.SOLD, self._sales, (at_ms, until_ms, last.hex(), most))
            case ForgetSales(before_ms):
                return ScriptCall(scripts.FORGET, self._sales, (before_ms,))
            case _:
                assert_never(operation)

    def _release(self, release: Release) -> ScriptCall:
        charge, attempt = release.charge, release.attempt
        own = "" if attempt is None else _own(attempt)
        keys: list[bytes | str] = [self._keys[0], self._sales[0], self._attempts]
        if charge is None:
            return ScriptCall(scripts.RELEASE, keys, (release.key, own))
        cost = charge.weight * UNIT * charge.tariff.constants.replicas
        costs = [cost // share for share in (1, *charge.shares)]
        alone_from = paid_alone_from(charge)
        said = (release.key, own, -1 if alone_from is None else alone_from)
        return ScriptCall(scripts.RELEASE, [*keys, *self._accounts(charge)], [*said, *costs])

    def _read(
        self, operation: OtherOperation, reply: Reply | StoreError
    ) -> LedgerOutcome | StoreError:
        if isinstance(reply, StoreError):
            return reply
        match operation:
            case Probe():
                self._settled(reply)
                return None
            case Release() | Live() | Revoke():
                return None
            case Ask(charge, _, take):
                if take and reply[0] == credit_script.CHARGED:
                    return Charged.FIRST if reply[2] else Charged.AGAIN
                if take:
                    _, level, _, missing, known = reply
                else:
                    missing, level, _, known, *_ = reply
                return offered(missing, level, charge.weight, charge.tariff, known=bool(known))
            case FindRank(charge, now_ms):
                return _rank(reply, charge.tariff.constants, now_ms)
            case ListRevoked():
                return frozenset(reply)
            case FindSales():
                return [sale_of(*each) for each in zip(reply[::2], reply[1::2], strict=True)]
            case Look():
                record, now_ms = reply
                return record, int(now_ms)
            case End() | Replace() | ForgetSales():
                return bool(reply)
            case _:
                assert_never(operation)

    def _settled(self, reply: Reply) -> Reply:
        """What a script answers besides the epoch and the clock."""
        answer, self.epoch, high_water = reply
        self.high_water_ms = max(self.high_water_ms, int(high_water))
        return answer


def _terms(charge: Charge, now_ms: int) -> list[int]:
    return credit_script.terms(
        charge.weight,
        charge.tariff,
        now_ms,
        shares=charge.shares,
        first_credit=first_credit(charge),
        holder=charge.holder,
    )


def _own(attempt: Attempt) -> str:
    return f"{attempt.life.hex()} {attempt.number}"


def _text(sale: Sale, attempt: Attempt) -> bytes:
    request = f"{attempt.request.hex()} {_own(attempt)} {attempt.oldest} {attempt.lasts_ms}"
    figures = f"{sale.at_ms} {sale.payment_hash.hex()} {sale.sats} {sale.uses} {sale.scheme}"
    return f"{request} {figures} {sale.price}".encode()


def sale_of(text: bytes, spent: int) -> Sale:
    """A sale, as `scripts.SOLD` answers it."""
    at_ms, payment_hash, sats, uses, scheme, price = text.decode().split(" ", 5)
    figures = (bytes.fromhex(payment_hash), int(sats), price, int(uses), scheme, int(at_ms))
    return Sale(*figures, spent)


def _rank(reply: Reply, constants: Constants, now_ms: int) -> Rank:
    missing, _, _, known, served, minutes, at_ms = reply
    leaf = replace(Account.new(constants, at_ms), served=served, minutes=minutes)
    return Rank(bool(known), score(leaf, constants, now_ms), missing)


class RedisLevels:
    """What the principals of one deployment have used of their quotas."""

    def __init__(self, address: RedisAddress, *, max_levels: int = MAX_LEVELS) -> None:
        """Connects.

        Args:
            address: where they are.
            max_levels: How many are kept; one more, and the one that has used least is dropped.

        Raises:
            StoreError: They cannot be reached.
        """
        self._keys = (address.key("levels"), address.key("ends"))
        self._max_levels = max_levels
        self._connection = RedisConnection(address, (scripts.TAKE,))

    def apply(self, operations: Sequence[Take]) -> list[Allowance | StoreError]:
        """Takes from the quotas, in one round trip.

        Raises:
            StoreError: What was taken is unknown.
        """
        replies = self._connection.run([self._call(operation) for operation in operations])
        return [
            reply if isinstance(reply, StoreError) else _read_taken(operation, reply)
            for operation, reply in zip(operations, replies, strict=True)
        ]

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _call(self, take: Take) -> ScriptCall:
        quota = (take.quota.calls, take.quota.period_ms)
        values = (take.key, take.calls, *quota, take.now_ms, self._max_levels)
        return ScriptCall(scripts.TAKE, self._keys, values)


def _read_taken(take: Take, reply: Reply) -> Allowance:
    fit, at_ms, used = reply
    level = Level(int(at_ms), int(used))
    return allowance(level, take.quota, fit=bool(fit), calls=take.calls)
