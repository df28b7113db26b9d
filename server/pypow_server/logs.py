# SPDX-License-Identifier: Apache-2.0
"""The log on standard error: what is refused, and what goes wrong.

One line for each event, as ``key=value`` pairs, JSON, or columns for a terminal. What callers sent
is never in it, but for method and path or tool, escaped and cut short.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

import structlog

from pypow import difficulty

from .decision import Decision, Outcome

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("logfmt", "json", "console")
DEFAULT_LEVEL: Final = "info"
DEFAULT_FORMAT: Final = "logfmt"

_MAX_QUOTED: Final = 200
# All that is visible ASCII, but for what separates pairs.
_PLAIN: Final = re.compile(r"[!#-<>-~]+").fullmatch
_DECISIONS = logging.getLogger("pypow_server.decisions")
_LEVEL_OF: Final = {
    Outcome.FREE: logging.DEBUG,
    Outcome.ADMITTED: logging.DEBUG,
    Outcome.REFUSED: logging.INFO,
    Outcome.OBSERVED: logging.INFO,
}


def configure(
    *, level: str = DEFAULT_LEVEL, form: str = DEFAULT_FORMAT, stream: TextIO | None = None
) -> None:
    """Send the log of this process to standard error.

    Args:
        level: one of `LEVELS`. ``info`` has a line for each refusal, ``debug`` one for each
            request, ``warning`` only what an operator should look at.
        form: one of `FORMATS`.
        stream: instead of standard error.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Formatter(form))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("pypow_server").setLevel(level.upper())


def record(decision: Decision) -> None:
    """Log a decision. A `Recorder`."""
    level = _LEVEL_OF[decision.outcome]
    if _DECISIONS.isEnabledFor(level):
        # Made here, and not by the logger, which would look for the line of code that calls it.
        line = _Line(decision)
        _DECISIONS.handle(logging.LogRecord(_DECISIONS.name, level, "", 0, line, None, None))


class _Line:
    """A decision as a log's message; whatever handler there is, its text says it all."""

    __slots__ = ("decision",)

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def __str__(self) -> str:
        return f"{self.decision.outcome.value} {_pairs(self.fields())}"

    def fields(self) -> dict[str, object]:
        decision, quote = self.decision, self.decision.quote
        overdraft_q = 0 if quote is None else quote.overdraft_q
        known = {
            "decision": decision.id,
            "problem": decision.problem,
            "status": decision.status,
            "entry": decision.entry,
            "rail": decision.rail,
            "bits": None if decision.q is None else difficulty.bits(decision.q),
            "overdraft_bits": difficulty.bits(overdraft_q) if overdraft_q else None,
            "overdrawn": decision.overdrawn,
            "retry_after": decision.retry_after_s,
            "lane": decision.lane,
            "waited_ms": None if decision.lane is None else decision.waited_ms,
            "client": decision.client,
            # Callers choose the octets of both, and may choose some that move a cursor.
            "call": ascii(f"{decision.method} {decision.name}"[:_MAX_QUOTED])[1:-1],
        }
        return {name: value for name, value in known.items() if value is not None}


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Any record as structlog renders it; decisions, of which there are many, quicker."""

    def __init__(self, form: str) -> None:
        super().__init__(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _stamp,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _RENDERERS[form](),
            ],
        )
        self._quick = _QUICK.get(form)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = record.msg
        if self._quick is None or not isinstance(line, _Line):
            return super().format(record)
        begin = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "event": line.decision.outcome.value,
            "logger": record.name,
        }
        return self._quick(begin | line.fields())


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _stamp(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event["at"] = _at(event["_record"])
    return event


def _pairs(fields: Mapping[str, object]) -> str:
    return " ".join(
        f"{name}={value if _PLAIN(str(value)) else json.dumps(value)}"
        for name, value in fields.items()
    )


_QUICK: Final[Mapping[str, Callable[[Mapping[str, object]], str]]] = {
    "logfmt": _pairs,
    "json": json.dumps,
}
_RENDERERS: Final[Mapping[str, Callable[[], structlog.typing.Processor]]] = {
    "logfmt": lambda: structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"]),
    "json": structlog.processors.JSONRenderer,
    # Structlog's own choice for tracebacks would show the values of local variables.
    "console": lambda: structlog.dev.ConsoleRenderer(
        colors=False, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    ),
}
