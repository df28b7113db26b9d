# SPDX-License-Identifier: Apache-2.0
"""The networks that a caller's address lies in, and how many callers' allowance each has."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from .errors import InvalidInputError, shown

_LEVELS: Final = {4: ((32, 1), (24, 16)), 6: ((64, 1), (56, 16), (48, 64))}


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        prefix: as text, ``192.0.2.0/24``; the key of its account.
        share: how many principals' allowance it has; 1 is as good as an address.
    """

    prefix: str
    share: int


def networks(address: str) -> tuple[Network, ...]:
    """The networks of an address, narrowest first: IPv4 /32 and /24; IPv6 /64, /56 and /48.

    An IPv4 address written as an IPv6 one (RFC 4291 section 2.5.5.2) is an IPv4 address.

    Raises:
        InvalidInputError: ``address`` is no IP address.

    >>> [network.prefix for network in networks("192.0.2.7")]
    ['192.0.2.7/32', '192.0.2.0/24']
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise InvalidInputError(f"expected an IP address, got {shown(address)}") from None
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.IPv6Address(int(found))  # without its zone
    return tuple(
        Network(str(ipaddress.ip_network((found, length), strict=False)), share)
        for length, share in _LEVELS[found.version]
    )
