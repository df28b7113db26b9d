# SPDX-License-Identifier: Apache-2.0
"""Who is let in for nothing and who not at all: rows by network and by call."""

import ipaddress
from dataclasses import dataclass, field
from typing import TypeAlias

from pypow.errors import InvalidInputError

from .call import Call
from .match import Match
from .resource import http_resource

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_PREFIX = 64
"""Callers are told apart by networks of this length, so a rule cannot be finer."""


def parse_network(text: str) -> Network:
    """Read a network such as ``10.0.0.0/8``, or one address.

    Raises:
        InvalidInputError: anything else, or bits set behind the prefix.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInputError(
            f"expected a network such as 10.0.0.0/8 or 2001:db8::/48, got {text!r} ({error})"
        ) from None


@dataclass(frozen=True, slots=True)
class Access:
    """One row of an allow or deny list.

    Attributes:
        networks: where callers come from; empty for everywhere.
        match: which calls; None for all.
    """

    networks: tuple[str, ...] = ()
    match: Match | None = None
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        networks = tuple(parse_network(text) for text in self.networks)
        for network in networks:
            if network.version == 6 and network.prefixlen > IPV6_PREFIX:
                raise InvalidInputError(
                    f"expected an IPv6 network of /{IPV6_PREFIX} or wider, got {network}: callers "
                    f"are told apart by their /{IPV6_PREFIX}"
                )
        if not networks and self.match is None:
            raise InvalidInputError(
                "expected network, match or both; a row without either is about every call"
            )
        object.__setattr__(self, "_networks", networks)

    def allows(self, call: Call) -> bool:
        """Whether this row lets the call in, which it names just so."""
        return self._is_from_here(call) and (
            self.match is None or (call.canonical and self.match.is_written(call.resource))
        )

    def denies(self, call: Call) -> bool:
        """Whether this row keeps the call out, or a path that some server may read as its own.

        A row about a path is about the POST of an MCP call as well, whatever that calls.
        """
        return self._is_from_here(call) and (
            self.match is None
            or not call.canonical
            or self.match.covers(call.resource)
            or self.match.covers(http_resource(call.method, call.path))
        )

    def _is_from_here(self, call: Call) -> bool:
        if not self._networks:
            return True
        try:
            client = ipaddress.ip_network(call.client)
        except ValueError:
            return False
        return any(_within(client, network) for network in self._networks)


def _within(client: Network, network: Network) -> bool:
    return (
        client.version == network.version
        and client.prefixlen >= network.prefixlen
        and client.network_address in network
    )
