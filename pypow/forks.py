# SPDX-License-Identifier: Apache-2.0
"""What must be made anew in a forked child, where no thread but the forking one exists."""

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Something with locks or threads, which a fork copies in whatever state they are."""

    def renew(self) -> None:
        """Forget locks, threads and what they were doing."""


_renewables: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_in_children(thing: Renewable) -> None:
    """Have a thing renewed in each process that is forked from this one while it lives."""
    _renewables.add(thing)


def _renew_all() -> None:
    for thing in list(_renewables):
        thing.renew()


os.register_at_fork(after_in_child=_renew_all)
