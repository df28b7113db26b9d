# SPDX-License-Identifier: Apache-2.0
"""Requests that pay nothing, bent so that two servers might read them differently."""

import random
import re
from collections.abc import Iterator

from support.counting_upstream import Hit

_METHODS = (b"GET",) * 20 + (
    b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"get", b"TRACE",
)  # fmt: skip
_PATHS = (
    b"/secret", b"/secret", b"/.well-known/x", b"/.well-known/x", b"/v1/items", b"/", b"/mcp",
    b"/MCP/", b"/.well-known/../secret", b"/secret/../.well-known/x", b"/.well-known",
    b"/.well-known/./x/../../secret", b"/api/challenge", b"/decide", b"/decide/.well-known/x",
    b"/pypow-decision",
)  # fmt: skip
_INSERTED = (
    b"//", b"/./", b"/../", b"/%2e%2e/", b"/%2E./", b"%2f", b"%2F", b"%5c", b"\\", b";", b";a=/",
    b"#", b"%23", b"?", b"%3f", b"%00", b"%0a", b"%0d%0a", b"%20", b"\t", b"\x00", b"\xff",
    b"\xc0\xae", b"%c0%ae", b"%u002e", b"%", b"%2", b"%zz", b"%252e", b"%25", b"\xe2\x80\xae",
    b"@", b":", b"*", b"|", b"^", b"{}", b"\"", b"<", b"..", b".", b"/.well-known/", b"/mcp",
)  # fmt: skip
_HOSTS = (
    *(b"Host: {}",) * 20, b"host:{}", b"Host: {}/.well-known/", b"Host: {}#",
    b"Host: a@{}", b"Host: {}:99999", b"Host: {}\r\nHost: {}", b"Host: {}\r\nHost: evil.example",
    b"Host: evil.example", b"Host: ", b"", b"Host: {},{}", b"Host: {}?x", b"Host: {}\\",
    b"Host : {}", b"Host:\r\n {}", b"Host: [::1]", b"Host: {}/../", b"HOST: {}", b"Host: {}%2f",
    b"X-Host: {}",
)  # fmt: skip
_FREE = b"/.well-known/x"
_HEADERS = (
    b"X-Original-URL: " + _FREE, b"X-Rewrite-URL: " + _FREE, b"X-Original-URI: " + _FREE,
    b"X-Original-Method: OPTIONS", b"X-Forwarded-Uri: " + _FREE, b"X-Forwarded-Method: OPTIONS",
    b"X-Forwarded-Host: a\r\nX-Forwarded-Host: b", b"X-Forwarded-Prefix: /.well-known",
    b"X_Original_URI: " + _FREE, b"X-Forwarded_Uri: " + _FREE, b"X-HTTP-Method-Override: OPTIONS",
    b"X-HTTP-Method: OPTIONS", b"X-Forwarded-For: 127.0.0.1", b"X-Real-IP: 10.0.0.1",
    b"Forwarded: for=127.0.0.1;host=x", b"X-PoW-Principal: root", b"X_PoW_Principal: root",
    b"X-PoW-Solution: challenge=a,nonce=b", b"X-PoW-Solution:", b"X-PoW-Accept: 1",
    b"Authorization: PoW a=b", b"Authorization: Bearer pyp_x", b"Authorization: Basic YTpi",
    b"Cookie: pypow_pass=x", b"Cookie: a=1; pypow_pass=\"", b"Cookie: \xff",
    b"Connection: X-Original-URI, X-Original-Method", b"Connection: X-Forwarded-Uri, Host",
    b"Connection: X-Forwarded-Method, close", b"Connection: keep-alive, X-Real-IP",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Mcp-Method: tools/list\r\nMCP-Protocol-Version: 2026-07-28", b"Mcp-Method: ping",
    b"Expect: 100-continue", b"Accept: text/event-stream", b"X: a\r\n b", b" X: y", b"X : y", b"X",
    b": y", b"X\x00: y", b"X: \x00", b"X: \x7f", b"X: a\rb", b"X: a\nY: b", b"X: \xe2\x98\xba",
    b"X: " + b"y" * 9000, b"TE: trailers", b"Range: bytes=0-",
    b"Access-Control-Request-Method: PUT",
)  # fmt: skip
_VERSIONS = (b" HTTP/1.1",) * 90 + (
    b" HTTP/1.0", b" HTTP/1.2", b" HTTP/2.0", b" http/1.1", b"  HTTP/1.1", b"\tHTTP/1.1",
    b" HTTP/1.1 ", b" HTTP/01.1",
)  # fmt: skip

_OPEN = re.compile(rb"/\.well-known/[A-Za-z0-9_~!$&'()*+,=:@/.%-]*(?:\?.*)?", re.DOTALL)
_FOLDING = re.compile(rb"//|/\.\.?(?:/|\?|$)|%(?![89A-F][0-9A-F]|2[023]|3[CEF]|5[BDE]|60|7[BCD])")


def mutations(seed: int, address: str, number: int) -> Iterator[bytes]:
    """So many requests for a server at ``address``, the same ones for the same seed."""
    source = random.Random(seed)
    host = address.encode()
    for _ in range(number):
        yield _request(source, host)


def _request(source: random.Random, host: bytes) -> bytes:
    lines = [source.choice(_METHODS) + b" " + _target(source, host) + source.choice(_VERSIONS)]
    lines.append(source.choice(_HOSTS).replace(b"{}", host))
    lines += source.sample(_HEADERS, source.choice((0, 0, 0, 1, 1, 2)))
    end = b"\n" if source.random() < 0.03 else b"\r\n"
    return end.join([*(line for line in lines if line), b"", b""])


def _target(source: random.Random, host: bytes) -> bytes:
    path = source.choice(_PATHS)
    for _ in range(source.choice((0, 1, 1, 2, 3))):
        path = source.choice((_inserted, _escaped, _recased, _cut))(source, path)
    query = source.choice((b"", b"", b"", b"?a=1", b"?/../x", b"?" + _FREE))
    before = source.choice(
        (b"",) * 10 + (b"http://" + host, b"http://evil.example", b"https:", b" ")
    )
    return before + path + query


def _inserted(source: random.Random, path: bytes) -> bytes:
    at = source.randint(0, len(path))
    return path[:at] + source.choice(_INSERTED) + path[at:]


def _escaped(source: random.Random, path: bytes) -> bytes:
    at = source.randrange(max(len(path), 1))
    form = source.choice((b"%%%02x", b"%%%02X", b"%%25%02x"))
    return path[:at] + b"".join(form % octet for octet in path[at : at + 1]) + path[at + 1 :]


def _recased(source: random.Random, path: bytes) -> bytes:
    return bytes(
        octet ^ 32 if chr(octet).isalpha() and source.random() < 0.3 else octet for octet in path
    )


def _cut(source: random.Random, path: bytes) -> bytes:
    at = source.randint(0, len(path))
    return path[:at]


def is_unpaid(hit: Hit) -> bool:
    """Whether an upstream must not have seen this, since nobody ever paid; written anew here.

    What is free is the streams of MCP sessions, and well-known documents whose path no server
    reads in a second way.
    """
    path = hit.target.partition(b"?")[0]
    if hit.method in ("GET", "DELETE") and path.lower().rstrip(b"/") == b"/mcp":
        return False
    open_document = _OPEN.fullmatch(hit.target) is not None and _FOLDING.search(path) is None
    return not (open_document and hit.method in ("GET", "HEAD"))
