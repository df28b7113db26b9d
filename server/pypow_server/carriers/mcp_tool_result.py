# SPDX-License-Identifier: Apache-2.0
"""A refusal as a tool result with ``isError``, at HTTP 200.

The one envelope that every MCP SDK hands to its caller as an ordinary answer. The text is for
the model, so it is short and says what to do; ``_meta`` has the same for programs. Since
2026-07-28 so has the structured content. Before, it is left out: the TypeScript SDK of that era
holds it against the tool's own output schema, error or not, and throws the answer away.
"""

import json
from collections.abc import Sequence

from pypow_server.call import Call
from pypow_server.mcp_message import CHALLENGES_META, REFUSAL_META
from pypow_server.problems import Problem
from pypow_server.rails import Offer
from pypow_server.reply import Reply, json_reply

from .mcp_error import document_of

MAX_TEXT = 400
"""Octets of text that a refusal may cost a model."""


def carry(call: Call, problem: Problem, offers: Sequence[Offer]) -> Reply:
    """The refusal as the result of the tool call."""
    assert call.mcp is not None
    document = document_of(problem, offers)
    result: dict[str, object] = {
        "content": [{"type": "text", "text": _text(problem, offers)}],
        "isError": True,
        "_meta": {REFUSAL_META: document, **_challenges(offers)},
    }
    if call.mcp.modern:
        result |= {"structuredContent": document, "resultType": "complete"}
    return json_reply(
        200,
        {"jsonrpc": "2.0", "id": call.mcp.id, "result": result},
        headers=problem.headers,
    )


def _challenges(offers: Sequence[Offer]) -> dict[str, object]:
    """What clients of the `Payment` scheme look for; its JSON-RPC code means something else now."""
    found = [one for offer in offers if offer.challenges for one in json.loads(offer.challenges)]
    return {CHALLENGES_META: {"challenges": found}} if found else {}


def _text(problem: Problem, offers: Sequence[Offer]) -> str:
    """Why, and one way through; the reason gives way when there is no room for both."""
    way = offers[0].ask if offers else ""
    why = f"{problem.title}: {problem.detail}."
    if len(f"{why} {way}".encode()) >= MAX_TEXT:
        why = f"{problem.title}."
    return f"{why} {way}".rstrip()
