# SPDX-License-Identifier: Apache-2.0
"""What `pypow` promises is what it has, and nothing slips out besides."""

import types

import pypow


def public_names(module: types.ModuleType) -> set[str]:
    """What a module shows besides its submodules."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def test_all_lists_just_what_is_there_in_order() -> None:
    assert set(pypow.__all__) == public_names(pypow)
    assert len(pypow.__all__) == len(set(pypow.__all__))


def test_a_name_that_is_not_listed_is_noticed() -> None:
    twin = types.ModuleType("twin")
    vars(twin).update({name: getattr(pypow, name) for name in pypow.__all__}, slipped=1)
    assert public_names(twin) - set(pypow.__all__) == {"slipped"}


def test_every_public_function_and_class_says_what_it_is() -> None:
    undocumented = [
        name
        for name in pypow.__all__
        if callable(getattr(pypow, name)) and not getattr(pypow, name).__doc__
    ]
    assert undocumented == []


def test_every_error_is_a_pow_error() -> None:
    errors = [getattr(pypow, name) for name in pypow.__all__ if name.endswith("Error")]
    assert len(errors) == 9
    assert all(issubclass(error, pypow.PowError) for error in errors)
