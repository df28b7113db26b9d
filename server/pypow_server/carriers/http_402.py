# SPDX-License-Identifier: Apache-2.0
"""A refusal as plain HTTP: status, ``WWW-Authenticate`` lines and a body for machines.

For everything that is not MCP, and for MCP callers that have shown that they read it: those get
a JSON-RPC error with the id of their request in the body.
"""

from collections.abc import Sequence

from pypow_server.call import Call
from pypow_server.problems import Problem
from pypow_server.rails import Offer
from pypow_server.reply import Header, Reply, json_reply

from .mcp_error import beside, error_document

_SCHEMES = ("L402", "Payment", "Bearer", "DPoP", "PoW")
"""The order of the challenges: some clients pay again and again when L402 is not the first."""


def carry(call: Call, problem: Problem, offers: Sequence[Offer]) -> Reply:
    """The refusal at the problem's own status."""
    headers = _challenges(problem, offers)
    if call.mcp is None:
        return problem.reply(
            offers=[offer.json for offer in offers], beside=beside(offers), headers=headers
        )
    return json_reply(
        problem.status,
        error_document(call.mcp.id, problem, offers),
        headers=(*problem.headers, *headers),
    )


def _challenges(problem: Problem, offers: Sequence[Offer]) -> list[Header]:
    said = {_scheme(line) for line in problem.authenticate}
    offered = (line for offer in offers for line in offer.www_authenticate)
    lines = [*problem.authenticate, *(line for line in offered if _scheme(line) not in said)]
    if len(lines) > 1:
        lines.sort(key=_rank)
    return [(b"www-authenticate", line.encode("ascii")) for line in lines]


def _rank(line: str) -> int:
    return _SCHEMES.index(_scheme(line))


def _scheme(line: str) -> str:
    return line.partition(" ")[0]
