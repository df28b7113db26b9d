# SPDX-License-Identifier: Apache-2.0
"""The door's third part: searches as a solve makes them, an opening and then a pool."""

import enum
import threading
from dataclasses import dataclass
from typing import Any, Self

from ._bridge import (
    _DIGEST_BYTES,
    SHA256,
    HashSpec,
    NativePuzzle,
    NonceSpec,
    RuleSpec,
    _around,
    _check,
    _name,
    _range,
    _require_int,
)
from ._native import ffi, lib
from .errors import InvalidInputError

_ELSEWHERE = "this search was begun in another process; begin it after the fork"
# ffi.new is quicker with a type than with its name.
_PROGRESS = ffi.typeof("struct pypow_progress *")
_ENCODED = ffi.offsetof("struct pypow_progress", "encoded")
_DIGEST = ffi.offsetof("struct pypow_progress", "digest")


class Status(enum.Enum):
    """How a search stands after a slice."""

    FOUND = lib.PYPOW_OK
    NOT_FOUND = lib.PYPOW_NOT_FOUND
    RUNNING = lib.PYPOW_RUNNING
    STOPPED = lib.PYPOW_STOPPED


@dataclass(frozen=True, slots=True)
class Progress:
    """A search so far.

    Attributes:
        status: how it stands.
        hashes: nonces tried.
        index: of the lowest winning nonce; None unless it is found.
        nonce: that nonce; empty unless it is found.
        digest: of its message, 32 bytes; empty unless it is found.
    """

    status: Status
    hashes: int
    index: int | None = None
    nonce: bytes = b""
    digest: bytes = b""


def open_search(
    prefix: bytes,
    nonce: NonceSpec,
    suffix: bytes,
    rule: RuleSpec,
    hash: HashSpec = SHA256,
    *,
    first: int,
    count: int,
    kernel: str | None,
) -> Progress:
    """Begin to search ``[first, first + count)``: about 100 us of it, with no thread but this one.

    RUNNING: the rest, from ``first + hashes`` on, is left to search, by a `Pool`.
    """
    progress = ffi.new(_PROGRESS)
    status = lib.pypow_search_opening(
        progress,
        nonce.native,
        hash.native,
        rule.native,
        *_around(prefix, suffix),
        _name(kernel),
        *_range(first, count),
    )
    _check(status, "the message is longer than memory or SHA-256 allows; shorten it", kernel)
    return _progress(status, progress)


class Pool:
    """Threads for one search after another, the caller's included; a context manager.

    One thread at a time begins and runs; any thread may stop or close, at any time.
    """

    __slots__ = ("_native", "_progress", "_turn")

    def __init__(self, *, threads: int, kernel: str | None) -> None:
        made = ffi.new("struct pypow_pool **")
        threads = _require_int("threads", threads, lib.PYPOW_MAX_THREADS, least=1)
        status = lib.pypow_pool_new(made, _name(kernel), threads)
        _check(status, f"no memory for a search on {threads} threads", kernel)
        self._native: Any = ffi.gc(made[0], lib.pypow_pool_free)
        self._progress = ffi.new("struct pypow_progress *")
        self._turn = threading.Lock()

    def begin(self, puzzle: NativePuzzle, *, first: int, count: int) -> None:
        """Set out to search ``[first, first + count)``; the search before is forgotten."""
        native = self._take_turn()
        try:
            status = lib.pypow_pool_begin(native, puzzle.native, *_range(first, count))
        finally:
            self._turn.release()
        _check(status, _ELSEWHERE if status == lib.PYPOW_FORKED else "no memory for a search")

    def run(self, slice_ms: int) -> Progress:
        """Grind for about ``slice_ms`` milliseconds, or until the search is over."""
        native = self._take_turn()
        try:
            slice_ms = _require_int("slice_ms", slice_ms, 2**32 - 1)
            progress = self._progress
            status = lib.pypow_pool_run(progress, native, slice_ms)
            _check(status, _ELSEWHERE)
            return _progress(status, progress)
        finally:
            self._turn.release()

    def stop(self) -> None:
        """Make the search begun last end, and `run` answer STOPPED, soon; from any thread."""
        native = self._native
        if native is not None:
            lib.pypow_pool_stop(native)

    def close(self) -> None:
        """Stop, and end the pool's threads; a run in another thread ends first."""
        self.stop()
        # The last reference frees: a run or stop in another thread still holds one.
        self._native = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_turn(self) -> Any:
        native = self._native
        if native is None:
            raise InvalidInputError("this pool is closed; make another")
        if not self._turn.acquire(blocking=False):
            raise InvalidInputError("another thread is running this pool; give each its own")
        return native


def _progress(status: int, progress: Any) -> Progress:
    if status != lib.PYPOW_OK:
        return Progress(Status(status), progress.hashes)
    octets = ffi.buffer(progress)[:]
    nonce = octets[_ENCODED : _ENCODED + progress.encoded_len]
    digest = octets[_DIGEST : _DIGEST + _DIGEST_BYTES]
    return Progress(Status.FOUND, progress.hashes, progress.nonce, nonce, digest)
