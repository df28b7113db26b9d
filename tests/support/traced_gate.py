# SPDX-License-Identifier: Apache-2.0
"""A gate whose spans are kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores.watched import WatchedLedger
from pypow_server.tracing import Tracing
from support.asgi_client import Answer, call
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, HOST, CountingLedger, RecordingApp, offers, solution, solved


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
