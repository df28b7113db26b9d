# SPDX-License-Identifier: Apache-2.0
"""Which addresses belong to the public net: nobody outside may send us to any other."""

import ipaddress
from typing import Final

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PUBLIC_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL: Final = (
    # Protocol assignments and 6to4, which stand for other addresses; instance metadata of clouds.
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("2001::/23"),
    ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("3fff::/20"),
)


def is_public(address: IPAddress) -> bool:
    """Whether an address is of the public net, and stands for no other that is not.

    IPv4 within IPv6 (mapped, RFC 4291 section 2.5.5.2; NAT64, RFC 6052) is judged as the IPv4
    address that is meant.
    """
    meant = _meant(address)
    if isinstance(meant, ipaddress.IPv6Address) and meant not in _PUBLIC_IPV6:
        return False
    return (
        meant.is_global
        and not meant.is_multicast
        and not any(meant in network for network in _SPECIAL if network.version == meant.version)
    )


def literal(host: str) -> IPAddress | None:
    """The address that a host's name is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host's name says that it is this machine."""
    address = literal(host)
    return host == "localhost" if address is None else _meant(address).is_loopback


def _meant(address: IPAddress) -> IPAddress:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
