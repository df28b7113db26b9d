# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers: both sides do the work that is counted, or the peer is skipped."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import contestants
import peer_home
import peers
from contestants import CONTESTANTS, Contestant
from peer_home import UnavailableError
from peer_process import PeerProcess, grind_here

TWIN = """
import json
print(json.dumps({{"version": "twin"}}), flush=True)
while True:
    job = json.loads(input())
    print(json.dumps({{"hashes": {hashes}, "ns": 1000000}}), flush=True)
"""


def program(text: str) -> Callable[[], PeerProcess]:
    return lambda: PeerProcess((sys.executable, "-c", text), Path.cwd())


@pytest.mark.parametrize("name", ["hashlib concat", "hashlib copy + update"])
def test_a_peer_is_measured_beside_pypow(name: str) -> None:
    (contestant,) = (one for one in CONTESTANTS if one.name == name)
    row, version = peers.measure(contestant, rounds=3, slice_s=0.001)
    assert (row.name, row.unit) == (name, "x")
    assert 0 < row.p25 <= row.value <= row.p75
    assert "OpenSSL" in version


@pytest.mark.parametrize("pose", [contestants.decimal_sha256, contestants.hashcash])
@pytest.mark.parametrize("hashes", [1, 10, 11, 4097])
def test_a_posed_puzzle_takes_as_many_hashes_as_it_says(
    pose: Callable[[str, int], contestants.Posed], hashes: int
) -> None:
    puzzle, job = pose("00ff", hashes)
    assert (grind_here(puzzle).hashes, job.hashes) == (hashes, hashes)


def test_a_peer_that_stops_early_is_caught() -> None:
    lazy = Contestant("twin", "twin", program(TWIN.format(hashes="job['hashes'] - 1")))
    with pytest.raises(UnavailableError, match="it stopped after 63 hashes where 64"):
        peers.measure(lazy, rounds=2, slice_s=0.001)


def test_a_peer_that_does_not_start_is_told_by_its_last_words() -> None:
    with pytest.raises(UnavailableError, match=r"ended: ModuleNotFoundError: .*nothing_here"):
        program("import nothing_here")()


def test_what_is_installed_halfway_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_home, "HOME", tmp_path)
    monkeypatch.setattr(peer_home, "program", lambda name, *_: name)
    asked: list[str] = []

    def fail(tool: str, *_command: str, **_options: object) -> None:
        asked.append(tool)
        raise UnavailableError(f"{tool} failed: offline")

    monkeypatch.setattr(peer_home, "_run", fail)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="offline"):
            peer_home.openssl_folder()
    monkeypatch.setattr(peer_home, "_run", lambda tool, *_, **__: asked.append(tool))
    assert peer_home.openssl_folder() == peer_home.openssl_folder()
    assert asked == ["cc"] * 3


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(UnavailableError, match="no-such-tool is not on PATH; get it"):
        peer_home.program("no-such-tool", "get it")


def test_every_row_has_a_name_of_its_own() -> None:
    names = [one.name for one in CONTESTANTS]
    assert sorted(set(names)) == sorted(names)
