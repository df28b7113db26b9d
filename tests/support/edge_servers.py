# SPDX-License-Identifier: Apache-2.0
"""A gate as a process of its own, under each web server that can serve it to the public."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from support.gate_process import environment, gate_process
from support.waiting import free_port, wait_until_it_listens

EASY_BITS = "4"


@contextmanager
def uvicorn_gate(home: Path, upstream: str) -> Iterator[str]:
    """`pypow gate`; yields its URL."""
    with gate_process(home, upstream, "--bits", EASY_BITS, "--log-level", "error") as gate:
        yield gate.url


@contextmanager
def granian_gate(home: Path, upstream: str) -> Iterator[str]:
    """The same gate under granian, as server/README.md has it, but for its deadline of a head."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory"]
    command += ["--http", "1", "--http1-header-read-timeout", "1000"]
    command += ["--http1-buffer-size", "32768", "--host", "127.0.0.1", "--port", str(port)]
    settings = {"PYPOW_UPSTREAM": upstream, "PYPOW_BITS": EASY_BITS, "PYPOW_PUBLIC_URL": url}
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*command, "pypow_server.asgi:create"],
        env=environment(home, **settings, **paths),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_it_listens(process, port)
            yield url
        finally:
            process.terminate()


SERVERS: dict[str, Callable[[Path, str], AbstractContextManager[str]]] = {
    "uvicorn": uvicorn_gate,
    "granian": granian_gate,
}
