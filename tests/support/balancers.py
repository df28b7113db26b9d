# SPDX-License-Identifier: Apache-2.0
"""nginx, Caddy and HAProxy as processes, run on the files of docs/deploy with other ports."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from support.waiting import free_port, wait_until_it_listens

DEPLOY: Final = Path(__file__).parents[2] / "docs" / "deploy"
LISTEN, GATE, SECOND_GATE, UPSTREAM = (f"127.0.0.1:{port}" for port in (8080, 8402, 8404, 8000))
"""Addresses as the files have them."""

_GRACE_S = 5

# What docs/deploy/nginx leaves to the operator's own nginx.conf.
_NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 2048; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    include {folder}/pypow.conf;
}}
"""


def _nginx(folder: Path, text: str) -> list[str]:
    (folder / "pypow.conf").write_text(text)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    return [
        "nginx",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        str(folder / "errors"),
    ]


def _caddy(folder: Path, text: str) -> list[str]:
    (folder / "Caddyfile").write_text(text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _haproxy(folder: Path, text: str) -> list[str]:
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


_STARTS: Final[Mapping[str, Callable[[Path, str], list[str]]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "haproxy": _haproxy,
}


def require(program: str) -> None:
    """Skip, by name, where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@contextlib.contextmanager
def balancer(folder: Path, file: str, addresses: Mapping[str, str]) -> Iterator[str]:
    """Runs the program of a file such as ``nginx/proxy.conf``; yields the URL it listens at.

    Args:
        folder: what it writes lands here.
        file: below docs/deploy, or with its whole path; its folder names the program.
        addresses: what to put for the addresses in the file.
    """
    program = Path(file).parent.name
    require(program)
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = (DEPLOY / file).read_text()
    for written, real in {**addresses, LISTEN: f"127.0.0.1:{port}"}.items():
        assert written in text
        text = text.replace(written, real)
    output = folder / "output"
    environment = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "PATH": "/usr/sbin:/usr/bin:/bin",
    }
    with output.open("wb") as sink:
        process = subprocess.Popen(
            _STARTS[program](folder, text), stdout=sink, stderr=sink, env=environment
        )
    try:
        wait_until_it_listens(process, port, output.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:  # Caddy waits for whoever is still connected
            process.kill()
            process.wait()
