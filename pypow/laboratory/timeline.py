# SPDX-License-Identifier: Apache-2.0
"""Runs over time, in bins of equal length, as pictures show them."""

from collections.abc import Sequence

import numpy as np

from .callers import Kind
from .run import Diary
from .world import World


def known_served(world: World, diaries: Sequence[Diary], bins: int) -> list[float | None]:
    """The share of known callers' calls that were served, by when they began; None is no calls."""
    ended = np.array(
        [row for diary in diaries for row in diary.ended if row[0] == Kind.KNOWN]
    ).reshape(-1, 3)
    where = np.minimum((ended[:, 1] / world.seconds * bins).astype(int), bins - 1)
    calls = np.bincount(where, minlength=bins).tolist()
    served = np.bincount(where[np.isfinite(ended[:, 2])], minlength=bins).tolist()
    return [part / whole if whole else None for part, whole in zip(served, calls, strict=True)]


def taken(world: World, diaries: Sequence[Diary], bins: int) -> list[float | None]:
    """The share of the capacity that the attacker got."""
    each_second = np.sum([diary.admitted for diary in diaries], axis=0) / len(diaries)
    parts = np.array_split(each_second, bins)
    return [float(part.mean()) / world.capacity if len(part) else None for part in parts]
