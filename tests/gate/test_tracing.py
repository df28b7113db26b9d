# SPDX-License-Identifier: Apache-2.0
"""Traces: a decision and its spend in the caller's own trace, and the upstream told of both."""

import json

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed")

from opentelemetry.sdk.trace import ReadableSpan

from pypow_server import tracing
from pypow_server.stores import Spend
from support.traced_gate import TracedGate

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


def identity(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def parent(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}"


def test_a_refusal_is_a_span_with_its_decision() -> None:
    gate = TracedGate()
    answer = gate.send()

    (span,) = gate.kept.get_finished_spans()
    assert span.name == "pypow decision"
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "pypow.decision": json.loads(answer.body)["decision"],
        "pypow.outcome": "refused",
        "pypow.entry": "easy",
        "pypow.problem": "work-required",
        "http.response.status_code": 402,
    }


def test_an_admission_has_its_spend_below_it() -> None:
    gate = TracedGate()
    assert gate.paid().status == 200

    decision, spend = gate.spans()["pypow decision"], gate.spans()["pypow spend"]
    assert parent(spend) == identity(decision)
    assert dict(spend.attributes or {}) == {"pypow.store": "memory", "pypow.spend": "won"}
    assert (decision.attributes or {})["pypow.outcome"] == "admitted"


def test_the_trace_of_the_headers_is_continued_and_told_to_the_upstream() -> None:
    gate = TracedGate()
    gate.paid((b"traceparent", TRACEPARENT.encode()), (b"tracestate", b"vendor=1"))

    decision = gate.spans()["pypow decision"]
    assert parent(decision) == f"{TRACE}-{CALLER}"
    assert gate.app.header(b"traceparent") == [f"00-{identity(decision)}-01".encode()]
    assert gate.app.header(b"tracestate") == [b"vendor=1"]


def test_the_trace_of_an_mcp_message_goes_before_that_of_its_headers() -> None:
    gate = TracedGate()
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "ping",
        "params": {"_meta": {"traceparent": TRACEPARENT}},
    }
    other = f"00-{'1' * 32}-{'2' * 16}-01".encode()
    gate.send([(b"traceparent", other)], target=b"/mcp", body=json.dumps(message).encode())

    assert parent(gate.spans()["pypow decision"]) == f"{TRACE}-{CALLER}"


@pytest.mark.parametrize("given", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-1-01", b"\xff"])
def test_a_trace_that_cannot_be_read_begins_a_new_one(given: bytes) -> None:
    gate = TracedGate()
    gate.send([(b"traceparent", given)])

    assert gate.spans()["pypow decision"].parent is None


def test_a_ledger_that_cannot_tell_is_an_error_in_the_trace() -> None:
    gate = TracedGate()
    gate.ledger.answer = Spend.UNKNOWN
    assert gate.paid().status == 503

    assert not gate.spans()["pypow spend"].status.is_ok
    assert not gate.spans()["pypow decision"].status.is_ok
    assert (gate.spans()["pypow spend"].attributes or {})["pypow.spend"] == "unknown"


def test_the_span_is_as_long_as_the_decision() -> None:
    gate = TracedGate()
    gate.paid()

    decision, spend = gate.spans()["pypow decision"], gate.spans()["pypow spend"]
    assert decision.start_time is not None
    assert decision.end_time is not None
    assert spend.start_time is not None
    assert spend.end_time is not None
    assert spend.start_time <= spend.end_time <= decision.end_time
    assert decision.start_time < decision.end_time


def test_a_process_that_has_set_up_no_tracing_pays_nothing_for_it() -> None:
    assert tracing.configured() is None
