# SPDX-License-Identifier: Apache-2.0
"""`pypow info`: the version, the machine and the kernels."""

import dataclasses
import json
from importlib import resources

import typer

from pypow import difficulty, engine
from pypow.profiles import DEFAULT_BITS, DEFAULT_DEVICE, DEVICES
from pypow.solve_times import solve_times

from .figures import duration, rate, work
from .machine import this_machine
from .options import AsJson, KernelName

EPILOG = """
Examples:

\b
  pypow info
  PYPOW_KERNEL=scalar pypow info --json

Exit codes: 0 done, 2 wrong use (as a kernel that cannot run here).
"""


def version() -> str:
    """The package's version."""
    return resources.files("pypow").joinpath("VERSION").read_text(encoding="utf-8").strip()


def info(*, kernel: KernelName = None, as_json: AsJson = False) -> None:
    """Show the version, this machine, and which kernels can run on it.

    Rates are those of one thread, measured just now: the fastest kernel comes first. The chosen
    one is what --kernel names, else PYPOW_KERNEL, else the fastest. The price is what a gate asks
    unless it is told otherwise.
    """
    chosen = engine.chosen_kernel(kernel)
    machine = this_machine()
    price, reference = difficulty.from_bits(DEFAULT_BITS), DEVICES[DEFAULT_DEVICE]
    mean_s = solve_times(price, hashes_per_s=chosen.hashes_per_s).mean_s
    if as_json:
        document = {
            "version": version(),
            "machine": dataclasses.asdict(machine),
            "default_price": {
                "bits": DEFAULT_BITS,
                "hashes": difficulty.expected_hashes(price),
                "here_ms": 1000 * mean_s,
                "reference": dataclasses.asdict(reference),
                "reference_ms": 1000
                * solve_times(price, hashes_per_s=reference.hashes_per_s).mean_s,
            },
            "kernels": [
                dataclasses.asdict(known) | {"chosen": known == chosen}
                for known in engine.kernels()
            ],
        }
        typer.echo(json.dumps(document))
        return
    typer.echo(f"pypow     {version()} ({machine.python}; {machine.compiler})")
    typer.echo(f"machine   {machine.cpu}, {machine.threads} threads, {machine.system}")
    typer.echo(f"price     {work(price, reference)}, {duration(mean_s)} on one thread here")
    for known in engine.kernels():
        state = "chosen" if known == chosen else "usable" if known.usable else "not on this CPU"
        lanes = f"{known.lanes} lane{'s' if known.lanes > 1 else ''}"
        speed = rate(known.hashes_per_s) if known.usable else "-"
        typer.echo(f"kernel    {known.name:<8} {lanes:<9} {speed:<10} {state}")
