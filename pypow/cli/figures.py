# SPDX-License-Identifier: Apache-2.0
"""Figures as people read them: rates, counts and durations, three digits long."""

import math


def count(number: float) -> str:
    """A count with a metric prefix.

    >>> count(507), count(1_260_000), count(2.0**60)
    ('507', '1.26 M', '1.15 E')
    """
    if number < 1000:
        return f"{number:.0f}"
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1)
    scaled = number / 1000**power
    # 999,999 would print as "1000 k".
    if scaled >= 999.5 and power < len(_PREFIXES) - 1:
        power += 1
        scaled = number / 1000**power
    return f"{_three_digits(scaled)} {_PREFIXES[power]}"


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
    ('0.40 ms', '12.3 s', '3 h 12 min', '31710 years')
    """
    if seconds < 1:
        return f"{_three_digits(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_three_digits(seconds)} s"
    for size_s, unit, next_s, next_unit in _SPANS:
        if seconds < 100 * size_s or unit == "d":
            break
    if seconds >= _YEAR_S:
        return f"{seconds / _YEAR_S:.0f} years" if seconds < 1e15 else "for ever"
    whole, rest = divmod(round(seconds / next_s), size_s // next_s)
    return f"{whole} {unit} {rest} {next_unit}"


_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_YEAR_S = 31_536_000
_SPANS = ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86_400, "d", 3600, "h"))


def _three_digits(number: float) -> str:
    if number >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"
