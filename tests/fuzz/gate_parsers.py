# SPDX-License-Identifier: Apache-2.0
"""Every parser of the gate, held against a second reading of what it is fed.

Each feeds octets to a parser and to the second reading, and says whether they were taken.
Where the two differ, and where anything but the documented error comes out, it raises.
"""

import ipaddress
import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias

from pydantic_core import from_json

from fuzz import gate_readings as second
from fuzz import gate_whole_readings as whole
from fuzz import payment_parsers
from fuzz.agreement import or_none as _or_none
from fuzz.agreement import same as _same
from fuzz.gate_targets import fields_of, finished, scope_of, seeds
from pypow import strict_json, wire
from pypow.errors import InvalidInputError, WireError
from pypow_server import passes, standing
from pypow_server.accepts import read_accepts
from pypow_server.call import Call, read_call
from pypow_server.client_address import TrustedProxies, client_network
from pypow_server.fronts.dialects import DIALECTS, UnreadableError
from pypow_server.fronts.fields import request_fields
from pypow_server.mcp_message import Fault, RoutingHeaders, decode_header, read_message
from pypow_server.policy import Policy
from pypow_server.reply import Header
from pypow_server.request_body import MessageReader
from pypow_server.resource import Resource, is_canonical

_HOSTS: Final = frozenset({"gate.example", "localhost"})
_NAMED: Final = Policy(hosts=_HOSTS)
_NETWORK: Final = ipaddress.IPv4Network("10.0.0.0/8")
_NO_ROOM: Final = MessageReader(limit=1, deadline_s=1)
_CHALLENGE: Final = attrgetter(*wire.Challenge.__slots__)
_BODY: Final = next(
    seed for seed in seeds()["gate_message"] if seed.startswith(b"{") and b"protocolVersion" in seed
)
_PASS: Final = attrgetter(*passes.Pass.__slots__)
_TOKEN: Final = attrgetter(*standing.StandingToken.__slots__)


def _solution(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    return _same_proof(
        _or_none(wire.proof_from_header, text, WireError), second.proof_in_header(text)
    )


def _authorization_parameters(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    return _same_proof(
        _or_none(wire.proof_from_authorization, text, WireError),
        second.proof_in_authorization(text),
    )


def _proof_in_json(octets: bytes) -> bool:
    try:
        document = strict_json.loads(octets)
    except InvalidInputError:
        return False
    expected = None
    if isinstance(document, str):
        expected = second.proof_in_header(document)
    elif isinstance(document, dict) and set(document) == {"challenge", "nonce"}:
        challenge, nonce = document["challenge"], document["nonce"]
        if isinstance(challenge, str) and isinstance(nonce, str):
            expected = second.proof(challenge, nonce)
    return _same_proof(_or_none(wire.proof_from_json, document, WireError), expected)


def _same_proof(found: wire.Proof | None, expected: second.Proof | None) -> bool:
    _same(None if found is None else (found.challenge, found.nonces), expected)
    return found is not None


def _challenge(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = _or_none(wire.decode_challenge, text, WireError)
    _same(None if found is None else _CHALLENGE(found), second.challenge(text))
    return found is not None and _taken(found.text, text)


def _pass(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = _or_none(passes.decode, text, WireError)
    _same(None if found is None else _PASS(found), second.bought(text))
    return found is not None and _taken(found.text, text)


def _standing(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = _or_none(standing.decode, text, WireError)
    _same(None if found is None else _TOKEN(found), second.standing(text))
    return found is not None and _taken(found.text, text)


def _taken(written: str, came: str) -> bool:
    """That there is one text for each value."""
    _same(written, came)
    return True


def _accepts(octets: bytes) -> bool:
    values = octets.split(b"\n")
    found = _or_none(read_accepts, values)
    _same(None if found is None else (found.puzzles,), second.accepts(values))
    return found is not None


def _called(name: bytes, values: list[bytes]) -> Call | None:
    call = read_call(scope_of([(name, value) for value in values]))
    return call if isinstance(call, Call) else None


def _authorization(octets: bytes) -> bool:
    call = _called(b"authorization", [octets])
    assert call is not None
    ours = second.authorization(octets)
    expected = [] if ours is None else [(f"Authorization: {ours[0]}", ours[1])]
    _same([(one.form.value, one.value) for one in call.presented], expected)
    _same(call.headers, ((b"authorization", octets),) if ours is None else ())
    return ours is not None


def _cookie(octets: bytes) -> bool:
    call = _called(b"cookie", [octets])
    assert call is not None
    ours, left = second.cookies(octets)
    _same([one.value for one in call.presented], [one for name, one in ours if b"pass" in name])
    _same([one.value for one in call.standing], [one for name, one in ours if b"pass" not in name])
    _same(call.headers, () if ours and not left else ((b"cookie", left),))
    return bool(ours)


def _host(octets: bytes) -> bool:
    values = octets.split(b"\n")
    call = _called(b"host", values)
    assert call is not None
    named = _NAMED.is_named(call)
    _same(named, second.host(values, _HOSTS))
    return named


def _content_length(octets: bytes) -> bool:
    values = octets.split(b"\n")
    call = _called(b"content-length", values)
    _same(None if call is None else (call.content_length,), second.length(values))
    return call is not None


def _address_in(header: str) -> Callable[[bytes], bool]:
    trusted, name = TrustedProxies.parse([str(_NETWORK)], header), header.lower().encode()

    def feed(octets: bytes) -> bool:
        values = octets.split(b"\n")
        found = client_network(("10.0.0.1", 1), [(name, value) for value in values], trusted)
        _same(found, second.client("10.0.0.1", values, name, _NETWORK))
        return found != "10.0.0.1/32"

    return feed


def _mirrored(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = decode_header(text)
    _same(found, second.mirrored(text))
    return found is not None


def _routing(octets: bytes) -> bool:
    """The three headers, on lines, above a body that is always the same."""
    lines = (*octets.decode("latin-1").split("\n"), "", "")[:3]
    version, method, name = (tuple(filter(None, [line])) for line in lines)
    found = read_message(_BODY, RoutingHeaders(version, method, name))
    agree = [second.mirrored(line) for line in lines] == ["2026-07-28", "tools/call", "search"]
    _same(not isinstance(found, Fault), agree)
    return agree


def _json(octets: bytes) -> bool:
    """JSON, beside a parser in another language that takes what this one must not."""
    found = _or_none(strict_json.loads, octets, InvalidInputError)
    try:
        expected = from_json(octets, allow_inf_nan=False)
    except ValueError:
        # It takes no half of a surrogate pair, which is JSON nevertheless.
        _same(found is None or "\\ud" in json.dumps(found), True)
        return found is not None
    clear = whole.members(expected) == whole.colons(octets) and whole.is_finite(expected)
    _same(found, expected if clear else None)
    return found is not None


def _message(octets: bytes) -> bool:
    """A body, beside a parser in another language; what travels on says the same, unpaid."""
    found = read_message(octets, RoutingHeaders())
    if isinstance(found, Fault):
        return False
    said = whole.message(octets)
    _same((found.id, found.method, found.name, bool(found.proof)), said)
    _same(whole.message(found.body), (*said[:3], False))
    return True


def _path(octets: bytes) -> bool:
    found = is_canonical(octets)
    _same(found, second.path_is_canonical(octets))
    return found


def _resource(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = _or_none(Resource.parse, text)
    _same(None if found is None else (found.kind, found.method, found.name), second.resource(text))
    return found is not None


def _content_type(octets: bytes) -> bool:
    call = read_call(scope_of([(b"content-type", octets), (b"content-length", b"2")]))
    assert isinstance(call, Call)
    found = finished(_NO_ROOM.read(call, _nothing))
    assert isinstance(found, Fault)
    _same(found.problem.name != "unsupported-media-type", second.is_json(octets))
    return second.is_json(octets)


async def _nothing() -> dict[str, Any]:
    raise AssertionError("a body was read that is too long")


def _fields(octets: bytes) -> bool:
    """Header lines of a request: what is judged, and what travels on."""
    fields = fields_of(octets)
    call = read_call(scope_of(fields))
    found = call.headers if isinstance(call, Call) else None
    _same(found, whole.travelling(fields))
    return found is not None


def _hop_by_hop(octets: bytes) -> bool:
    """Header lines of a request: what ends at this hop."""
    fields: list[Header] = fields_of(octets)
    sent = _or_none(request_fields, scope_of(fields))
    own = ("X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host", "Via", "X-PoW-Principal")
    found = None if sent is None else [pair for pair in sent if pair[0] not in own]
    _same(found, whole.crossing(fields))
    return found is not None


def _question(octets: bytes) -> bool:
    """Header lines of a question that a proxy asks."""
    fields: list[Header] = fields_of(octets)
    asked = {**scope_of(fields), "raw_path": b"/decide"}
    found = _or_none(DIALECTS["caddy"].read, asked, UnreadableError)
    told = None if found is None else (found.method, found.path, found.query)
    _same(told, whole.asked(fields))
    return found is not None


Feed: TypeAlias = Callable[[bytes], bool]

PARSERS: Final[Mapping[str, Feed]] = {
    "X-PoW-Solution": _solution,
    "X-PoW-Accept": _accepts,
    "Authorization": _authorization,
    "Authorization: PoW": _authorization_parameters,
    "Cookie": _cookie,
    "a pass": _pass,
    "a standing token": _standing,
    "a challenge": _challenge,
    "a proof in JSON": _proof_in_json,
    "Host": _host,
    "Content-Length": _content_length,
    "Content-Type": _content_type,
    "X-Forwarded-For": _address_in("X-Forwarded-For"),
    "Forwarded": _address_in("Forwarded"),
    "X-Real-IP": _address_in("X-Real-IP"),
    "MCP's headers": _routing,
    "a wrapped name": _mirrored,
    "an MCP message": _message,
    "JSON": _json,
    "a path": _path,
    "a resource": _resource,
    "a request's fields": _fields,
    "fields of one hop": _hop_by_hop,
    "a proxy's question": _question,
    **payment_parsers.PARSERS,
}
"""By what they read: takes an input to a parser, and says whether that took it for something."""
