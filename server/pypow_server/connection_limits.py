# SPDX-License-Identifier: Apache-2.0
"""How long, how slow and how many connections may be, and the round that looks after them.

A public server is held open by callers that send, or read, next to nothing. One round for all
connections of a server finds them; a connection of its own pays for no timer.
"""

import asyncio
import ipaddress
import resource
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from pypow.errors import InvalidInputError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)
_ROUND_S: Final = 1.0
_SPARE_FILES: Final = 64
"""File descriptors that are no caller's: the store, the logs, the listeners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one listener puts up with.

    Attributes:
        head_s: from a request's first octet, or the start of a connection, to the end of its head.
        head_octets: of the request line and all fields.
        octets_s: the least octets a second that a caller must send of a body, or take of an answer,
            in every `grace_s`. While the app reads or writes nothing, the caller is not to blame.
        grace_s: how long a caller may be slower.
        requests: after so many on one connection it is closed.
        pipelined: after so many that wait for the answer to another, it is closed as well.
        connections: at once.
        per_network: at once from one IPv4 address or IPv6 /64.
    """

    head_s: float = 10.0
    head_octets: int = 32 * 1024
    octets_s: int = 240
    grace_s: float = 10.0
    requests: int = 10_000
    pipelined: int = 16
    connections: int = 4096
    per_network: int = 256

    def __post_init__(self) -> None:
        for name in (
            "head_s", "head_octets", "grace_s", "requests", "pipelined", "connections",
            "per_network",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise InvalidInputError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if self.octets_s < 0:
            raise InvalidInputError(
                f"octets_s: expected 0 (as slow as they like) or more, got {self.octets_s}"
            )

    @property
    def round_s(self) -> float:
        """How often connections are looked after."""
        return min(_ROUND_S, self.head_s / 4, self.grace_s / 4)


@dataclass(slots=True)
class Pace:
    """Whether something moves fast enough, told from how far it has come at every round."""

    limits: ConnectionLimits
    since: float | None = None
    octets: int = 0

    def rest(self) -> None:
        """Nothing is expected to move; the grace begins anew with the next octet."""
        self.since = None

    def is_too_slow(self, octets: int, *, now: float) -> bool:
        """Whether fewer octets than the limit came since the grace began.

        Args:
            octets: how many have come in all.
            now: seconds, of any clock that does not go back.
        """
        if self.since is None:
            self.since, self.octets = now, octets
            return False
        passed = now - self.since
        if passed < self.limits.grace_s:
            return False
        slow = octets - self.octets < self.limits.octets_s * passed
        self.since, self.octets = now, octets
        return slow


Uncounted: TypeAlias = Callable[[], Collection[Network]]
"""Networks that `per_network` does not count now, since many callers come from there: balancers
and proxies."""


def this_machine() -> Collection[Network]:
    """Nobody is a proxy, unless it runs here."""
    return LOOPBACK


class Connection(Protocol):
    """What the round asks of a connection."""

    def look_after(self, now: float) -> None:
        """End the connection if it is overdue."""
        ...


@dataclass(slots=True)
class Attendance:
    """Who is connected to one listener, counted by network, and looked after in rounds."""

    limits: ConnectionLimits
    uncounted: Uncounted = this_machine
    present: dict[Connection, str | None] = field(default_factory=dict)
    _by_network: Counter[str] = field(default_factory=Counter)
    _round: asyncio.TimerHandle | None = None

    def admits(self, connection: Connection, address: str | None) -> bool:
        """Take a new connection in, unless there are too many; `leave` is due for each taken."""
        counted = counted_as(address, uncounted=self.uncounted())
        if len(self.present) >= self.limits.connections:
            return False
        if counted is not None:
            if self._by_network[counted] >= self.limits.per_network:
                return False
            self._by_network[counted] += 1
        self.present[connection] = counted
        if self._round is None:
            self._await_round()
        return True

    def leave(self, connection: Connection) -> None:
        """The connection has ended. Nothing happens where it was never taken in."""
        counted = self.present.pop(connection, None)
        if counted is not None:
            self._by_network[counted] -= 1
            if not self._by_network[counted]:
                del self._by_network[counted]

    def _await_round(self) -> None:
        loop = asyncio.get_running_loop()
        self._round = loop.call_later(self.limits.round_s, self._look_after_all)

    def _look_after_all(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.present):
            connection.look_after(now)
        self._round = None
        if self.present:
            self._await_round()


def counted_as(address: str | None, *, uncounted: Collection[Network]) -> str | None:
    """The name under which connections from an address are counted; None for none.

    >>> counted_as("203.0.113.9", uncounted=()), counted_as("127.0.0.1", uncounted=LOOPBACK)
    ('203.0.113.9', None)
    >>> counted_as("2001:db8::1", uncounted=()), counted_as("::ffff:203.0.113.9", uncounted=())
    ('2001:db8::', '203.0.113.9')
    """
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:  # a Unix socket has no address
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if any(ip in network for network in uncounted):
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(ip.packed[:8] + bytes(8)))
    return str(ip)


def within_open_files(limits: ConnectionLimits, *, others: int) -> int:
    """The most connections that the process has file descriptors for, as far as it may have more.

    Each call that is passed on takes two: one of the caller and one of the upstream.

    Args:
        limits: of the callers.
        others: connections that are no caller's, each of which takes one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = others + _SPARE_FILES
    wanted = 2 * limits.connections + spare
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(limits.connections, (soft - spare) // 2))
