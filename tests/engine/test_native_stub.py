# SPDX-License-Identifier: Apache-2.0
"""The header, its typed face and the compiled module say the same."""

import ast
import re
from pathlib import Path

import pytest

from pypow import _bridge, _bridge_search
from pypow._native import ffi, lib
from pypow.errors import PowError

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "csrc" / "pypow.h").read_text(encoding="utf-8")
STUB = (ROOT / "pypow" / "_native.pyi").read_text(encoding="utf-8")

Interface = dict[str, list[str] | None]  # parameters of a function, None for a constant


def in_header(header: str) -> Interface:
    marked = header.split("/* cffi-begin */")[1].split("/* cffi-end */")[0]
    code = re.sub(r"/\*.*?\*/", "", marked, flags=re.DOTALL)
    found: Interface = dict.fromkeys(re.findall(r"\b(PYPOW_[A-Z0-9_]+) =", code))
    for name, parameters in re.findall(r"\b(pypow_\w+)\(([^)]*)\);", code):
        names = re.findall(r"(\w+)(?:,|$)", parameters)
        found[name] = [] if names == ["void"] else names
    return found


def in_stub(stub: str) -> Interface:
    (interface,) = (
        node
        for node in ast.parse(stub).body
        if isinstance(node, ast.ClassDef) and node.name == "Lib"
    )
    found: Interface = {}
    for node in interface.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = None
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [argument.arg for argument in node.args.posonlyargs[1:]]
    return found


def in_module() -> set[str]:
    return set(dir(lib))


def test_the_stub_says_what_the_header_says() -> None:
    assert in_stub(STUB) == in_header(HEADER)


def test_the_module_has_what_the_header_says() -> None:
    assert in_module() == in_header(HEADER).keys()


def test_every_function_takes_as_many_arguments_as_the_header_says() -> None:
    for name, parameters in in_header(HEADER).items():
        if parameters is not None:
            assert len(ffi.typeof(ffi.addressof(lib, name)).args) == len(parameters), name


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("int pypow_pool_run(", "int pypow_pool_ran("),
        ("uint32_t slice_ms);", "uint32_t slice_ms, int more);"),
        ("PYPOW_FORKED = -4", "PYPOW_FORK = -4"),
        ("void pypow_pool_stop(struct pypow_pool *pool);", ""),
    ],
)
def test_the_comparison_itself_catches_a_change(what: str, instead: str) -> None:
    assert what in HEADER
    assert in_stub(STUB) != in_header(HEADER.replace(what, instead))


def test_every_fault_has_an_exception_and_no_outcome_has() -> None:
    statuses = ffi.typeof("enum pypow_status").relements
    faults = {value for value in statuses.values() if value < 0}
    assert set(_bridge._ERRORS) == faults
    assert {status.value for status in _bridge_search.Status} == set(statuses.values()) - faults
    assert all(issubclass(error, PowError | MemoryError) for error in _bridge._ERRORS.values())


def test_the_enumerations_are_those_of_the_header() -> None:
    rule_types = ffi.typeof("enum pypow_rule_type").relements
    assert {f"PYPOW_{rule.name}": rule.value for rule in _bridge.RuleType} == rule_types
    hash_types = ffi.typeof("enum pypow_hash_type").relements
    assert {f"PYPOW_{one.name}": one.value for one in _bridge.HashType} == hash_types
