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

_LISTS: Final = frozenset({b"x-forwarded-for", b"forwarded"})
"""Headers to which each proxy adds the hop before it; every other one names the client alone."""

_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
# An address as proxies write it: bare, in brackets, or either with a port.
_NODE: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?")
# RFC 7239 section 4. No comma and no backslash within quotes: elements are told apart by their
# commas, and a quoted text that holds one comes apart in pieces that are no elements.
_PAIR: Final = rb"[!#$%&'*+.^_`|~A-Za-z0-9-]+=(?:[!#$%&'*+.^_`|~A-Za-z0-9-]+|\"[^\",\\]*\")"
_ELEMENT: Final = re.compile(_PAIR + rb"(?:;" + _PAIR + rb")*")
_FOR: Final = re.compile(rb"(?:^|;)for=(?:\"([^\"]*)\"|([^;]*))", re.IGNORECASE)


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

    def trust(self, address: IPAddress | None) -> bool:
        """Whether this is one of the proxies."""
        return address is not None and any(address in network for network in self.networks)


NOBODY: Final = TrustedProxies()


def client_of(peer: Peer, headers: RawFields, trusted: TrustedProxies) -> IPAddress | None:
    """The address of the client; None for a connection that has none (a Unix socket).

    Args:
        peer: the other end of the connection.
        headers: of the request.
        trusted: whose headers count.
    """
    nearest = address_of(peer)
    if not trusted.networks or not trusted.trust(nearest):
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
    if not trusted.networks:
        return _network_named(peer[0]) if peer else "local"
    return network_of(client_of(peer, headers, trusted))


def network_of(address: IPAddress | None) -> str:
    """The network of an address, as `client_network` has it.

    >>> network_of(ipaddress.ip_address("2001:db8::1"))
    '2001:db8::/64'
    """
    if address is None:
        return "local"
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return f"{address}/32"


@functools.lru_cache(maxsize=4096)
def _network_named(peer: str) -> str:
    return network_of(_parsed(peer))


def _hops(values: list[bytes], header: bytes) -> Iterator[IPAddress | None]:
    """The hops from the nearest to the farthest; None where one cannot be read."""
    read = _forwarded_for if header == b"forwarded" else _address
    for value in reversed(values):
        for hop in reversed(value.split(b",")):
            yield read(hop.strip(b" \t"))


def _forwarded_for(element: bytes) -> IPAddress | None:
    nodes = _FOR.findall(element) if _ELEMENT.fullmatch(element) else ()
    return _address(nodes[0][0] or nodes[0][1]) if len(nodes) == 1 else None


def _address(text: bytes) -> IPAddress | None:
    found = _NODE.fullmatch(text)
    return _parsed((found[1] or found[2] if found else text).decode("latin-1"))


def address_of(peer: Peer) -> IPAddress | None:
    """The address of a connection's other end; None for one that has none (a Unix socket)."""
    return _parsed(peer[0]) if peer else None


def _parsed(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # One host, one name: what came over an IPv6 socket is still the IPv4 host it was.
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise InvalidInputError(
            f"expected an address or network such as 10.0.0.0/8 or ::1, got {text[:60]!a}"
        ) from None
