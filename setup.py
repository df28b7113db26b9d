# SPDX-License-Identifier: Apache-2.0
"""Only what pyproject.toml cannot say: the cffi module and the abi3 tag of its wheel."""

from setuptools import setup

setup(
    cffi_modules=["csrc/build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
