# SPDX-License-Identifier: Apache-2.0
"""docs/difficulty.md and its pictures, from what the laboratory kept."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import difficulty_pictures as pictures
import difficulty_words as words
from cells import ATTACKED, FARMED, Cell, Cells
from pypow.cli.figures import count
from pypow.laboratory.attack import SCENARIOS, parse
from pypow.laboratory.lineup import LINEUP, OURS
from pypow.laboratory.world import MIX
from pypow.tariff import UNIT, Constants

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "difficulty.md"
SERVED = DOCS / "img" / "attacks.svg"
LIMITS = DOCS / "img" / "farmed.svg"


def rendered(cells: Cells) -> dict[Path, str]:
    """Every file that follows from the cells."""
    return {
        PAGE: page(cells),
        SERVED: pictures.attacks(cells),
        LIMITS: pictures.farmed(cells),
    }


def page(cells: Cells) -> str:
    """The whole page."""
    return "\n".join(
        [
            words.HEAD,
            _constants(),
            words.SETUP,
            _hardware(),
            _scenarios(),
            words.SERVED,
            f"![Who is served under attack](img/{SERVED.name})\n",
            _served(cells),
            words.OURS,
            _ours(cells),
            words.COST,
            _cost(cells),
            words.LIMITS,
            f"![Known callers served, by farmed identities](img/{LIMITS.name})\n",
            _limits(cells),
            words.RAILS,
            words.AGAINST,
            _against(cells),
            words.MODEL,
            words.REPEAT,
        ]
    )


def differences(cells: Cells) -> Iterator[tuple[Cell, float, float]]:
    """Cells that are not as the earlier simulation had them, with both shares in percent."""
    earlier = {
        (gate, scenario): share
        for gate, row in words.EARLIER.items()
        for scenario, share in row.items()
    } | {(OURS, scenario): share for scenario, share in words.EARLIER_FARMED.items()}
    for key, share in earlier.items():
        if key in cells:
            found = 100 * (cells[key].outcome.all.served or 0)
            if abs(found - share) > words.TOLERANCE:
                yield cells[key], share, found


def why(cell: Cell) -> str:
    """Why a cell is otherwise than in the earlier simulation; nothing if nobody said."""
    if cell.scenario in FARMED:
        return words.WHY_OTHERWISE["farmed"]
    by_gate = (why for gate, why in words.WHY_OTHERWISE.items() if cell.gate.startswith(gate))
    return next(by_gate, words.WHY_OTHERWISE.get(cell.scenario, ""))


def _constants() -> str:
    usual = Constants()
    rows = [
        (
            "base price",
            f"{usual.base_q / 1024:g} bits",
            "in the loop of a plain Python client a third of a second",
        ),
        (
            "allowance",
            f"{usual.burst // UNIT} calls, then {usual.rate_max / UNIT:g} a second",
            "a person's minute, as a burst",
        ),
        (
            "its floor",
            f"{usual.burst_min // UNIT} calls, then one in {UNIT / usual.rate_min:.0f} s",
            "whatever others do",
        ),
        ("first contact", f"{usual.burst_new // UNIT} calls", "works at once"),
        (
            "doubling",
            f"each {usual.credit_per_bit // UNIT} calls of overdraft",
            f"up to {usual.max_overdraft_q / 1024:g} bits; then one has to wait",
        ),
        (
            "hardest puzzle",
            f"{usual.max_q / 1024:g} bits",
            "beyond it 429, never an impossible puzzle",
        ),
        (
            "newcomers' surcharge",
            f"at most {usual.max_entry_q / 1024:g} bits",
            f"a bit for each {usual.newcomers_per_bit} newcomers too many",
        ),
    ]
    return _table(("constant", "value", "why"), rows)


def _hardware() -> str:
    rows = [(one.name, count(one.hashes_per_s) + "H/s", f"{one.share:.0%}") for one in MIX]
    return _table(("honest hardware", "speed", "share"), rows)


def _scenarios() -> str:
    rows = []
    for one in SCENARIOS.values():
        at_once = f"{one.attack.connections:,}" if one.attack.nodes else "-"
        rows.append((one.name, one.says, at_once))
    return _table(("scenario", "what it is", "calls at once"), rows)


def _served(cells: Cells) -> str:
    def shown(gate: str, scenario: str) -> str:
        cell = cells.get((gate, scenario))
        if cell is None:
            return ""
        found = cell.outcome.all
        if scenario == "S0":
            return f"{_seconds(found.p95_s)} / {_seconds(found.p99_s)}"
        share = _percent(found.served)
        if gate == OURS:
            share = f"**{share}**"
        return f"{share}, {_seconds(found.p95_s)}"

    head = ("gate", "S0: p95 / p99", *ATTACKED[1:])
    rows = [
        (contender.title, *(shown(name, scenario) for scenario in ATTACKED))
        for name, contender in LINEUP.items()
        if (name, "S2") in cells
    ]
    return _table(head, rows)


def _ours(cells: Cells) -> str:
    rows = []
    for scenario in SCENARIOS:
        cell = cells.get((OURS, scenario))
        if cell is None:
            continue
        found = cell.outcome
        spread = f"{100 * found.spread:.1f}" if cell.seeds > 1 else "-"
        rows.append(
            (
                f"{scenario}: {SCENARIOS[scenario].says}",
                f"**{_percent(found.known.served)}**, {_seconds(found.known.p99_s)}",
                f"{_percent(found.fresh.served)}, {_seconds(found.fresh.p99_s)}",
                f"{cell.seeds}",
                spread,
            )
        )
    head = ("scenario", "known: served, p99", "new: served, p99", "runs", "spread, points")
    return _table(head, rows)


def _cost(cells: Cells) -> str:
    gates = ("fixed-18", "tor-30", "eip-1559", "no-escalation", OURS)

    def shown(gate: str, scenario: str) -> str:
        cell = cells.get((gate, scenario))
        if cell is None or cell.outcome.bits_per_call is None:
            return ""
        return f"{cell.outcome.attacker_per_s:.1f}, 2^{cell.outcome.bits_per_call:.1f}"

    rows = [
        (LINEUP[gate].title, *(shown(gate, scenario) for scenario in ATTACKED[1:]))
        for gate in gates
        if (gate, "S2") in cells
    ]
    return _table(("gate", *ATTACKED[1:]), rows)


def _limits(cells: Cells) -> str:
    rows = []
    for scenario in FARMED:
        cell = cells.get((OURS, scenario))
        if cell is None:
            continue
        found = cell.outcome
        others = [
            _percent(other.outcome.known.served) if other else ""
            for other in (cells.get((gate, scenario)) for gate in ("no-standing", "fifo"))
        ]
        rows.append(
            (
                f"{parse(scenario).attack.identities:,}",
                f"**{_percent(found.known.served)}**, {_seconds(found.known.p99_s)}",
                f"{_percent(found.fresh.served)}",
                *others,
            )
        )
    head = ("farmed identities", "known: served, p99", "new", "known, no standing", "known, fifo")
    return _table(head, rows)


def _against(cells: Cells) -> str:
    """A line for each gate and reason."""
    lines: dict[tuple[str, str], list[str]] = {}
    for cell, before, now in differences(cells):
        line = lines.setdefault((LINEUP[cell.gate].title, why(cell)), [])
        line.append(f"{cell.scenario} {before:.0f} → {now:.0f}")
    rows = [(title, ", ".join(found), reason) for (title, reason), found in lines.items()]
    return _table(("gate", "earlier → here, %", "why"), rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %" if share < 0.99 else _near_all(share)


def _near_all(share: float) -> str:
    """A tenth of a percent matters where nearly all are served."""
    return "100 %" if share == 1 else f"{int(1000 * share) / 10:.1f} %"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
