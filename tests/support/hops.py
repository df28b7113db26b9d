# SPDX-License-Identifier: Apache-2.0
"""Headers as honest and lying clients and proxies mix them, and who the client really is.

The reference reads whole chains from the left, keeps them all, and only then walks them; it
shares no code with what it is held against.
"""

import ipaddress
import itertools
import random
from dataclasses import dataclass

_ADDRESSES = (
    "203.0.113.9", "6.6.6.6", "10.0.0.1", "10.255.3.4", "192.0.2.1", "::1", "2001:db8::1",
    "2001:db8:ffff::5", "::ffff:10.0.0.9", "::ffff:203.0.113.9",
)  # fmt: skip
_NOISE = ("unknown", "", "_hidden", "1.2.3", "1.2.3.4.5", "999.1.1.1", "1.2.3.4/8", "a, b", '"')
_TRUSTED = (("10.0.0.0/8",), ("10.0.0.0/8", "2001:db8:ffff::/48"), ("0.0.0.0/0", "::/0"), ())
_HEADERS = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"cf-connecting-ip")


@dataclass(frozen=True, slots=True)
class Mix:
    """One request's way in, and what is believed."""

    peer: tuple[str, int] | None
    header: bytes
    trusted: tuple[str, ...]
    fields: tuple[tuple[bytes, bytes], ...]


def draw_mix(source: random.Random) -> Mix:
    """Any mix; most peers are proxies, or nothing would be looked at."""
    header = source.choice(_HEADERS)
    names = [
        source.choice((header, header, header, *_HEADERS)) for _ in range(source.randint(0, 3))
    ]
    fields = tuple((name, _value(source, name).encode()) for name in names)
    peer = source.choice((None, "10.0.0.1", "10.0.0.1", "2001:db8:ffff::9", "192.0.2.66"))
    return Mix((peer, 40000) if peer else None, header, source.choice(_TRUSTED), fields)


def _value(source: random.Random, name: bytes) -> str:
    hops = [
        source.choice(_ADDRESSES if source.random() < 0.85 else _NOISE)
        for _ in range(source.choice((1, 1, 2, 3)))
    ]
    write = _forwarded_element if name == b"forwarded" else _plain_hop
    return source.choice((",", ", ", " ,\t")).join(write(source, hop) for hop in hops)


def _plain_hop(source: random.Random, hop: str) -> str:
    bracketed = f"[{hop}]" if ":" in hop else hop
    return source.choice((hop, hop, bracketed, f"{bracketed}:443"))


def _forwarded_element(source: random.Random, hop: str) -> str:
    node = _plain_hop(source, hop)
    quoted = f'"{node}"' if ":" in node or source.random() < 0.3 else node
    before = source.choice(("", "", "proto=https;", 'host="a.example";', "for=6.6.6.6;"))
    after = source.choice(("", "", ";by=_gate", ';host="x', ";", ";host=a b"))
    return f"{before}{source.choice(('for', 'For', 'FOR'))}={quoted}{after}"


def reference(mix: Mix) -> str:
    """Who the client is."""
    chain: list[_Address | None] = [_read(mix.peer[0]) if mix.peer else None]
    chain += reversed(_named(mix))
    client = chain[0]
    for nearer, farther in itertools.pairwise(chain):
        if not _among(nearer, mix.trusted) or farther is None:
            break
        client = farther
    return _network(client)


def leftmost_believer(mix: Mix) -> str:
    """A wrong twin: takes the client's own word, as many tutorials do."""
    named = [hop for hop in _named(mix) if hop]
    return _network(named[0]) if named else reference(mix)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _named(mix: Mix) -> list[_Address | None]:
    values = [value.decode() for name, value in mix.fields if name == mix.header]
    if mix.header in (b"x-real-ip", b"cf-connecting-ip"):
        return [_hop(values[0])] if len(values) == 1 else []
    hops = ",".join(values).split(",") if values else []
    return [_element(hop) if mix.header == b"forwarded" else _hop(hop) for hop in hops]


def _element(text: str) -> _Address | None:
    found = []
    for pair in text.strip(" \t").split(";"):
        name, _, value = pair.partition("=")
        if value[:1] == '"' and value[-1:] == '"' and len(value) > 1:
            value = value[1:-1]
        elif not value or set(value) & set('[]: "()<>@,/?={}'):
            return None
        if not name or '"' in value:
            return None
        if name.lower() == "for":
            found.append(value)
    return _hop(found[0]) if len(found) == 1 else None


def _hop(text: str) -> _Address | None:
    text = text.strip(" \t")
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        return _read(inside) if bracket and (not port or port[1:].isdigit()) else None
    if text.count(":") == 1:
        text, _, port = text.partition(":")
        return _read(text) if port.isdigit() else None
    return _read(text)


def _read(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _among(address: _Address | None, networks: tuple[str, ...]) -> bool:
    return address is not None and any(
        address in ipaddress.ip_network(network) for network in networks
    )


def _network(address: _Address | None) -> str:
    if address is None:
        return "local"
    width = 32 if address.version == 4 else 64
    return str(ipaddress.ip_network(f"{address}/{width}", strict=False))
