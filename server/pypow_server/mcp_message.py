# SPDX-License-Identifier: Apache-2.0
"""One MCP message out of a POST body, read the way the strictest upstream would read it.

What is priced must be what the upstream runs. So JSON that two parsers could read differently is
refused, batches are refused, and headers that mirror the body (MCP 2026-07-28, "Streamable HTTP")
must agree with it before any price is named.
"""

import base64
import enum
import hashlib
import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pypow import strict_json
from pypow.errors import InvalidInputError

from . import problems
from .problems import Problem

PROOF_META = "io.pypow/proof"
PAYMENT_META = "io.pypow/payment"
INVOICE_META = "io.pypow/invoice"
CREDENTIAL_META = "org.paymentauth/credential"
"""Of the `Payment` scheme's transport over MCP (draft-payment-transport-mcp-00)."""

CHALLENGES_META = "org.paymentauth/payment-required"
REFUSAL_META = "io.pypow/refusal"
VERSION_META = "io.modelcontextprotocol/protocolVersion"
TRACE_META = "traceparent"
CAPABILITIES_META = "io.modelcontextprotocol/clientCapabilities"
MODERN_SINCE = "2026-07-28"

NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Method to the parameter that says which tool, prompt or resource is meant."""

RequestId: TypeAlias = int | str

_PAYING = (PAYMENT_META, CREDENTIAL_META, INVOICE_META)
_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMETERS = frozenset({"name", "uri", "_meta"})
_MAX_QUOTED = 80
_MAX_URI = 2048
"""Characters: each row of a price list looks at a URI in all its spellings."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WRAPPED = re.compile(r"=\?base64\?(.*)\?=", re.ASCII)


class Kind(enum.Enum):
    """What a JSON-RPC message is."""

    REQUEST = enum.auto()
    NOTIFICATION = enum.auto()
    RESPONSE = enum.auto()


@dataclass(frozen=True, slots=True)
class RoutingHeaders:
    """Every value of the headers that mirror the body, in the order they came."""

    version: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    name: tuple[str, ...] = ()

    @property
    def modern(self) -> bool:
        """Whether the version header asks for the stateless protocol.

        As the upstream's SDK has it, whatever is not an older date does.
        """
        return bool(self.version) and any(map(is_modern, self.version))

    def noting(self, header: bytes, value: str) -> "RoutingHeaders":
        """These, and one more value of ``Mcp-Protocol-Version``, ``Mcp-Method`` or ``Mcp-Name``."""
        member = header.rpartition(b"-")[2].decode()
        return replace(self, **{member: (*getattr(self, member), value)})


@dataclass(frozen=True, slots=True)
class McpMessage:
    """A message that is well-formed and agrees with its headers.

    Attributes:
        kind: request, notification or response.
        id: of a request; None otherwise.
        method: empty for a response.
        name: which tool, prompt or resource; empty where the method has none.
        modern: whether it speaks 2026-07-28 or later.
        proof: what ``_meta["io.pypow/proof"]`` held, unread; empty when it was absent.
        traceparent: of ``_meta`` (W3C Trace Context), unread; None without one.
        paying: members of ``_meta`` that pay, or ask for an invoice, with their names; unread.
        body: what the upstream gets, without proof and payments; the original octets when there
            were none.
    """

    kind: Kind
    id: RequestId | None
    method: str
    name: str
    modern: bool
    proof: tuple[object, ...]
    body: bytes
    traceparent: str | None = None
    paying: tuple[tuple[str, object], ...] = field(default=(), repr=False)

    def arguments_digest(self) -> bytes:
        """SHA-256 of what is asked, however it is written: of ``params`` but for ``_meta``.

        Reads the body again: whoever asks for it has a reason to.
        """
        params = json.loads(self.body).get("params")
        if isinstance(params, dict):
            params = {key: value for key, value in params.items() if key != "_meta"}
        text = json.dumps(params, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).digest()

    @property
    def is_shortened(self) -> bool:
        """Whether something was taken out of the body."""
        return bool(self.proof or self.paying)


@dataclass(frozen=True, slots=True)
class Fault:
    """A body that is not such a message, and the id to answer under, if it has one."""

    problem: Problem
    id: RequestId | None = None


def is_modern(version: str) -> bool:
    """Whether a protocol version is 2026-07-28 or later, or is no date at all."""
    return not _DATE.fullmatch(version) or version >= MODERN_SINCE


def read_message(
    body: bytes, headers: RoutingHeaders, *, is_sold: bool = False
) -> McpMessage | Fault:
    """Read a POST body together with the headers that mirror it.

    Args:
        body: its octets.
        headers: that mirror it.
        is_sold: whether payments are looked for; where not, they are the upstream's.
    """
    try:
        document = strict_json.loads(body)
    except InvalidInputError as error:
        return Fault(problems.malformed_mcp(str(error), rpc_code=problems.PARSE_ERROR))
    if not isinstance(document, dict):
        return Fault(
            problems.malformed_mcp(
                f"expected one JSON-RPC message, got {strict_json.kind(document)}; "
                "batches are not taken, send each message in its own POST"
            )
        )
    identity = document.get("id")
    answer_to = identity if _is_id(identity) else None
    problem = _lookalike(document) or _misshapen(document) or _disagreement(document, headers)
    if problem is not None:
        return Fault(problem, answer_to)
    method = document.get("method", "")
    meta = _meta(document)
    proof = (meta[PROOF_META],) if PROOF_META in meta else ()
    paying = tuple((name, meta[name]) for name in _PAYING if is_sold and name in meta)
    ours = {PROOF_META, *dict(paying)}
    return McpMessage(
        kind=_kind(document),
        id=answer_to,
        method=method,
        name=_name(document) or "",
        modern=headers.modern or (VERSION_META in meta and is_modern(str(meta[VERSION_META]))),
        proof=proof,
        body=_without(ours, document) if proof or paying else body,
        traceparent=_traceparent(meta),
        paying=paying,
    )


def decode_header(value: str) -> str | None:
    """A mirrored header's value: plain, or UTF-8 wrapped as ``=?base64?...?=``; None if broken."""
    wrapped = _WRAPPED.fullmatch(value)
    if wrapped is None:
        return value
    try:
        octets = base64.b64decode(wrapped[1], validate=True)
        decoded = octets.decode("utf-8")
    except ValueError:  # no base64, or octets that are not UTF-8
        return None
    # One text for each value: stray bits at the end would make a second.
    return decoded if base64.b64encode(octets).decode("ascii") == wrapped[1] else None


def _kind(document: Mapping[str, object]) -> Kind:
    if "method" not in document:
        return Kind.RESPONSE
    return Kind.REQUEST if "id" in document else Kind.NOTIFICATION


def _lookalike(document: Mapping[str, object]) -> Problem | None:
    """A member that parsers which ignore case (Go's, .NET's) would take for one that is priced."""
    params = document.get("params")
    for members, names in (
        (document, _MEMBERS),
        (params if isinstance(params, dict) else {}, _PARAMETERS),
    ):
        for name in members:
            if name not in names and name.casefold() in names:
                return problems.malformed_mcp(
                    f"expected {name.casefold()!a} in lower case, got {_quoted(name)}"
                )
    return None


def _misshapen(document: Mapping[str, object]) -> Problem | None:
    """The first way in which the document is no JSON-RPC 2.0 message, or None."""
    if document.get("jsonrpc") != "2.0":
        return problems.malformed_mcp('expected "jsonrpc": "2.0"')
    if "id" in document and not _is_id(document["id"]):
        return problems.malformed_mcp(
            f'expected "id" to be a string or an integer, got {strict_json.kind(document["id"])}'
        )
    if "method" not in document:
        if ("result" in document) == ("error" in document) or "id" not in document:
            return problems.malformed_mcp(
                'expected a "method", or an "id" with either "result" or "error"'
            )
        return None
    method = document["method"]
    if not isinstance(method, str) or not method or not _is_text(method):
        return problems.malformed_mcp('expected "method" to be a non-empty string')
    if "id" not in document and not method.startswith("notifications/"):
        return problems.malformed_mcp(f'expected an "id": {_quoted(method)} is not a notification')
    if method in NAMED_BY and _name(document) is None:
        return problems.malformed_mcp(
            f'expected "params" with a string "{NAMED_BY[method]}" for {method}',
            rpc_code=problems.INVALID_PARAMS,
        )
    if method == "resources/read" and len(_name(document) or "") > _MAX_URI:
        return problems.malformed_mcp(
            f'expected a "uri" of at most {_MAX_URI} characters', rpc_code=problems.INVALID_PARAMS
        )
    return None


def _disagreement(document: Mapping[str, object], headers: RoutingHeaders) -> Problem | None:
    """Where headers and body differ (MCP 2026-07-28, "Server Validation"), or None."""
    for label, values in (
        ("MCP-Protocol-Version", headers.version),
        ("Mcp-Method", headers.method),
        ("Mcp-Name", headers.name),
    ):
        if len(values) > 1:
            return problems.header_mismatch(f"expected {label} once, got it {len(values)} times")
    if _kind(document) is Kind.RESPONSE:
        return None
    meta = _meta(document)
    stateless = headers.modern or VERSION_META in meta
    required = stateless and _kind(document) is Kind.REQUEST
    if required and (missing := [k for k in (VERSION_META, CAPABILITIES_META) if k not in meta]):
        return problems.malformed_mcp(
            f"expected params._meta to carry {' and '.join(missing)}",
            rpc_code=problems.INVALID_PARAMS,
        )
    for label, values, wanted in (
        ("MCP-Protocol-Version", headers.version, meta.get(VERSION_META)),
        ("Mcp-Method", headers.method, document["method"]),
        ("Mcp-Name", headers.name, _name(document)),
    ):
        if not values and required and wanted is not None:
            return problems.header_mismatch(f"expected the header {label}, which mirrors the body")
        if values and wanted is not None and decode_header(values[0]) != wanted:
            return problems.header_mismatch(
                f"expected {label} to be {_quoted(wanted)}, as in the body, "
                f"got {_quoted(values[0])}"
            )
    return None


def _meta(document: Mapping[str, object]) -> Mapping[str, object]:
    params = document.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def _name(document: Mapping[str, object]) -> str | None:
    parameter = NAMED_BY.get(str(document.get("method")))
    params = document.get("params")
    if parameter is None or not isinstance(params, dict):
        return None
    name = params.get(parameter)
    return name if isinstance(name, str) and _is_text(name) else None


def _traceparent(meta: Mapping[str, object]) -> str | None:
    value = meta.get(TRACE_META)
    return value if isinstance(value, str) and len(value) <= _MAX_QUOTED else None


def _without(ours: Set[str], document: Mapping[str, object]) -> bytes:
    params = document["params"]
    assert isinstance(params, dict)
    meta = {key: value for key, value in _meta(document).items() if key not in ours}
    kept = {key: value for key, value in params.items() if key != "_meta"}
    if meta:
        kept["_meta"] = meta
    return json.dumps({**document, "params": kept}, separators=(",", ":")).encode("ascii")


def _quoted(value: object) -> str:
    """What came, as an error may repeat it: a body's length must not come back several times."""
    text = ascii(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_text(value: str) -> bool:
    """Whether a string can be encoded; JSON escapes can write half a surrogate pair."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
