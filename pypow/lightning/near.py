# SPDX-License-Identifier: Apache-2.0
"""Which hosts are near: on this machine, in a private network, or hidden."""

import ipaddress


def is_near(host: str) -> bool:
    """Whether a host's name, or address without brackets, says that it is not of the public net."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".onion", ".internal", ".local", ".localhost"))
