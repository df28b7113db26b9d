# SPDX-License-Identifier: Apache-2.0
"""What hostile octets are fed to, and what must hold of every parser of the gate.

Each target takes one input to several parsers. A parser may refuse with the one error that it
documents; whatever else comes out of it, and every property that does not hold, is a finding.
"""

import importlib.util
import ipaddress
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, TypeVar

import pypow
from fuzz import token_targets
from pypow import (
    Key,
    Keyring,
    accept_payment,
    auth_params,
    base64_text,
    bech32,
    bolt11,
    canonical_json,
    l402_wire,
    moments,
    payment_headers,
    payment_lightning,
    payment_receipt,
    payment_wire,
    strict_json,
    wire,
)
from pypow.errors import InvalidInputError, WireError
from pypow.wire import Proof
from pypow_server import carriers, passes, standing
from pypow_server.accepts import read_accepts
from pypow_server.call import Call, read_call
from pypow_server.client_address import NOBODY, TrustedProxies, client_network
from pypow_server.fronts.fields import request_fields, response_fields
from pypow_server.holders import Holders
from pypow_server.mcp_message import Fault, McpMessage, RoutingHeaders, decode_header, read_message
from pypow_server.payment_fields import with_message
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

BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CAN_READ_INVOICES: Final = importlib.util.find_spec("coincurve") is not None
"""Their signatures need the extra ``[l402]``."""

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
    read = read_message(body, routing, is_sold=True)
    if isinstance(read, Fault):
        assert 400 <= read.problem.status < 500
        assert json.loads(carriers.answer_fault(read).body)["error"]["code"] == read.problem.code
        return
    for field in with_message(None, read.paying).fields:
        _refused(payment_headers.read_credential, [field], WireError)
    again = read_message(read.body, routing, is_sold=True)
    assert isinstance(again, McpMessage), "what travels on is no message"
    assert (again.kind, again.id, again.method, again.name) == (
        read.kind, read.id, read.method, read.name,
    )  # fmt: skip
    assert not again.is_shortened, "a proof or a payment travels on"


def payments(octets: bytes) -> None:
    """One text as everything that payment headers carry; JSON in base64url, too."""
    value = octets.decode("latin-1")
    for parse in (auth_params.read_challenges, accept_payment.read_accept_payment,
                  moments.moment_of, base64_text.decode_either, bech32.decode):  # fmt: skip
        _refused(parse, value, WireError)
    for offer in payment_wire.read_payment_challenges([value]):
        assert payment_wire.read_payment_challenges([offer.www_authenticate()]) == (offer,)
        _refused(payment_lightning.asked, offer, WireError)
    for asked in l402_wire.read_l402_challenges([value]):
        assert l402_wire.read_l402_challenges([asked.www_authenticate()]) == (asked,)
    for name in (*payment_headers.NAMES, *payment_headers.METADATA_NAMES):
        _refused(payment_headers.read_credential, [(name, octets)], WireError)
    _refused(l402_wire.credential_from_authorization, value, WireError)
    packed = base64_text.encode_url(octets)
    _refused(payment_receipt.read_receipt, packed, WireError)
    paid = _refused(payment_wire.credential_from_authorization, packed, WireError)
    if paid is not None:
        _refused(payment_lightning.preimage, paid, WireError)
        again = paid.authorization().removeprefix("Payment ")
        assert payment_wire.credential_from_authorization(again) == paid
    document = _refused(strict_json.loads, octets)
    canonical = None if document is None else _refused(canonical_json.dumps, document)
    assert canonical is None or canonical_json.dumps(strict_json.loads(canonical)) == canonical
    if CAN_READ_INVOICES:
        _invoice(value)


def _invoice(value: str) -> None:
    """An invoice, with a checksum that fits where one can be had."""
    prefix, _, data = value.rpartition("1")
    if prefix.isascii() and set(data) <= set(BECH32):
        value = bech32.encode(prefix, bytes(map(BECH32.index, data)))
    invoice = _refused(bolt11.decode, value, WireError)
    if invoice is not None:
        assert bolt11.decode(invoice.text.upper()) == invoice
        taken = _refused(
            lambda one: bolt11.require(
                one, network=invoice.network, amount_msat=1, payment_hash=b"", now_ms=0
            ),
            invoice,
        )
        assert taken is None, "an invoice with another hash"


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "gate_headers": headers,
    "gate_text": text,
    "gate_message": message,
    "gate_payments": payments,
    "gate_tokens": token_targets.tokens,
    "gate_urls": token_targets.urls,
}
LONGEST_INPUT: Final = {
    "gate_headers": 512, "gate_text": 320, "gate_message": 640, "gate_payments": 512,
    "gate_tokens": 640, "gate_urls": 160,
}  # fmt: skip


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
    asked = {"id": "x", "realm": "h", "method": "lightning", "intent": "charge", "request": {}}
    paying = {
        "io.pypow/payment": {"macaroon": "Ag==", "preimage": "00"},
        "io.pypow/invoice": solution,
        "org.paymentauth/credential": {"challenge": asked, "payload": {"preimage": "00"}},
    }
    bodies = (
        fields,
        call | {"params": params | {"_meta": paying}},
        call | {"params": params},
        call | {"params": params | {"_meta": meta}},
    )
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
        "gate_payments": [*_payment_seeds()],
        "gate_tokens": [*token_targets.token_seeds()],
        "gate_urls": [*token_targets.url_seeds()],
    }


def _payment_seeds() -> Iterator[bytes]:
    """Payments in their forms; of an invoice all but the checksum."""
    asked = payment_wire.issue(
        bytes(32), realm="a", method="lightning", intent="charge", expires_at_ms=NOW_MS,
        request={"amount": "1", "currency": "sat", "methodDetails": {"invoice": "x"}}, digest="d",
        opaque={"a": "b"}, header="Payment-Authorization", description="Q&A",
    )  # fmt: skip
    preimage = "00ff" * 16
    yield asked.www_authenticate().encode()
    yield base64_text.decode_url(
        payment_wire.PaymentCredential(asked, {"preimage": preimage})
        .authorization()
        .removeprefix("Payment ")
    )
    yield b"L402 bWFj,YQ==:" + preimage.encode()
    yield b'Basic a=b, LSAT version="0" token=a invoice="b", Bearer YQ=='
    yield b"tempo/*;q=0.5, */charge"
    yield b"2026-03-15T12:05:00.5+01:00"
    yield b"preimage=".hex().encode()
    yield b'{"status":"success","reference":"r","timestamp":"t","method":"m"}'
    yield b'[1e21,-0.1,{"\\ue000":null}]'
    yield INVOICE


INVOICE: Final = (
    b"lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqq"
    b"syqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpm"
    b"dla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgp"
)
"""Of BOLT 11, its checksum left out."""


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
