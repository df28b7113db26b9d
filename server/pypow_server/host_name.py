# SPDX-License-Identifier: Apache-2.0
"""The name by which a gate is called: out of a Host header, and whether it is an address."""

import functools
import ipaddress
import re


@functools.lru_cache(maxsize=1024)
def hostname(host: bytes) -> str:
    """The name in a Host header, without its port.

    >>> hostname(b"Gate.example:8402"), hostname(b"[::1]:8402")
    ('gate.example', '::1')
    """
    found = re.fullmatch(rb"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/]+))(?::[0-9]{1,5})?", host)
    if found is None:
        return ""
    return (found[1] or found[2]).decode("latin-1").lower()


@functools.lru_cache(maxsize=1024)
def is_ip(name: str) -> bool:
    """Whether the name of a host is an address; one in a URL stands without its brackets."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
