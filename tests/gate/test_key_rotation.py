# SPDX-License-Identifier: Apache-2.0
"""Keys: who may sign, who still verifies, and a file that is always one or the other."""

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pypow import InvalidInputError, Key
from pypow.__main__ import main
from pypow_server import key_rotation, keyfile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keys.json"
    keyfile.load_or_create(made)
    return made


def ids(keys: list[Key]) -> list[int]:
    return [key.id for key in keys]


def test_a_rotated_key_signs_and_the_old_one_verifies(path: Path) -> None:
    (old,) = keyfile.load_keys(path)
    assert ids(key_rotation.rotate(path)) == [1, 0]
    keyring = keyfile.load(path)
    assert keyring.signing.id == 1
    assert keyring.find(0) == old
    assert keyring.signing.secret != old.secret


def test_gates_that_share_a_file_learn_a_key_before_it_signs(path: Path) -> None:
    assert ids(key_rotation.add(path)) == [0, 1]
    assert ids(key_rotation.sign(path, 1)) == [1, 0]
    assert ids(key_rotation.drop(path, 0)) == [1]
    assert ids(keyfile.load_keys(path)) == [1]


def test_an_id_is_not_used_again_while_another_is_free(path: Path) -> None:
    key_rotation.rotate(path)
    key_rotation.drop(path, 0)
    assert ids(key_rotation.rotate(path)) == [2, 1]


def test_ids_begin_anew_after_the_highest(path: Path) -> None:
    keyfile.replace(path, [keyfile.fresh_key(0xFFFF), keyfile.fresh_key(0)])
    assert ids(key_rotation.rotate(path)) == [1, 0xFFFF, 0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda path: key_rotation.drop(path, 0), "the one that signs; rotate first"),
        (lambda path: key_rotation.drop(path, 7), r"a key of the file \(0\), got 7"),
        (lambda path: key_rotation.sign(path, 7), r"a key of the file \(0\), got 7"),
    ],
)
def test_a_change_that_would_turn_callers_away_is_refused(
    change: Callable[[Path], object], complaint: str, path: Path
) -> None:
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match=complaint):
        change(path)
    assert path.read_bytes() == before


def test_the_new_file_is_as_private_as_the_old_one(path: Path) -> None:
    key_rotation.rotate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_gate_can_read_keys_that_root_has_changed(path: Path) -> None:
    os.chown(path, 1234, 5678)
    key_rotation.rotate(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)


def test_a_link_to_the_file_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "keys.json"
    link.parent.mkdir()
    link.symlink_to(path)
    key_rotation.rotate(link)
    assert ids(keyfile.load_keys(path)) == [1, 0]


def test_no_file_gets_more_keys_than_can_be_read_again(path: Path) -> None:
    keyfile.replace(path, [keyfile.fresh_key(0xFFFF - one) for one in range(keyfile.MAX_KEYS)])
    with pytest.raises(InvalidInputError, match="drop those"):
        key_rotation.rotate(path)
    assert len(keyfile.load_keys(path)) == keyfile.MAX_KEYS


def test_a_file_that_cannot_be_written_stays_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(keyfile.KeyFileError, match=r"No space left on device; the keys are as"):
        key_rotation.rotate(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def refuse(_draft: Path, _target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(keyfile.KeyFileError, match="Permission denied"):
        key_rotation.rotate(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_changes_at_once_come_one_after_another(path: Path) -> None:
    threads = [threading.Thread(target=key_rotation.rotate, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(keyfile.load_keys(path))) == list(range(9))


def test_the_command_lists_and_changes_keys_and_shows_no_secret(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--keys", str(path), "--state-dir", str(path.parent)]
    assert main(["keys", "rotate", *file]) == 0
    assert "key 1 signs; 0, 1 verify" in capsys.readouterr().out
    assert main(["keys", "list", *file, "--json"]) == 0
    listed = capsys.readouterr().out
    assert json.loads(listed) == {"file": str(path), "signs": 1, "verify": [1, 0]}
    assert main(["keys", "drop", "0", *file]) == 0
    secrets = [key.secret.hex() for key in keyfile.load_keys(path)]
    assert not any(secret in listed + capsys.readouterr().out for secret in secrets)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["drop"], "pypow keys drop: expected the ID of a key"),
        (["rotate", "1"], "pypow keys rotate: expected no ID"),
        (["drop", "0"], "rotate first"),
        (["turn"], "turn"),
    ],
)
def test_wrong_use_of_the_command_is_one_line(
    arguments: list[str], complaint: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments, "--keys", str(path), "--state-dir", str(path.parent)]) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1


def test_keys_that_are_not_there_are_not_made_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate", "--state-dir", str(tmp_path)]) == 2
    assert "No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
