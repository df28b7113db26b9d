# SPDX-License-Identifier: Apache-2.0
"""The examples run as they are, and the demo leaves nothing behind."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError

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


@contextmanager
def serving(name: str, home: Path) -> Iterator[str]:
    """The app of an example, ``module:attribute``, served for real; yields its URL."""
    program = (
        "import importlib, socket, sys, uvicorn; sys.path.insert(0, sys.argv[1])\n"
        "module, _, attribute = sys.argv[2].partition(':')\n"
        "app = getattr(importlib.import_module(module), attribute)\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "uvicorn.Server(uvicorn.Config(app, log_level='error')).run(sockets=[listener])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(EXAMPLES), name],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(home, PYPOW_BITS="8", PYPOW_STORE="memory:"),
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("name", "path", "earned"),
    [
        ("gate_an_app:gated", "/", {"hello": "you have earned this"}),
        (
            "price_a_route:app",
            "/search",
            {"found": "what you looked for", "charged": "127.0.0.1/32"},
        ),
        ("gate_a_django_app:application", "/search", {"charged": "127.0.0.1/32"}),
    ],
)
def test_an_example_lets_a_call_in_for_one_proof(
    name: str, path: str, earned: object, tmp_path: Path
) -> None:
    with serving(name, tmp_path) as url:
        refused = ask(url + path)
        proof = solution(refused.json["offers"][0])
        admitted = ask(url + path, headers=proof)
        replayed = ask(url + path, headers=proof)

    assert [refused.status, admitted.status, replayed.status] == [402, 200, 402]
    assert admitted.json == earned


def test_a_server_of_its_own_issues_checks_and_spends_without_the_gate(tmp_path: Path) -> None:
    with serving("embed_without_gate:app", tmp_path) as url:
        offered = ask(f"{url}/search").json
        proof = solution(offered)
        answers = [ask(f"{url}/search", headers=proof) for _ in range(2)]
        wrong = ask(f"{url}/search", headers={"X-PoW-Solution": "nonsense"})
        unsolved = f"challenge={offered['challenge']},nonce=unsolved"
        lazy = ask(f"{url}/search", headers={"X-PoW-Solution": unsolved})

    assert [answer.status for answer in answers] == [200, 402]
    assert answers[1].json["error"] == "the proof is spent"
    assert (wrong.status, lazy.status) == (400, 402)


def test_the_fastmcp_example_has_a_tool_that_costs_work_and_one_that_does_not(
    tmp_path: Path,
) -> None:
    async def story(url: str) -> None:
        async with Client(f"{url}/mcp") as client:
            assert (await client.call_tool("about")).data == "An almanac."
            with pytest.raises(ToolError, match="Proof of work is required"):
                await client.call_tool("search_moon", {"date": "2026-07-28"})

    with serving("gate_a_fastmcp_server:app", tmp_path) as url:
        asyncio.run(story(url))
