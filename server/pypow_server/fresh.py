# SPDX-License-Identifier: Apache-2.0
"""Random octets for ids, drawn from the operating system many at a time.

A system call for each id would be a good part of what a refusal costs.
"""

import os
from typing import Final

_OCTETS: Final = 16
_DRAWN: Final = 256
_pool: list[bytes] = []

# A fork would hand out the ids that its parent does.
os.register_at_fork(after_in_child=_pool.clear)


def fresh_id() -> bytes:
    """16 random octets that were never given out before; from any thread."""
    try:
        return _pool.pop()
    except IndexError:
        drawn = os.urandom(_OCTETS * _DRAWN)
        ids = [drawn[at : at + _OCTETS] for at in range(0, len(drawn), _OCTETS)]
        given = ids.pop()
        _pool.extend(ids)
        return given


def decision_id() -> str:
    """16 random hex digits."""
    return fresh_id().hex()[:16]
