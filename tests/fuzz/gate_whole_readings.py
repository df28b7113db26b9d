# SPDX-License-Identifier: Apache-2.0
"""What the gate should make of whole bodies and of all header fields together, read a second time.

JSON is read by a parser in another language; the rest is slow and obvious, as in `gate_readings`.
"""

import math
import string
from collections.abc import Sequence
from typing import Final

from pydantic_core import from_json

from fuzz.gate_readings import Field, accepts, authorization, cookies, length

_REROUTING: Final = frozenset(
    b"x-http-method x-http-method-override x-method-override x-original-method x-original-url "
    b"x-rewrite-url".split()
)
_JUDGED: Final = frozenset(
    b"accept authorization content-encoding content-length content-type cookie host "
    b"transfer-encoding mcp-protocol-version mcp-method mcp-name".split()
)
_ENDS_AT_A_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade expect host forwarded x-real-ip".split()
)


def members(document: object) -> int:
    """How many members the objects of a document have, all together."""
    if isinstance(document, dict):
        return len(document) + sum(map(members, document.values()))
    return sum(map(members, document)) if isinstance(document, list) else 0


def colons(octets: bytes) -> int:
    """How many colons stand outside of strings: one for each member, repeated or not."""
    count, at, within = 0, 0, False
    while at < len(octets):
        if octets[at : at + 1] == b'"':
            within = not within
        elif within and octets[at : at + 1] == b"\\":
            at += 1
        count += octets[at : at + 1] == b":" and not within
        at += 1
    return count


def is_finite(document: object) -> bool:
    """Whether no number of a document is beyond a double."""
    if isinstance(document, dict):
        return all(map(is_finite, document.values()))
    if isinstance(document, list):
        return all(map(is_finite, document))
    return not isinstance(document, float) or math.isfinite(document)


def message(octets: bytes) -> tuple[object, str, str, bool]:
    """Id, method, name and whether there is a proof, of a body that is an MCP message."""
    document = from_json(octets)
    params = document.get("params")
    params = params if isinstance(params, dict) else {}
    meta = params.get("_meta")
    method = document.get("method", "")
    parameter = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(method)
    paid = isinstance(meta, dict) and "io.pypow/proof" in meta
    return document.get("id"), method, params.get(parameter, "") if parameter else "", paid


def travelling(fields: Sequence[Field]) -> tuple[Field, ...] | None:
    """The header fields of a request that the upstream gets; None where it is refused."""
    left, lengths, accepted, authorizations = [], [], [], set()
    for written, value in fields:
        name = written.lower()
        alike = name.replace(b"_", b"-")
        if alike in _REROUTING:
            return None
        if name == b"x-pow-accept":
            accepted.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"authorization":
            authorizations.add(value)
        if alike[:6] == b"x-pow-" or (name != alike and alike in _JUDGED):
            continue
        if name == b"cookie":
            ours, foreign = cookies(value)
            if foreign or not ours:
                left.append((name, foreign))
        elif name != b"authorization" or authorization(value) is None:
            left.append((name, value))
    wrong = (lengths and length(lengths) is None) or (accepted and accepts(accepted) is None)
    return None if wrong or len(authorizations) > 1 else tuple(left)


def crossing(fields: Sequence[Field]) -> list[tuple[str, str]] | None:
    """The header fields that go over a proxy (RFC 9110 section 7.6.1)."""
    names = [name.lower() for name, _ in fields]
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        return None
    ended = set(_ENDS_AT_A_HOP)
    for name, value in zip(names, (value for _, value in fields), strict=True):
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            return None
        if name == b"connection":
            ended |= {option.strip().lower() for option in value.split(b",")}
    left = []
    for name, value in fields:
        alike = name.lower().replace(b"_", b"-")
        ours = alike[:12] == b"x-forwarded-" or alike[:9] == b"x-real-ip" or alike[:6] == b"x-pow-"
        if name.lower() not in ended and not ours:
            left.append((name, value))
    hosts = [
        value for name, value in zip(names, (v for _, v in fields), strict=True) if name == b"host"
    ]
    try:
        texts = [(name.decode(), value.decode()) for name, value in left]
        shown = "".join(map("".join, texts)) + "".join(host.decode() for host in hosts[:1])
    except UnicodeDecodeError:
        return None
    controls = {chr(code) for code in (*range(32), 127)} - {"\t"}
    return None if controls & set(shown) else texts


def asked(fields: Sequence[Field]) -> tuple[str, bytes, bytes] | None:
    """Method, path and query that a proxy asks about in its three headers."""
    said = [
        [value for name, value in fields if name == wanted]
        for wanted in (b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host")
    ]
    if any(len(values) != 1 or values == [b""] for values in said):
        return None
    (method,), (target,), _ = said
    if not set(method) <= set(string.ascii_uppercase.encode()):
        return None
    path, _, query = target.partition(b"?")
    return method.decode(), path, query
