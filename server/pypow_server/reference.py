# SPDX-License-Identifier: Apache-2.0
"""How fast callers are thought to hash: what a price in seconds is reckoned with.

Rough on purpose. Machines of one kind differ by a factor of two, and the chance in each single
solve is wider than that. Prices in bits or hashes do not depend on this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reference:
    """One kind of caller.

    Attributes:
        hashes_per_s: SHA-256 hashes of short messages.
        source: what was measured, or by whom.
        as_of: year and month of the figure.
        measured: by this project; otherwise taken from others' publications.
    """

    hashes_per_s: float
    source: str
    as_of: str
    measured: bool


PROFILES: Final[Mapping[str, Reference]] = {
    "browser-js": Reference(
        0.3e6,
        "WebCrypto, one call for each hash, on an M3 Pro; ALTCHA's docs",
        as_of="2026-07",
        measured=False,
    ),
    "python": Reference(
        0.78e6, "a hashlib loop on one core of a 16-core Xeon", as_of="2026-07", measured=True
    ),
    "phone": Reference(
        4.1e6,
        "WebAssembly on a Galaxy A34 and an iPhone SE (2020); Cap's docs",
        as_of="2026-07",
        measured=False,
    ),
    "laptop": Reference(
        15.5e6, "WebAssembly on a MacBook M3; Cap's docs", as_of="2026-07", measured=False
    ),
    "native": Reference(
        80.3e6, "pypow on one core of a 16-core Xeon, AVX-512", as_of="2026-07", measured=True
    ),
    "server": Reference(
        1.21e9, "pypow on all 16 cores of that Xeon", as_of="2026-07", measured=True
    ),
}

DEFAULT_PROFILE: Final = "laptop"
