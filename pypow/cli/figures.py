# SPDX-License-Identifier: Apache-2.0
"""Figures as people read them: rates, counts, durations and money, three digits long."""

import math
from collections.abc import Sequence

from pypow import difficulty
from pypow.profiles import Device


def count(number: float) -> str:
    """A count with a metric prefix.

    >>> count(507), count(1_260_000), count(999_999), count(2.0**80)
    ('507', '1.26 M', '1.00 M', '1.21e+24')
    """
    if number < 1000:
        return f"{number:.0f}"
    # Rounded to three digits first, or 999,999 would read "1000 k".
    power = int(math.log10(float(f"{number:.3g}")) // 3) if number < 1e21 else len(_PREFIXES)
    if power >= len(_PREFIXES):
        return f"{number:.2e}"
    return f"{_three_digits(number / 1000**power)} {_PREFIXES[power]}"


def rate(hashes_per_s: float) -> str:
    """Hashes per second.

    >>> rate(83_100_000), rate(1200)
    ('83.1 MH/s', '1.20 kH/s')
    """
    shown = count(hashes_per_s)
    return f"{shown}H/s" if " " in shown else f"{shown} H/s"


def duration(seconds: float) -> str:
    """A time span in its two largest units.

    >>> duration(0.0004), duration(12.3), duration(11_520), duration(1e12)
    ('0.40 ms', '12.3 s', '3 h 12 min', '31.7 k years')
    """
    if seconds < 1:
        return f"{_three_digits(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_three_digits(seconds)} s"
    if seconds < 100 * 60:
        return _in_two(seconds, "min", 60, "s")
    if seconds < 100 * 3600:
        return _in_two(seconds / 60, "h", 60, "min")
    if seconds < _YEAR_S:
        return _in_two(seconds / 3600, "d", 24, "h")
    years = seconds / _YEAR_S
    return f"{_three_digits(years) if years < 1000 else count(years)} years"


def money(usd: float) -> str:
    """Dollars.

    >>> money(0.01853), money(8.13), money(8130), money(0), money(3e-7)
    ('$0.0185', '$8.13', '$8,130', '$0', '$3e-07')
    """
    if usd >= 1000:
        return f"${float(f'{usd:.3g}'):,.0f}"
    return f"${usd:.3g}"


def work(q: int, device: Device) -> str:
    """A difficulty in its three forms: bits, hashes and time on a device, on average.

    >>> from pypow.profiles import DEVICES
    >>> work(16 * 1024, DEVICES["laptop"])
    '16 bits, 65.5 k hashes, 4.23 ms on laptop'
    """
    hashes = difficulty.expected_hashes(q)
    took = duration(hashes / device.hashes_per_s)
    return f"{difficulty.bits(q):.4g} bits, {count(hashes)} hashes, {took} on {device.name}"


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    r"""Rows as a table: the first ``left`` columns aligned at their left, others at their right.

    >>> columns([("a", "figure"), ("long", "1")])
    'a     figure\nlong       1'
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_YEAR_S = 31_536_000


def _in_two(smaller_units: float, unit: str, size: int, smaller_unit: str) -> str:
    whole, rest = divmod(round(smaller_units), size)
    return f"{whole} {unit} {rest} {smaller_unit}"


def _three_digits(number: float) -> str:
    if number >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"
