# SPDX-License-Identifier: Apache-2.0
"""Traces: a decision and its spend in the caller's own trace, and the upstream told of both."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pypow_server import tracing
from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores import Spend
from pypow_server.stores.watched import WatchedLedger
from pypow_server.tracing import Tracing
from support.asgi_client import Answer, call
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, HOST, CountingLedger, RecordingApp, offers, solution, solved

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


@dataclass
class TracedGate:
    """A gate whose spans are kept."""

    app: RecordingApp = field(default_factory=RecordingApp)
    ledger: CountingLedger = field(default_factory=CountingLedger)
    kept: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.kept))
        spans = Tracing(provider)
        gate = Gate(
            spans.upstream(self.app),
            rails=[WorkRail(KEYRING, public_host=HOST)],
            ledger=WatchedLedger(self.ledger, [spans.store_watcher("memory")]),
            policy=Policy(default=EASY),
            recorders=[spans.record],
            clock=lambda: NOW_MS,
        )
        self.gate = spans.around(gate)

    def send(
        self,
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        target: bytes = b"/x",
        body: bytes = b"",
    ) -> Answer:
        """One request; spans of earlier ones are forgotten."""
        self.kept.clear()
        fields = [(b"host", HOST.encode()), *headers]
        method = "POST" if body else "GET"
        return asyncio.run(call(self.gate, method, target, headers=fields, body=body))

    def paid(self, *headers: tuple[bytes, bytes]) -> Answer:
        """One request with a proof."""
        proof = solution(solved(offers(self.send())[0]))
        return self.send([*proof, *headers])

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.kept.get_finished_spans()}


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
