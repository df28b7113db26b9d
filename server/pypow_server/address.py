# SPDX-License-Identifier: Apache-2.0
"""Where a listener binds, as text and as a value."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from pypow import InvalidInputError

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only looked up, never bound


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener binds: a host (an IP address or a name) and a port; 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``host:port``; an IPv6 host stands in brackets.

        >>> Address.parse("[::1]:8402")
        Address(host='::1', port=8402)

        Raises:
            InvalidInputError: anything else.
        """
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
            # Fails where no resolver could take the name, which would fail less politely.
            (host or "").encode("idna")
        except ValueError:
            host = port = None
        if not host or port is None or parts.netloc != text or "@" in text:
            raise InvalidInputError(
                f"expected HOST:PORT such as 127.0.0.1:8402 or [::1]:8402, got {text!r}"
            )
        return cls(host, port)

    @property
    def url(self) -> str:
        """How a caller on this machine reaches the listener."""
        return f"http://{Address(_LOOPBACK_OF.get(self.host, self.host), self.port)}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the listener."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
