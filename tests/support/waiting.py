# SPDX-License-Identifier: Apache-2.0
"""Waiting for what other programs bring about and do not announce: there is only asking again.

nginx, Caddy, HAProxy, granian and Redis say nothing that can be read when they begin to listen, a
replica nothing when it has caught up. Where something can be waited for, tests wait for that.
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 30
"""Only a failing test waits this long."""

_AGAIN_S: Final = 0.01


def wait_for(
    holds: Callable[[], bool],
    *,
    process: "subprocess.Popen[Any] | None" = None,
    said: Callable[[], str] = lambda: "it did not come about in time",
) -> None:
    """Returns when something holds.

    Args:
        holds: asks whether it does.
        process: what brings it about; when it ends first, nothing will.
        said: tells why it does not.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None, said()
        assert time.monotonic() < deadline, said()
        time.sleep(_AGAIN_S)


def wait_until_it_listens(
    process: "subprocess.Popen[Any]",
    port: int,
    said: Callable[[], str] = lambda: "the server does not listen",
) -> None:
    """Returns when a process takes connections on a port of 127.0.0.1."""

    def listens() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        return False

    wait_for(listens, process=process, said=said)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
