# SPDX-License-Identifier: Apache-2.0
"""`pypow calibrate`: the price that a kind of caller pays within a time."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pypow import difficulty, engine
from pypow.calibrate import bits_within, require_p99
from pypow.durations import duration_ms
from pypow.errors import InvalidInputError
from pypow.profiles import PROFILES, Device, Profile, device_of, profile_of
from pypow.solve_times import PUZZLES, SolveTimes, plain_times, require_rate, solve_times

from .figures import columns, count, duration, rate, work
from .machine import this_machine
from .options import AsJson

if TYPE_CHECKING:
    from pypow_server.toml_edit import Change

EPILOG = """
Examples:

\b
  pypow calibrate
  pypow calibrate --profile browser
  pypow calibrate --profile mcp-native --p99 1s --here
  pypow calibrate --profile mixed-agents --write pypow.toml
  pypow calibrate --profile step-up --match "tools/call render_*" --write pypow.toml

Without a profile, all of them are shown.

Exit codes: 0 done, 2 wrong use.
"""


def calibrate(
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whom the price is for.")
    ] = None,
    p99: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="All but one in a hundred solves end by then. [the profile's]",
        ),
    ] = None,
    hashrate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Hashes a second instead of the listed ones."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Measure one thread of this machine instead.")
    ] = False,
    match: Annotated[
        str | None,
        typer.Option(metavar="CALLS", help='With --write: the [[price]] of "tools/call x_*".'),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Set the price in a policy file, such as pypow.toml."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow a p99 above 5 seconds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn the time that callers may take into a price in bits.

    The price is the hardest that all but one in a hundred solves of the profile's device pay in
    time, in 16 sub-puzzles.
    """
    if profile is None:
        if here or force or any(one is not None for one in (p99, hashrate, match, write)):
            raise InvalidInputError(f"expected --profile, one of {', '.join(PROFILES)}")
        listed = [_calibrated(one, one.device, one.p99_ms) for one in PROFILES.values()]
        found_all = {"profiles": [dataclasses.asdict(one) for one in listed]}
        typer.echo(json.dumps(found_all) if as_json else _list(listed))
        return
    chosen = profile_of(profile)
    p99_ms = chosen.p99_ms if p99 is None else duration_ms(p99)
    require_p99(p99_ms, force=force)
    device = chosen.device if write is None else _device_of_file(chosen, write)
    found = _calibrated(chosen, _device(device, hashrate, here=here), p99_ms)
    changes: tuple[Change, ...] = ()
    if write is not None:
        changes = _write(write, found, match)
    elif match is not None:
        raise InvalidInputError("--match: expected --write FILE with it")
    if as_json:
        changed = [dataclasses.asdict(change) for change in changes]
        typer.echo(json.dumps(dataclasses.asdict(found) | {"changes": changed}))
    else:
        typer.echo(_shown(found))
        for change in changes:
            before = "no price" if change.before is None else f"{change.before:.4g} bits"
            typer.echo(f"changed   {change.entry}: {before} before, {change.after:.4g} bits now")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A price, and what it means on the device that it was made for.

    Attributes:
        profile: whom it is for.
        device: whose speed it was reckoned with.
        p99_ms: asked for, in milliseconds.
        bits: of work.
        hashes: on average.
        puzzles: into which a challenge of it is split.
        times: of a caller that takes sub-puzzles.
        plain_bits: what callers pay that only count zeros in hex, in one puzzle.
        plain_times: of those.
    """

    profile: Profile
    device: Device
    p99_ms: int
    bits: float
    hashes: float
    puzzles: int
    times: SolveTimes
    plain_bits: float
    plain_times: SolveTimes


def _calibrated(profile: Profile, device: Device, p99_ms: int) -> Calibration:
    bits = bits_within(p99_ms, hashes_per_s=device.hashes_per_s)
    q = difficulty.from_bits(bits)
    return Calibration(
        profile=profile,
        device=device,
        p99_ms=p99_ms,
        bits=bits,
        hashes=difficulty.expected_hashes(q),
        puzzles=difficulty.split(q, PUZZLES),
        times=solve_times(q, hashes_per_s=device.hashes_per_s),
        plain_bits=difficulty.bits(difficulty.to_whole_hex_zeros(q)),
        plain_times=plain_times(q, hashes_per_s=device.hashes_per_s),
    )


def _device(listed: Device, hashrate: float | None, *, here: bool) -> Device:
    """The profile's device, or one whose speed was given or is measured now."""
    if here and hashrate is not None:
        raise InvalidInputError("expected --hashrate or --here, got both; leave one out")
    today = f"{datetime.now(UTC):%Y-%m}"
    if hashrate is not None:
        return Device("given", require_rate(hashrate), "--hashrate", today, measured=False)
    if here:
        source = f"{engine.chosen_kernel().name} on one thread of {this_machine().cpu}"
        return Device("here", engine.hashrate(), source, today, measured=True)
    return listed


def _device_of_file(profile: Profile, path: Path) -> Device:
    """The profile's device; but single calls are for the callers that the whole file is for."""
    if profile.name != "step-up" or not path.exists():
        return profile.device
    from pypow_server.pypow_toml import load

    return device_of(load(path).rows.profile)


def _write(path: Path, found: Calibration, match: str | None) -> "tuple[Change, ...]":
    from pypow_server.toml_edit import NewPrice, write

    if found.profile.name == "step-up" and match is None:
        raise InvalidInputError(
            'expected --match "tools/call NAME" with --profile step-up, the calls that cost more'
        )
    says = (
        f"p99 {duration(found.p99_ms / 1000)} on {found.device.name}, "
        f"{rate(found.device.hashes_per_s)}, {found.device.as_of}"
    )
    price = NewPrice(found.bits, says, p99_ms=found.p99_ms, match=match)
    if match is None:
        mode = "observe" if found.profile.name == "dormant" else None
        price = dataclasses.replace(price, profile=found.profile.name, mode=mode)
    return write(path, price)


def _list(listed: Sequence[Calibration]) -> str:
    rows = [("profile", "bits", "p99", "on", "hashes a second", "as of", "for")]
    rows += [
        (
            one.profile.name,
            f"{one.bits:.4g}",
            duration(one.times.p99_s),
            one.device.name,
            count(one.device.hashes_per_s),
            one.device.as_of,
            one.profile.says,
        )
        for one in listed
    ]
    return columns(rows, left=len(rows[0]))


def _shown(found: Calibration) -> str:
    device, times = found.device, found.times
    origin = "measured" if device.measured else "estimate"
    waits = ("p50", times.p50_s), ("p95", times.p95_s), ("p99", times.p99_s)
    return "\n".join(
        [
            f"profile   {found.profile.name}: {found.profile.says}",
            f"device    {device.name}, {rate(device.hashes_per_s)} "
            f"({origin}, {device.as_of}: {device.source})",
            f"price     {work(difficulty.from_bits(found.bits), device)}, "
            f"in {found.puzzles} sub-puzzles",
            f"times     {'  '.join(f'{name} {duration(seconds)}' for name, seconds in waits)}",
            f"plain     {found.plain_bits:g} bits in one puzzle for callers that only count zeros: "
            f"p99 {duration(found.plain_times.p99_s)}",
        ]
    )
