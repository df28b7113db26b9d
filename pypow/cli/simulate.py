# SPDX-License-Identifier: Apache-2.0
"""`pypow simulate`: what an attack does to callers, under pypow's gate and under others."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pypow.errors import InvalidInputError

from .figures import columns, count, duration
from .options import AsJson
from .progress_line import bar_line

if TYPE_CHECKING:
    from pypow.laboratory.attack import Scenario
    from pypow.laboratory.lineup import Contender
    from pypow.laboratory.outcome import Group, Outcome
    from pypow.laboratory.run import Diary
    from pypow.laboratory.world import World
    from pypow.tariff import Constants

EPILOG = """
Examples:

\b
  pypow simulate --attack gpu:1,addresses:256
  pypow simulate --attack botnet:1000,pulse:40 --gates fair-share,fixed-18,bucket
  pypow simulate --attack farmed:512 --capacity 200 --callers 2000 --plot farmed.svg
  pypow simulate --policy pypow.toml --call "tools/call search" --attack S2

An attack is one of S0 to S5 (docs/difficulty.md), or words joined by commas: gpu:N, botnet:N,
hashrate:N, addresses:N, aged:N, farmed:N, connections:N, pulse:SECONDS.

Exit codes: 0 done, 2 wrong use, 130 interrupted.
"""

MAX_SEEDS = 100
HELD = 0.995
"""Known callers hold when this share of their calls is served."""


def simulate(
    *,
    attack: Annotated[
        str, typer.Option(metavar="SPEC", help="S0 to S5, or such as gpu:1,addresses:256.")
    ] = "none",
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A policy file: its price and free calls are played."),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(metavar="CALL", help="With --policy: whose price. [the default price]"),
    ] = None,
    gates: Annotated[
        str, typer.Option(metavar="NAMES", help="Gates to compare, joined by commas; or all.")
    ] = "fair-share",
    capacity: Annotated[
        float, typer.Option(metavar="N", help="Calls that your server can serve in a second.")
    ] = 50.0,
    callers: Annotated[int, typer.Option(metavar="N", help="Honest callers.")] = 600,
    calls_per_min: Annotated[
        float, typer.Option(metavar="N", help="Calls of each of them in a minute.")
    ] = 1.0,
    fresh: Annotated[
        float, typer.Option(metavar="PERCENT", help="Of them nobody has seen before.")
    ] = 20.0,
    bursts: Annotated[
        int, typer.Option(metavar="N", help="Agents that make 60 calls at once every minute.")
    ] = 0,
    mix: Annotated[
        str | None,
        typer.Option(metavar="MIX", help="Their hardware: hashlib:50,phone:25,2.5e9:25."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Length of a run; the middle 60 % is the attack.")
    ] = 600.0,
    seeds: Annotated[int, typer.Option(metavar="N", help="Runs with seeds 1 to N.")] = 1,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the runs over time as SVG.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play an attack on your server, before anybody else does.

    Callers, attacker and server are simulated; prices and queue are the gate's own code. The
    same seeds give the same figures.
    """
    # NumPy and all that plays is loaded by who plays.
    from pypow.laboratory.attack import parse
    from pypow.laboratory.outcome import outcome
    from pypow.laboratory.world import MIX, World, parse_mix

    scenario = parse(attack)
    contenders = _contenders(gates, policy, call)
    world = World(
        seconds=seconds,
        capacity=capacity,
        callers=callers,
        calls_per_min=calls_per_min,
        fresh=fresh / 100,
        bursts=bursts or scenario.bursts,
        mix=MIX if mix is None else parse_mix(mix),
    )
    if not 1 <= seeds <= MAX_SEEDS:
        raise InvalidInputError(f"expected 1 to {MAX_SEEDS} seeds, got {seeds}")
    diaries = _played(world, scenario, contenders, seeds, quiet=quiet)
    outcomes = [outcome(world, one) for one in diaries]
    if plot is not None:
        _write(plot, world, scenario, contenders, diaries)
    if as_json:
        typer.echo(json.dumps(_document(world, scenario, seeds, contenders, outcomes)))
    else:
        typer.echo(_shown(world, scenario, contenders, outcomes))


def _contenders(gates: str, policy: Path | None, call: str | None) -> Sequence["Contender"]:
    """The gates that were named; pypow's own as the policy has it."""
    from pypow.laboratory.lineup import LINEUP, OURS, contender, fair_share

    if call is not None and policy is None:
        raise InvalidInputError("--call: expected --policy FILE beside it")
    named = [*LINEUP.values()] if gates == "all" else [contender(one) for one in gates.split(",")]
    if policy is None:
        return named
    if OURS not in [one.name for one in named]:
        raise InvalidInputError(f"--policy: expected {OURS} among --gates, got {gates!r}")
    own = fair_share(_constants(policy, call))
    return [own if one.name == OURS else one for one in named]


def _constants(policy: Path, call: str | None) -> "Constants":
    """Prices as a policy file has them for a call.

    Raises:
        InvalidInputError: a file that cannot be read, or a call that has no price.
    """
    from pypow.tariff import Constants
    from pypow_server.policy import Price
    from pypow_server.resource import Resource
    from pypow_server.settings import Settings

    rules = Settings.from_env(os.environ, {"config": str(policy)}).policy
    price: object = rules.default if call is None else rules.terms_of(Resource.parse(call))
    if not isinstance(price, Price):
        raise InvalidInputError(f"--call: expected a call that has a price, got {call!r}")
    if price.meter is None:
        return Constants.of_quota(60, 60_000, price.q)
    return dataclasses.replace(price.meter.tariff.constants, base_q=price.q)


def _played(
    world: "World",
    scenario: "Scenario",
    contenders: Sequence["Contender"],
    seeds: int,
    *,
    quiet: bool,
) -> list[list["Diary"]]:
    """Every gate with every seed."""
    from pypow.laboratory.run import play

    runs = len(contenders) * seeds
    diaries: list[list[Diary]] = []
    with bar_line(quiet=quiet) as show:
        for place, one in enumerate(contenders):
            diaries.append([])
            for seed in range(1, seeds + 1):
                done = place * seeds + seed - 1

                def shown(share: float, done: int = done, title: str = one.title) -> None:
                    if show is not None:
                        show((done + share) / runs, f"{title}, run {done + 1} of {runs}")

                diaries[-1].append(play(world, scenario, one.make, seed=seed, progress=shown))
    return diaries


def _shown(
    world: "World",
    scenario: "Scenario",
    contenders: Sequence["Contender"],
    outcomes: Sequence["Outcome"],
) -> str:
    """What happened during the attack, a line for each gate."""
    rows = [
        ("", "known", "", "", "new", "", "attacker", ""),
        ("gate", "served", "p50", "p99", "served", "p99", "calls/s", "hashes each"),
    ]
    for one, found in zip(contenders, outcomes, strict=True):
        known, fresh = found.known, found.fresh
        spent = "-" if found.bits_per_call is None else count(2.0**found.bits_per_call)
        rows.append(
            (
                one.title,
                _percent(known),
                _time(known.p50_s),
                _time(known.p99_s),
                _percent(fresh),
                _time(fresh.p99_s),
                f"{found.attacker_per_s:.1f}",
                spent,
            )
        )
    demand = world.callers * world.calls_per_min / 60
    head = (
        f"{scenario.says}, against {world.capacity:g} calls a second, of which honest callers "
        f"want {demand:.3g}"
    )
    return "\n".join([head, "", columns(rows), "", *_verdict(contenders, outcomes)])


def _verdict(contenders: Sequence["Contender"], outcomes: Sequence["Outcome"]) -> list[str]:
    lines = []
    for one, found in zip(contenders, outcomes, strict=True):
        served = found.known.served
        if served is None or one.title != "pypow":
            continue
        if served >= HELD:
            lines.append("pypow: known callers hold.")
        else:
            lines.append(
                "pypow: known callers do not hold; neither work nor order tells these attackers "
                "from users. Open the paid or the account rail (docs/difficulty.md)."
            )
    return lines


def _document(
    world: "World",
    scenario: "Scenario",
    seeds: int,
    contenders: Sequence["Contender"],
    outcomes: Sequence["Outcome"],
) -> dict[str, object]:
    attack = dataclasses.asdict(scenario.attack)
    attack["past"] = scenario.attack.past.value
    return {
        "attack": attack,
        "world": dataclasses.asdict(world),
        "seeds": seeds,
        "gates": {
            one.name: dataclasses.asdict(found)
            for one, found in zip(contenders, outcomes, strict=True)
        },
    }


def _percent(group: "Group") -> str:
    return "-" if group.served is None else f"{group.served:.1%}"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _write(
    path: Path,
    world: "World",
    scenario: "Scenario",
    contenders: Sequence["Contender"],
    diaries: Sequence[Sequence["Diary"]],
) -> None:
    from .simulate_plot import svg

    runs = {one.title: runs for one, runs in zip(contenders, diaries, strict=True)}
    try:
        path.write_text(svg(world, scenario.says, runs), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write the plot {str(path)!r}: {error.strerror}") from None
