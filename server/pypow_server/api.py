# SPDX-License-Identifier: Apache-2.0
"""The callers' own API: get a challenge for a call, or redeem a proof for a pass.

Everything else that a caller sends is for the upstream and goes through the gate.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pypow import InvalidInputError, difficulty, strict_json, wire
from pypow.base64_text import encode_url

from . import problems
from .accepts import read_accepts
from .api_decisions import Deciding, asked_in
from .api_models import (
    MAX_RESOURCE,
    BoughtPass,
    ChallengeQuery,
    ProblemDocument,
    PublishedChallenge,
    SentProof,
    VerifyQuery,
)
from .call import PASS_COOKIE
from .decision import Recorder
from .passes import UNBOUND, Pass
from .problems import Problem
from .redemption import Bind, Redemption
from .reply import Reply, json_reply
from .resource import Resource
from .selling import Selling

CHALLENGE_PATH: Final = "/api/challenge"
VERIFY_PATH: Final = "/api/verify"

_MAX_BODY_OCTETS = 4096


# The framework would say application/json.
_PROBLEMS: Final[dict[int | str, dict[str, object]]] = {
    "default": {
        "description": "A refusal; its type says what to do.",
        "content": {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}},
    }
}


class RefusedError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def create_api(
    redemption: Redemption,
    *,
    clock: Callable[[], int],
    recorders: Sequence[Recorder] = (),
    secure_cookies: bool = False,
    selling: Selling | None = None,
) -> FastAPI:
    """The API as an app that answers `CHALLENGE_PATH` and `VERIFY_PATH`.

    Args:
        redemption: gives challenges out and takes proofs.
        clock: Unix milliseconds.
        recorders: are told of every redemption and refusal.
        secure_cookies: whether callers come by https, and cookies may travel by nothing else.
        selling: how calls are sold for sats; None where none are.
    """
    policy, holders = redemption.policy, redemption.holders
    api = FastAPI(title="pypow gate", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_middleware(Deciding, policy=policy, clock=clock, recorders=recorders, holders=holders)

    @api.get(CHALLENGE_PATH, response_model=PublishedChallenge, responses=_PROBLEMS)
    async def challenge(request: Request, query: Annotated[ChallengeQuery, Query()]) -> Response:
        """Get a challenge. Costs nothing and is remembered nowhere."""
        asked = asked_in(request.scope)
        resource, puzzles = _wanted(request, query)
        now_ms = clock()
        given = await redemption.challenge(resource, asked, puzzles=puzzles, now_ms=now_ms)
        if isinstance(given, Problem):
            raise RefusedError(given)
        published, price = given.challenge.published(), given.price
        if selling is not None and resource is not None and price.sats is not None:
            published["sats"] = selling.asked(price.sats, given.quote)
        binding = redemption.rail.binding
        nonce = () if binding is None else binding.receipt(now_ms)
        return _response(json_reply(200, published, headers=nonce))

    @api.post(
        VERIFY_PATH,
        response_model=BoughtPass,
        responses=_PROBLEMS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": SentProof.model_json_schema()}},
            }
        },
    )
    async def verify(request: Request, query: Annotated[VerifyQuery, Query()]) -> Response:
        """Redeem a proof: it is spent, and buys a pass."""
        asked = asked_in(request.scope)
        proof, resource = await _read_proof(request)
        now_ms = clock()
        redeemed = await redemption.redeem(
            proof,
            resource,
            asked,
            now_ms=now_ms,
            in_cookie=query.cookie is not None,
            bind=_bind(redemption, request, query, now_ms),
        )
        if isinstance(redeemed, Problem):
            raise RefusedError(redeemed)
        response = _sold(redeemed.bought, query, now_ms=now_ms, secure=secure_cookies)
        response.raw_headers.extend(redeemed.thanks)
        return response

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


async def _read_proof(request: Request) -> tuple[wire.Proof, Resource | None]:
    """The proof in a body, and the call that it says its challenge was for."""
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
        document = strict_json.loads(bytes(body))
        said = document.pop("resource", None) if isinstance(document, dict) else None
        return wire.proof_from_json(document), _read_resource(said)
    except InvalidInputError as error:
        raise RefusedError(problems.malformed_proof(str(error))) from None


def _read_resource(said: object) -> Resource | None:
    if said is None:
        return None
    if not isinstance(said, str) or len(said) > MAX_RESOURCE:
        raise InvalidInputError(f"resource: expected a text of at most {MAX_RESOURCE} characters")
    return Resource.parse(said)


def _bind(redemption: Redemption, request: Request, query: VerifyQuery, now_ms: int) -> Bind | None:
    """What binds the pass to the caller's key; None for a caller that proves none."""
    binding = redemption.rail.binding
    proofs = [value for name, value in request.headers.raw if name == b"dpop"]
    if binding is None or not proofs:
        return None
    if query.cookie is not None:
        raise RefusedError(
            problems.bad_request("expected no DPoP with cookie=1: a cookie proves no key")
        )
    return partial(binding.bound_at, "POST", VERIFY_PATH.encode(), proofs, now_ms=now_ms)


def _sold(bought: Pass, query: VerifyQuery, *, now_ms: int, secure: bool) -> Response:
    """The pass, in the body or as a cookie."""
    document: dict[str, object] = {
        "calls": bought.calls,
        "expires_at": bought.expires_at_ms // 1000,
    }
    if bought.thumbprint != UNBOUND:
        document["thumbprint"] = encode_url(bought.thumbprint)
    if query.cookie is None:
        return _response(json_reply(200, {"pass": bought.text, **document}))
    response = _response(json_reply(200, document))
    response.set_cookie(
        PASS_COOKIE,
        bought.text,
        max_age=(bought.expires_at_ms - now_ms) // 1000,
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return response


def _response(reply: Reply) -> Response:
    response = Response(reply.body, status_code=reply.status)
    response.raw_headers.extend(reply.headers)
    return response


async def _answer_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _refused(request, error.problem)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = " ".join(ascii(part) for part in first["loc"])
    return _refused(request, problems.bad_request(f"{where}: {first['msg']}"))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _refused(request, problems.method_not_allowed("see the API's documentation"))
    return _refused(request, problems.not_found("see the API's documentation"))


def _refused(request: Request, problem: Problem) -> Response:
    asked_in(request.scope).problem = problem
    challenges = [(b"www-authenticate", line.encode("ascii")) for line in problem.authenticate]
    return _response(problem.reply(headers=challenges))
