# SPDX-License-Identifier: Apache-2.0
"""Problems: each has a stable type, a fresh decision, and its place in docs/errors.md."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

from pypow_server import problems
from pypow_server.problems import Problem
from support.asgi_client import call

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
CONSTRUCTORS: list[Callable[[str], Problem]] = [
    function
    for _, function in inspect.getmembers(problems, inspect.isfunction)
    if inspect.signature(function).return_annotation is Problem
]


def documented() -> dict[str, int]:
    """Type name to status, from the headings of docs/errors.md."""
    headings = re.findall(r"^### `([a-z-]+)` \((\d{3})\)$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert len(headings) == len(dict(headings)), "a type is documented twice"
    return {name: int(status) for name, status in headings}


def test_every_type_is_documented_with_its_status_and_nothing_else_is() -> None:
    made = {problem.name: problem.status for problem in (make("why") for make in CONSTRUCTORS)}
    assert len(made) == len(CONSTRUCTORS)
    assert documented() == made


def test_every_documented_type_tells_cause_and_fix() -> None:
    sections = re.split(r"^### ", DOCS.read_text("utf-8"), flags=re.MULTILINE)[1:]
    for section in sections:
        assert re.search(r"^Cause: \S", section, re.MULTILINE), section[:40]
        assert re.search(r"^Fix: \S", section, re.MULTILINE), section[:40]


def test_a_type_is_named_after_its_constructor() -> None:
    for make in CONSTRUCTORS:
        assert make("why").name == make.__name__.replace("_", "-")


def test_no_two_refusals_share_a_decision() -> None:
    assert len({problems.expired("why").decision for _ in range(50)}) == 50


def test_a_problem_answers_a_request_by_itself() -> None:
    problem = problems.not_found("nothing at /x")
    answer = asyncio.run(call(problem))
    assert (answer.status, answer.values(b"content-type")) == (404, [b"application/problem+json"])
    assert json.loads(answer.body) == {
        "type": "urn:pypow:error:not-found",
        "title": "There is nothing here",
        "status": 404,
        "detail": "nothing at /x",
        "decision": problem.decision,
    }


def test_a_problem_that_passes_by_itself_says_when() -> None:
    answer = asyncio.run(call(problems.store_unavailable("busy")))
    assert answer.values(b"retry-after") == [b"1"]
    assert json.loads(answer.body)["retry_after"] == 1


def test_json_rpc_codes_are_the_standards_own_or_outside_its_reserved_range() -> None:
    reserved = {-32700, -32600, -32602, -32020}
    for make in CONSTRUCTORS:
        code = make("why").code
        assert code in reserved or not -32768 <= code <= -32000
