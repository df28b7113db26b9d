# SPDX-License-Identifier: Apache-2.0
"""What inputs of the gate's parsers are put together from: right ones, and pieces to spoil them."""

import base64
import json
from collections.abc import Mapping
from typing import Final

from fuzz import payment_inputs
from fuzz.gate_targets import seeds
from fuzz.kit import NOISE as _NOISE
from fuzz.kit import Kit

_SEEDS: Final = seeds()
_HEADER, _PARAMETERS, _ISSUED, _BOUGHT, _TOKEN = _SEEDS["gate_text"][:5]
_NODES: Final = (
    b"203.0.113.9", b"10.1.2.3", b"6.6.6.6:80", b"[2001:db8::1]", b"[2001:db8::1]:443",
    b"2001:db8::1", b"::ffff:10.0.0.9", b"::ffff:203.0.113.9", b"[::ffff:1.2.3.4]:1", b"unknown",
    b"_hidden", b"fe80::1%eth0", b"X", b":", b"[", b"]", b".", b":1",
)  # fmt: skip
_BODIES: Final = tuple(seed for seed in _SEEDS["gate_message"] if b"\n" not in seed)
_FIELD_LINES: Final = (
    *_SEEDS["gate_headers"],
    b"X-PoW-Accept:1\nX_PoW_Solution: a\nhost: a\ncontent-length: 2\nmcp_name: x\nx-a: b",
    b"Cookie: a=b;pypow_pass=c; d=e\nauthorization: Basic a\nx-http-method-override: PUT\nc: a",
)
_HOP_LINES: Final = (
    b"Connection: close, te\nTE: trailers\nx-a: b\nx_forwarded_for: 6.6.6.6\ncontent-length: 3",
    b"transfer-encoding: chunked\nconnection: x-a,Keep-Alive\nX-A: b\nexpect: 100-continue",
    b"X-Real-IP: 6.6.6.6\ntransfer-encoding: gzip, chunked\nx-b: \xc3\xa9\nforwarded: for=a",
)
_ASKED_LINES: Final = (
    b"x-forwarded-method: GET\nx-forwarded-uri: /a?b=c\nx-forwarded-host: gate.example",
    b"x-forwarded-uri: /a\nX-Forwarded-Method: post\nhost: b\nx-forwarded-host: a\nx-a: b",
)
_LINE_PIECES: Final = (
    *_NOISE, b": ", b"_", b"-", b"x-pow-accept: 1\n", b"\ncookie: pypow_pass=a;b=c\n",
    b"\nhost: b\n", b"\nx-forwarded-method: GET\n", b"\ncontent-length: 1\n",
    b"\nconnection: x-a\n", b"chunked", b"\nauthorization: PoW a\n",
    b"\nauthorization: Bearer pyp_a\n",
    b"x-forwarded-", b"X-REAL-IP:",
)  # fmt: skip

KITS: Final[Mapping[str, Kit]] = {
    "X-PoW-Solution": Kit((_HEADER,), (*_NOISE, b".", b"challenge=", b"nonce=", b".0", b", \t")),
    "X-PoW-Accept": Kit(
        (b"puzzles=16", b"1", b"1, puzzles=4"), (*_NOISE, b"puzzles=", b"64", b"0", b"8", b"X")
    ),
    "Authorization": Kit(
        (b"PoW " + _PARAMETERS, b"Bearer " + _BOUGHT, b"Basic YTpi", b"bearer pyp_"),
        (*_NOISE, b"PoW", b"pow ", b"Bearer ", b"pyp_", b"  "),
    ),
    "Authorization: PoW": Kit(
        (_PARAMETERS, _PARAMETERS.replace(b'"', b"")),
        (*_NOISE, b'challenge="', b'nonce="', b" = ", b", ", b".", b"NONCE="),
    ),
    "Cookie": Kit(
        (b"a=b; pypow_pass=" + _BOUGHT + b"; c=d", b"pypow_pass=a;pypow_standing=b", b"a=b;c"),
        (*_NOISE, b"pypow_pass", b"pypow_pass=", b"X", b"; ", b"Pypow_pass=a;", b"pypow_standing="),
    ),
    "a pass": Kit((_BOUGHT,), (*_NOISE, b"pyp_", b"A", b"B", b"E", b"-", b"_", b"+")),
    "a standing token": Kit((_TOKEN,), (*_NOISE, b"pys_", b"A", b"AQ", b"-", b"_", b"+", b"/")),
    "a challenge": Kit((_ISSUED,), (*_NOISE, b"AQ", b"A", b"B", b"-", b"_", b"+", b"/")),
    "a proof in JSON": Kit(
        (_BODIES[0], json.dumps(_HEADER.decode()).encode()),
        (*_NOISE, b"{", b"}", b'"nonce":', b'"challenge"', b".", b":", b"null", b"1", b"[]"),
    ),
    "Host": Kit(
        (b"gate.example", b"Gate.Example:8402", b"[::1]:80", b"127.0.0.1:1", b"localhost"),
        (*_NOISE, *_NODES, b"gate.example", b"@", b"/", b".", b":65535"),
    ),
    "Content-Length": Kit(
        (b"12", b"12\n12", b"0", b"9" * 18), (*_NOISE, b"+", b"-", b"_", b"0", b"12")
    ),
    "Content-Type": Kit(
        (
            b"application/json",
            b'Application/JSON ; charset="UTF-8"',
            b"application/json;charset=utf-8",
        ),
        (*_NOISE, b"; ", b"charset=", b"utf-8", b"utf-7", b'"', b"/json"),
    ),
    "X-Forwarded-For": Kit(
        (b"203.0.113.9", b"6.6.6.6, 203.0.113.9, 10.7.7.7", b"[2001:db8::1]:1\n10.1.1.1"),
        (*_NOISE, *_NODES, b", "),
    ),
    "Forwarded": Kit(
        (
            b"for=203.0.113.9",
            b'for=6.6.6.6, For="[2001:db8::1]:4711";proto=https;by=10.0.0.1',
            b'proto=https;host="a.example";for=203.0.113.9\nfor=10.2.2.2',
        ),
        (*_NOISE, *_NODES, b", ", b"for=", b';host="', b"FOR=", b'"[', b']"', b";for="),
    ),
    "X-Real-IP": Kit(_NODES[:9], (*_NOISE, *_NODES)),
    "MCP's headers": Kit(
        (b"2026-07-28\ntools/call\nsearch", b"2026-07-28\ntools/call\n=?base64?c2VhcmNo?="),
        (*_NOISE, b"2025-11-25", b"prompts/get", b"search", b"=?base64?", b"?=", b"c2VhcmNo"),
    ),
    "a wrapped name": Kit(
        (
            b"search",
            b"=?base64?c2VhcmNo?=",
            b"=?base64?" + base64.b64encode("\u00e9".encode()) + b"?=",
        ),
        (*_NOISE, b"=?base64?", b"?=", b"c2VhcmNo", b"YQ==", b"YR==", b"/w==", b"?"),
    ),
    "an MCP message": Kit(
        _BODIES[1:],
        (
            *_NOISE,
            b"{",
            b"}",
            b'"method":"ping",',
            b'"id":2,',
            b'"Method":',
            b'"_meta":{',
            b":",
            b"[",
        ),
    ),
    "JSON": Kit(
        (*_BODIES, b'[1,-2.5e3,null,true,{"a":"\\u00e9\\ud83d\\ude00"}]', b'{"a":{"b":[[],{}]}}'),
        (
            *_NOISE,
            b"{",
            b"}",
            b"[",
            b"]",
            b'"a":',
            b"1e999",
            b"NaN",
            b"-",
            b"0",
            b"\\ud800",
            b":",
            b"e",
        ),
    ),
    "a path": Kit(
        (b"/v1/items", b"/a%20b/%E9/c", b"/.well-known/x", b"/a/"),
        (
            *_NOISE,
            b"/",
            b"//",
            b"..",
            b"/./",
            b"%2F",
            b"%2e",
            b"%20",
            b"%C3%A9",
            b"?",
            b"#",
            b"%e9",
        ),
    ),
    "a resource": Kit(
        (b"tools/call search", b"POST /v1/items", b"ping", b"HEAD /"),
        (*_NOISE, b"GET ", b"/", b"?", b"#", b"\xa0", b"\xad", b"\x85", b"  "),
    ),
    "a request's fields": Kit(_FIELD_LINES, _LINE_PIECES),
    "fields of one hop": Kit(_HOP_LINES, _LINE_PIECES),
    "a proxy's question": Kit(_ASKED_LINES, (*_LINE_PIECES, b"?", b"GET", b"/")),
    **payment_inputs.KITS,
}
"""By what the parsers read."""
