# SPDX-License-Identifier: Apache-2.0
"""libcrypto from C: `transform` or `evp`, and the folder that holds openssl_loop.so."""

import ctypes
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from peer_programs.serving import serve

_CRYPTO = ctypes.CDLL("libcrypto.so.3")
_LOOP = ctypes.CDLL(str(Path(sys.argv[2]) / "openssl_loop.so"))


class Evp(ctypes.Structure):
    """struct evp in openssl_loop.c."""

    _fields_ = (
        ("init", ctypes.c_void_p),
        ("update", ctypes.c_void_p),
        ("final", ctypes.c_void_p),
        ("ctx", ctypes.c_void_p),
        ("type", ctypes.c_void_p),
    )


def address(name: str) -> int | None:
    return ctypes.cast(getattr(_CRYPTO, name), ctypes.c_void_p).value


def pointer(name: str, *arguments: bytes | None) -> int:
    """The pointer that a function of libcrypto returns."""
    function = getattr(_CRYPTO, name)
    function.restype = ctypes.c_void_p
    return int(function(*arguments))


def transform_solver() -> Callable[[str, str, int], int]:
    grind = _LOOP.grind_transform
    grind.restype = ctypes.c_uint64
    transform = ctypes.c_void_p(address("SHA256_Transform"))

    def solve(prefix: str, target: str, _hashes: int) -> int:
        start, words = prefix.encode(), struct.unpack(">8I", bytes.fromhex(target))
        wanted = (ctypes.c_uint32 * 8)(*words)
        return int(grind(transform, start, ctypes.c_size_t(len(start)), wanted))

    return solve


def evp_solver() -> Callable[[str, str, int], int]:
    grind = _LOOP.grind_evp
    grind.restype = ctypes.c_uint64
    evp = Evp(
        *(address(f"EVP_Digest{step}") for step in ("Init_ex", "Update", "Final_ex")),
        pointer("EVP_MD_CTX_new"),
        # Fetched once: EVP_sha256() would be looked up anew by each init.
        pointer("EVP_MD_fetch", None, b"SHA256", None),
    )

    def solve(prefix: str, target: str, _hashes: int) -> int:
        start = prefix.encode()
        length = ctypes.c_size_t(len(start))
        return int(grind(ctypes.byref(evp), start, length, bytes.fromhex(target)))

    return solve


_CRYPTO.OpenSSL_version.restype = ctypes.c_char_p
serve(
    {"transform": transform_solver, "evp": evp_solver}[sys.argv[1]](),
    _CRYPTO.OpenSSL_version(0).decode("ascii"),
)
