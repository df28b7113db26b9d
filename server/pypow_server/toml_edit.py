# SPDX-License-Identifier: Apache-2.0
"""A price set in ``pypow.toml``; comments, order and spacing stay as they were."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from pypow import difficulty
from pypow.errors import InvalidInputError

from . import pypow_toml
from .match import Match

_OTHER_WAYS: Final = ("work", "hashes")
"""To say a price; it has one of them, or bits."""

_FOR_ALL_TO_READ: Final = 0o644


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What is to be set.

    Attributes:
        bits: of work.
        says: a comment behind it.
        p99_ms: what all but one in a hundred solves take; the file is made to allow it.
        match: of the ``[[price]]``, as it is written there; None for the default price.
        profile: whose speed times are reckoned with; None for no change.
        mode: of the whole gate, ``enforce`` or ``observe``; None for no change.
    """

    bits: float
    says: str
    p99_ms: int = 0
    match: str | None = None
    profile: str | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A price that is another than before.

    Attributes:
        entry: its match, or ``default``.
        before: in bits; None where the file had none.
        after: in bits.
    """

    entry: str
    before: float | None
    after: float


def write(path: Path, price: NewPrice) -> tuple[Change, ...]:
    """Set a price in a file, all at once; a file that is not there is made.

    Returns:
        Every price that the file now has another of than before.

    Raises:
        InvalidInputError: the file cannot be read or written, or is no policy file, before or
            after. It is as it was.
    """
    path = Path(os.path.realpath(path))
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        changed = with_price(text, price, name=str(path))
        _replace(path, changed)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInputError(f"cannot write the price to {str(path)!r}: {why}") from None
    before, after = _prices(text), _prices(changed)
    return tuple(
        Change(entry, before.get(entry), bits)
        for entry, bits in after.items()
        if before.get(entry) != bits
    )


def with_price(text: str, price: NewPrice, *, name: str = "pypow.toml") -> str:
    """The text of a policy file with a price set.

    Args:
        text: of the file.
        price: what to set. A ``[[price]]`` whose match is new comes last.
        name: what errors call the file.

    Raises:
        InvalidInputError: the text is no policy file, before or after; or a row above takes all
            calls of a new one.
    """
    before = pypow_toml.read(text, name=name)
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise InvalidInputError(f"{name}: this is no TOML: {error}") from None
    if price.mode is not None:
        _table(document, "gate", name)["mode"] = price.mode
    if price.profile is not None:
        _table(document, "work", name)["profile"] = price.profile
    if price.p99_ms > before.rows.max_p99_ms:
        _table(document, "work", name)["max_p99"] = f"{price.p99_ms}ms"
    if price.match is None:
        table = _table(document, "default", name)
    else:
        table = _row(document, Match(price.match).text, name)
    for way in _OTHER_WAYS:
        table.pop(way, None)
    table["bits"] = price.bits
    table["bits"].comment(price.says)
    changed = tomlkit.dumps(document)
    pypow_toml.read(changed, name=name)
    return changed


def _row(document: tomlkit.TOMLDocument, match: str, name: str) -> Table:
    rows: Any = document.setdefault("price", tomlkit.aot())
    if not isinstance(rows, AoT):
        raise InvalidInputError(f"{name}: expected prices as [[price]] tables, to change one")
    found: list[Table] = [*rows]
    for row in found:
        if row["match"] == match:
            return row
        if Match(str(row["match"])).hides(Match(match)):
            raise InvalidInputError(
                f'{name}: the row "{row["match"]}" takes all calls of "{match}"; '
                "write a row for it above that one first"
            )
    made = tomlkit.table()
    made["match"] = match
    rows.append(made)
    # What is appended is copied.
    kept: Table = rows[-1]
    return kept


def _table(document: tomlkit.TOMLDocument, key: str, name: str) -> Table:
    table: Any = document.setdefault(key, tomlkit.table())
    if not isinstance(table, Table):
        raise InvalidInputError(f"{name}: expected {key} as a [{key}] table, to change it")
    return table


def _prices(text: str) -> dict[str, float]:
    found = pypow_toml.read(text)
    prices = {row.match: difficulty.bits(row.q) for row in found.rows.prices}
    if found.default_q is not None:
        prices["default"] = difficulty.bits(found.default_q)
    return prices


def _replace(path: Path, text: str) -> None:
    """Put a text in the place of a file's, with its owner and mode."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            if path.exists():
                before, now = path.stat(), os.fstat(handle)
                if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, before.st_mode)
            else:
                os.fchmod(handle, _FOR_ALL_TO_READ)
            file.write(text)
            file.flush()
            os.fsync(handle)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink()
        raise
