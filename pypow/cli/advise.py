# SPDX-License-Identifier: Apache-2.0
"""`pypow advise`: what a price does to callers and to attackers, and what no price does."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from pypow import difficulty, engine
from pypow.advise import Advice, CallerForecast
from pypow.advise import advise as forecast
from pypow.attackers import Attacker, read_attackers
from pypow.errors import InvalidInputError
from pypow.processors import usable_processors
from pypow.profiles import DEFAULT_DEVICE, DEVICES
from pypow.solve_times import PUZZLES, solve_times

from .figures import columns, count, duration, money, rate, work
from .options import AsJson
from .verdict import TOO_LONG_S, verdict

EPILOG = """
Examples:

\b
  pypow advise --bits 20 --capacity 50
  pypow advise --bits 22 --capacity 200 --burst 120 --here --plot advice.svg
  pypow advise --show-prices > prices.toml
  pypow advise --table --prices prices.toml

Exit codes: 0 done, 2 wrong use, 130 interrupted.
"""

MAX_PRICES_BYTES = 64 * 1024
TABLE_BITS = range(16, 30, 2)


def advise(
    *,
    bits: Annotated[
        float | None, typer.Option(metavar="F", help="The price in bits, 1 to 44.")
    ] = None,
    capacity: Annotated[
        float | None,
        typer.Option(metavar="N", help="Requests that your server can serve in a second."),
    ] = None,
    burst: Annotated[
        int, typer.Option(metavar="N", help="Calls that an agent makes at once, and in a minute.")
    ] = 60,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own machines and rents.")
    ] = None,
    show_prices: Annotated[
        bool, typer.Option("--show-prices", help="Print machines and rents as a file, and end.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Print times and costs of many prices, and end.")
    ] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Measure this machine too, as a caller.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw times and costs as SVG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast what a price does, before anybody pays it.

    Times are of solves alone, without the network. Speeds of callers are listed ones; what
    machines hash and cost is in a file that you can change.
    """
    text, name = _prices(prices)
    attackers = read_attackers(text, name=name)
    if show_prices:
        machines = {"machine": [dataclasses.asdict(one) for one in attackers]}
        typer.echo(json.dumps(machines) if as_json else text.rstrip("\n"))
        return
    if table:
        rows = tuple(_priced(bits, attackers) for bits in TABLE_BITS)
        found = {"prices": [dataclasses.asdict(row) for row in rows]}
        typer.echo(json.dumps(found) if as_json else _table(rows, attackers))
        return
    if bits is None or capacity is None:
        missing = "--bits" if bits is None else "--capacity"
        raise InvalidInputError(f"expected {missing}; see 'pypow advise --help'")
    callers = {device.name: device.hashes_per_s for device in DEVICES.values()}
    if here:
        callers |= _measured()
    advice = forecast(
        difficulty.from_bits(bits),
        capacity_per_s=capacity,
        burst=burst,
        callers=callers,
        attackers=attackers,
    )
    if plot is not None:
        from . import advise_plot

        _write(plot, advise_plot.svg(advice))
    typer.echo(json.dumps(_document(advice)) if as_json else _shown(advice))


def _prices(path: Path | None) -> tuple[str, str]:
    """The text of the file of machines, and what errors call it."""
    if path is None:
        shipped = resources.files("pypow").joinpath("attackers.toml")
        return shipped.read_text(encoding="utf-8"), "attackers.toml"
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_PRICES_BYTES + 1)
        if len(octets) > MAX_PRICES_BYTES:
            raise InvalidInputError(f"{path}: expected at most {MAX_PRICES_BYTES} octets")
        return octets.decode("utf-8"), str(path)
    except OSError as error:
        raise InvalidInputError(f"cannot read the prices {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: expected UTF-8, got {error}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write the plot {str(path)!r}: {error.strerror}") from None


def _measured() -> dict[str, float]:
    """This machine as a caller: one thread, and all that it has."""
    found = {"here": engine.hashrate()}
    threads = usable_processors()
    if threads > 1:
        found[f"here, {threads} threads"] = engine.hashrate(threads=threads)
    return found


def _document(advice: Advice) -> dict[str, object]:
    return {
        "bits": difficulty.bits(advice.q),
        "hashes": difficulty.expected_hashes(advice.q),
        "puzzles": difficulty.split(advice.q, PUZZLES),
        "plain_bits": difficulty.bits(difficulty.to_whole_hex_zeros(advice.q)),
        "capacity_per_s": advice.capacity_per_s,
        "burst": advice.burst,
        "fair_calls_per_hour": advice.fair_calls_per_hour,
        "callers": [dataclasses.asdict(one) for one in advice.callers],
        "attackers": [dataclasses.asdict(one) for one in advice.attackers],
        "verdict": verdict(advice),
    }


def _shown(advice: Advice) -> str:
    plain = difficulty.bits(difficulty.to_whole_hex_zeros(advice.q))
    puzzles = difficulty.split(advice.q, PUZZLES)
    return "\n".join(
        [
            f"price   {work(advice.q, DEVICES[DEFAULT_DEVICE])}; in {puzzles} sub-puzzles, or "
            f"{plain:g} bits in one for callers that only count zeros",
            "",
            columns([_caller_head(advice), *map(_caller_row, advice.callers)]),
            "",
            columns([_ATTACKER_HEAD, *_attacker_rows(advice)]),
            "",
            *(f"- {sentence}" for sentence in verdict(advice)),
        ]
    )


def _caller_head(advice: Advice) -> tuple[str, ...]:
    calls = f"{advice.burst} calls"
    return ("caller", "speed", "p50", "p95", "p99", f"p99 of {calls}", "p99 counting zeros")


def _caller_row(one: CallerForecast) -> tuple[str, ...]:
    times = one.times
    return (
        one.name,
        rate(one.hashes_per_s),
        duration(times.p50_s),
        duration(times.p95_s),
        _marked(times.p99_s),
        duration(one.burst_p99_s),
        _marked(one.plain_p99_s),
    )


def _marked(seconds: float) -> str:
    """A time, with a mark where it is too long."""
    return f"! {duration(seconds)}" if seconds > TOO_LONG_S else duration(seconds)


_ATTACKER_HEAD = (
    "attacker", "speed", "a million", "solves/s", "of capacity", "to fill it, 1 h", "prices of",
)  # fmt: skip


def _attacker_rows(advice: Advice) -> Iterator[tuple[str, ...]]:
    for one in advice.attackers:
        yield (
            one.attacker.name,
            rate(one.attacker.hashes_per_s),
            money(one.usd_per_million),
            count(one.solves_per_s) if one.solves_per_s >= 10 else f"{one.solves_per_s:.2g}",
            f"{one.times_capacity:.3g}x" if one.times_capacity < 1000
            else f"{count(one.times_capacity)}x",
            money(one.usd_per_hour_to_fill),
            one.attacker.price_as_of,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price of the table.

    Attributes:
        bits: of work.
        p99_s: of one call, by caller.
        usd_per_million: solves, by machine.
    """

    bits: int
    p99_s: Mapping[str, float]
    usd_per_million: Mapping[str, float]


def _priced(bits: int, attackers: Sequence[Attacker]) -> PriceRow:
    q = difficulty.from_bits(bits)
    return PriceRow(
        bits,
        {
            device.name: solve_times(q, hashes_per_s=device.hashes_per_s).p99_s
            for device in DEVICES.values()
        },
        {one.name: one.usd_per_million(q) for one in attackers},
    )


def _table(rows: Sequence[PriceRow], attackers: Sequence[Attacker]) -> str:
    """Times and costs over the whole range of prices that are asked for."""
    waits = [(str(row.bits), *map(_marked, row.p99_s.values())) for row in rows]
    costs = [(str(row.bits), *map(money, row.usd_per_million.values())) for row in rows]
    names = [one.name for one in attackers]
    dates = [one.price_as_of for one in attackers]
    return "\n".join(
        [
            "p99 of a call",
            columns([("bits", *DEVICES), *waits]),
            "",
            "cost of a million calls",
            columns([("bits", *names), *costs, ("of", *dates)]),
        ]
    )
