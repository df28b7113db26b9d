# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers: both sides do the work that is counted, or the peer is skipped."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import contestants
import miner
import peer_home
import peers
from contestants import CONTESTANTS, Contestant
from peer_home import UnavailableError
from peer_process import Job, PeerProcess, grind_here

TWIN = """
import json
print(json.dumps({{"version": "twin"}}), flush=True)
while True:
    job = json.loads(input())
    print(json.dumps({{"hashes": {hashes}, "ns": 1000000}}), flush=True)
"""

MINER = """
import sys
if "--version" in sys.argv:
    print("miner 1.0")
    sys.exit()
while True:
    sum(range(1_000_000))
    print("thread 0: 1 hashes, 1 khash/s", flush=True)
"""


def script(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def program(text: str) -> Callable[[], PeerProcess]:
    return lambda: PeerProcess((sys.executable, "-c", text), Path.cwd())


@pytest.mark.parametrize("name", ["hashlib concat", "hashlib copy + update"])
def test_a_peer_is_measured_beside_pypow(name: str) -> None:
    (contestant,) = (one for one in CONTESTANTS if one.name == name)
    row, version = peers.measure(contestant, rounds=3, slice_s=0.001)
    assert (row.name, row.unit) == (name, "x")
    assert 0 < row.p25 <= row.value <= row.p75
    assert "OpenSSL" in version


@pytest.mark.parametrize("pose", sorted({one.pose for one in CONTESTANTS}, key=repr))
@pytest.mark.parametrize("hashes", [1, 10, 11, 300])
def test_a_posed_puzzle_takes_as_many_hashes_as_it_says(
    pose: Callable[[str, int], contestants.Posed], hashes: int
) -> None:
    puzzle, job = pose("00ff" * 8, hashes)
    assert (grind_here(puzzle).hashes, job.hashes) == (hashes, hashes)


def test_a_peer_that_stops_early_is_caught() -> None:
    lazy = Contestant("twin", "twin", program(TWIN.format(hashes="job['hashes'] - 1")))
    with pytest.raises(UnavailableError, match="it stopped after 63 hashes where 64"):
        peers.measure(lazy, rounds=2, slice_s=0.001)


def test_a_peer_that_does_not_start_is_told_by_its_last_words() -> None:
    with pytest.raises(UnavailableError, match=r"ended: ModuleNotFoundError: .*nothing_here"):
        program("import nothing_here")()


@pytest.mark.parametrize(
    ("line", "hashrate"),
    [
        ("[10:00:00] thread 0: 4924720 hashes, 4851 khash/s", 4.851e6),
        ("[10:00:00] Thread 0, CPU 0: 30.50 Mh/s", 30.5e6),
        ("[10:00:00] thread 0: 12 hashes, 12 hash/s", 12.0),
        ("[10:00:00] Total: 4851 khash/s", None),
        ("[10:00:00] 1 miner threads started, using 'sha256d' algorithm.", None),
    ],
)
def test_a_miner_is_understood(line: str, hashrate: float | None) -> None:
    assert miner.reported(line) == hashrate


def test_a_miner_is_measured_between_two_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(miner, "_WHOLE_SCAN_NS", 5_000_000)
    with miner.Miner(script(tmp_path, MINER)) as asked:
        assert asked.version == "miner 1.0"
        assert asked.grind(Job("", "", 1)).hashes >= 5
    with miner.Miner("/bin/true") as mute, pytest.raises(UnavailableError, match="without"):
        mute.grind(Job("", "", 1))


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
