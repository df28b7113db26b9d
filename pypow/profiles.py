# SPDX-License-Identifier: Apache-2.0
"""How fast callers are thought to hash, and the kinds of callers that operators plan for.

Rough on purpose. Machines of one kind differ by a factor of two, and the chance in each single
solve is wider than that. Prices in bits or hashes do not depend on these tables.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import InvalidInputError, shown


@dataclass(frozen=True, slots=True)
class Device:
    """One kind of machine, and what hashes on it.

    Attributes:
        name: as it is written in ``pypow.toml`` and at the command line.
        hashes_per_s: SHA-256 hashes of short messages.
        source: what was measured, or by whom.
        as_of: year and month of the figure.
        measured: by this project; otherwise taken from others' publications.
    """

    name: str
    hashes_per_s: float
    source: str
    as_of: str
    measured: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """Whom a gate is for.

    Attributes:
        name: as it is written in ``pypow.toml`` and at the command line.
        device: the slowest that is to get through easily.
        p99_ms: how long all but one in a hundred of its solves may take.
        says: for whom, in a few words.
    """

    name: str
    device: Device
    p99_ms: int
    says: str


_LISTED: Final = (
    Device(
        "browser-js",
        0.3e6,
        "WebCrypto, one call for each hash, on an M3 Pro; ALTCHA's docs",
        as_of="2026-07",
        measured=False,
    ),
    Device(
        "python",
        0.78e6,
        "a hashlib loop on one core of a 16-core Xeon",
        as_of="2026-07",
        measured=True,
    ),
    Device(
        "phone",
        4.1e6,
        "WebAssembly on a Galaxy A34 and an iPhone SE (2020); Cap's docs",
        as_of="2026-07",
        measured=False,
    ),
    Device(
        "laptop",
        15.5e6,
        "WebAssembly on a MacBook M3; Cap's docs",
        as_of="2026-07",
        measured=False,
    ),
    Device(
        "native",
        80.3e6,
        "pypow on one core of a 16-core Xeon, AVX-512",
        as_of="2026-07",
        measured=True,
    ),
    Device("server", 1.21e9, "pypow on all 16 cores of that Xeon", as_of="2026-07", measured=True),
)

DEVICES: Final[Mapping[str, Device]] = {device.name: device for device in _LISTED}
"""Slowest first."""

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("browser", DEVICES["phone"], 500, "people, with WebAssembly on a phone"),
        Profile("mixed-agents", DEVICES["python"], 500, "agents of any kind, also a hashlib loop"),
        Profile("mcp-native", DEVICES["native"], 500, "agents that solve with pypow"),
        Profile("step-up", DEVICES["phone"], 2000, "single calls that cost you more than others"),
        Profile(
            "dormant", DEVICES["python"], 500, "nobody yet: priced and counted, and let through"
        ),
    )
}

DEFAULT_DEVICE: Final = "laptop"

DEFAULT_BITS: Final = 16
"""The price of a call at a gate that was told nothing else."""


def device_of(name: str) -> Device:
    """The device of that name, or the one that a profile of that name is reckoned with.

    Raises:
        InvalidInputError: there is neither; the text has the nearest right name.

    >>> device_of("phone") is device_of("browser")
    True
    """
    if name in PROFILES:
        return PROFILES[name].device
    if name in DEVICES:
        return DEVICES[name]
    raise _unknown("profile or device", name, (*PROFILES, *DEVICES))


def profile_of(name: str) -> Profile:
    """The profile of that name.

    Raises:
        InvalidInputError: there is none; the text has the nearest right name.
    """
    if name in PROFILES:
        return PROFILES[name]
    raise _unknown("profile", name, tuple(PROFILES))


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> InvalidInputError:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    return InvalidInputError(
        f"expected a {kind} out of {', '.join(known)}; got {shown(name)}, did you mean {nearest}?"
    )
