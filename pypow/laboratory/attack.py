# SPDX-License-Identifier: Apache-2.0
"""Attackers: what they own, how they are written on a command line, and the listed scenarios."""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from pypow.errors import InvalidInputError, shown

GPU_HASHES_PER_S = 16.3e9
"""One H100 SXM, measured with a CUDA kernel over one block."""

BOT_HASHES_PER_S = 20e6
"""One computer of a botnet: part of a core that its owner does not miss."""


class Past(Enum):
    """What the gate remembers of a principal when a run begins."""

    NONE = "none"
    """Never seen before."""
    AGED = "aged"
    """First seen a day ago, never served since."""
    FARMED = "farmed"
    """Used for a day as by one who calls once a minute, then rested until that use was forgotten:
    an attacker's best, since the least used go first."""
    USED = "used"
    """Used for a day as by one who calls once a minute, until now: an honest caller."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attacker, who wants as much of the server as he can get.

    Attributes:
        nodes: machines; none is no attack.
        hashes_per_s: of each.
        identities: addresses or standing tokens that he speaks from, in turn.
        connections: calls that he has under way at once, over all machines.
        past: what the gate remembers of the identities.
        pulse_s: seconds on, then as many off; 0 is on all the time.
    """

    nodes: int = 0
    hashes_per_s: float = BOT_HASHES_PER_S
    identities: int = 0
    connections: int = 0
    past: Past = Past.NONE
    pulse_s: float = 0.0


def _gpu(
    identities: int, connections: int = 2000, *, count: int = 1, past: Past = Past.NONE
) -> Attack:
    return Attack(count, GPU_HASHES_PER_S, identities, connections, past)


def _botnet(nodes: int, *, past: Past = Past.NONE, pulse_s: float = 0.0) -> Attack:
    return Attack(nodes, BOT_HASHES_PER_S, nodes, 4 * nodes, past, pulse_s)


@dataclass(frozen=True, slots=True)
class Scenario:
    """An attack with a name.

    Attributes:
        name: short, as tables head their columns.
        says: what it is.
        attack: the attacker.
        bursts: honest principals that make many calls at once, once a minute.
    """

    name: str
    says: str
    attack: Attack
    bursts: int = 0


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("S0", "quiet", Attack()),
        Scenario("S1", "quiet, five agents in bursts of 60 calls", Attack(), bursts=5),
        Scenario("S2", "botnet of 1,000 computers", _botnet(1000)),
        Scenario("S3a", "one H100, 1 address", _gpu(1, 1000)),
        Scenario("S3b", "one H100, 256 addresses", _gpu(256, 1000)),
        Scenario("S3c", "one H100, 4,096 addresses", _gpu(4096)),
        Scenario("S3d", "one H100, 100,000 addresses", _gpu(100_000)),
        Scenario("S4a", "botnet, identities a day old and unused", _botnet(1000, past=Past.AGED)),
        Scenario("S4b", "one H100, 4,096 identities so", _gpu(4096, past=Past.AGED)),
        Scenario("S4c", "one H100, 1,024 farmed identities", _gpu(1024, past=Past.FARMED)),
        Scenario("S4d", "one H100, 4,096 farmed identities", _gpu(4096, past=Past.FARMED)),
        Scenario("S5", "botnet, 40 s on and 40 s off", _botnet(1000, pulse_s=40.0)),
    )
}

_NAMED: Mapping[str, Callable[[Attack, float], Attack]] = {
    "gpu": lambda attack, n: replace(attack, nodes=int(n), hashes_per_s=GPU_HASHES_PER_S),
    "botnet": lambda attack, n: replace(attack, nodes=int(n), hashes_per_s=BOT_HASHES_PER_S),
    "hashrate": lambda attack, rate: replace(attack, hashes_per_s=rate),
    "addresses": lambda attack, n: replace(attack, identities=int(n)),
    "aged": lambda attack, n: replace(attack, identities=int(n), past=Past.AGED),
    "farmed": lambda attack, n: replace(attack, identities=int(n), past=Past.FARMED),
    "connections": lambda attack, n: replace(attack, connections=int(n)),
    "pulse": lambda attack, seconds: replace(attack, pulse_s=seconds),
}
_HIGHEST = {
    "gpu": 10_000,
    "botnet": 20_000,
    "hashrate": 1e18,
    "addresses": 1_000_000,
    "aged": 1_000_000,
    "farmed": 1_000_000,
    "connections": 20_000,
    "pulse": 3600,
}
_ITEM = re.compile(r"([a-z]+):([0-9]{1,20}(?:\.[0-9]{1,6})?(?:e[0-9]{1,2})?)")
_MAX_SPEC = 200


def parse(spec: str) -> Scenario:
    """Read an attack as it is written on a command line.

    Args:
        spec: a listed scenario (``S3b``), ``none``, or items joined by commas: ``gpu:1``
            (machines like an H100), ``botnet:1000`` (of 20 MH/s, an address and four connections
            each), ``hashrate:2e9`` (of each machine), ``addresses:256``, ``aged:256`` or
            ``farmed:512`` (identities and their past), ``connections:2000``, ``pulse:40``
            (seconds on and off).

    Raises:
        InvalidInputError: an unknown word, a number out of range, or items that exclude another.

    >>> parse("gpu:1,addresses:256").attack.identities
    256
    """
    if spec in SCENARIOS:
        return SCENARIOS[spec]
    if spec == "none":
        return SCENARIOS["S0"]
    if len(spec) > _MAX_SPEC:
        raise InvalidInputError(f"attack: expected at most {_MAX_SPEC} characters, got {len(spec)}")
    given: dict[str, float] = {}
    for item in spec.split(","):
        word, number = _item(item)
        if word in given:
            raise InvalidInputError(f"attack: expected each word once, got {word!r} twice")
        given[word] = number
    for one, other in (("gpu", "botnet"), ("addresses", "aged"), ("addresses", "farmed")):
        if one in given and other in given:
            raise InvalidInputError(f"attack: expected {one} or {other}, got both; leave one out")
    if "aged" in given and "farmed" in given:
        raise InvalidInputError("attack: expected aged or farmed, got both; leave one out")
    return Scenario(spec, spec, _attack(given))


def _item(item: str) -> tuple[str, float]:
    found = _ITEM.fullmatch(item)
    word = found[1] if found else item.partition(":")[0]
    if word not in _NAMED:
        near = difflib.get_close_matches(word, [*_NAMED, *SCENARIOS], n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_NAMED)}, or a scenario"
        raise InvalidInputError(f"attack: {shown(word)} is unknown; {hint}")
    number = float(found[2]) if found else math.nan
    whole = word not in ("hashrate", "pulse")
    if not 1 <= number <= _HIGHEST[word] or (whole and number != int(number)):
        raise InvalidInputError(
            f"attack: expected {word}:N with {'a whole' if whole else 'a'} number from 1 to "
            f"{_HIGHEST[word]:g}, got {shown(item)}"
        )
    return word, number


def _attack(given: Mapping[str, float]) -> Attack:
    """What items say, and what follows from them where they are silent."""
    attack = Attack(1, GPU_HASHES_PER_S)
    if "pulse" in given and "gpu" not in given:
        attack = Attack(1000, BOT_HASHES_PER_S)
    for word, number in given.items():
        if word != "hashrate":
            attack = _NAMED[word](attack, number)
    bots = attack.hashes_per_s == BOT_HASHES_PER_S
    if "hashrate" in given:
        attack = replace(attack, hashes_per_s=given["hashrate"])
    if not attack.identities:
        attack = replace(attack, identities=attack.nodes if bots else 1)
    if not attack.connections:
        few = attack.identities <= 256 and attack.past is Past.NONE
        gpus = 1000 if few else 2000
        attack = replace(attack, connections=4 * attack.nodes if bots else gpus)
    return attack
