# SPDX-License-Identifier: Apache-2.0
"""What the gate's parsers should make of a text, read a second time: slow, obvious, without regex.

Written from docs/protocol.md and the standards, and sharing no code with what is held against
them. None is always a refusal.
"""

import base64
import ipaddress
import re
import string
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Proof: TypeAlias = tuple[str, tuple[bytes, ...]]
Field: TypeAlias = tuple[bytes, bytes]

_LETTERS: Final = frozenset(string.ascii_letters)
_BASE64URL: Final = _LETTERS | frozenset(string.digits + "-_")
_DIGITS: Final = frozenset(b"0123456789")
_TOKEN: Final = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
_OWS: Final = b" \t"


def proof_in_header(text: str) -> Proof | None:
    """``challenge=<104>,nonce=<n0>[.<n1>...]``."""
    challenge, comma, rest = text[10:114], text[114:115], text[115:].lstrip(" \t")
    if len(text) > 1200 or text[:10] != "challenge=" or comma != "," or rest[:6] != "nonce=":
        return None
    return proof(challenge, rest[6:])


def proof_in_authorization(text: str) -> Proof | None:
    """``challenge="<104>", nonce="<n0>[.<n1>...]"``, quoted or not, in either order."""
    said: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (side.strip(" \t") for side in part.partition("="))
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        elif not value:
            return None
        if not name or not set(name) <= _LETTERS or not set(value) <= _BASE64URL | {"."}:
            return None
        if name.lower() in said:
            return None
        said[name.lower()] = value
    if len(text) > 1200 or set(said) != {"challenge", "nonce"}:
        return None
    return proof(said["challenge"], said["nonce"])


def proof(challenge: str, nonce: str) -> Proof | None:
    """A proof in its two parts; nothing is said about its challenge but its alphabet."""
    nonces = nonce.split(".")
    shaped = all(1 <= len(one) <= 15 and set(one) <= _BASE64URL for one in nonces)
    if len(challenge) != 104 or not set(challenge) <= _BASE64URL or len(nonces) > 64 or not shaped:
        return None
    return challenge, tuple(one.encode() for one in nonces)


def challenge(text: str) -> tuple[object, ...] | None:
    """The fields of a challenge, in the order of the octets."""
    if len(text) != 104 or not set(text) <= _BASE64URL:
        return None
    octets = base64.b64decode(text, altchars=b"-_", validate=True)
    version, algorithm, log2, overdraft, q, weight, key, epoch = struct.unpack(
        ">BBBBHHHI", octets[:14]
    )
    issued_at_ms, lifetime_s = int.from_bytes(octets[14:20]), int.from_bytes(octets[20:22])
    if (version, algorithm) != (1, 1) or log2 > 6 or not 1024 <= q <= 60 * 1024:
        return None
    if not 0 <= q - 1024 * log2 <= 44 * 1024 or weight == 0 or not 1 <= lifetime_s <= 600:
        return None
    tail = (octets[22:38], octets[38:50], octets[50:62], octets[62:])
    return (2**log2, overdraft, q, weight, key, epoch, issued_at_ms, lifetime_s, *tail)


def bought(text: str) -> tuple[object, ...] | None:
    """The fields of a pass, in the order of the octets."""
    body = text[4:]
    if text[:4] != "pyp_" or len(body) != 135 or not set(body) <= _BASE64URL:
        return None
    octets = base64.b64decode(body + "=", altchars=b"-_", validate=True)
    if base64.b64encode(octets, altchars=b"-_") != f"{body}=".encode() or octets[0] != 1:
        return None
    calls, weight = int.from_bytes(octets[43:45]), int.from_bytes(octets[45:47])
    if weight == 0:
        return None
    who = (int.from_bytes(octets[1:3]), octets[3:19], octets[19:31], octets[31:43])
    return (*who, calls, weight, int.from_bytes(octets[47:53]), octets[53:85], octets[85:])


def standing(text: str) -> tuple[object, ...] | None:
    """The fields of a standing token, in the order of the octets."""
    body = text[4:]
    if text[:4] != "pys_" or len(body) != 72 or not set(body) <= _BASE64URL:
        return None
    octets = base64.b64decode(body, altchars=b"-_", validate=True)
    times = [int.from_bytes(octets[at:end]) for at, end in ((19, 25), (25, 29), (29, 33))]
    if octets[0] != 1 or times[1] == 0:
        return None
    return (int.from_bytes(octets[1:3]), octets[3:19], *times, octets[33:38], octets[38:])


def accepts(values: Sequence[bytes]) -> tuple[int | None] | None:
    """``X-PoW-Accept``: the sub-puzzles that were named last, or nobody's number."""
    puzzles = None
    for member in b",".join(values).split(b","):
        name, equals, count = member.strip(_OWS).partition(b"=")
        if name == b"puzzles" and 1 <= len(count) <= 2 and set(count) <= _DIGITS:
            puzzles = int(count)
        elif (name, equals) != (b"1", b""):
            return None
        if puzzles not in (None, 1, 2, 4, 8, 16, 32, 64):
            return None
    return (puzzles,)


def length(values: Sequence[bytes]) -> tuple[int] | None:
    """``Content-Length``, which may be said again but not otherwise."""
    if not all(1 <= len(value) <= 18 and set(value) <= _DIGITS for value in values):
        return None
    said = set(map(int, values))
    return (said.pop(),) if len(said) == 1 else None


_SCHEME: Final = re.compile(rb"(?i)\s*(PoW|Bearer|DPoP)(?:\s+(\S.*?))?\s*", re.DOTALL)
_OUR_SCHEMES: Final = {b"pow": "PoW", b"bearer": "Bearer", b"dpop": "DPoP"}


def authorization(value: bytes) -> tuple[str, bytes] | None:
    """Our credential in ``Authorization``, with its scheme; None for somebody else's."""
    found = _SCHEME.fullmatch(value)
    if found is None:
        return None
    scheme, given = _OUR_SCHEMES[found[1].lower()], found[2] or b""
    return (scheme, given) if scheme == "PoW" or given[:4] == b"pyp_" else None


def cookies(value: bytes) -> tuple[list[Field], bytes]:
    """Ours in a ``Cookie`` field, by name, and what is left of it without them."""
    ours, left = [], []
    for pair in value.split(b";"):
        name, _, content = pair.partition(b"=")
        if name.strip(_OWS) in (b"pypow_pass", b"pypow_standing"):
            ours.append((name.strip(_OWS), content.strip(_OWS)))
        else:
            left.append(pair)
    return ours, b";".join(left).strip(_OWS) if ours else value


def host(values: Sequence[bytes], names: frozenset[str]) -> bool:
    """Whether the one ``Host`` is one of these names, or an address, on whatever port."""
    if len(values) != 1 or len(values[0]) > 262:
        return False
    text = values[0].decode("latin-1")
    if text.startswith("["):
        name, bracket, after = text[1:].partition("]")
        shaped = bracket and name and set(name) <= set(string.hexdigits + ":.")
        port = after[1:] if after.startswith(":") else None if after else "0"
    else:
        name, colon, after = text.partition(":")
        shaped = name and not set(name) & set("[]@/")
        port = after if colon else "0"
    if not shaped or port is None or not 1 <= len(port) <= 5 or not set(port.encode()) <= _DIGITS:
        return False
    return name.lower() in names or _address(name.lower()) is not None


def client(
    peer: str, values: Sequence[bytes], header: bytes, trusted: ipaddress.IPv4Network
) -> str:
    """The caller's network, as the proxies in ``trusted`` tell it in one header."""
    nearest = _address(peer)
    assert nearest is not None
    if header == b"x-real-ip":
        named = _node(values[0].strip(_OWS)) if len(values) == 1 else None
        return _network(named or nearest)
    chain = [hop.strip(_OWS) for value in values for hop in value.split(b",")]
    while chain and nearest.version == 4 and nearest in trusted:
        hop = _element(chain.pop()) if header == b"forwarded" else _node(chain.pop())
        if hop is None:
            break
        nearest = hop
    return _network(nearest)


def path_is_canonical(path: bytes) -> bool:
    """Whether every server reads a path alike: RFC 3986 section 3.3 without what is folded."""
    if path[:1] != b"/":
        return False
    plain = frozenset((string.ascii_letters + string.digits + "-._~!$&'()*+,=:@/").encode())
    kept_escaped = frozenset(b' "#<>?[]^`{|}') | frozenset(range(128, 256))
    at = 0
    while at < len(path):
        if path[at] == ord("%"):
            digits = path[at + 1 : at + 3]
            if len(digits) < 2 or not set(digits) <= frozenset(b"0123456789ABCDEF"):
                return False
            if int(digits, 16) not in kept_escaped:
                return False
            at += 3
        elif path[at] in plain:
            at += 1
        else:
            return False
    first, *segments = path.split(b"/")
    return first == b"" and not any(
        one in (b".", b"..") or (one == b"" and number < len(segments) - 1)
        for number, one in enumerate(segments)
    )


def resource(text: str) -> tuple[str, str, str] | None:
    """``POST /v1/items`` or ``tools/call search``."""
    method, _, name = text.partition(" ")
    if not method or not text.isprintable():
        return None
    if set(method) <= set(string.ascii_uppercase) and name[:1] == "/" and not set(name) & {*"?#"}:
        return "http", "GET" if method == "HEAD" else method, name
    return ("mcp", method, name) if method[0] in string.ascii_lowercase else None


def mirrored(value: str) -> str | None:
    """A header that mirrors a body: plain, or UTF-8 within ``=?base64?`` and ``?=``."""
    inside = value[9:-2]
    wrapped = len(value) >= 11 and value[:9] == "=?base64?" and value[-2:] == "?="
    if not wrapped or "\n" in value:
        return value
    try:
        octets = base64.b64decode(inside.encode("ascii"), validate=True)
        return octets.decode() if base64.b64encode(octets).decode() == inside else None
    except ValueError:
        return None


def is_json(value: bytes) -> bool:
    """Whether a ``Content-Type`` says JSON in UTF-8, and no more."""
    kind, *parameters = value.lower().split(b";")
    charsets = (b"charset=utf-8", b'charset="utf-8"')
    return kind.rstrip(_OWS) == b"application/json" and (
        not parameters or (len(parameters) == 1 and parameters[0].strip(_OWS) in charsets)
    )


def _element(octets: bytes) -> "_Address | None":
    """The ``for`` of one ``Forwarded`` element (RFC 7239 section 4), which has it once."""
    named, left = [], octets
    while True:
        name, _, left = left.partition(b"=")
        if left[:1] == b'"':
            value, quote, left = left[1:].partition(b'"')
            if not quote or b"\\" in value:
                return None
        else:
            end = left.find(b";") if b";" in left else len(left)
            value, left = left[:end], left[end:]
            if not value or not set(value) <= _TOKEN:
                return None
        if not name or not set(name) <= _TOKEN:
            return None
        if name.lower() == b"for":
            named.append(value)
        if not left:
            return _node(named[0]) if len(named) == 1 else None
        if left[:1] != b";":
            return None
        left = left[1:]


_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def _node(octets: bytes) -> _Address | None:
    """An address, in brackets or bare, with a port or without."""
    text = octets.decode("latin-1")
    if text[:1] == "[":
        name, _, after = text[1:].partition("]")
        port = after[1:] if after[:1] == ":" else after and "no port"
        bracketed = set(name) <= set(string.hexdigits + ":.") and "]" in text
        return _address(name) if bracketed and (not after or _is_port(port)) else None
    name, colon, port = text.partition(":")
    if colon and set(name) <= set(string.digits + ".") and _is_port(port):
        return _address(name)
    return _address(text)


def _is_port(text: str) -> bool:
    return 1 <= len(text) <= 5 and set(text) <= set(string.digits)


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text) if len(text) <= 64 else None
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: _Address) -> str:
    if address.version == 4:
        return f"{address}/32"
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64)}/64"
