# SPDX-License-Identifier: Apache-2.0
"""The callers' own API: get a challenge for a call, or redeem a proof for a pass.

Everything else that a caller sends is for the upstream and goes through the gate.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pypow import InvalidInputError, difficulty, strict_json, wire

from . import problems
from .call import read_accepts
from .policy import FREE, Policy
from .problems import Problem
from .rails import Refuse
from .reply import Reply, json_reply
from .resource import Resource
from .settlement import settle
from .stores import Ledger

if TYPE_CHECKING:
    from .rails.work import WorkRail

CHALLENGE_PATH: Final = "/api/challenge"
VERIFY_PATH: Final = "/api/verify"

_MAX_BODY_OCTETS = 4096


class ChallengeQuery(BaseModel):
    """What a caller may say about the challenge it wants."""

    model_config = ConfigDict(extra="forbid")

    resource: str | None = Field(
        None,
        max_length=2000,
        description="The call it is for, such as `tools/call search` or `POST /v1/items`; "
        "any call of the default price where it is left out.",
    )
    puzzles: int | None = Field(
        None,
        description="The most sub-puzzles that the caller can do: a power of two up to 64. "
        "Left out, the caller gets one puzzle of whole hex digits.",
    )


class NonceForm(BaseModel):
    """How the nonce of a sub-puzzle is written."""

    encoding: str
    width: int
    index_digits: int


class PublishedChallenge(BaseModel):
    """A challenge: find a nonce so that SHA-256(challenge || nonce) is at most the target."""

    challenge: str
    difficulty: int = Field(description="Leading zero hex digits that are surely enough.")
    algorithm: str
    bits: float = Field(description="Expected work, as a power of two.")
    target: str = Field(description="256 bits in hex, inclusive.")
    puzzles: int
    expires_at: int = Field(description="Unix seconds.")
    nonce: NonceForm


class SentProof(BaseModel):
    """A challenge, and the nonce that wins it."""

    challenge: str
    nonce: str = Field(description="One for each sub-puzzle, joined by dots.")


class BoughtPass(BaseModel):
    """A bearer credential for one call of what the challenge was for."""

    text: str = Field(alias="pass", description="Send it as `Authorization: Bearer <pass>`.")
    calls: int
    expires_at: int = Field(description="Unix seconds.")


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457); docs/errors.md lists the types."""

    type: str
    title: str
    status: int
    detail: str
    decision: str


class RefusedError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def create_api(
    *, rail: "WorkRail", policy: Policy, ledger: Ledger, clock: Callable[[], int]
) -> FastAPI:
    """The API as an app that answers `CHALLENGE_PATH` and `VERIFY_PATH`.

    Args:
        rail: issues challenges and judges proofs.
        policy: what calls cost.
        ledger: where a redeemed proof is spent.
        clock: Unix milliseconds.
    """
    api = FastAPI(title="pypow gate", docs_url=None, redoc_url=None, openapi_url=None)
    problem_response: dict[int | str, dict[str, object]] = {"default": {"model": ProblemDocument}}

    @api.get(CHALLENGE_PATH, response_model=PublishedChallenge, responses=problem_response)
    async def challenge(request: Request, query: Annotated[ChallengeQuery, Query()]) -> Response:
        """Get a challenge. Costs nothing and is remembered nowhere."""
        resource, puzzles = _wanted(request, query)
        if resource is not None and _is_envelope(resource, policy):
            raise RefusedError(
                problems.bad_request(
                    "MCP calls are paid for one by one: expected a resource like "
                    f'"tools/call search", got {query.resource!a}'
                )
            )
        price = policy.default if resource is None else policy.price_of(resource)
        if price is FREE:
            raise RefusedError(
                problems.bad_request(f"{query.resource} is free; call it without a challenge")
            )
        issued = rail.challenge(
            resource, price, puzzles=puzzles, now_ms=clock(), epoch=await ledger.epoch()
        )
        return _response(json_reply(200, issued.published()))

    @api.post(
        VERIFY_PATH,
        response_model=BoughtPass,
        responses=problem_response,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": SentProof.model_json_schema()}},
            }
        },
    )
    async def verify(request: Request) -> Response:
        """Redeem a proof: it is spent, and buys a pass for one call."""
        proof = await _read_proof(request)
        now_ms = clock()
        exchange = rail.exchange(proof, now_ms=now_ms, epoch=await ledger.epoch())
        if isinstance(exchange, Refuse):
            raise RefusedError(exchange.problem)
        problem = await settle(ledger, exchange.spend, now_ms=now_ms)
        if problem is not None:
            raise RefusedError(problem)
        bought = exchange.bought
        document = {
            "pass": bought.text,
            "calls": bought.calls,
            "expires_at": bought.expires_at_ms // 1000,
        }
        return _response(json_reply(200, document))

    api.add_exception_handler(RefusedError, _answer_refused)
    api.add_exception_handler(RequestValidationError, _answer_invalid)
    api.add_exception_handler(HTTPException, _answer_http)
    return api


def _wanted(request: Request, query: ChallengeQuery) -> tuple[Resource | None, int | None]:
    """What the challenge is for, and how many sub-puzzles the caller can do, if it said so."""
    said = [value for name, value in request.headers.raw if name == b"x-pow-accept"]
    try:
        accepts = read_accepts(said)
        puzzles = accepts.puzzles if accepts is not None else None
        if query.puzzles is not None:
            puzzles = query.puzzles
            difficulty.require_puzzles(puzzles)
        resource = None if query.resource is None else Resource.parse(query.resource)
    except InvalidInputError as error:
        raise RefusedError(problems.bad_request(str(error))) from None
    return resource, puzzles


def _is_envelope(resource: Resource, policy: Policy) -> bool:
    """Whether a resource is the POST that carries MCP calls, which itself has no price."""
    named = (resource.kind, resource.method) == ("http", "POST")
    return named and policy.is_mcp_path(resource.name.encode())


async def _read_proof(request: Request) -> wire.Proof:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_OCTETS:
                raise RefusedError(
                    problems.too_large(f"expected a proof of at most {_MAX_BODY_OCTETS} octets")
                )
    except ClientDisconnect:
        raise RefusedError(
            problems.bad_request("the connection was closed before the body was complete")
        ) from None
    try:
        return wire.proof_from_json(strict_json.loads(bytes(body)))
    except InvalidInputError as error:
        raise RefusedError(problems.malformed_proof(str(error))) from None


def _response(reply: Reply) -> Response:
    response = Response(reply.body, status_code=reply.status)
    response.raw_headers.extend(reply.headers)
    return response


async def _answer_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _response(error.problem.reply())


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = " ".join(ascii(part) for part in first["loc"])
    return _response(problems.bad_request(f"{where}: {first['msg']}").reply())


async def _answer_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _response(problems.method_not_allowed("see the API's documentation").reply())
    return _response(problems.not_found("see the API's documentation").reply())
