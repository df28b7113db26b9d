# SPDX-License-Identifier: Apache-2.0
"""Where a request comes from: the connection, or what a trusted proxy says of it.

A header that names the client is anybody's to write. So it is looked at only when the connection
comes from a proxy that the operator has named, only in the one header that this proxy sets, and
only as far from its right end as proxies wrote it: the first hop that is no trusted proxy is the
client. Whatever cannot be read ends the way there, and the last proxy counts as the client.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from pypow.errors import InvalidInputError

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Peer: TypeAlias = tuple[str, int] | None
RawFields: TypeAlias = Iterable[tuple[bytes, bytes]]

_LONGEST: Final = 64
"""Characters of the longest address, with its zone: callers must not fill the memory."""

_LISTS: Final = frozenset({b"x-forwarded-for", b"forwarded"})
"""Headers to which each proxy adds the hop before it; every other one names the client alone."""

_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
# An address as proxies write it: bare, in brackets, or either with a port.
_NODE: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?")
# RFC 7239 section 4. No comma and no backslash within quotes: elements are told apart by their
# commas, and a quoted text that holds one comes apart in pieces that are no elements.
_PAIR: Final = rb"([!#$%&'*+.^_`|~A-Za-z0-9-]+)=([!#$%&'*+.^_`|~A-Za-z0-9-]+|\"[^\",\\]*\")"
_PAIRS: Final = re.compile(_PAIR)
_ELEMENT: Final = re.compile(_PAIR + rb"(?:;" + _PAIR + rb")*")


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """Who sends a request.

    Attributes:
        text: the address as Python writes it.
        address: the same, to be compared; IPv4 also where it came over an IPv6 socket.
        network: what counts as one client: IPv4 /32, IPv6 /64.
    """

    text: str
    address: IPAddress
    network: str


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Whose word on the client is taken, and in which header.

    Attributes:
        networks: the proxies' own addresses; by default nobody's.
        header: the field in which they name the client, in lower case.
    """

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    header: bytes = b"x-forwarded-for"

    @classmethod
    def parse(cls, networks: Iterable[str], header: str = "X-Forwarded-For") -> "TrustedProxies":
        """Read networks such as ``10.0.0.0/8`` or ``::1``, and the name of a header.

        Raises:
            InvalidInputError: neither an address nor a network, or no header's name.
        """
        if not _NAME.fullmatch(header):
            raise InvalidInputError(
                f"expected the name of a header such as X-Forwarded-For, got {header[:60]!a}"
            )
        return cls(tuple(_network(text) for text in networks), header.lower().encode())

    def trust(self, client: Client | None) -> bool:
        """Whether this is one of the proxies."""
        return client is not None and any(client.address in network for network in self.networks)


NOBODY: Final = TrustedProxies()


def client_of(peer: Peer, headers: RawFields, trusted: TrustedProxies) -> Client | None:
    """The client; None for a connection that has no address (a Unix socket).

    Args:
        peer: the other end of the connection.
        headers: of the request.
        trusted: whose headers count.
    """
    nearest = client_at(peer)
    if not (trusted.networks and trusted.trust(nearest)):
        return nearest
    values = [value for name, value in headers if name.lower() == trusted.header]
    if trusted.header not in _LISTS:
        named = _address(values[0].strip(b" \t")) if len(values) == 1 else None
        return named or nearest
    for hop in _hops(values, trusted.header):
        if hop is None:
            break
        nearest = hop
        if not trusted.trust(hop):
            break
    return nearest


def client_network(peer: Peer, headers: RawFields, trusted: TrustedProxies) -> str:
    """The network that counts as one client: IPv4 /32, IPv6 /64; ``local`` without an address.

    >>> balancer = TrustedProxies.parse(["10.0.0.0/8"])
    >>> client_network(("10.0.0.1", 1), [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9")], balancer)
    '203.0.113.9/32'
    >>> client_network(("192.0.2.1", 1), [(b"x-forwarded-for", b"203.0.113.9")], balancer)
    '192.0.2.1/32'
    """
    client = client_of(peer, headers, trusted)
    return "local" if client is None else client.network


def _hops(values: list[bytes], header: bytes) -> Iterator[Client | None]:
    """The hops from the nearest to the farthest; None where one cannot be read."""
    read = _forwarded_for if header == b"forwarded" else _address
    for value in reversed(values):
        for hop in reversed(value.split(b",")):
            yield read(hop.strip(b" \t"))


def _forwarded_for(element: bytes) -> Client | None:
    pairs = _PAIRS.findall(element) if _ELEMENT.fullmatch(element) else ()
    nodes = [value for name, value in pairs if name.lower() == b"for"]
    return _address(nodes[0].strip(b'"')) if len(nodes) == 1 else None


def _address(text: bytes) -> Client | None:
    found = _NODE.fullmatch(text)
    return _parsed((found[1] or found[2] if found else text).decode("latin-1"))


def client_at(peer: Peer) -> Client | None:
    """Who is at a connection's other end; None for one without an address (a Unix socket)."""
    return _remembered(peer[0]) if peer and len(peer[0]) <= _LONGEST else None


def _parsed(text: str) -> Client | None:
    return _remembered(text) if len(text) <= _LONGEST else None


@functools.lru_cache(maxsize=4096)
def _remembered(text: str) -> Client | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # One host, one name: what came over an IPv6 socket is still the IPv4 host it was.
    address = getattr(address, "ipv4_mapped", None) or address
    if isinstance(address, ipaddress.IPv6Address):
        network = str(ipaddress.ip_network((address.packed, 64), strict=False))
    else:
        network = f"{address}/32"
    return Client(str(address), address, network)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise InvalidInputError(
            f"expected an address or network such as 10.0.0.0/8 or ::1, got {text[:60]!a}"
        ) from None
