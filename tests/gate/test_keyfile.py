# SPDX-License-Identifier: Apache-2.0
"""The key file: made once, kept for ever, never silently replaced."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pypow_server.keyfile import KeyFileError, load_or_create

GOOD = {"id": 7, "secret": "ab" * 32}


def test_the_first_run_makes_one_key_that_only_this_user_can_read(tmp_path: Path) -> None:
    path = tmp_path / "state" / "pypow" / "keys.json"

    keyring = load_or_create(path)

    assert len(keyring.signing.secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_a_wide_umask_does_not_open_the_keys(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "keys.json")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_the_second_run_reads_what_the_first_wrote(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    assert load_or_create(path).signing == load_or_create(path).signing


def test_two_deployments_do_not_share_a_secret(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "a" / "keys.json")
    second = load_or_create(tmp_path / "b" / "keys.json")

    assert first.signing.secret != second.signing.secret


def test_the_first_of_several_keys_signs_and_all_verify(tmp_path: Path) -> None:
    path = _written(tmp_path, json.dumps({"keys": [GOOD, {"id": 3, "secret": "cd" * 16}]}))

    keyring = load_or_create(path)

    assert keyring.signing.id == 7
    assert keyring.find(3) is not None
    assert keyring.find(0) is None


_STARTER = """
import sys
from pathlib import Path
from pypow_server.keyfile import load_or_create
print("up", flush=True)
sys.stdin.readline()
print(load_or_create(Path(sys.argv[1])).signing.secret.hex())
"""


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER, str(tmp_path / "state" / "keys.json")]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
    secrets = {starter.communicate("go\n")[0] for starter in starters}

    assert len(secrets) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", secrets.pop())
    assert len(list((tmp_path / "state").iterdir())) == 1


def test_a_key_file_that_appears_during_the_first_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"

    def overtaken(_source: str, target: Path) -> None:
        _written(tmp_path, json.dumps({"keys": [GOOD]}))
        raise FileExistsError(str(target))

    monkeypatch.setattr(os, "link", overtaken)

    assert load_or_create(path).signing.id == 7
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


BAD = {
    "empty": "",
    "not JSON": "keys",
    "binary": "\x00\xff",
    "another shape": "[]",
    "no keys": '{"keys": []}',
    "keys not an array": '{"keys": 5}',
    "an unknown field": json.dumps({"keys": [GOOD], "more": 1}),
    "a key that is no object": '{"keys": ["ab"]}',
    "a key with an unknown field": json.dumps({"keys": [GOOD | {"x": 1}]}),
    "a short secret": json.dumps({"keys": [{"id": 0, "secret": "ab" * 15}]}),
    "a secret not in hex": json.dumps({"keys": [{"id": 0, "secret": "zz" * 32}]}),
    "a secret with spaces": json.dumps({"keys": [{"id": 0, "secret": "ab " * 32}]}),
    "half a byte": json.dumps({"keys": [{"id": 0, "secret": "abc" * 21}]}),
    "a secret that is a number": '{"keys": [{"id": 0, "secret": 5}]}',
    "an id too large": json.dumps({"keys": [GOOD | {"id": 65536}]}),
    "an id that is true": json.dumps({"keys": [GOOD | {"id": True}]}),
    "the same id twice": json.dumps({"keys": [GOOD, GOOD]}),
    "a repeated field": '{"keys": [], "keys": []}',
    "too long": '{"keys": [' + " " * 100_000 + "]}",
    "too deep": "[" * 50_000,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_key_file_is_one_line_and_stays_as_it_is(name: str, tmp_path: Path) -> None:
    path = _written(tmp_path, BAD[name])
    before = path.read_bytes()

    with pytest.raises(KeyFileError) as raised:
        load_or_create(path)

    line = str(raised.value)
    assert line.startswith(f"{path}: expected ")
    assert "\n" not in line
    assert "restore it from a backup" in line
    assert path.read_bytes() == before


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    secret = "5ec2e7" * 10 + "g"
    path = _written(tmp_path, json.dumps({"keys": [{"id": 0, "secret": secret}]}))

    with pytest.raises(KeyFileError) as raised:
        load_or_create(path)

    assert "5ec2e7" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_refused_with_the_fix(mode: int, tmp_path: Path) -> None:
    path = _written(tmp_path, json.dumps({"keys": [GOOD]}))
    path.chmod(mode)

    with pytest.raises(KeyFileError, match=f"chmod 600 {re.escape(str(path))}"):
        load_or_create(path)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir(mode=0o700)

    with pytest.raises(KeyFileError, match=r"keys\.json"):
        load_or_create(tmp_path / "keys.json")


def test_a_named_pipe_in_place_of_the_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys.json", 0o600)

    with pytest.raises(KeyFileError, match="expected a file"):
        load_or_create(tmp_path / "keys.json")


def test_a_file_in_place_of_the_state_directory_is_refused_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(KeyFileError, match="--state-dir"):
        load_or_create(tmp_path / "state" / "keys.json")


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.json").symlink_to(tmp_path / "gone")

    with pytest.raises(KeyFileError, match=r"keys\.json"):
        load_or_create(tmp_path / "keys.json")


def _written(directory: Path, text: str) -> Path:
    path = directory / "keys.json"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    return path
