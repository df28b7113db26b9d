# SPDX-License-Identifier: Apache-2.0
"""The keys of one issuer (RFC 7517 section 5), read rarely however many tokens come.

A set in hand is used while a newer one is read beside. A token by a key that is not in it has the
set read again, within an allowance that no flood of made-up key ids can stretch; past it nobody
says that such a token is bad, only that it cannot be told now.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pypow.errors import InvalidInputError

from . import Unavailable
from .fetching import FetchError
from .signatures import PublicKey, public_key

FRESH_S: Final = 300.0
"""Past this age a set is read again, beside the tokens that it still serves."""

TRUSTED_S: Final = 6 * 3600.0
"""Past this age, no token is judged by it."""

PAUSE_S: Final = 5.0
"""Between a failure and the next try."""

ASK_EVERY_S: Final = 30.0
"""How often unknown key ids have the set read, on average."""

ASK_AT_ONCE: Final = 4
"""How often they may in a row."""

MAX_KEYS: Final = 64
_WITHOUT_ID: Final = 4
_UNKNOWN_S: Final = 30.0
_MAX_UNKNOWN: Final = 1024
_LOG = logging.getLogger("pypow_server.identity")

Read = Callable[[], Awaitable[Mapping[str, object]]]


class IssuerKeys:
    """Keys as an issuer published them a moment ago.

    Args:
        read: gets the key set, a JSON object; raises `FetchError`.
        name: the issuer, for logs.
        monotonic: seconds, from any moment on.
        told: hears of each read, for figures: ``read`` or ``failed``.
    """

    def __init__(
        self,
        read: Read,
        *,
        name: str,
        monotonic: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._read = read
        self._name = name
        self._monotonic = monotonic
        self._told = told
        self._keys: tuple[PublicKey, ...] = ()
        self._read_at: float | None = None
        self._failed_at = float("-inf")
        self._asked_until = float("-inf")
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._reading: asyncio.Task[bool] | None = None

    def standing(self) -> tuple[PublicKey, ...] | None:
        """The keys in hand; None if they are too old to judge by. The same object while they are.

        What was verified by keys of an earlier answer is to be verified again.
        """
        now = self._monotonic()
        if self._read_at is None or now - self._read_at > TRUSTED_S:
            return None
        if now - self._read_at > FRESH_S and now - self._failed_at >= PAUSE_S:
            self._begin()
        return self._keys

    async def find(self, key_id: str | None, algorithm: str) -> list[PublicKey] | Unavailable:
        """The keys that may have signed a token; empty if the issuer has none that fits.

        Args:
            key_id: the token's ``kid``.
            algorithm: its ``alg``.
        """
        if self.standing() is None and not await self._first():
            return self._unavailable(PAUSE_S)
        while key_id is not None and self._is_unknown(key_id):
            if not self._is_read():
                now = self._monotonic()
                if self._unknown.get(key_id, now) > now:
                    return []
                wait_s = self._wait_s(now)
                if wait_s > 0:
                    return self._unavailable(wait_s)
                if not await self._again():
                    return self._unavailable(PAUSE_S)
                if self._is_unknown(key_id):
                    self._remember_unknown(key_id)
            # A set that was being read before may be older than the key.
            elif not await self._again():
                return self._unavailable(PAUSE_S)
        return self._fitting(key_id, algorithm)

    def _fitting(self, key_id: str | None, algorithm: str) -> list[PublicKey]:
        fitting = [
            key
            for key in self._keys
            if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)
        ]
        return fitting if key_id is not None or len(fitting) <= _WITHOUT_ID else []

    def _is_unknown(self, key_id: str) -> bool:
        return all(key.key_id != key_id for key in self._keys)

    def _remember_unknown(self, key_id: str) -> None:
        self._unknown[key_id] = self._monotonic() + _UNKNOWN_S
        self._unknown.move_to_end(key_id)
        if len(self._unknown) > _MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    def _wait_s(self, now: float) -> float:
        """0 where the set may be read for an unknown key id, which is then accounted for."""
        wait_s = self._asked_until - now - (ASK_AT_ONCE - 1) * ASK_EVERY_S
        if wait_s <= 0:
            self._asked_until = max(self._asked_until, now) + ASK_EVERY_S
        return max(0.0, wait_s)

    def _unavailable(self, after_s: float) -> Unavailable:
        return Unavailable(
            "the keys of the token's issuer cannot be had now; try again", math.ceil(after_s)
        )

    def _is_read(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _begin(self) -> asyncio.Task[bool]:
        """One read at a time; whoever comes meanwhile waits for the same."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._take())
        return self._reading

    async def _first(self) -> bool:
        return self._monotonic() - self._failed_at >= PAUSE_S and await self._again()

    async def _again(self) -> bool:
        # A caller who leaves must not take the answer away from the others.
        return await asyncio.shield(self._begin())

    async def _take(self) -> bool:
        try:
            keys = usable(await self._read())
        except (FetchError, InvalidInputError) as error:
            _LOG.warning("the keys of %s cannot be read: %s", self._name, error)
            self._failed_at = self._monotonic()
            self._told("failed")
            return False
        if keys != self._keys or self._read_at is None:
            self._keys = keys
        self._read_at = self._monotonic()
        self._told("read")
        return True


def usable(key_set: Mapping[str, object]) -> tuple[PublicKey, ...]:
    """The keys of a set that can check tokens; others are left out (RFC 7517 section 5).

    Raises:
        InvalidInputError: it is no set, holds too many keys, or none that can be used.
    """
    listed = key_set.get("keys")
    if not isinstance(listed, list):
        raise InvalidInputError("expected a key set: an object with an array, keys")
    if len(listed) > MAX_KEYS:
        raise InvalidInputError(f"expected a set of at most {MAX_KEYS} keys, got {len(listed)}")
    found = []
    for each in listed:
        try:
            found.append(public_key(each))
        except InvalidInputError as error:
            _LOG.info("a key is left out: %s", error)
    if not found:
        raise InvalidInputError("expected a set with a public key for signatures, got none")
    return tuple(found)
