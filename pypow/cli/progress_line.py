# SPDX-License-Identifier: Apache-2.0
"""One line on the terminal while a solve runs; it is gone when the solve ends."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pypow.progress import Progress

from .figures import count, duration, rate


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """What to call with each `Progress`; None where standard error is no terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    # rich takes 100 ms to import, which only a solve that people watch may cost.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    ) as bar:
        task = bar.add_task("", total=1.0)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.share, description=describe(progress), refresh=True)

        yield show


def describe(progress: Progress) -> str:
    """Rate, hashes, the chance that the winner lies behind us, and the time expected ahead."""
    which = f"puzzle {progress.puzzle + 1}/{progress.puzzles}, " if progress.puzzles > 1 else ""
    return (
        f"{which}{rate(progress.rate)}, {count(progress.hashes)} hashes, "
        f"{progress.share:.0%} likely done, about {duration(progress.eta_s)} to go"
    )
