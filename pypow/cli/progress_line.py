# SPDX-License-Identifier: Apache-2.0
"""One line on the terminal while a command works; it is gone when the work ends."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pypow.progress import Progress

from .figures import count, duration, rate


@contextmanager
def bar_line(*, quiet: bool) -> Iterator[Callable[[float, str], None] | None]:
    """What to call with the share done and words; None where standard error is no terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    # rich takes 100 ms to import, which only work that people watch may cost.
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

        def show(share: float, words: str) -> None:
            bar.update(task, completed=share, description=words, refresh=True)

        yield show


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """What to call with each `Progress` of a solve; None where nobody watches."""
    with bar_line(quiet=quiet) as show:
        if show is None:
            yield None
        else:
            yield lambda progress: show(progress.share, describe(progress))


def describe(progress: Progress) -> str:
    """Rate, hashes, the chance that the winner lies behind us, and the time expected ahead."""
    which = f"puzzle {progress.puzzle + 1}/{progress.puzzles}, " if progress.puzzles > 1 else ""
    return (
        f"{which}{rate(progress.rate)}, {count(progress.hashes)} hashes, "
        f"{progress.share:.0%} likely done, about {duration(progress.eta_s)} to go"
    )
