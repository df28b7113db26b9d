# SPDX-License-Identifier: Apache-2.0
"""The whole story on one screen: an MCP server, the gate before it, and an agent that earns a call.

``make demo`` plays it and exits; ``make run`` leaves the gate running until Ctrl-C. Everything
is real: two processes, a stock MCP client, and plain HTTP.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mcp
from rich.console import Console
from rich.markup import escape

import pypow

BITS = 20
STARTUP_S = 60
STOP_S = 15
DATE = "2026-07-28"
PROOF = "io.pypow/proof"
REFUSAL = "io.pypow/refusal"

console = Console(highlight=False)


class StoryError(Exception):
    """Something did not go as the story has it."""


def main() -> int:
    """Play; returns the exit code."""
    parser = argparse.ArgumentParser(description="Play pypow's whole story.")
    parser.add_argument("--stay", action="store_true", help="then serve until Ctrl-C")
    stay = parser.parse_args().stay
    # Whoever stops the demo stops its processes too.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="pypow-demo-") as state_dir:
            play(state_dir, stay=stay)
    except KeyboardInterrupt:
        console.print("\nstopped" if stay else "\ninterrupted")
        return 0 if stay else 130
    except StoryError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    return 0


def play(state_dir: str, *, stay: bool) -> None:
    """The acts, in order."""
    title("The engine")
    kernel = pypow.chosen_kernel()
    rate = pypow.hashrate(seconds=0.2)
    say(f"kernel [bold]{kernel.name}[/]: {rate / 1e6:.1f} million SHA-256 a second on one thread")

    here = Path(__file__).parent
    with background([sys.executable, str(here / "mcp_server.py"), "--port", "0"]) as upstream:
        command = [sys.executable, "-m", "pypow", "gate", "--json", "--upstream", upstream]
        command += ["--bits", str(BITS), "--state-dir", state_dir]
        command += ["--listen", free_address(8402), "--admin", free_address(8403)]
        with background(command) as line:
            gate = json.loads(line)
            title("The gate")
            say(f"an MCP server at {upstream}, and the gate before it at [bold]{gate['url']}[/]")
            say(f"price of a call: {BITS} bits, {2**BITS:,} hashes on average")
            asyncio.run(play_agent(gate["url"] + gate["mcp_paths"][0]))
            play_plain_http(gate["url"])
            if stay:
                show_invitation(gate)
                signal.pause()


async def play_agent(url: str) -> None:
    """A stock MCP client: it looks around for nothing, and works for what it calls."""
    title("An agent, with a stock MCP client")
    async with mcp.Client(url) as agent:
        tools = (await agent.list_tools()).tools
        say(f"tools/list is free: {', '.join(tool.name for tool in tools)}")

        refusal = await agent.call_tool("moon_phase", {"date": DATE})
        told("moon_phase without a proof", refusal, good=False)
        challenge = (refusal.meta or {})[REFUSAL]["offers"][0]["challenge"]
        proof = await pypow.asolve(challenge)
        say_work(proof)

        meta: Any = {PROOF: proof.to_json()}
        told("moon_phase with it", await agent.call_tool("moon_phase", {"date": DATE}, meta=meta))
        replay = await agent.call_tool("moon_phase", {"date": DATE}, meta=meta)
        told("the same proof again", replay, good=False)


def play_plain_http(url: str) -> None:
    """The same without MCP: any tool that can send a header will do."""
    title("Anybody, with plain HTTP")
    resource = f"/moon/{DATE}"
    exchange(url, resource, 402)
    issued = exchange(url, "/api/challenge", 200, shown="challenge")
    proof = pypow.solve(issued["challenge"])
    say_work(proof)
    exchange(url, resource, 200, solution=proof.header())
    exchange(url, resource, 402, solution=proof.header())


def exchange(
    url: str, path: str, status: int, *, solution: str | None = None, shown: str = ""
) -> Any:
    """One GET, shown as the curl line that does the same and what came back."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"X-PoW-Solution": solution} if solution else {})
        response = connection.getresponse()
        body = json.loads(response.read())
    proof = "" if solution is None else f" -H 'X-PoW-Solution: {short(solution)}'"
    answer = short(str(body.get(shown) or body.get("title") or body))
    say(f"[bold]curl {url}{path}[/]{escape(proof)}")
    say(f"  [{'green' if response.status < 400 else 'red'}]{response.status}[/] {escape(answer)}")
    if response.status != status:
        raise StoryError(f"expected status {status}, got {response.status}")
    return body


def show_invitation(gate: dict[str, Any]) -> None:
    """What a reader can try while the gate stays up."""
    title("Your turn")
    url = gate["url"]
    solver = Path(sys.executable).with_name("pypow")
    for line in (
        f"curl -i {url}/moon/{DATE}",
        f"curl -s {url}/api/challenge",
        f"{solver} solve --challenge <challenge>",
        f"curl -i {url}/moon/{DATE} -H 'X-PoW-Solution: <header>'",
    ):
        say(escape(line))
    say(f"Live view: {gate['admin_url']}/")
    say(f"API pages: {gate['admin_url']}/docs")
    say("[dim]Ctrl-C stops everything.[/]")


@contextlib.contextmanager
def background(command: Sequence[str]) -> Iterator[str]:
    """A process, and the first line it prints, which says that it is up.

    It is stopped on the way out, whatever happened inside.
    """
    with tempfile.TemporaryFile() as complaints:
        # In its own session, Ctrl-C at the terminal reaches the demo alone, which stops it then.
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, start_new_session=True
        )
        try:
            yield first_line(child, complaints)
        finally:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            assert child.stdout is not None
            child.stdout.close()


def first_line(child: "subprocess.Popen[str]", complaints: Any) -> str:
    """Wait for the line, not for a time."""
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        ready = selector.select(STARTUP_S)
    line = child.stdout.readline().strip() if ready else ""
    if not line:
        complaints.seek(0)
        why = complaints.read().decode(errors="replace").strip() or "it said nothing"
        raise StoryError(f"{' '.join(child.args)} did not start: {why}")  # type: ignore[arg-type]  # a list of str
    return line


def free_address(port: int) -> str:
    """This loopback port, or any free one where it is taken."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return f"127.0.0.1:{port}"
    except OSError:
        return "127.0.0.1:0"


def title(text: str) -> None:
    """Begin an act."""
    console.print(f"\n[bold cyan]{text}[/]")


def say(text: str) -> None:
    """One line of the story."""
    console.print(f"  {text}", soft_wrap=True)


def say_work(proof: pypow.Proof) -> None:
    """What a solve took."""
    work = proof.work
    assert work is not None
    say(
        f"[yellow]solved[/]: {work.hashes:,} hashes in {work.seconds * 1000:.0f} ms "
        f"({work.kernel}, {work.threads} threads)"
    )


def told(what: str, result: Any, *, good: bool = True) -> None:
    """What a tool call was answered."""
    text = short(" ".join(part.text for part in result.content))
    if bool(result.is_error) is good:
        raise StoryError(f"{what} was answered otherwise than it should be: {text}")
    say(f"{what}: [{'green' if good else 'red'}]{escape(text)}[/]")


def short(text: str) -> str:
    """The text with its challenges cut down to something that a reader can skip."""
    return re.sub(r"[A-Za-z0-9_-]{104}", lambda challenge: f"{challenge[0][:8]}…", text)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
