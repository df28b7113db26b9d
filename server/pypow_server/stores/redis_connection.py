# SPDX-License-Identifier: Apache-2.0
"""One connection to the Redis or Valkey that is master now, fit to hold a ledger."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from pypow_server.stores import StoreError
from pypow_server.stores.redis_address import RedisAddress

TIMEOUT_S: Final = 1.0
"""How long connecting may take, and how long an answer."""

_OLDEST: Final = 7

Reply: TypeAlias = Any
"""What a script returns: integers, octets and lists of them."""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script.

    Attributes:
        source: its text.
        keys: its KEYS.
        values: its ARGV.
    """

    source: str
    keys: Sequence[bytes | str]
    values: Sequence[bytes | str | int]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a server says of itself.

    Attributes:
        appends: whether it writes what it is told to an append-only file.
        now_ms: its clock, in Unix milliseconds.
    """

    appends: bool
    now_ms: int


class RedisConnection:
    """Runs scripts, all that wait in one round trip. A fault ends its use."""

    def __init__(self, address: RedisAddress, scripts: Sequence[str]) -> None:
        """Finds the master, connects to it and makes sure that it keeps what it is told.

        Args:
            address: where to look.
            scripts: the texts of all scripts that will be run.

        Raises:
            StoreError: it cannot be reached, or may forget spends; the text says the fix.
        """
        self._address = address
        self._scripts = scripts
        try:
            host, port = _find_master(address)
            self._client = _client(address, host, port)
            try:
                self._require_fitness()
                self._load()
            except BaseException:
                self.close()
                raise
        except (RedisError, OSError) as error:
            raise self._fault(error) from error

    def run(self, calls: Sequence[ScriptCall]) -> list[Reply | StoreError]:
        """Runs scripts, one after the other, in one round trip.

        Returns:
            What each returned, or why it is unknown whether it ran.

        Raises:
            StoreError: it is unknown of every one.
        """
        try:
            replies = self._send(calls)
            forgotten = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if forgotten:
                self._load()
                again = self._send([calls[n] for n in forgotten])
                for n, reply in zip(forgotten, again, strict=True):
                    replies[n] = reply
        except (RedisError, OSError) as error:
            raise self._fault(error) from error
        return [self._fault(r) if isinstance(r, Exception) else r for r in replies]

    def condition(self) -> Condition:
        """Asks whether the server keeps what it is told, and what time it is there.

        Raises:
            StoreError: it does not answer.
        """
        ask: Callable[..., Any] = self._client.execute_command
        try:
            appends = bool(ask("INFO", "persistence").get("aof_enabled"))
            seconds, microseconds = ask("TIME")
        except (RedisError, OSError) as error:
            raise self._fault(error) from error
        return Condition(appends, int(seconds) * 1000 + int(microseconds) // 1000)

    def close(self) -> None:
        """Closes the connection."""
        with suppress(RedisError, OSError):
            self._client.close()

    def _send(self, calls: Sequence[ScriptCall]) -> list[Reply]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            digest = self._digests[call.source]
            pipeline.evalsha(digest, len(call.keys), *call.keys, *call.values)
        return pipeline.execute(raise_on_error=False)

    def _load(self) -> None:
        self._digests = {text: self._client.script_load(text) for text in self._scripts}

    def _require_fitness(self) -> None:
        info: Mapping[str, Any] = self._client.info("server", "memory")
        version = str(info.get("redis_version", "0"))
        if int(version.partition(".")[0]) < _OLDEST:
            raise StoreError(
                f"expected Redis 7.0 or Valkey 7.2 at {self._address}; got {version}",
                fix="upgrade it",
            )
        policy = info.get("maxmemory_policy")
        if policy != "noeviction":
            raise StoreError(
                f"the Redis at {self._address} may forget what is spent: its maxmemory-policy is "
                f"{policy}",
                fix="set it to noeviction, and give it memory enough",
            )

    def _fault(self, error: Exception) -> StoreError:
        for kind, remedy in _REMEDIES.items():
            if isinstance(error, kind):
                return StoreError(f"cannot use the Redis at {self._address}: {error}", fix=remedy)
        return StoreError(f"cannot use the Redis at {self._address}: {error}")


_REMEDIES: Final[Mapping[type[Exception], str]] = {
    AuthenticationError: "give the right user and password in the store's URL",
    NoPermissionError: "give its user the commands and keys that docs/stores.md lists",
    BusyLoadingError: "it is reading its data; wait",
    OutOfMemoryError: "it is full; give it more maxmemory",
    ReadOnlyError: "it is a replica; name the master, or use redis+sentinel://",
    MovedError: "another node of its cluster has the slot; redis+cluster:// follows it",
    ClusterDownError: "its cluster is down; bring it up",
    MasterNotFoundError: "check the sentinels' addresses and the master's name",
    redis.TimeoutError: f"it did not answer within {TIMEOUT_S:g} s",
    redis.ConnectionError: "check that it runs and can be reached",
    OSError: "check that it runs and can be reached",
}


def _client(address: RedisAddress, host: str, port: int) -> redis.Redis:
    return redis.Redis(
        host=host,
        port=port,
        db=address.database,
        username=address.username,
        password=address.password,
        **_transport(address),
    )


def _transport(address: RedisAddress) -> dict[str, Any]:
    # No retries: the first try may have spent, and the second would then call it lost.
    transport: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.tls:
        transport |= {"ssl": True, "ssl_ca_certs": address.ca}
    return transport


def _find_master(address: RedisAddress) -> tuple[str, int]:
    if address.master is not None:
        with Sentinel(  # type: ignore[no-untyped-call]
            address.hosts,
            sentinel_kwargs={
                **_transport(address),
                "username": address.sentinel_user,
                "password": address.sentinel_password,
            },
        ) as sentinel:
            found: tuple[str, int] = sentinel.discover_master(address.master)
            return found
    if address.cluster:
        return _find_node(address)
    return address.hosts[0]


def _find_node(address: RedisAddress) -> tuple[str, int]:
    """The node that has the deployment's slot, as the first node says that answers."""
    fault: Exception = ClusterDownError("no node was named")
    for host, port in address.hosts:
        client = _client(address, host, port)
        try:
            ask: Callable[..., Any] = client.execute_command
            slot = ask("CLUSTER KEYSLOT", address.key(""))
            for first, last, primary, *_ in ask("CLUSTER SLOTS"):
                if first <= slot <= last:
                    return primary[0].decode() or host, primary[1]
            fault = ClusterDownError(f"no node has slot {slot}")
        except (RedisError, OSError) as error:
            fault = error
        finally:
            client.close()
    raise fault
