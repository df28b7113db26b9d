# SPDX-License-Identifier: Apache-2.0
"""The configuration in effect, as operators may see it: complete, but for what is secret."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .address import Address
from .stores import without_secrets

HIDDEN: Final = "***"


def shown(configuration: object) -> dict[str, object]:
    """A dataclass as JSON members, without passwords in URLs and fields that its repr hides."""
    assert dataclasses.is_dataclass(configuration)
    return {
        field.name: _shown(getattr(configuration, field.name)) if field.repr else HIDDEN
        for field in dataclasses.fields(configuration)
        if field.init
    }


def _shown(value: object) -> object:
    if isinstance(value, str):
        return without_secrets(value) if "://" in value else value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Address | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _shown(member) for key, member in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [_shown(member) for member in value]
    return shown(value) if _is_value(value) else HIDDEN


def _is_value(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
