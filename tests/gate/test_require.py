# SPDX-License-Identifier: Apache-2.0
"""A single route of a FastAPI app is reached by calls that have earned it, and by no others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.testclient import TestClient

from pypow import InvalidInputError, difficulty
from pypow_server.policy import PassTerms, Policy, Price
from pypow_server.require import Charged, _Requirement, _Till, install, require
from pypow_server.scope import Message
from pypow_server.stores import Quota
from support.asgi_client import Answer, call
from support.gated import Bench, document, offers, solution, solved
from support.plain_http import ask as ask_over_http
from support.plain_http import solution as solution_over_http
from support.serving import served

Headers = tuple[bytes, bytes]


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PYPOW_STORE", "memory:")


Searched = Annotated[Charged, Depends(require("search"))]
FiveBits = Annotated[Charged, Depends(require(bits=5))]


class Shop:
    """A FastAPI app with routes that cost something, and one that costs nothing."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.served: list[str] = []
        self.charged: list[Charged] = []
        sells = PassTerms(calls=3, lifetime_s=60)
        bulk_price = Price("bulk", difficulty.from_bits(4), sells=sells)
        install(self.app, prices={"search": 4.0, "bulk": bulk_price})

        @self.app.get("/free")
        async def free() -> str:
            return "free"

        @self.app.get("/search")
        async def search(request: Request, who: Searched, limit: int = 1) -> dict[str, int]:
            self.served.append(request.url.path)
            self.charged.append(who)
            return {"found": limit}

        @self.app.post("/bits")
        async def bits(
            body: dict[str, int], _: Annotated[Charged, Depends(require(bits=5))]
        ) -> int:
            self.served.append("/bits")
            return body["n"]

        @self.app.get("/bulk/{n}", dependencies=[Depends(require("bulk"))])
        def bulk(n: int) -> PlainTextResponse:
            self.served.append(f"/bulk/{n}")
            return PlainTextResponse("raw")

        @self.app.get("/twice", dependencies=[Depends(require("search"))])
        async def twice(_: Searched) -> str:
            self.served.append("/twice")
            return "once"

        @self.app.get("/stream", dependencies=[Depends(require("search"))])
        async def stream() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"a"
                yield b"b"

            return StreamingResponse(parts())

        @self.app.get("/.well-known/dear", dependencies=[Depends(require("search"))])
        async def dear() -> None: ...

        @self.app.get("/unknown", dependencies=[Depends(require("missing"))])
        async def unknown() -> None: ...

    def ask(self, method: str, target: str, *headers: Headers, body: bytes = b"") -> Answer:
        fields = [(b"host", b"shop.example"), *headers]
        return asyncio.run(call(self.app, method, target.encode(), headers=fields, body=body))

    def proof(self, method: str, target: str) -> list[Headers]:
        return solution(solved(offers(self.ask(method, target))[0]))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def kind(answer: Answer) -> str:
    name: str = document(answer)["type"]
    return name.removeprefix("urn:pypow:error:")


def test_other_routes_stay_as_they_are(shop: Shop) -> None:
    answer = shop.ask("GET", "/free")
    assert (answer.status, answer.values(b"x-pow-pass")) == (200, [])
    assert shop.ask("GET", "/nowhere").status == 404


def test_what_stands_around_the_app_still_finds_its_route(shop: Shop) -> None:
    assert shop.ask("GET", "/free").scope["route"].path == "/free"


def test_no_path_that_is_free_by_nature_opens_a_route_that_costs_something(shop: Shop) -> None:
    assert shop.ask("GET", "/.well-known/dear").status == 402


def test_a_caller_without_a_credential_gets_the_gates_own_refusal(shop: Shop) -> None:
    answer = shop.ask("GET", "/search")
    assert (answer.status, kind(answer)) == (402, "work-required")
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"cache-control") == [b"no-store"]
    assert answer.values(b"www-authenticate")[0].startswith(b"PoW challenge=")
    assert shop.served == []


def test_a_proof_is_spent_once_and_the_route_learns_who_was_charged(shop: Shop) -> None:
    proof = shop.proof("GET", "/search?limit=7")
    answers = [shop.ask("GET", "/search?limit=7", *proof) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 402]
    assert (document(answers[0]), kind(answers[1])) == ({"found": 7}, "already-spent")
    assert shop.charged == ["192.0.2.7/32"]


def test_a_proof_for_one_route_buys_no_other(shop: Shop) -> None:
    proof = shop.proof("GET", "/search")
    assert kind(shop.ask("GET", "/stream", *proof)) == "wrong-resource"
    assert shop.ask("GET", "/search", *proof).status == 200


def test_a_price_in_bits_and_a_route_that_reads_a_body(shop: Shop) -> None:
    (exact,) = offers(shop.ask("POST", "/bits", (b"x-pow-accept", b"puzzles=1")))
    assert exact["bits"] == 5
    json = (b"content-type", b"application/json")
    proof = shop.proof("POST", "/bits")
    answer = shop.ask("POST", "/bits", json, *proof, body=b'{"n": 3}')
    assert (answer.status, document(answer)) == (200, 3)


def test_a_route_that_asks_twice_is_paid_once(shop: Shop) -> None:
    assert shop.ask("GET", "/twice", *shop.proof("GET", "/twice")).status == 200
    assert shop.served == ["/twice"]


def test_a_pass_is_told_whatever_the_route_answers_and_is_good_for_its_price(shop: Shop) -> None:
    first = shop.ask("GET", "/bulk/1", *shop.proof("GET", "/bulk/1"))
    (text,) = first.values(b"x-pow-pass")
    assert (first.body, first.values(b"content-length")) == (b"raw", [b"3"])
    bearer = (b"authorization", b"Bearer " + text)
    assert kind(shop.ask("GET", "/search", bearer)) == "wrong-resource"
    assert [shop.ask("GET", f"/bulk/{n}", bearer).status for n in (2, 3, 4)] == [200, 200, 402]
    refused = shop.ask("GET", "/bulk/x", *shop.proof("GET", "/bulk/x"))
    assert refused.status == 422
    assert len(refused.values(b"x-pow-pass")) == 1


def test_a_route_that_streams_is_gated_too(shop: Shop) -> None:
    assert shop.ask("GET", "/stream").status == 402
    assert shop.ask("GET", "/stream", *shop.proof("GET", "/stream")).body == b"ab"


def test_what_cannot_be_read_is_refused_and_never_reaches_the_route(shop: Shop) -> None:
    hostile: list[tuple[Headers, ...]] = [
        ((b"x-pow-solution", b"nonsense"),),
        ((b"x-http-method-override", b"DELETE"),),
        ((b"authorization", b"PoW x"), (b"authorization", b"PoW y")),
        ((b"x-pow-accept", b"everything"),),
    ]
    assert [shop.ask("GET", "/search", *headers).status for headers in hostile] == [400] * 4
    assert shop.served == []


def test_a_name_without_a_price_is_a_mistake_that_opens_nothing(shop: Shop) -> None:
    with pytest.raises(InvalidInputError, match=r"\(bulk, search\), got 'missing'"):
        shop.ask("GET", "/unknown")


def nested(requirement: object) -> FastAPI:
    """An app with a requirement of a dependency of a router within a router."""

    async def needs(_: Annotated[Charged, requirement]) -> None: ...

    inner, outer = APIRouter(dependencies=[Depends(needs)]), APIRouter()

    @inner.get("/x")
    async def x() -> None: ...

    outer.include_router(inner, prefix="/inner")
    app = FastAPI()
    app.include_router(outer, prefix="/outer")
    return app


def direct(requirement: object) -> FastAPI:
    """An app with a requirement of a route of its own."""
    app = FastAPI()

    @app.get("/x")
    async def x(_: Annotated[Charged, requirement]) -> None: ...

    return app


@pytest.mark.parametrize("make", [direct, nested])
@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        (require("searches"), r"\(render, search\), got 'searches'; did you mean 'search'\?"),
        (require("x"), r"\(render, search\), got 'x'$"),
    ],
)
def test_a_misspelt_name_ends_the_start_with_the_nearest_right_one(
    make: Callable[[object], FastAPI], requirement: object, told: str
) -> None:
    app = make(Depends(requirement))  # type: ignore[arg-type]
    install(app, prices={"search": 4, "render": 5})
    with pytest.raises(InvalidInputError, match=told), TestClient(app):
        pass


def test_a_server_hears_why_the_start_ended() -> None:
    app = direct(Depends(require("searches")))
    install(app, prices={"search": 4})
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(InvalidInputError):
        asyncio.run(app({"type": "lifespan"}, receive, send))
    (told,) = sent
    assert told["type"] == "lifespan.startup.failed"
    assert "did you mean 'search'?" in told["message"]


def test_what_is_required_in_bits_shares_no_name_with_another_price() -> None:
    app = direct(Depends(require(bits=20)))
    install(app, prices={"20 bits": 4})
    with (
        pytest.raises(InvalidInputError, match="expected no price named '20 bits'"),
        TestClient(app),
    ):
        pass


@pytest.mark.parametrize("name", ["free", "dearest"])
def test_a_price_whose_name_means_something_else_is_refused_at_once(name: str) -> None:
    with pytest.raises(InvalidInputError, match="this name means something else"):
        install(FastAPI(), prices={name: Price(name, 4096, free=Quota(1, 1000))})


def test_an_app_without_install_opens_nothing() -> None:
    app = FastAPI()

    @app.get("/x", dependencies=[Depends(require("search"))])
    async def x() -> None: ...

    with pytest.raises(InvalidInputError, match="needs install"):
        asyncio.run(call(app, "GET", b"/x"))


@pytest.mark.parametrize(("name", "bits"), [(None, None), ("search", 4), (None, 99), (None, 0.5)])
def test_require_takes_a_name_or_bits(name: str | None, bits: float | None) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        require(name, bits=bits)


def test_a_served_app_starts_and_stops_with_its_own_lifespan() -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        happened.append("started")
        yield
        happened.append("stopped")

    app = FastAPI(lifespan=lifespan)
    install(app, prices={"search": 4})

    @app.get("/search")
    async def search(who: Annotated[Charged, Depends(require("search"))]) -> Charged:
        return who

    with served(app, lifespan=True) as url:
        refused = ask_over_http(f"{url}/search")
        proof = solution_over_http(refused.json["offers"][0])
        admitted = ask_over_http(f"{url}/search", headers=proof)
    assert (refused.status, admitted.json) == (402, "127.0.0.1/32")
    assert happened == ["started", "stopped"]


def test_what_a_route_requires_weighs_the_same_when_calibration_moves_the_default_price() -> None:
    bench = Bench(policy=Policy(default=Price("default", 17 * 1024)))
    till = _Till(bench.gate, {})
    required = _Requirement(None, 18.0)
    before = till.price_of(required)
    bench.gate.decide_by(policy=Policy(default=Price("default", 15 * 1024)), rails=[bench.rail])
    assert till.price_of(required) == before
    assert before.weight == 2
