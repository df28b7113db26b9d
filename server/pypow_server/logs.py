# SPDX-License-Identifier: Apache-2.0
"""The log on standard error: what is refused, and what goes wrong.

One line for each event, as ``key=value`` pairs, JSON, or columns for a terminal. What callers sent
is never in it, but for method and path or tool, escaped and cut short.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Final, TextIO

import structlog

from .decision import Decision, Outcome

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("logfmt", "json", "console")
DEFAULT_LEVEL: Final = "info"
DEFAULT_FORMAT: Final = "logfmt"

_MAX_QUOTED: Final = 200
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
    handler.setFormatter(_formatter(form))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("pypow_server").setLevel(level.upper())


def record(decision: Decision) -> None:
    """Log a decision. A `Recorder`."""
    level = _LEVEL_OF[decision.outcome]
    if not _DECISIONS.isEnabledFor(level):
        return
    known = {
        "decision": decision.id,
        "problem": decision.problem,
        "status": decision.status,
        "entry": decision.entry,
        "rail": decision.rail,
        "client": decision.client,
        # Callers choose the octets of both, and may choose those that move a terminal's cursor.
        "call": ascii(f"{decision.method} {decision.name}"[:_MAX_QUOTED])[1:-1],
    }
    shown = {name: value for name, value in known.items() if value is not None}
    _DECISIONS.log(level, decision.outcome.value, extra=shown)


_RENDERERS: Final[Mapping[str, Callable[[], structlog.typing.Processor]]] = {
    "logfmt": lambda: structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"]),
    "json": structlog.processors.JSONRenderer,
    # Structlog's own choice for tracebacks would show the values of local variables.
    "console": lambda: structlog.dev.ConsoleRenderer(
        colors=False, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    ),
}


def _formatter(form: str) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", key="at"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _RENDERERS[form](),
        ],
    )
