# SPDX-License-Identifier: Apache-2.0
"""The callers' own API: get a challenge for a call, or redeem a proof for a pass.

Everything else that a caller sends is for the upstream and goes through the gate.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pypow import InvalidInputError, difficulty, strict_json, wire
from pypow.base64_text import encode_url
from pypow.pricing import Beyond, Quote
from pypow.tariff import Climate

from . import charging, problems
from .accepts import read_accepts
from .api_decisions import Asked, Deciding, asked_in
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
from .crowd.conditions import Conditions
from .decision import Recorder
from .holders import Holders
from .meter import Meter
from .passes import UNBOUND, Pass
from .policy import FREE, Policy, Price, Unpriced
from .problems import Problem
from .rails import Refuse
from .reply import Header, Reply, json_reply
from .resource import Resource
from .selling import Selling
from .settlement import guard, redeem, settle, store_unavailable
from .stores import Charged, Credits, Ledger

if TYPE_CHECKING:
    from .rails.work import WorkRail

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
    *,
    rail: "WorkRail",
    policy: Policy,
    ledger: Ledger,
    clock: Callable[[], int],
    credit: Credits | None = None,
    conditions: Conditions | None = None,
    recorders: Sequence[Recorder] = (),
    holders: Holders | None = None,
    secure_cookies: bool = False,
    meter_then: Callable[[Price, int], Meter | None] = lambda price, _issued_at_ms: price.meter,
    selling: Selling | None = None,
) -> FastAPI:
    """The API as an app that answers `CHALLENGE_PATH` and `VERIFY_PATH`.

    Args:
        rail: issues challenges and judges proofs.
        policy: what calls cost.
        ledger: where a redeemed proof is spent.
        clock: Unix milliseconds.
        credit: the ledger's; without them prices are the same whatever callers use.
        conditions: how crowded it is; None where that counts for nothing.
        recorders: are told of every redemption and refusal.
        holders: reads standing tokens and gives them out; None where there are none.
        secure_cookies: whether callers come by https, and cookies may travel by nothing else.
        meter_then: by what a challenge of a price, issued then (Unix ms), is charged.
        selling: how calls are sold for sats; None where none are.
    """
    conditions = conditions or Conditions()
    api = FastAPI(title="pypow gate", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_middleware(Deciding, policy=policy, clock=clock, recorders=recorders, holders=holders)

    @api.get(CHALLENGE_PATH, response_model=PublishedChallenge, responses=_PROBLEMS)
    async def challenge(request: Request, query: Annotated[ChallengeQuery, Query()]) -> Response:
        """Get a challenge. Costs nothing and is remembered nowhere."""
        asked = asked_in(request.scope)
        resource, puzzles = _wanted(request, query)
        price = _price(resource, policy, asked.client)
        asked.entry = price.name
        if not price.takes_work:
            raise RefusedError(problems.bad_request("expected a call that work can pay for"))
        epoch, now_ms = await _epoch(ledger), clock()
        quote = await _quote(credit, price, asked, now_ms, conditions.climate)
        issued = rail.challenge(
            resource,
            policy.any_call if resource is None else price,
            puzzles=puzzles,
            now_ms=now_ms,
            epoch=epoch,
            quote=quote,
        )
        published = issued.published()
        if selling is not None and resource is not None and price.sats is not None:
            published["sats"] = selling.asked(price.sats, quote)
        return _response(json_reply(200, published, headers=_nonce(rail, now_ms)))

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
        price = _price(resource, policy, asked.client)
        if resource is not None:
            asked.entry = price.name
        exchange = rail.exchange(proof, resource, price, now_ms=now_ms, metered=policy.is_metered)
        if isinstance(exchange, Refuse):
            raise RefusedError(exchange.problem)
        bought, thanks = await _bind(rail, ledger, exchange.bought, request, query, now_ms=now_ms)
        paid = exchange.paid
        meter = meter_then(price, paid.issued_at_ms)
        problem: Problem | None
        if meter is None or credit is None:
            problem = await settle(ledger, exchange.spend, now_ms=now_ms)
        else:
            charge = meter.charge(
                asked.client,
                calls=paid.calls,
                overdraft=paid.overdraft,
                climate=conditions.climate,
                holder=asked.holder,
            )
            found = await redeem(credit, exchange.spend, charge, now_ms=now_ms)
            problem = found if isinstance(found, Problem) else None
            if found is Charged.FIRST and conditions.rules is not None:
                conditions.admitted(0, newcomer=True)  # its calls weigh when they are made
            if problem is None and holders is not None:
                thanks += holders.thanks(
                    asked.bearer,
                    client=asked.client,
                    now_ms=now_ms,
                    paid=True,
                    in_cookie=query.cookie is not None,
                )
        if problem is not None:
            raise RefusedError(problem)
        response = _sold(bought, query, now_ms=now_ms, secure=secure_cookies)
        response.raw_headers.extend(thanks)
        asked.rail, asked.q = rail.name, exchange.q
        asked.solve_ms = max(0, now_ms - paid.issued_at_ms)
        if exchange.is_priced:
            asked.entry = price.name
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


async def _epoch(ledger: Ledger) -> int:
    try:
        return await ledger.epoch()
    except Exception as error:  # any store's fault; a challenge without it could not be redeemed
        raise RefusedError(store_unavailable()) from error


async def _quote(
    credit: Credits | None, price: Price, asked: Asked, now_ms: int, climate: Climate
) -> Quote | None:
    """What a call of this price costs this caller; None where that is what it costs everybody."""
    if credit is None or price.meter is None:
        return None
    try:
        found = await charging.quote(
            credit, price.meter, asked.client, now_ms=now_ms, climate=climate, holder=asked.holder
        )
    except Exception as error:  # noqa: BLE001 - any store's fault
        found = charging.untold(price, error)
    if isinstance(found, Beyond):
        asked.quote = found.quote
        raise RefusedError(charging.overdrawn(found))
    return found


def _price(resource: Resource | None, policy: Policy, client: str) -> Price:
    """What a resource costs, or (None) any call of the default price."""
    if resource is None:
        return policy.default
    if _is_envelope(resource, policy):
        raise RefusedError(
            problems.bad_request(
                'MCP calls are paid for one by one: expected a resource like "tools/call search", '
                f"got {resource.text!a}"
            )
        )
    if policy.terms_of(resource, client) is Unpriced.DENIED and not policy.observe:
        raise RefusedError(problems.denied(problems.NOT_TAKEN))
    price = policy.price_of(resource)
    if price is FREE:
        raise RefusedError(
            problems.bad_request(f"{resource.text!a} is free; call it without a challenge")
        )
    return price


def _is_envelope(resource: Resource, policy: Policy) -> bool:
    """Whether a resource is the POST that carries MCP calls, which itself has no price."""
    named = (resource.kind, resource.method) == ("http", "POST")
    return named and policy.is_mcp_path(resource.name.encode())


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


def _nonce(rail: "WorkRail", now_ms: int) -> tuple[Header, ...]:
    """What callers need before they redeem a proof for a pass that is bound to their key."""
    return () if rail.binding is None else rail.binding.receipt(now_ms)


async def _bind(
    rail: "WorkRail",
    ledger: Ledger,
    sold: Pass,
    request: Request,
    query: VerifyQuery,
    *,
    now_ms: int,
) -> tuple[Pass, tuple[Header, ...]]:
    """The pass for whoever proves a key, bound to it; and headers for the answer."""
    proofs = [value for name, value in request.headers.raw if name == b"dpop"]
    if rail.binding is None:
        return sold, ()
    if proofs and query.cookie is not None:
        raise RefusedError(
            problems.bad_request("expected no DPoP with cookie=1: a cookie proves no key")
        )
    found = rail.binding.bound_at("POST", VERIFY_PATH.encode(), proofs, sold, now_ms=now_ms)
    if isinstance(found, Problem):
        raise RefusedError(found)
    if found.guard is not None:
        replayed = await guard(ledger, found.guard, now_ms=now_ms)
        if replayed is not None:
            raise RefusedError(replayed)
    return found.bought, found.receipt


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
