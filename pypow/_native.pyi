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
    PYPOW_MAX_ITERATIONS: Final[int]
    PYPOW_MAX_SALT_BYTES: Final[int]
    PYPOW_MAX_Q: Final[int]
    PYPOW_CHALLENGE_BYTES: Final[int]
    PYPOW_CHALLENGE_TEXT: Final[int]
    PYPOW_CHALLENGE_NONCE: Final[int]
    PYPOW_SCOPE_BYTES: Final[int]
    PYPOW_MAX_CLOCK_SKEW_MS: Final[int]
    PYPOW_MAX_MACAROON_BYTES: Final[int]
    PYPOW_MAX_CAVEATS: Final[int]
    PYPOW_MAX_LISTED: Final[int]

    PYPOW_SHA256: Final[int]
    PYPOW_PBKDF2_HMAC_SHA256: Final[int]

    PYPOW_AT_MOST: Final[int]
    PYPOW_AT_LEAST: Final[int]
    PYPOW_MASKED: Final[int]

    PYPOW_STANDS: Final[int]
    PYPOW_MALFORMED: Final[int]
    PYPOW_UNKNOWN_KEY: Final[int]
    PYPOW_BAD_MAC: Final[int]
    PYPOW_NOT_YET_VALID: Final[int]
    PYPOW_EXPIRED: Final[int]
    PYPOW_STALE_EPOCH: Final[int]
    PYPOW_WRONG_RESOURCE: Final[int]
    PYPOW_UNDERWEIGHT: Final[int]
    PYPOW_WRONG_PRINCIPAL: Final[int]
    PYPOW_WRONG_NONCES: Final[int]
    PYPOW_NOT_ENOUGH_WORK: Final[int]

    PYPOW_MACAROON_STANDS: Final[int]
    PYPOW_MACAROON_MALFORMED: Final[int]
    PYPOW_MACAROON_FOREIGN: Final[int]
    PYPOW_MACAROON_THIRD_PARTY: Final[int]
    PYPOW_MACAROON_UNKNOWN_KEY: Final[int]
    PYPOW_MACAROON_BAD_MAC: Final[int]
    PYPOW_MACAROON_UNKNOWN_CAVEAT: Final[int]
    PYPOW_MACAROON_BAD_CAVEAT: Final[int]
    PYPOW_MACAROON_WIDENED: Final[int]
    PYPOW_MACAROON_WRONG_SERVICE: Final[int]
    PYPOW_MACAROON_EXPIRED: Final[int]
    PYPOW_MACAROON_WRONG_CAPABILITY: Final[int]
    PYPOW_MACAROON_WRONG_AUDIENCE: Final[int]
    PYPOW_MACAROON_WRONG_TOOL: Final[int]
    PYPOW_MACAROON_WRONG_BODY: Final[int]
    PYPOW_MACAROON_WRONG_HOLDER: Final[int]
    PYPOW_MACAROON_MISSING_CAVEAT: Final[int]
    PYPOW_MACAROON_WRONG_PREIMAGE: Final[int]

    def pypow_version(self) -> CData: ...
    def pypow_kernel_at(self, info: CData, index: int, /) -> int: ...
    def pypow_sha256(
        self, digest: CData, message: bytes, message_len: int, kernel: bytes | CData, /
    ) -> int: ...
    def pypow_puzzle_new(
        self,
        puzzle: CData,
        nonce: CData,
        hash: CData,
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
        self,
        progress: CData,
        nonce: CData,
        hash: CData,
        rule: CData,
        prefix: bytes,
        prefix_len: int,
        suffix: bytes,
        suffix_len: int,
        kernel: bytes | CData,
        first: int,
        count: int,
        /,
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
        hash: CData,
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
    def pypow_target(self, highest: CData, q: int, /) -> int: ...
    def pypow_mac_key_init(
        self, key: CData, identity: int, secret: bytes, secret_len: int, /
    ) -> None: ...
    def pypow_challenge_decode(self, octets: CData, text: bytes, text_len: int, /) -> int: ...
    def pypow_challenge_work(
        self,
        failed: CData,
        text: bytes,
        text_len: int,
        nonces: bytes,
        nonces_len: int,
        count: int,
        /,
    ) -> int: ...
    def pypow_challenge_check(
        self,
        octets: CData,
        keys: CData,
        key_count: int,
        now_ms: int,
        epoch: int,
        weight: int,
        resource: bytes,
        principal: bytes,
        text: bytes,
        text_len: int,
        nonces: bytes,
        nonces_len: int,
        count: int,
        /,
    ) -> int: ...
    def pypow_verify_batch(
        self,
        wins_each: CData,
        rule: CData,
        prefixes: CData,
        nonces: CData,
        suffix: bytes,
        suffix_len: int,
        count: int,
        kernel: bytes | CData,
        /,
    ) -> int: ...
    def pypow_challenge_work_batch(
        self,
        reasons: CData,
        challenges: CData,
        nonces: CData,
        nonces_each: int,
        count: int,
        kernel: bytes | CData,
        /,
    ) -> int: ...
    def pypow_challenge_check_batch(
        self,
        reasons: CData,
        keys: CData,
        key_count: int,
        now_ms: int,
        epoch: int,
        weight: int,
        resource: bytes,
        principal: bytes,
        challenges: CData,
        nonces: CData,
        nonces_each: int,
        count: int,
        kernel: bytes | CData,
        /,
    ) -> int: ...
    def pypow_macaroon_check(
        self,
        terms: CData,
        keys: CData,
        key_count: int,
        now_s: int,
        expected: CData,
        text: bytes,
        text_len: int,
        preimage: bytes,
        preimage_len: int,
        /,
    ) -> int: ...
    def pypow_macaroon_check_batch(
        self,
        reasons: CData,
        keys: CData,
        key_count: int,
        now_s: int,
        expected: CData,
        texts: CData,
        preimages: CData,
        count: int,
        kernel: bytes | CData,
        /,
    ) -> int: ...

class Ffi:
    """As much of cffi's out-of-line API as is used here."""

    NULL: Final[CData]
    def new(self, cdecl: str | CData, init: int = ..., /) -> CData: ...
    def from_buffer(self, python_buffer: bytes, /) -> CData: ...
    def gc(self, cdata: CData, destructor: Callable[[CData], None], /) -> CData: ...
    def string(self, cdata: CData, /) -> bytes: ...
    def buffer(self, cdata: CData, size: int = ..., /) -> CData: ...
    def memmove(self, dest: CData, src: bytes, n: int, /) -> None: ...
    def cast(self, cdecl: str | CData, value: object, /) -> CData: ...
    def sizeof(self, cdecl: str, /) -> int: ...
    def offsetof(self, cdecl: str, field: str, /) -> int: ...
    def typeof(self, cdecl: str | CData, /) -> Any: ...
    def addressof(self, library: Lib, name: str, /) -> CData: ...

ffi: Ffi
lib: Lib
