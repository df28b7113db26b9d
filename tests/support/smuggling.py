# SPDX-License-Identifier: Apache-2.0
"""Paid requests that try to carry a second one, for which nobody paid, past the gate."""

from collections.abc import Iterator

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_LENGTH = b"%d" % (len(SMUGGLED) + 5)
_CHUNKED = b"Transfer-Encoding: chunked"
_END = b"0\r\n\r\n"


def _framings() -> Iterator[tuple[str, list[bytes], bytes]]:
    """Name, header lines, and what stands where the body is."""
    both = _END + SMUGGLED
    yield "CL then TE", [b"Content-Length: " + _LENGTH, _CHUNKED], both
    yield "TE then CL", [_CHUNKED, b"Content-Length: " + _LENGTH], both
    yield "CL short, TE", [b"Content-Length: 4", _CHUNKED], b"24\r\n" + SMUGGLED + b"\r\n" + _END
    yield "two lengths", [b"Content-Length: 0", b"Content-Length: " + _LENGTH], both
    yield "two lengths alike", [b"Content-Length: 5", b"Content-Length: 5"], both
    for value in (
        b"5, 5",
        b"5,36",
        b"+5",
        b"-5",
        b"0x5",
        b"5 5",
        b"05",
        b"5;",
        b"",
        b"5\t",
        b"\xb2",
    ):
        yield f"length {value!r}", [b"Content-Length: " + value], both
    for name in (
        b"Content_Length",
        b"Content-Length ",
        b"\x0bContent-Length",
        b"Content-Length\x00",
    ):
        yield f"name {name!r}", [name + b": 36"], both
    for coding in (
        b"identity", b"identity, chunked", b"chunked, identity", b"xchunked", b"chunked\x0b",
        b"\x0bchunked", b"Chunked", b"chunked;a=b", b"gzip, chunked", b"chunked, chunked", b"",
        b'"chunked"', b"chunked\x00", b"ch\xfbnked", b"chunk", b" chunked", b"chunked ",
    ):  # fmt: skip
        yield f"coding {coding!r}", [b"Transfer-Encoding: " + coding], both
        yield (
            f"coding {coding!r}, CL",
            [b"Transfer-Encoding: " + coding, b"Content-Length: 5"],
            both,
        )
    for name in (
        b"Transfer_Encoding", b"Transfer-Encoding ", b" Transfer-Encoding", b"\tTransfer-Encoding",
        b"Transfer-Encoding\x00", b"transfer-Encoding\r", b"X: y\nTransfer-Encoding",
        b"X: y\rTransfer-Encoding", b"X:\r\n Transfer-Encoding",
        b"Transfer-Encoding:\r\n chunked\r\nX",
    ):  # fmt: skip
        yield f"name {name!r}", [name + b": chunked", b"Content-Length: 5"], both
    yield "two codings", [_CHUNKED, b"Transfer-Encoding: identity"], both
    yield "two codings, x first", [b"Transfer-Encoding: x", _CHUNKED], both
    for sized in (
        b"0x0\r\n\r\n", b"+0\r\n\r\n", b"-0\r\n\r\n", b"0 \r\n\r\n", b" 0\r\n\r\n", b"00\r\n\r\n",
        b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"0;a\n b\r\n\r\n", b"0;a=\"\n\"\r\n\r\n", b"0\r\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n", b"1\r\na0\r\n\r\n", b"10000000000000000\r\n\r\n",
        b"fffffffffffffffff\r\n\r\n", b"0\r\nContent-Length: 36\r\n\r\n", b"0\r\nHost: x\r\n\r\n",
        b"0\r\n: x\r\n\r\n", b"\r\n0\r\n\r\n", b"g\r\n\r\n", b"0_0\r\n\r\n", b"\x00\r\n\r\n",
        b"2\r\nab\r\r\n0\r\n\r\n", b"2\r\nab\n0\r\n\r\n", b"0;" + b"x" * 5000 + b"\r\n\r\n",
    ):  # fmt: skip
        yield f"chunk {sized[:24]!r}", [_CHUNKED], sized + SMUGGLED
    for line in (
        b"Connection: Content-Length", b"Connection: Transfer-Encoding", b"Expect: 100-continue",
        b"Connection: X-PoW-Solution, Host", b"Upgrade: h2c\r\nConnection: Upgrade",
        b"Upgrade: websocket\r\nConnection: Upgrade", b"Trailer: Content-Length", b"X: a\x00b",
        b": x", b"X", b"X\x00: y", b"X : y", b" X: y", b"X: a\rb", b"X: a\nX: b", b"Host: b",
        b"X_Forwarded_For: 1\nContent-Length: 0", b"X: y\r\n\tz: 1", b"\r", b"X: " + b"y" * 20000,
    ):  # fmt: skip
        yield f"line {line[:24]!r}", [line, b"Content-Length: 5"], both


def corpus(host: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, header lines and body of POST requests to ``host``."""
    for name, lines, body in _framings():
        yield name, b"\r\n".join([b"Host: " + host, *lines]), body


def first_lines(target: bytes, host: bytes) -> Iterator[tuple[str, bytes]]:
    """Ways to write the first line of a request."""
    for line in (
        b"POST %b HTTP/1.0", b"POST %b HTTP/1.2", b"POST %b HTTP/0.9", b"POST %b http/1.1",
        b"POST  %b HTTP/1.1", b"POST\t%b HTTP/1.1", b"POST %b  HTTP/1.1", b"POST %b HTTP/1.1 ",
        b"POST %b HTTP/1.1\r", b"POST %b", b" POST %b HTTP/1.1", b"\r\nPOST %b HTTP/1.1",
        b"\nPOST %b HTTP/1.1", b"post %b HTTP/1.1", b"POST %b HTTP/1.1\nX: y",
        b"POST http://" + host + b"%b HTTP/1.1", b"POST http://evil.example%b HTTP/1.1",
        b"POST https://" + host + b"%b HTTP/1.1", b"POST //evil.example%b HTTP/1.1",
        b"POST %b?a\x00b HTTP/1.1", b"POST %b#b HTTP/1.1", b"POST %b\xff HTTP/1.1",
        b"CONNECT " + host + b" HTTP/1.1", b"PRI * HTTP/2.0",
    ):  # fmt: skip
        yield f"first line {line[:24]!r}", line.replace(b"%b", target)
