# SPDX-License-Identifier: Apache-2.0
"""The typed face of csrc/pypow.h; a test compares the two and the compiled module."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

# A C value that cffi holds; its C type is in the header.
CData: TypeAlias = Any

class Lib:
    PYPOW_OK: Final[int]
    PYPOW_NOT_FOUND: Final[int]
    PYPOW_RUNNING: Final[int]
    PYPOW_STOPPED: Final[int]
    PYPOW_BAD_ARGUMENT: Final[int]
    PYPOW_NO_KERNEL: Final[int]
    PYPOW_NO_MEMORY: Final[int]
    PYPOW_FORKED: Final[int]

    PYPOW_DIGEST_BYTES: Final[int]
    PYPOW_MAX_NONCE_BYTES: Final[int]
    PYPOW_MAX_THREADS: Final[int]
    PYPOW_MAX_PROOFS: Final[int]

    PYPOW_AT_MOST: Final[int]
    PYPOW_AT_LEAST: Final[int]
    PYPOW_MASKED: Final[int]

    def pypow_version(self) -> CData: ...
    def pypow_kernel_at(self, info: CData, index: int, /) -> int: ...
    def pypow_sha256(
        self, digest: CData, message: bytes, message_len: int, kernel: bytes | CData, /
    ) -> int: ...
    def pypow_puzzle_new(
        self,
        puzzle: CData,
        nonce: CData,
        rule: CData,
        prefix: bytes,
        prefix_len: int,
        suffix: bytes,
        suffix_len: int,
        /,
    ) -> int: ...
    def pypow_puzzle_free(self, puzzle: CData, /) -> None: ...
    def pypow_nonce_encode(
        self, encoded: CData, encoded_len: CData, nonce: CData, index: int, /
    ) -> int: ...
    def pypow_search(
        self,
        progress: CData,
        puzzle: CData,
        kernel: bytes | CData,
        first: int,
        count: int,
        stop: CData,
        /,
    ) -> int: ...
    def pypow_search_opening(
        self, progress: CData, puzzle: CData, kernel: bytes | CData, first: int, count: int, /
    ) -> int: ...
    def pypow_pool_new(self, pool: CData, kernel: bytes | CData, threads: int, /) -> int: ...
    def pypow_pool_begin(self, pool: CData, puzzle: CData, first: int, count: int, /) -> int: ...
    def pypow_pool_run(self, progress: CData, pool: CData, slice_ms: int, /) -> int: ...
    def pypow_pool_stop(self, pool: CData, /) -> None: ...
    def pypow_pool_free(self, pool: CData, /) -> None: ...
    def pypow_verify(
        self,
        digests: CData,
        failed: CData,
        rule: CData,
        prefix: bytes,
        prefix_len: int,
        suffix: bytes,
        suffix_len: int,
        nonces: bytes,
        nonce_lens: bytes,
        count: int,
        /,
    ) -> int: ...

class Ffi:
    """As much of cffi's out-of-line API as is used here."""

    NULL: Final[CData]
    def new(self, cdecl: str, init: int = ..., /) -> CData: ...
    def gc(self, cdata: CData, destructor: Callable[[CData], None], /) -> CData: ...
    def string(self, cdata: CData, /) -> bytes: ...
    def buffer(self, cdata: CData, size: int = ..., /) -> CData: ...
    def memmove(self, dest: CData, src: bytes, n: int, /) -> None: ...
    def typeof(self, cdecl: str | CData, /) -> Any: ...
    def addressof(self, library: Lib, name: str, /) -> CData: ...

ffi: Ffi
lib: Lib
