# SPDX-License-Identifier: Apache-2.0
"""The examples run as they are, and the demo leaves nothing behind."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.gate_process import PATIENCE_S, environment
from support.plain_http import ask, solution

EXAMPLES = Path(__file__).parent.parent / "examples"


def start(home: Path, name: str, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLES / name), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, COLUMNS="200", NO_COLOR="1", TMPDIR=str(home)),
    )


def children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listing.split()]


def test_the_demo_plays_the_whole_story_and_exits(tmp_path: Path) -> None:
    with start(tmp_path, "demo.py") as demo:
        story, complaints = demo.communicate(timeout=2 * PATIENCE_S)

    assert demo.returncode == 0, complaints
    assert complaints == ""
    beats = [
        "million SHA-256 a second",
        "20 bits, 1,048,576 hashes",
        "tools/list is free: moon_phase",
        "moon_phase without a proof: Proof of work is required",
        "hashes in",
        "moon_phase with it: full",
        "the same proof again: The credential is already spent",
        "402 Proof of work is required",
        "200 {'date': '2026-07-28', 'phase': 'full'}",
        "402 The credential is already spent",
    ]
    places = [story.find(beat) for beat in beats]
    assert -1 not in places, beats[places.index(-1)]
    assert places == sorted(places)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_that_stays_serves_until_it_is_stopped_and_takes_its_processes_along(
    number: signal.Signals, tmp_path: Path
) -> None:
    with start(tmp_path, "demo.py", "--stay") as demo:
        assert demo.stdout is not None
        invited = ""
        for line in demo.stdout:
            found = re.search(r"curl -i (http://\S+)$", line)
            invited = found[1] if found else invited
            if "Ctrl-C" in line:
                break
        assert invited
        processes = children(demo.pid)
        status = ask(invited).status
        demo.send_signal(number)
        _, complaints = demo.communicate(timeout=2 * PATIENCE_S)

    assert status == 402
    assert len(processes) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    assert (demo.returncode, complaints) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_tells_when_its_server_does_not_start_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "demo.py").write_text((EXAMPLES / "demo.py").read_text())
    (tmp_path / "mcp_server.py").write_text("raise SystemExit('no moon today')\n")
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "demo.py")],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=2 * PATIENCE_S,
        check=False,
    )

    assert ended.returncode == 1
    assert "did not start: no moon today" in ended.stdout.replace("\n", " ")
    assert "Traceback" not in ended.stdout + ended.stderr


def test_an_app_can_be_gated_in_its_own_process(tmp_path: Path) -> None:
    program = (
        "import sys, uvicorn; sys.path.insert(0, sys.argv[1]); import gate_an_app, socket\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "config = uvicorn.Config(gate_an_app.gated, log_level='error')\n"
        "uvicorn.Server(config).run(sockets=[listener])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(EXAMPLES)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, PYPOW_BITS="8", PYPOW_STORE="memory:"),
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        refused = ask(url)
        admitted = ask(url, headers=solution(refused.json["offers"][0]))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)

    assert refused.status == 402
    assert admitted.json == {"hello": "you have earned this"}
