# SPDX-License-Identifier: Apache-2.0
"""The log: one line for each event, in three forms, and nothing in it that moves a terminal."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from pypow.pricing import Quote
from pypow_server import logs
from pypow_server.decision import Outcome
from support.decisions import ADMITTED, REFUSED, refused


@pytest.fixture(autouse=True)
def _the_log_of_other_tests_stays_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("pypow_server")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def logging_to(level: str = "info", form: str = "json") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level=level, form=form, stream=stream)
    return stream


def test_a_refusal_is_one_line_with_the_decision_that_its_caller_was_told() -> None:
    stream = logging_to()
    logs.record(REFUSED)

    line = json.loads(stream.getvalue())
    assert datetime.fromisoformat(line.pop("at")).tzinfo is not None
    assert line == {
        "event": "refused",
        "level": "info",
        "logger": "pypow_server.decisions",
        "decision": "00112233aabbccdd",
        "problem": "work-required",
        "status": 402,
        "entry": "default",
        "client": "192.0.2.7/32",
        "call": "tools/call search",
    }


def test_a_price_that_use_has_raised_is_told_with_whose_use_it_was() -> None:
    stream = logging_to()
    quote = Quote(16 * 1024, 0, 1536, 0, level=1, free_in_ms=42_000)
    logs.record(refused(q=18 * 1024, quote=quote, retry_after_s=3))

    line = json.loads(stream.getvalue())
    assert (line["bits"], line["overdraft_bits"], line["retry_after"]) == (18, 1.5, 3)
    assert line["overdrawn"] == "192.0.2.0/24"


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["free", "admitted", "observed", "refused"]),
        ("info", ["observed", "refused"]),
        ("warning", []),
        ("error", []),
    ],
)
def test_the_level_says_which_decisions_are_logged(level: str, events: list[str]) -> None:
    stream = logging_to(level)
    logs.record(refused(outcome=Outcome.FREE))
    logs.record(ADMITTED)
    logs.record(refused(outcome=Outcome.OBSERVED))
    logs.record(REFUSED)

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == events


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize(
    "name", ["a\nlevel=error", "\x1b[2J", "\u202egnp", 'x" forged="1', "\udcff"]
)
def test_no_name_forges_a_line_or_reaches_the_terminal(form: str, name: str) -> None:
    stream = logging_to(form=form)
    logs.record(refused(name=name))

    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.isascii()
    assert written.rstrip("\n").isprintable()
    assert ' forged="1"' not in written.replace('\\"', "")


def test_a_name_is_cut_short() -> None:
    stream = logging_to()
    logs.record(refused(name="x" * 100_000))

    assert len(stream.getvalue()) < 600


@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_failure_is_logged_with_its_traceback_and_without_the_values_of_variables(
    form: str,
) -> None:
    stream = logging_to("debug", form)
    secret = "".join(["hun", "ter2"])

    def fails(_secret: str) -> None:
        raise ValueError("it broke")

    try:
        fails(secret)
    except ValueError:
        logging.getLogger("pypow_server.gate").exception("the gate failed")

    assert "it broke" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert secret not in stream.getvalue()


def test_other_libraries_are_heard_when_something_is_wrong_only() -> None:
    stream = logging_to("debug")
    logging.getLogger("aiohttp.client").info("connected")
    logging.getLogger("aiohttp.client").warning("broken")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["broken"]


def test_logfmt_begins_with_time_level_and_event() -> None:
    stream = logging_to(form="logfmt")
    logs.record(REFUSED)

    assert [pair.partition("=")[0] for pair in stream.getvalue().split()[:3]] == [
        "at", "level", "event",
    ]  # fmt: skip
    assert " problem=work-required status=402 " in stream.getvalue()


@pytest.mark.parametrize("form", logs.FORMATS)
def test_every_line_writes_its_time_alike(form: str) -> None:
    stream = logging_to(form=form)
    logs.record(REFUSED)
    logging.getLogger("pypow_server.x").warning("something else")

    at = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
    assert [len(at.findall(line)) for line in stream.getvalue().splitlines()] == [1, 1]
