# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol (HAProxy's, versions 1 and 2), which is not spoken here: it is told apart.

Whoever can connect could name any address in it, and balancers that can speak it can set a header
as well. One that is set to speak it gets every request refused, so its operator must hear why.
"""

import logging
import math
from dataclasses import dataclass
from typing import Final

_LOG = logging.getLogger("pypow_server.proxy_protocol")
_SIGNATURES: Final = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
_QUIET_S: Final = 60.0


def begins(octets: bytes) -> bool:
    """Whether a connection whose first octets these are speaks it.

    >>> begins(b"PROXY TCP4 192.0.2.1 ..."), begins(b"GET / HTTP/1.1")
    (True, False)
    """
    return octets.startswith(_SIGNATURES)


@dataclass(slots=True)
class Complaint:
    """Told once a minute at most, since any caller could have it told."""

    due_at: float = -math.inf

    def tell(self, peer: str, *, now: float) -> None:
        """Tell whose connection it is, unless another was told of just now.

        Args:
            peer: the address at the other end.
            now: seconds, of any clock that does not go back.
        """
        if now >= self.due_at:
            self.due_at = now + _QUIET_S
            _LOG.warning(
                "%s speaks the PROXY protocol, and is refused: have it send X-Forwarded-For "
                "instead (HAProxy: no send-proxy), and name it in [trust] proxies",
                peer,
            )
