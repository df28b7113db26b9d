# SPDX-License-Identifier: Apache-2.0
"""What hostile octets are fed to, and what must hold of every parser of the gate.

Each target takes one input to several parsers. A parser may refuse with the one error that it
documents; whatever else comes out of it, and every property that does not hold, is a finding.
"""

import ipaddress
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import pypow
from pypow import Key, Keyring, strict_json, wire
from pypow.errors import InvalidInputError, WireError
from pypow.wire import Proof
from pypow_server import carriers, passes, standing
from pypow_server.accepts import read_accepts
from pypow_server.call import Call, read_call
from pypow_server.client_address import NOBODY, TrustedProxies, client_network
from pypow_server.fronts.fields import request_fields, response_fields
from pypow_server.holders import Holders
from pypow_server.mcp_message import Fault, McpMessage, RoutingHeaders, decode_header, read_message
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.rails import Admit
from pypow_server.rails.work import WorkRail
from pypow_server.reply import Header
from pypow_server.resource import Resource, is_canonical
from pypow_server.scope import Scope

NOW_MS: Final = 1_800_000_000_000
EPOCH: Final = 7
KEY: Final = Key(id=1, secret=bytes(range(32)))
PRICE: Final = Price("easy", 1024)
HOLDERS: Final = Holders(Keyring([KEY]), lifetime_ms=1)
RAIL: Final = WorkRail(Keyring([KEY]), public_host="gate.example", fresh_id=lambda: bytes(16))

BY_LIST, BY_FORWARDED, BY_NAME = (
    TrustedProxies.parse(["10.0.0.0/8"], header)
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP")
)

NAMES: Final = (
    b"authorization", b"cookie", b"x-pow-solution", b"x-pow-accept", b"content-length",
    b"content-type", b"transfer-encoding", b"host", b"mcp-protocol-version", b"mcp-method",
    b"mcp-name", b"forwarded", b"x-forwarded-for", b"x-real-ip", b"connection", b"expect",
    b"content-encoding", b"x_pow_solution", b"mcp_name", b"x-http-method-override", b"location",
    b"x-pow-standing",
)  # fmt: skip
"""An octet below 32 at the start of a line stands for one of these."""

_T = TypeVar("_T")


def headers(octets: bytes) -> None:
    """Lines as a request's header fields: scanned, judged, and made into what travels on."""
    fields = fields_of(octets)
    call = read_call(scope_of(fields))
    if isinstance(call, Problem):
        assert 400 <= call.status < 500
        assert json.loads(call.reply().body)["status"] == call.status
        return
    again = read_call(scope_of(list(call.headers)))
    assert isinstance(again, Call)
    assert (again.headers, again.presented, again.accepts) == (call.headers, (), None)
    assert again.standing == ()
    assert not any(_is_ours(*field) for field in call.headers), "a credential travels on"
    verdict = finished(RAIL.judge(call, PRICE, now_ms=NOW_MS))
    if isinstance(verdict, Admit):
        assert verdict.spend is not None
        assert verdict.spend.key == bytes(16), "nobody issued this"
    bearer = HOLDERS.bearer(call.standing, client=call.client, now_ms=NOW_MS)
    assert bearer is None or bearer.holder is None, "nobody issued this"
    _refused(request_fields, scope_of(list(call.headers)))
    for trusted in (BY_LIST, BY_FORWARDED, BY_NAME):
        where = client_network(("10.0.0.1", 1), fields, trusted)
        assert str(ipaddress.ip_network(where)) == where
    response_fields(200, fields, upstream="http://127.0.0.1:8000/v1")


def text(octets: bytes) -> None:
    """One text as every credential, header value and name that callers write."""
    value = octets.decode("latin-1")
    for parse in (wire.proof_from_header, wire.proof_from_authorization):
        proof = _refused(parse, value, WireError)
        if proof is not None:
            _travels(proof)
    challenge = _refused(wire.decode_challenge, value, WireError)
    assert challenge is None or challenge.text == value, "two texts for one challenge"
    bought = _refused(passes.decode, value, WireError)
    assert bought is None or bought.text == value, "two texts for one pass"
    token = _refused(standing.decode, value, WireError)
    assert token is None or token.text == value, "two texts for one standing token"
    _refused(read_accepts, octets.split(b"\n"))
    resource = _refused(Resource.parse, value)
    if resource is not None and resource.kind == "http":
        assert is_canonical(resource.name.encode()) in (True, False)
    decode_header(value)
    client = client_network((value, 1), [], NOBODY)
    assert client == "local" or "/" in client


def message(octets: bytes) -> None:
    """Header lines, a NUL and a body: as an MCP message, and the body as a proof in JSON."""
    head, _, body = octets.rpartition(b"\0")
    document = _refused(strict_json.loads, body)
    if document is not None:
        assert strict_json.loads(json.dumps(document)) == document
        proof = _refused(wire.proof_from_json, document, WireError)
        if proof is not None:
            _travels(proof)
    call = read_call(scope_of(fields_of(head)))
    routing = call.routing if isinstance(call, Call) else RoutingHeaders()
    read = read_message(body, routing)
    if isinstance(read, Fault):
        assert 400 <= read.problem.status < 500
        assert json.loads(carriers.answer_fault(read).body)["error"]["code"] == read.problem.code
        return
    again = read_message(read.body, routing)
    assert isinstance(again, McpMessage), "what travels on is no message"
    assert (again.kind, again.id, again.method, again.name) == (
        read.kind, read.id, read.method, read.name,
    )  # fmt: skip
    assert not again.proof, "a proof travels on"


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "gate_headers": headers,
    "gate_text": text,
    "gate_message": message,
}
LONGEST_INPUT: Final = {"gate_headers": 512, "gate_text": 320, "gate_message": 640}


def seeds() -> dict[str, list[bytes]]:
    """Inputs that are right, for mutations to begin with."""
    issued = RAIL.challenge(
        Resource("http", "GET", "/x"), PRICE, puzzles=None, now_ms=NOW_MS, epoch=EPOCH
    )
    proof = pypow.solve(issued)
    pass_text = passes.issue(KEY, identity=bytes(16), calls=1, expires_at_ms=NOW_MS + 1).text
    token = standing.issue(KEY, identity=bytes(16), now_ms=NOW_MS, near=bytes(5)).text
    solution, fields = proof.header(), proof.to_json()
    authorization = f'challenge="{fields["challenge"]}", nonce="{fields["nonce"]}"'
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    params = {"name": "search", "arguments": {"q": [1, 2.5, None, True]}}
    meta = {"io.pypow/proof": solution, "io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    meta["io.modelcontextprotocol/clientCapabilities"] = ""
    modern = b"\x082026-07-28\n\x09tools/call\n\x0a=?base64?c2VhcmNo?=\0"
    bodies = (fields, call | {"params": params}, call | {"params": params | {"_meta": meta}})
    return {
        "gate_headers": [
            b"\x02" + solution.encode() + b"\n\x03puzzles=16\n\x07gate.example\n\x0412",
            b"\x00PoW " + authorization.encode() + b"\n\x05application/json\n\x0e te, close",
            b"\x01a=b; pypow_pass=" + pass_text.encode() + b"; c=d\n\x0cfor=203.0.113.9\nx-a: b",
            b"\x00Bearer " + pass_text.encode() + b"\n\x06chunked\n\x08 2026-07-28",
            b"\x15" + token.encode() + b"\n\x01a=b;pypow_standing=" + token.encode(),
        ],
        "gate_text": [
            *(one.encode() for one in (solution, authorization, issued.text, pass_text, token)),
            *(b"puzzles=16", b"1", b"tools/call search", b"POST /v1/items", b"=?base64?YQ==?="),
            *(b"2001:db8::1", b"::ffff:203.0.113.9", b"203.0.113.9"),
        ],
        "gate_message": [
            *(json.dumps(body).encode() for body in bodies),
            modern + json.dumps(bodies[-1]).encode(),
            b'{"jsonrpc":"2.0","id":"a","result":{}}',
            b'{"jsonrpc":"2.0","method":"notifications/x"}',
        ],
    }


def fields_of(octets: bytes) -> list[Header]:
    """Header fields, one a line."""
    fields = []
    for line in octets.split(b"\n"):
        if line and line[0] < 32:
            fields.append((NAMES[line[0] % len(NAMES)], line[1:]))
        else:
            name, _, value = line.partition(b":")
            fields.append((name, value.strip(b" \t")))
    return fields


def _is_ours(name: bytes, value: bytes) -> bool:
    """Whether a field holds what only the gate may read."""
    if name == b"authorization":
        scheme, _, rest = value.strip(b" \t").partition(b" ")
        return scheme.lower() == b"pow" or (
            scheme.lower() == b"bearer" and rest.strip(b" \t").startswith(b"pyp_")
        )
    if name == b"cookie":
        cookies = (pair.partition(b"=")[0].strip(b" \t") for pair in value.split(b";"))
        return not {b"pypow_pass", b"pypow_standing"}.isdisjoint(cookies)
    return name.replace(b"_", b"-").startswith(b"x-pow-")


def scope_of(fields: list[Header]) -> Scope:
    """A request with these header fields."""
    return {
        "type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "query_string": b"",
        "headers": fields, "client": ("192.0.2.7", 50000), "scheme": "http",
    }  # fmt: skip


def _travels(proof: Proof) -> None:
    """Every form of a proof parses to the same value."""
    fields = proof.to_json()
    authorization = f'challenge="{fields["challenge"]}", nonce="{fields["nonce"]}"'
    assert wire.proof_from_header(proof.header()) == proof
    assert wire.proof_from_authorization(authorization) == proof
    assert wire.proof_from_json(fields) == proof


def _refused(
    parse: Callable[[Any], _T], value: object, error: type[Exception] = InvalidInputError
) -> _T | None:
    """What a parser makes of the value; None where it refuses as it documents."""
    try:
        return parse(value)
    except error:
        return None


def finished(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        result: _T = stopped.value
        return result
    raise AssertionError("a rail waited for something while it judged")
