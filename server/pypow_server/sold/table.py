# SPDX-License-Identifier: Apache-2.0
"""Sales as CSV (RFC 4180), one line each, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from pypow import moments
from pypow_server.sale import Sale

from .report import left_of

_COLUMNS: Final = ("time", "price", "scheme", "sats", "uses", "spent", "left", "payment_hash")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes spreadsheets take a cell for something to compute, and run."""


def head() -> str:
    """The first line."""
    return _lines([_COLUMNS])


def lines(sales: Sequence[Sale]) -> str:
    """A line for each."""
    return _lines(
        [
            (
                moments.text_of(sale.at_ms),
                _plain(sale.price),
                _plain(sale.scheme),
                sale.sats,
                sale.uses,
                sale.spent,
                left_of(sale),
                sale.payment_hash.hex(),
            )
            for sale in sales
        ]
    )


def _plain(text: str) -> str:
    """A text that is shown and never computed."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Sequence[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
