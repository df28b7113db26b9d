# SPDX-License-Identifier: Apache-2.0
"""A refusal as a JSON-RPC error, for priced MCP methods that return no tool result.

In the handshake era it travels at HTTP 200: SDKs of that era take any other status for the end
of the session. In the modern era a status is part of the answer, and 400 is the one at which
all SDKs read the body; a 401 would begin a login.
"""

from collections.abc import Sequence

from pypow_server.call import Call
from pypow_server.mcp_message import Fault, RequestId
from pypow_server.problems import Problem
from pypow_server.rails import Offer
from pypow_server.reply import Reply, json_reply


def carry(call: Call, problem: Problem, offers: Sequence[Offer]) -> Reply:
    """The refusal under the id of the call's message."""
    assert call.mcp is not None
    modern_status = 400 if problem.status in (401, 402) else problem.status
    return json_reply(
        modern_status if call.mcp.modern else 200,
        error_document(call.mcp.id, problem, offers),
        headers=problem.headers,
    )


def answer(fault: Fault) -> Reply:
    """The refusal of a body that is no MCP message, under its id where it has one."""
    return json_reply(fault.problem.status, error_document(fault.id, fault.problem))


def error_document(
    identity: RequestId | None, problem: Problem, offers: Sequence[Offer] = ()
) -> dict[str, object]:
    """A JSON-RPC error (section 5.1) whose data is the problem with its offers."""
    return {
        "jsonrpc": "2.0",
        "id": identity,
        "error": {
            "code": problem.code,
            "message": f"{problem.title}: {problem.detail}",
            "data": document_of(problem, offers),
        },
    }


def document_of(problem: Problem, offers: Sequence[Offer]) -> dict[str, object]:
    """The problem with its offers, for machines."""
    return problem.document([offer.json for offer in offers], beside=beside(offers))


def beside(offers: Sequence[Offer]) -> str:
    """What clients of these offers look for beside the members of the problem."""
    return ",".join(offer.beside for offer in offers if offer.beside)
