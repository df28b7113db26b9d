# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry: a span for each decision and each spend, in the caller's own trace.

Spans are made once a decision is known, with the times that were taken: only then is it known
which trace the caller names, since MCP callers name it in the message (``_meta.traceparent``).
There is nothing of a credential in them, and no caller's address.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .decision import Decision
from .scope import ASGIApp, Receive, Scope, Send
from .stores.watched import SPEND, StoreCall, Watcher

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

_TRACEPARENT: Final = b"traceparent"
_TRACESTATE: Final = b"tracestate"
_TRACE_HEADERS: Final = (_TRACEPARENT, _TRACESTATE)


@dataclass(slots=True)
class _Request:
    """What is known of the request that the current task serves."""

    carrier: dict[str, str]
    spends: list[tuple[str, StoreCall]] = field(default_factory=list)
    decided: "Context | None" = None


_request: ContextVar[_Request] = ContextVar("pypow_trace_request")


def configured() -> "Tracing | None":
    """Tracing by the provider that this process has set up; None where it has set up none."""
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None
    provider = trace.get_tracer_provider()
    unset = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
    return None if isinstance(provider, unset) else Tracing(provider)


class Tracing:
    """Makes the spans of one gate."""

    def __init__(self, provider: "TracerProvider") -> None:
        """Make spans with this provider; needs the extra ``[otel]``."""
        # Where OpenTelemetry is not installed, this module must still load.
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._tracer = trace.get_tracer("pypow", tracer_provider=provider)
        self._propagator = TraceContextTextMapPropagator()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The gate, with the caller's trace taken from its headers."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                carrier = {
                    name.decode(): value.decode("latin-1")
                    for name, value in scope["headers"]
                    if name in _TRACE_HEADERS
                }
                _request.set(_Request(carrier))
            await app(scope, receive, send)

        return traced

    def store_watcher(self, store: str) -> Watcher:
        """Remembers spends for their spans.

        Args:
            store: the store's kind, such as ``sqlite``.
        """

        def watch(call: StoreCall) -> None:
            request = _request.get(None)
            if request is not None and call.operation == SPEND:
                request.spends.append((store, call))

        return watch

    def record(self, decision: Decision) -> None:
        """Make the decision's span, and those of its spends. A `Recorder`."""
        request = _request.get(None)
        if request is None:
            return
        carrier = request.carrier
        if decision.traceparent is not None:
            carrier = {_TRACEPARENT.decode(): decision.traceparent}
        ended_ns = time.time_ns()
        span = self._tracer.start_span(
            "pypow decision",
            context=self._propagator.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes=_attributes(decision),
            start_time=ended_ns - int(decision.seconds * 1e9),
        )
        if decision.status is not None and decision.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR, decision.problem)
        request.decided = self._trace.set_span_in_context(span)
        for store, call in request.spends:
            self._spend_span(store, call, request.decided)
        span.end(ended_ns)

    def upstream(self, app: ASGIApp) -> ASGIApp:
        """The upstream, which is told the decision's span in the request's headers."""

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            request = _request.get(None) if scope["type"] != "lifespan" else None
            if request is not None and request.decided is not None:
                carrier: dict[str, str] = {}
                self._propagator.inject(carrier, request.decided)
                kept = [header for header in scope["headers"] if header[0] not in _TRACE_HEADERS]
                added = [(name.encode(), text.encode()) for name, text in carrier.items()]
                # The same dictionary: a front notes in it whether the upstream was reached.
                scope["headers"] = [*kept, *added]
            await app(scope, receive, send)

        return told

    def _spend_span(self, store: str, call: StoreCall, parent: "Context") -> None:
        answer = "failed" if call.answer is None else call.answer.name.lower()
        span = self._tracer.start_span(
            "pypow spend",
            context=parent,
            attributes={"pypow.store": store, "pypow.spend": answer},
            start_time=call.started_ns,
        )
        if call.failed:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(call.ended_ns)


def _attributes(decision: Decision) -> dict[str, str | int]:
    known = {
        "pypow.decision": decision.id,
        "pypow.outcome": decision.outcome.value,
        "pypow.entry": decision.entry,
        "pypow.rail": decision.rail,
        "pypow.problem": decision.problem,
        "http.response.status_code": decision.status,
    }
    return {name: value for name, value in known.items() if value is not None}
