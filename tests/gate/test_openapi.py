# SPDX-License-Identifier: Apache-2.0
"""The callers' API answers as its OpenAPI document says, whatever is asked of it."""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from pypow_server.api import create_api
from pypow_server.policy import Policy, Price
from pypow_server.rails.work import WorkRail
from pypow_server.redemption import Redemption
from pypow_server.stores import Ledger, StoreError
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import call
from support.challenges import KEYRING
from support.gated import Clock
from support.serving import served

EXAMPLES = int(os.environ.get("PYPOW_TEST_OPENAPI_EXAMPLES", "5000"))
"""How many requests of each kind the deep test sends."""

NOT_IN_A_DOCUMENT = [checks.positive_data_acceptance]
"""A schema cannot say that a proof must be a right one, nor that free calls have no challenge."""

REJECTING = {"expected-statuses": ["400", "405", "413"]}
CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": REJECTING}})

MODES = {"as documented": GenerationMode.POSITIVE, "otherwise": GenerationMode.NEGATIVE}
OPERATIONS = ("GET /api/challenge", "POST /api/verify")


def _api(ledger: Ledger) -> FastAPI:
    return create_api(
        Redemption(
            WorkRail(KEYRING, public_host="gate.example"),
            Policy(default=Price("easy", 4096)),
            ledger,
        ),
        clock=Clock(),
    )


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    api = _api(MemoryLedger())
    with served(api) as url:
        loaded = schemathesis.openapi.from_dict(api.openapi(), config=CONFIG)
        loaded.config.update(base_url=url)
        yield loaded


def _operations(schema: Any) -> dict[str, Any]:
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.label: operation for operation in found}


def _ask(operation: Any, mode: GenerationMode, examples: int) -> None:
    @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_as_documented(case: Any) -> None:
        case.call_and_validate(excluded_checks=NOT_IN_A_DOCUMENT)

    answers_as_documented()


def test_the_document_tells_of_all_that_the_api_does(schema: Any) -> None:
    assert tuple(sorted(_operations(schema))) == OPERATIONS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_tells_of(schema: Any, label: str, mode: str) -> None:
    _ask(_operations(schema)[label], MODES[mode], 25)


def test_a_ledger_that_cannot_tell_its_epoch_is_answered_503() -> None:
    class Lost(MemoryLedger):
        async def epoch(self) -> int:
            raise StoreError("the disk is gone")

    answer = asyncio.run(call(_api(Lost()), "GET", b"/api/challenge"))
    assert answer.status == 503
    assert json.loads(answer.body)["type"] == "urn:pypow:error:store-unavailable"


@pytest.mark.deep
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_one_of_many_answers_is_one_that_the_document_tells_of(
    schema: Any, label: str, mode: str
) -> None:
    _ask(_operations(schema)[label], MODES[mode], EXAMPLES)
