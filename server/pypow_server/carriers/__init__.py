# SPDX-License-Identifier: Apache-2.0
"""Carriers: the envelope of a refusal that fits this caller. One module per envelope.

No stock MCP client may lose its session because of a refusal, so HTTP statuses go only to
callers that are known to read them. A proof in ``_meta`` shows an MCP client, not such a caller.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pypow_server.call import Call
from pypow_server.problems import Problem
from pypow_server.rails import Offer
from pypow_server.reply import Reply

from . import http_402, mcp_error, mcp_tool_result

Carrier: TypeAlias = Callable[[Call, Problem, Sequence[Offer]], Reply]

answer_fault = mcp_error.answer


def select(call: Call, problem: Problem) -> Carrier:
    """The carrier for this caller, who hears this."""
    # A login begins with an HTTP 401 or 403, and with nothing else.
    if call.mcp is None or call.reads_http or problem.authenticate:
        return http_402.carry
    if call.mcp.method == "tools/call":
        return mcp_tool_result.carry
    return mcp_error.carry
