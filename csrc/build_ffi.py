# SPDX-License-Identifier: Apache-2.0
"""Builds pypow._native: cffi reads the marked part of pypow.h, the compiler every file here."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

HEADER = (HERE / "pypow.h").read_text(encoding="utf-8")
CDEF = HEADER.split("/* cffi-begin */", 1)[1].split("/* cffi-end */", 1)[0]
VERSION = (ROOT / "pypow" / "VERSION").read_text(encoding="utf-8").strip()

WARNINGS = ["-Wall", "-Wextra", "-Wshadow"]
# CPython asks for debug information; of the unrolled kernels it would be six times the code, and
# half of the time to compile.
OPTIONS = ["-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-pthread", *WARNINGS]

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source(
    "pypow._native",
    '#include "pypow.h"',
    sources=sorted(f"csrc/{path.name}" for path in HERE.glob("*.c")),
    depends=[*sorted(f"csrc/{path.name}" for path in HERE.glob("*.h")), "pypow/VERSION"],
    include_dirs=["csrc"],
    define_macros=[("PYPOW_VERSION", f'"{VERSION}"')],
    extra_compile_args=OPTIONS,
    extra_link_args=["-pthread"],
)
