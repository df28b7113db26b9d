# SPDX-License-Identifier: Apache-2.0
"""The only door to the C core: Python values in and out, statuses turned into exceptions.

Every call that hashes releases the GIL. Nothing here chooses, measures or waits.
"""

import enum
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ._native import ffi, lib
from .errors import ForkedError, InvalidInputError, KernelUnavailableError

_DIGEST_BYTES = lib.PYPOW_DIGEST_BYTES
_U64_MAX = 2**64 - 1
_TOO_LONG = "the message is longer than memory or SHA-256 allows; shorten it"

_ERRORS: dict[int, type[Exception]] = {
    lib.PYPOW_BAD_ARGUMENT: InvalidInputError,
    lib.PYPOW_NO_KERNEL: KernelUnavailableError,
    lib.PYPOW_NO_MEMORY: MemoryError,
    lib.PYPOW_FORKED: ForkedError,
}


_BUILT = ffi.string(lib.pypow_version()).decode("ascii")
_VERSION = Path(__file__).with_name("VERSION").read_text(encoding="ascii").strip()
if _BUILT != _VERSION:
    raise ImportError(
        f"pypow is {_VERSION} but its compiled module was built from {_BUILT}; "
        "install the package again (pip install -e . in a source tree)"
    )


def _require_bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidInputError(f"expected bytes for {name}, got {type(value).__name__}")
    return value


def _require_int(name: str, value: object, most: int, *, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputError(f"expected an integer for {name}, got {type(value).__name__}")
    if not least <= value <= most:
        raise InvalidInputError(f"expected {name} from {least} to {most}, got {value}")
    return value


class RuleType(enum.IntEnum):
    """How a digest is compared with a rule's value."""

    AT_MOST = lib.PYPOW_AT_MOST
    AT_LEAST = lib.PYPOW_AT_LEAST
    MASKED = lib.PYPOW_MASKED


class HashType(enum.IntEnum):
    """How a message becomes a digest."""

    SHA256 = lib.PYPOW_SHA256
    PBKDF2_HMAC_SHA256 = lib.PYPOW_PBKDF2_HMAC_SHA256


@dataclass(frozen=True, slots=True)
class KernelInfo:
    """A kernel: its name, messages ground at a time, and whether this CPU can run it.

    ``hashes_per_s`` is the rate of one thread as measured at first need, 0 where not usable.
    """

    name: str
    lanes: int
    usable: bool
    hashes_per_s: int


@dataclass(frozen=True, slots=True)
class NonceSpec:
    """How an index becomes a nonce: digits in base ``len(symbols)``, one byte each.

    ``symbols`` are 2 to 256 distinct bytes. ``width`` is 1 to 64 digits, or 0 for as few as the
    number needs. ``little``, which needs a width: the least significant digit comes first.
    """

    symbols: bytes
    width: int
    little: bool
    native: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        symbols = _require_bytes("symbols", self.symbols)
        if not 2 <= len(symbols) <= 256 or len(set(symbols)) != len(symbols):
            raise InvalidInputError(f"expected 2 to 256 distinct symbols, got {symbols!r}")
        width = _require_int("width", self.width, lib.PYPOW_MAX_NONCE_BYTES)
        if self.little and not width:
            raise InvalidInputError("a little-endian nonce needs a width, got 0")
        native = ffi.new("struct pypow_nonce *")
        native.base, native.width, native.little = len(symbols), width, bool(self.little)
        ffi.memmove(native.symbols, symbols, len(symbols))
        object.__setattr__(self, "native", native)


@dataclass(frozen=True, slots=True)
class HashSpec:
    """How a message becomes a digest: ``iterations`` of SHA-256, or of PBKDF2 with a ``salt``."""

    type: HashType
    iterations: int
    salt: bytes = b""
    native: Any = field(init=False, repr=False, compare=False)
    _salt: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        salt = _require_bytes("salt", self.salt)
        if len(salt) > (lib.PYPOW_MAX_SALT_BYTES if self.type else 0):
            raise InvalidInputError(
                f"expected a salt of at most {lib.PYPOW_MAX_SALT_BYTES} bytes, and none without "
                f"PBKDF2, got {len(salt)}"
            )
        native = ffi.new("struct pypow_hash *")
        native.type = HashType(self.type)
        native.iterations = _require_int(
            "iterations", self.iterations, lib.PYPOW_MAX_ITERATIONS, least=1
        )
        # cffi keeps no reference from a struct to what its pointers point at.
        object.__setattr__(self, "_salt", ffi.from_buffer(salt))
        native.salt, native.salt_len = self._salt, len(salt)
        object.__setattr__(self, "native", native)


SHA256: Final = HashSpec(type=HashType.SHA256, iterations=1)
"""Plain SHA-256."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """When a digest wins: by comparison with ``value``, 32 bytes, most significant first.

    ``MASKED`` looks at the bits in ``mask`` (32 bytes; zeros for the other types). ``little``:
    ``AT_MOST`` and ``AT_LEAST`` read the digest last byte first.
    """

    type: RuleType
    value: bytes
    mask: bytes
    little: bool
    native: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, part in (("value", self.value), ("mask", self.mask)):
            if len(_require_bytes(name, part)) != _DIGEST_BYTES:
                raise InvalidInputError(f"expected 32 bytes of {name}, got {len(part)}")
        if self.type is RuleType.MASKED and any(
            wanted & ~seen for wanted, seen in zip(self.value, self.mask, strict=True)
        ):
            raise InvalidInputError("no digest can win: the value has bits outside the mask")
        native = ffi.new("struct pypow_rule *")
        native.type, native.little = RuleType(self.type), bool(self.little)
        ffi.memmove(native.value, self.value, _DIGEST_BYTES)
        ffi.memmove(native.mask, self.mask, _DIGEST_BYTES)
        object.__setattr__(self, "native", native)


@functools.cache
def kernels() -> tuple[KernelInfo, ...]:
    """All kernels of this build, fastest first; what this CPU cannot run comes last.

    The first need of this order, here or in a search, measures it in less than 3 ms.
    """
    info = ffi.new("struct pypow_kernel_info *")
    found: list[KernelInfo] = []
    while lib.pypow_kernel_at(info, len(found)) == lib.PYPOW_OK:
        name = ffi.string(info.name).decode("ascii")
        found.append(KernelInfo(name, info.lanes, bool(info.usable), info.hashes_per_s))
    return tuple(found)


def sha256(message: bytes, kernel: str | None = None) -> bytes:
    """SHA-256 (FIPS 180-4) with one kernel's block function, or the fastest for one message."""
    message = _require_bytes("message", message)
    digest = ffi.new("uint8_t[]", _DIGEST_BYTES)
    _check(lib.pypow_sha256(digest, message, len(message), _name(kernel)), _TOO_LONG, kernel)
    return bytes(ffi.buffer(digest))


def encode_nonce(spec: NonceSpec, index: int) -> bytes:
    """The nonce with this index; InvalidInputError where the encoding has no such index."""
    encoded = ffi.new("uint8_t[]", lib.PYPOW_MAX_NONCE_BYTES)
    length = ffi.new("size_t *")
    index = _require_int("index", index, _U64_MAX)
    status = lib.pypow_nonce_encode(encoded, length, spec.native, index)
    _check(status, f"{spec.width} digits of base {len(spec.symbols)} cannot hold index {index}")
    return bytes(ffi.buffer(encoded, length[0]))


def verify(
    rule: RuleSpec,
    prefix: bytes,
    nonces: Sequence[bytes],
    suffix: bytes = b"",
    hash: HashSpec = SHA256,
) -> tuple[int | None, tuple[bytes, ...]]:
    """Hash ``prefix + nonce + suffix`` for each of 1 to 64 nonces, until one does not win.

    Returns:
        The index of the first nonce that does not win, or None; and the digests hashed.

    Raises:
        InvalidInputError: wrong types, or too many or too long nonces (64 bytes).
    """
    count = len(nonces)
    if not 1 <= count <= lib.PYPOW_MAX_PROOFS:
        raise InvalidInputError(f"expected 1 to {lib.PYPOW_MAX_PROOFS} nonces, got {count}")
    lengths = [len(_require_bytes("nonce", nonce)) for nonce in nonces]
    if (longest := max(lengths)) > lib.PYPOW_MAX_NONCE_BYTES:
        raise InvalidInputError(f"expected nonces of up to 64 bytes, got {longest}")
    digests = ffi.new("uint8_t[]", count * _DIGEST_BYTES)
    failed = ffi.new("uint32_t *")
    around = _around(prefix, suffix)
    joined = b"".join(nonces)
    status = lib.pypow_verify(
        digests, failed, hash.native, rule.native, *around, joined, bytes(lengths), count
    )
    _check(status, _TOO_LONG)
    loser = failed[0] if status == lib.PYPOW_NOT_FOUND else None
    raw = ffi.buffer(digests)[: (count if loser is None else loser + 1) * _DIGEST_BYTES]
    return loser, tuple([raw[i : i + _DIGEST_BYTES] for i in range(0, len(raw), _DIGEST_BYTES)])


class NativePuzzle:
    """A puzzle prepared for the kernels; immutable, and safe to share between threads."""

    __slots__ = ("native",)

    def __init__(
        self,
        prefix: bytes,
        nonce: NonceSpec,
        suffix: bytes,
        rule: RuleSpec,
        hash: HashSpec = SHA256,
    ) -> None:
        made = ffi.new("struct pypow_puzzle **")
        around = _around(prefix, suffix)
        status = lib.pypow_puzzle_new(made, nonce.native, hash.native, rule.native, *around)
        _check(status, _TOO_LONG)
        self.native: Any = ffi.gc(made[0], lib.pypow_puzzle_free)

    def search(self, first: int, count: int, kernel: str | None = None) -> tuple[int | None, int]:
        """Scan ``[first, first + count)`` on this thread: lowest winner or None, nonces tried."""
        progress = ffi.new("struct pypow_progress *")
        indices = _range(first, count)
        status = lib.pypow_search(progress, self.native, _name(kernel), *indices, ffi.NULL)
        _check(status, "this search cannot be", kernel)
        return (progress.nonce if status == lib.PYPOW_OK else None), progress.hashes


def _check(status: int, wrong: str, kernel: str | None = None) -> None:
    if status == lib.PYPOW_NO_KERNEL:
        usable = ", ".join(info.name for info in kernels() if info.usable)
        wrong = f"kernel {kernel!r} is unknown or cannot run on this CPU; usable: {usable}"
    if status < 0:
        raise _ERRORS[status](wrong)


def _name(kernel: str | None) -> Any:
    if kernel is None:
        return ffi.NULL
    if not isinstance(kernel, str):
        raise InvalidInputError(f"expected a kernel's name, got {type(kernel).__name__}")
    # No kernel's name holds what this replaces; and C would take a NUL for the end.
    return kernel.encode("ascii", "replace").replace(b"\0", b"?")


def _around(prefix: object, suffix: object) -> tuple[bytes, int, bytes, int]:
    before, after = _require_bytes("prefix", prefix), _require_bytes("suffix", suffix)
    return before, len(before), after, len(after)


def _range(first: object, count: object) -> tuple[int, int]:
    return _require_int("first", first, _U64_MAX), _require_int("count", count, _U64_MAX)
