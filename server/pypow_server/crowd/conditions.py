# SPDX-License-Identifier: Apache-2.0
"""How crowded it is behind a gate, as all gates of its store find together, once a second.

No request waits for this: it is charged under the climate of a moment ago, and counted.
"""

import asyncio
import logging
import random
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pypow import difficulty
from pypow.steering import Loop
from pypow.tariff import CALM, UNIT, Constants, Tariff
from pypow_server.meter import Pricing
from pypow_server.stores import SharedRecord
from pypow_server.upkeep import Upkeep

from . import shared_climate
from .load import Load

PERIOD_S: Final = 1.0
"""How often a gate tells what it counted, and learns the climate."""

_TIMEOUT_S: Final = 5.0
_LEAST_CAPACITY: Final = UNIT // 1000
_TRIES: Final = 16
_JITTER: Final = 0.1
_MOST_SENT_BACK: Final = 100_000
_LOG = logging.getLogger("pypow_server.gate")


@dataclass(frozen=True, slots=True)
class Rules:
    """By what the climate moves.

    Attributes:
        constants: of the default price.
        loop: with the part of the capacity that the gates of one store serve.
        replicas: gates that share callers and no store.
    """

    constants: Constants
    loop: Loop
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Crowd:
    """How crowded it is, for operators.

    Attributes:
        allowance: what callers earn now, as a part of what they earn when it is calm.
        entry_bits: what newcomers pay now besides the price.
        gates: how many share the load.
    """

    allowance: float
    entry_bits: float
    gates: int


def rules_of(pricing: Pricing, base_q: int) -> Rules | None:
    """By what the climate moves where this is decided; None where it does not.

    Args:
        pricing: what the operator decided.
        base_q: the default price, in 1/1024 bit.
    """
    if pricing.capacity is None or pricing.quota is None:
        return None
    part = max(_LEAST_CAPACITY, pricing.capacity // pricing.replicas)
    return Rules(pricing.constants(pricing.quota, base_q), Loop(capacity=part), pricing.replicas)


async def _pause() -> None:
    # Gates that were begun at once would else write at once, again and again.
    await asyncio.sleep(PERIOD_S * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311


class Conditions:
    """The climate that a gate charges under, and what it tells of its load.

    One task keeps it, for as long as its event loop runs; begun by `start`.

    Attributes:
        climate: of the moment.
        gates: how many gates share the load: those of the store that were heard of lately, and
            for each of these its `Rules.replicas`.
        rules: None where no capacity is known: the climate stays as it is meant, nobody counts.
        fill: how full the queue before the upstream was since this was asked last, 0 to 1024.
        steps: how often this gate moved the climate, for all.
        learned_at_ms: when the store last told it, by its clock; 0 for never.
    """

    def __init__(
        self,
        climates: SharedRecord | None = None,
        *,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """Begin calm.

        Args:
            climates: the store's; None where it stays calm.
            pause: returns when it is time to tell and learn again.
        """
        self.climate = CALM
        self.gates = 1
        self.rules: Rules | None = None
        self.fill: Callable[[], int] = lambda: 0
        self.steps = 0
        self.learned_at_ms = 0
        self._climates = climates
        self._upkeep = Upkeep(self.exchange, pause=pause)
        self._heard = 1
        self._name = secrets.token_hex(8)
        self._load = Load()
        self._sent_back: OrderedDict[bytes, None] = OrderedDict()
        self._fails = False

    def follow(self, rules: Rules | None) -> None:
        """Go by other rules from now on; None for a climate that stays calm."""
        self.rules = rules
        if rules is None:
            self.climate, self._heard = CALM, 1
        self._share()

    def _share(self) -> None:
        self.gates = self._heard * (1 if self.rules is None else self.rules.replicas)

    def admitted(
        self, weight: int, *, newcomer: bool, delay_ms: int | None = None, key: bytes = b""
    ) -> None:
        """Count a call that is let through; only where there are `rules`.

        Args:
            weight: of the call, in units of the default price's work.
            newcomer: whether it is the first that its caller was charged.
            delay_ms: from the issue of its challenge until its proof came; None without one.
            key: of the challenge.
        """
        self._load.admitted(weight, newcomer=newcomer)
        if delay_ms is not None and self._sent_back.pop(key, self) is self:
            self._load.presented(delay_ms)

    def sent_back(self, key: bytes, delay_ms: int | None) -> None:
        """Count a proof that stands and is to come again later: only its first coming counts.

        What it takes afterwards tells how full it is, not how long a puzzle takes.
        """
        if self.rules is None or delay_ms is None or key in self._sent_back:
            return
        self._load.presented(delay_ms)
        if len(self._sent_back) >= _MOST_SENT_BACK:
            self._sent_back.popitem(last=False)
        self._sent_back[key] = None

    def crowd(self) -> Crowd | None:
        """How crowded it is; None where no capacity is known."""
        if self.rules is None:
            return None
        constants = self.rules.constants
        tariff = Tariff(constants, self.climate)
        allowance = tariff.rate / constants.rate_max
        return Crowd(allowance, difficulty.bits(tariff.entry_q), self.gates)

    def start(self) -> None:
        """Begin to tell and learn in the running event loop, unless that has begun."""
        self._upkeep.start()

    async def aclose(self) -> None:
        """Tell and learn no more."""
        await self._upkeep.aclose()

    async def exchange(self) -> None:
        """Tell the store what was counted, and learn the climate; a fault changes neither."""
        rules, climates = self.rules, self._climates
        if rules is None or climates is None:
            return
        self._load.waited(self.fill())
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._tell(rules, climates)
        except Exception:  # noqa: BLE001 - any store's fault; what was counted is told later
            if not self._fails:
                _LOG.exception("the store does not tell how crowded it is; prices go on as before")
            self._fails = True
        else:
            self._fails = False

    async def _tell(self, rules: Rules, climates: SharedRecord) -> None:
        for _ in range(_TRIES):
            before, now_ms = await climates.look()
            found = shared_climate.read(before, now_ms)
            noted = found.noted(self._name, self._load.counts, now_ms)
            stepped = noted.stepped(rules.constants, rules.loop, now_ms)
            if await climates.replace(before, stepped.text()):
                self.steps += stepped is not noted
                found = stepped
                break
        # Where others were quicker each time, what they wrote counts, and our part does later.
        if self.rules is rules:
            self.learned_at_ms = now_ms
            self._heard = max(1, found.gates(now_ms))
            self._share()
            if found.climate != self.climate:
                self.climate = found.climate
