# SPDX-License-Identifier: Apache-2.0
"""The gate's secrets on disk: made on the first run, kept for ever after.

The key file is ``{"keys": [{"id": 0, "secret": "<64 hex digits>"}]}``. The first key signs, all
verify; `key_rotation` changes them, and a running gate reads them again on SIGHUP. A file that
cannot be read is an error and never replaced: new keys would quietly turn away everybody who holds
a challenge or a pass.
"""

import json
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pypow import InvalidInputError, Key, Keyring
from pypow.strict_json import kind, loads

from .fixable import FixableError

SECRET_BYTES = 32
_MAX_FILE_BYTES = 64 * 1024
MAX_KEYS = 256
"""What a file may have after a change; `_MAX_FILE_BYTES` has room for more than twice as many."""


class KeyFileError(FixableError, InvalidInputError):
    """The key file cannot be read, written or trusted; the text says which file and what to do."""


def load_or_create(path: Path) -> Keyring:
    """The keys in this file; it and its directory are made if there is none.

    Processes that start together agree on one file: whoever links it first wins, the others
    read what the winner wrote.

    Raises:
        KeyFileError: not readable, not writable, open to others, or not a key file.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
    except OSError as error:
        raise KeyFileError(
            f"{error.filename or path}: {error.strerror}",
            fix="the state directory must be a directory that this user can write to (--state-dir)",
        ) from None
    return load(path)


def load(path: Path) -> Keyring:
    """The keys in this file, which is there.

    Raises:
        KeyFileError: not readable, open to others, or not a key file.
    """
    return Keyring(load_keys(path))


def load_keys(path: Path) -> list[Key]:
    """The keys in this file one by one, the signing one first.

    Raises:
        KeyFileError: as `load` does.
    """
    try:
        return _read(path)
    except OSError as error:
        raise KeyFileError(
            f"{path}: {error.strerror}",
            fix="its owner must be the user that the gate runs as",
        ) from None


def fresh_key(identity: int) -> Key:
    """A new secret under this id, 0 to 65535."""
    return Key(identity, os.urandom(SECRET_BYTES))


def replace(path: Path, keys: Sequence[Key]) -> None:
    """Put these keys in the place of the file's, all at once and durably.

    The new file has the owner of the old one: root may change the keys of a gate that is not root.

    Raises:
        OSError: they could not be written; the file is as it was.
    """
    before = path.stat()
    draft = _draft(path, keys)
    try:
        now = draft.stat()
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            os.chown(draft, before.st_uid, before.st_gid)
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    _sync_directory(path.parent)


def _create(path: Path) -> None:
    draft = _draft(path, [fresh_key(0)])
    try:
        # Unlike a rename, a link never replaces what another process has just made.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _draft(path: Path, keys: Sequence[Key]) -> Path:
    """A file beside ``path`` with these keys, written through to the disk."""
    document = {"keys": [{"id": key.id, "secret": key.secret.hex()} for key in keys]}
    # mkstemp makes the file with mode 0600, whatever the umask.
    descriptor, draft = tempfile.mkstemp(prefix=".keys-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(draft).unlink()
        raise
    return Path(draft)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> list[Key]:
    # Opened without waiting: a named pipe in its place would hang the start.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path}: expected a file", fix="move away what is there")
        if status.st_mode & 0o077:
            raise KeyFileError(
                f"{path}: others can read or change the keys (mode "
                f"{stat.S_IMODE(status.st_mode):04o})",
                fix=f"run chmod 600 {path}",
            )
        document = os.read(descriptor, _MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
    try:
        keys = _keys(loads(document))
        Keyring(keys)
    except InvalidInputError as error:
        raise KeyFileError(
            f"{path}: {error}",
            fix="restore it from a backup, or remove it to start with new keys",
        ) from None
    return keys


def _keys(document: object) -> list[Key]:
    if not isinstance(document, dict) or document.keys() != {"keys"}:
        raise InvalidInputError(f'expected an object with just "keys", got {kind(document)}')
    if not isinstance(document["keys"], list):
        raise InvalidInputError(f'expected "keys" to be an array, got {kind(document["keys"])}')
    return [_key(entry) for entry in document["keys"]]


def _key(entry: object) -> Key:
    if not isinstance(entry, dict) or entry.keys() != {"id", "secret"}:
        raise InvalidInputError('expected each key to be an object with just "id" and "secret"')
    secret = entry["secret"]
    # The secret itself is never quoted in an error.
    if not isinstance(secret, str) or not secret.isascii() or not secret.isalnum():
        raise InvalidInputError('expected each "secret" to be hex digits')
    try:
        octets = bytes.fromhex(secret)
    except ValueError:
        raise InvalidInputError(
            'expected each "secret" to be hex digits, two for each byte'
        ) from None
    return Key(entry["id"], octets)
