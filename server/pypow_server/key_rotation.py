# SPDX-License-Identifier: Apache-2.0
"""Changes to the key file: one at a time, and each of them whole.

A running gate takes them over when it is told to reload. Keys that no longer sign go on verifying
until they are dropped.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from pypow import InvalidInputError, Key

from . import keyfile

_IDS = 0x10000


def add(path: Path) -> list[Key]:
    """Add a key that only verifies; for gates that share a file, before it signs."""
    return _change(path, lambda keys: [*keys, _fresh(keys)])


def rotate(path: Path) -> list[Key]:
    """Add a key that signs from the next reload on."""
    return _change(path, lambda keys: [_fresh(keys), *keys])


def sign(path: Path, identity: int) -> list[Key]:
    """Have a key of the file sign."""

    def change(keys: list[Key]) -> list[Key]:
        chosen = _find(keys, identity)
        return [chosen, *(key for key in keys if key is not chosen)]

    return _change(path, change)


def drop(path: Path, identity: int) -> list[Key]:
    """Remove a key that does not sign: what it signed is worth nothing from the next reload on."""

    def change(keys: list[Key]) -> list[Key]:
        chosen = _find(keys, identity)
        if chosen is keys[0]:
            raise InvalidInputError(
                f"key {identity} is the one that signs; rotate first, and reload every gate"
            )
        return [key for key in keys if key is not chosen]

    return _change(path, change)


def _change(path: Path, change: Callable[[list[Key]], list[Key]]) -> list[Key]:
    try:
        # A link to the file stays one, for others may know the file by another name.
        path = Path(os.path.realpath(path, strict=True))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            keys = change(keyfile.load_keys(path))
            keyfile.replace(path, keys)
        finally:
            os.close(directory)
    except OSError as error:
        raise keyfile.KeyFileError(
            f"{error.filename or path}: {error.strerror}; the keys are as they were"
        ) from None
    return keys


def _fresh(keys: list[Key]) -> Key:
    """A key with an id that none of the others has, the next after the highest."""
    if len(keys) >= keyfile.MAX_KEYS:
        raise InvalidInputError(
            f"expected a file of fewer than {keyfile.MAX_KEYS} keys to add one to; drop those that "
            "signed nothing for longer than a pass or a payment lives"
        )
    taken = {key.id for key in keys}
    highest = max(taken)
    return keyfile.fresh_key(
        next(one % _IDS for one in range(highest + 1, highest + _IDS) if one % _IDS not in taken)
    )


def _find(keys: list[Key], identity: int) -> Key:
    for key in keys:
        if key.id == identity:
            return key
    known = ", ".join(str(key.id) for key in keys)
    raise InvalidInputError(f"expected the id of a key of the file ({known}), got {identity}")
