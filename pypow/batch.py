# SPDX-License-Identifier: Apache-2.0
"""Many proofs in one native call: NumPy buffers in, a mask or a code for each out.

No Python object is made for a proof, nothing is copied where rows are contiguous (whatever lies
between them), and the GIL is released: give each thread its own slice. What is passed must not
be changed meanwhile. NumPy is imported when one of these is first called.

A column is one part of each message:

* ``uint8`` of shape ``(N, width)``: equal lengths; rows may have any stride, but a column whose
  bytes do not lie next to each other is copied once;
* ``(data, offsets)``: any lengths. ``data`` is ``uint8``, ``offsets`` are N + 1 of ``int64``;
  item i is ``data[offsets[i]:offsets[i + 1]]``;
* an ``S`` array of N: as NumPy reads it, the zeros at the end of an item are no part of it;
* ``bytes``: the same for all.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

from . import _bridge_checks, _bridge_macaroons, l402
from ._bridge_checks import Column
from .challenge import Expected, Keyring, reason_of_code
from .difficulty import MAX_PUZZLES
from .errors import InvalidInputError, shown
from .puzzle import AtLeast, AtMost, Masked, Rule, rule_spec
from .wire import CHALLENGE_TEXT, NONCE_WIDTH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.uint8] | NDArray[np.bytes_]
    Ragged: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
    Mask: TypeAlias = NDArray[np.bool_]
    Codes: TypeAlias = NDArray[np.uint8]

STANDS = _bridge_checks.STANDS
"""The code of a proof that stands; see `reason_of_code` for the others."""

__all__ = [
    "STANDS",
    "check_batch",
    "check_macaroons",
    "reason_of_code",
    "verify_batch",
    "verify_challenges",
]


def verify_batch(
    rule: Rule,
    challenges: "Array | Ragged | bytes",
    nonces: "Array | Ragged | bytes",
    *,
    suffix: bytes = b"",
    out: "Mask | None" = None,
    kernel: str | None = None,
) -> "Mask":
    """Which digests SHA-256(``challenges[i] || nonces[i] || suffix``) the rule lets win.

    Args:
        rule: `AtMost`, `AtLeast` or `Masked`.
        challenges: a column.
        nonces: a column; one of the two has to be other than ``bytes``.
        suffix: the same for all.
        out: where to write the mask: ``bool``, shape ``(N,)``, contiguous, apart from the rest.
        kernel: a name out of `pypow.kernels`; by default the best.

    Returns:
        ``bool`` of shape ``(N,)``; ``out`` if given.

    Raises:
        InvalidInputError: another dtype or shape, lengths that differ, or offsets that descend
            or leave their data (``out`` then holds nothing of use).
        KernelUnavailableError: no such kernel.

    >>> import numpy as np
    >>> verify_batch(AtMost(2**255), b"abc", np.array([b"1", b"2", b"3"]))
    array([False,  True, False])
    """
    import numpy as np

    if not isinstance(rule, AtMost | AtLeast | Masked):
        raise InvalidInputError(f"expected AtMost, AtLeast or Masked, got {shown(rule)}")
    if not isinstance(suffix, bytes):
        raise InvalidInputError(f"expected bytes for suffix, got {shown(suffix)}")
    prefixes, count, kept = _column("challenges", challenges)
    column, other_count, also_kept = _column("nonces", nonces)
    if count is None or other_count is None:
        count = other_count if count is None else count
    elif count != other_count:
        raise InvalidInputError(f"expected as many nonces as challenges, got {other_count}")
    if count is None:
        raise InvalidInputError("expected an array of challenges or of nonces, got bytes for both")
    mask: Mask = np.empty(count, np.bool_) if out is None else _room(out, count, kept, also_kept)
    wins = _address(mask)
    _bridge_checks.verify_batch(wins, rule_spec(rule), prefixes, column, suffix, count, kernel)
    return mask


def verify_challenges(challenges: "Array", nonces: "Array", *, kernel: str | None = None) -> "Mask":
    """Which proofs of native challenges have done their work; MAC and terms are not looked at.

    Args:
        challenges: ``uint8`` of shape ``(N, 104)``, or ``S104`` of ``(N,)``.
        nonces: ``uint8`` of ``(N, 15)`` or ``(N, k, 15)``, or ``S15`` (or less) of ``(N,)`` or
            ``(N, k)``. Zeros fill up shorter nonces, and take the place of those for which a
            challenge has no sub-puzzle.
        kernel: a name out of `pypow.kernels`; by default the best.

    Returns:
        ``bool`` of shape ``(N,)``; False also for what is no challenge or no nonce of it.

    Raises:
        InvalidInputError: another dtype or shape.
        KernelUnavailableError: no such kernel.
    """
    texts, rows, each, codes, _kept = _proofs(challenges, nonces)
    reasons = _address(codes)
    _bridge_checks.check_work_batch(reasons, texts, rows, each, len(codes), kernel)
    mask: Mask = codes == STANDS
    return mask


def check_batch(
    challenges: "Array",
    nonces: "Array",
    keyring: Keyring,
    expected: Expected,
    *,
    kernel: str | None = None,
) -> "Codes":
    """What `pypow.check` finds, for many proofs of which the same is expected.

    Args:
        challenges: as in `verify_challenges`.
        nonces: as in `verify_challenges`.
        keyring: the keys that may have signed.
        expected: what all of them are held against.
        kernel: a name out of `pypow.kernels`; by default the best.

    Returns:
        ``uint8`` of shape ``(N,)``: `STANDS` (0), or the code of the first reason against it
        (`reason_of_code`). A proof that stands has yet to be spent.

    Raises:
        InvalidInputError: another dtype or shape, or what cannot be expected.
        KernelUnavailableError: no such kernel.
    """
    texts, rows, each, codes, _kept = _proofs(challenges, nonces)
    _bridge_checks.check_challenge_batch(
        _address(codes),
        keyring.mac_keys,
        expected.now_ms,
        expected.epoch,
        expected.weight,
        expected.resource,
        expected.principal,
        texts,
        rows,
        each,
        len(codes),
        kernel,
    )
    return codes


def check_macaroons(
    macaroons: "Array | Ragged",
    preimages: "Array | Ragged",
    keyring: Keyring,
    expected: l402.Expected,
    *,
    now_s: int,
    kernel: str | None = None,
) -> "Codes":
    """What `pypow.l402.check` finds, for many credentials that ask for the same.

    Args:
        macaroons: a column; base64, hex or octets, but no JSON.
        preimages: a column; 64 hex digits, or 32 octets, or nothing where it is a caveat of the
            macaroon. Octets may end with zeros, and so are no ``S`` array.
        keyring: the keys that may have signed.
        expected: what all of them are held against.
        now_s: Unix seconds.
        kernel: a name out of `pypow.kernels`; by default the best.

    Returns:
        ``uint8`` of shape ``(N,)``: `STANDS` (0), or the code of the first reason against it
        (`pypow.l402.reason_of_code`). A credential that stands has yet to be spent.

    Raises:
        InvalidInputError: another dtype or shape, lengths that differ, or offsets that descend
            or leave their data.
        KernelUnavailableError: no such kernel.
    """
    import numpy as np

    texts, count, _kept = _column("macaroons", macaroons)
    proofs, other_count, _also_kept = _column("preimages", preimages)
    if count is None or count != other_count:
        raise InvalidInputError(
            "expected arrays of as many macaroons as preimages, "
            f"got {_described(macaroons)} and {_described(preimages)}"
        )
    codes = np.empty(count, np.uint8)
    _bridge_macaroons.check_macaroon_batch(
        _address(codes), keyring.macaroon_keys, now_s, expected.demand, texts, proofs, count, kernel
    )
    return codes


def _column(name: str, given: object) -> tuple[Column, int | None, Any]:
    """A column, the number of its items, and what has to live as long."""
    import numpy as np

    match given:
        case bytes():
            return _bridge_checks.column_of_bytes(given), None, given
        case tuple((data, offsets)):
            return _ragged(name, data, offsets)
        case np.ndarray() if given.dtype.kind == "S" and given.ndim == 1:
            width, stride = given.dtype.itemsize, given.strides[0]
            column = Column(_address(given), width=width, stride=stride, padded=True)
            return column, len(given), given
        case np.ndarray() if given.dtype == np.uint8 and given.ndim == 2:
            rows = given if given.strides[1] == 1 else np.ascontiguousarray(given)
            column = Column(_address(rows), width=rows.shape[1], stride=rows.strides[0])
            return column, len(rows), rows
    raise InvalidInputError(
        f"expected {name} as uint8 of shape (N, width), as (data, offsets), as an S array of N "
        f"or as bytes, got {_described(given)}"
    )


def _ragged(name: str, data: object, offsets: object) -> tuple[Column, int, Any]:
    import numpy as np

    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
        raise InvalidInputError(
            f"expected uint8 of shape (n,) as data of {name}, got {_described(data)}"
        )
    if (
        not isinstance(offsets, np.ndarray)
        or offsets.dtype != np.int64
        or offsets.ndim != 1
        or len(offsets) == 0
    ):
        raise InvalidInputError(
            f"expected int64 of shape (N + 1,) as offsets of {name}, got {_described(offsets)}"
        )
    data, offsets = np.ascontiguousarray(data), np.require(offsets, requirements=["C", "A"])
    column = Column(_address(data), data_len=len(data), offsets=_address(offsets))
    return column, len(offsets) - 1, (data, offsets)


def _proofs(challenges: object, nonces: object) -> tuple[Column, Column, int, "Codes", Any]:
    """Columns of texts and of nonces, nonces each, room for the codes, and what has to live."""
    import numpy as np

    texts = _rows("challenges", challenges, CHALLENGE_TEXT)
    rows = _rows("nonces", nonces, NONCE_WIDTH)
    if len(texts) != len(rows):
        raise InvalidInputError(f"expected as many nonces as challenges, got {len(rows)}")
    if texts.shape[1] != 1 or not 1 <= rows.shape[1] <= MAX_PUZZLES:
        raise InvalidInputError(
            f"expected one challenge and up to {MAX_PUZZLES} nonces in each row, "
            f"got {texts.shape[1]} and {rows.shape[1]}"
        )
    columns = [
        Column(_address(part), width=part.shape[1] * part.shape[2], stride=part.strides[0])
        for part in (texts, rows)
    ]
    return columns[0], columns[1], rows.shape[1], np.empty(len(texts), np.uint8), (texts, rows)


def _rows(name: str, given: object, width: int) -> "NDArray[np.uint8]":
    """Texts of ``width`` as ``uint8`` of shape (N, k, width), contiguous within a row."""
    import numpy as np

    array = given
    if isinstance(array, np.ndarray) and array.dtype.kind == "S" and array.dtype.itemsize <= width:
        wide = np.ascontiguousarray(array.astype(f"S{width}", copy=False))
        array = wide.view(np.uint8).reshape(*wide.shape, width)
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or array.shape[-1] != width
    ):
        raise InvalidInputError(
            f"expected {name} as uint8 of shape (N, {width}) or (N, k, {width}), or as an S array "
            f"of at most {width}, got {_described(given)}"
        )
    rows = array[:, None, :] if array.ndim == 2 else array
    together = rows.strides[2] == 1 and (rows.shape[1] == 1 or rows.strides[1] == width)
    return rows if together else np.ascontiguousarray(rows)


def _room(out: object, count: int, *others: object) -> "Mask":
    import numpy as np

    if not isinstance(out, np.ndarray) or out.dtype != np.bool_ or out.shape != (count,):
        raise InvalidInputError(f"expected out as bool of shape ({count},), got {_described(out)}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise InvalidInputError("expected an out that is contiguous and may be written to")
    for other in others:
        parts = other if isinstance(other, tuple) else (other,)
        if any(isinstance(part, np.ndarray) and np.may_share_memory(out, part) for part in parts):
            raise InvalidInputError("expected an out that shares no memory with the input")
    return out


def _address(array: "NDArray[Any]") -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _described(given: object) -> str:
    import numpy as np

    if isinstance(given, np.ndarray):
        return f"{given.dtype} of shape {given.shape}"
    return type(given).__name__
