# SPDX-License-Identifier: Apache-2.0
"""One line guards an app: what is not given comes from the environment."""

import asyncio
import json
from pathlib import Path

import pytest

from pypow import InvalidInputError, difficulty
from pypow_server import guard
from pypow_server.policy import FREE, PassTerms, Price
from pypow_server.scope import ASGIApp, Message
from support.asgi_client import Answer, call
from support.gated import RecordingApp, document, offers, solution, solved


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYPOW_STORE", "memory:")
    monkeypatch.setenv("PYPOW_BITS", "4")


def ask(app: ASGIApp, method: str, target: str, *headers: tuple[bytes, bytes]) -> Answer:
    fields = [(b"host", b"shop.example"), *headers]
    return asyncio.run(call(app, method, target.encode(), headers=fields))


def test_one_line_prices_every_call_that_is_not_named_free() -> None:
    app = RecordingApp()
    guarded = guard(app, prices={"POST /v1/search": 5, "GET /health": FREE})
    asked = {
        f"{method} {target}": ask(guarded, method, target)
        for method, target in (("GET", "/health"), ("GET", "/else"), ("POST", "/v1/search"))
    }
    assert {target: answer.status for target, answer in asked.items()} == {
        "GET /health": 200, "GET /else": 402, "POST /v1/search": 402,
    }  # fmt: skip
    assert app.reached == 1
    proof = solution(solved(offers(asked["POST /v1/search"])[0]))
    assert ask(guarded, "POST", "/v1/search", *proof).status == 200
    assert ask(guarded, "POST", "/v1/search", *proof).status == 402
    assert app.scopes[-1]["pypow.principal"] == "192.0.2.7/32"


def test_what_is_given_beats_the_environment(tmp_path: Path) -> None:
    guarded = guard(RecordingApp(), bits=8, state_dir=tmp_path / "elsewhere", store="memory:")
    (offer,) = offers(ask(guarded, "GET", "/x"))
    assert offer["bits"] == 8
    assert (tmp_path / "elsewhere" / "keys.json").exists()
    assert not (tmp_path / "state").exists()


def test_the_api_is_served_beside_the_app() -> None:
    app = RecordingApp()
    guarded = guard(app)
    published = document(ask(guarded, "GET", "/api/challenge"))
    assert ask(guarded, "GET", "/x", *solution(solved(published))).status == 200
    assert app.reached == 1


def test_no_challenge_is_cheaper_than_what_it_buys() -> None:
    """Weights count in the default price, so a challenge for any call buys none that is dearer."""
    app = RecordingApp()
    given = Price("dear", difficulty.from_bits(8))
    guarded = guard(app, prices={"GET /dear": 8, "GET /given": given, "GET /cheap": 2})
    proof = solution(solved(document(ask(guarded, "GET", "/api/challenge"))))
    for dear in ("/dear", "/given"):
        refused = document(ask(guarded, "GET", dear, *proof))
        assert refused["type"] == "urn:pypow:error:underweight"
    assert ask(guarded, "GET", "/cheap", *proof).status == 200


def test_a_price_can_sell_passes() -> None:
    search = Price("search", difficulty.from_bits(4), sells=PassTerms(calls=3, lifetime_s=60))
    guarded = guard(RecordingApp(), prices={"GET /v1/*": search})
    first = ask(guarded, "GET", "/v1/a", *solution(solved(offers(ask(guarded, "GET", "/v1/a"))[0])))
    bearer = (b"authorization", b"Bearer " + first.values(b"x-pow-pass")[0])
    assert [ask(guarded, "GET", f"/v1/{n}", bearer).status for n in range(3)] == [200, 200, 402]


def test_a_pass_of_a_cheap_price_buys_no_dear_call_though_both_were_given_one_name() -> None:
    cheap = Price("tool", difficulty.from_bits(2), sells=PassTerms(calls=9, lifetime_s=60))
    dear = Price("tool", difficulty.from_bits(9))
    guarded = guard(RecordingApp(), prices={"GET /cheap": cheap, "GET /dear": dear})
    proof = solution(solved(offers(ask(guarded, "GET", "/cheap"))[0]))
    (bought,) = ask(guarded, "GET", "/cheap", *proof).values(b"x-pow-pass")
    bearer = (b"authorization", b"Bearer " + bought)
    statuses = [ask(guarded, "GET", target, bearer).status for target in ("/dear", "/cheap")]
    assert statuses == [402, 200]


def test_an_mcp_path_is_one_that_was_named() -> None:
    app = RecordingApp()
    guarded = guard(app, mcp_paths=["/agents"], prices={"tools/call search_*": 5})
    for method, reached in (("tools/list", 1), ("tools/call", 1)):
        params = {"name": "search_web"} if method == "tools/call" else {}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = asyncio.run(call(guarded, "POST", b"/agents", body=body))
        assert (answer.status, app.reached) == (200, reached)
    assert offers(answer)[0]["bits"] == 4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"bits": 99}, "bits: expected"),
        ({"bits": "many"}, "bits: expected"),
        ({"store": "nowhere"}, "store: expected"),
        ({"store": "mysql://x"}, "--store"),
        ({"public_url": "shop.example"}, "public_url: expected"),
        ({"mcp_paths": ["mcp"]}, "mcp_paths: expected"),
        ({"prices": {"": 4}}, "expected an entry like"),
        ({"prices": {"GET /x": 99}}, "expected a difficulty of 1 to"),
        ({"prices": {"GET /x": "cheap"}}, "expected"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        guard(RecordingApp(), **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_store_is_closed_when_the_server_stops_though_the_app_has_no_lifespan() -> None:
    async def no_lifespan(scope: object, receive: object, send: object) -> None:
        raise ValueError("can only handle HTTP connections")

    guarded = guard(no_lifespan)
    coming: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(guarded({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    refused = ask(guarded, "GET", "/x", *solution(solved(offers(ask(guarded, "GET", "/x"))[0])))
    assert refused.status == 503


def test_a_policy_file_is_read_and_given_prices_stand_before_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(
        '[[price]]\nmatch = "GET /v1/*"\nbits = 4\npass = "3 calls / 1m"\n'
        '[[price]]\nmatch = "GET /timed"\nbits = 4\npass = "5m"\n'
    )
    monkeypatch.setenv("PYPOW_CONFIG", str(config))
    guarded = guard(RecordingApp(), prices={"GET /v1/health": FREE})
    assert ask(guarded, "GET", "/v1/health").status == 200
    sold = {path: offers(ask(guarded, "GET", path))[0]["pass"] for path in ("/v1/a", "/timed")}
    assert sold == {
        "/v1/a": {"calls": 3, "lifetime": 60, "resource": "GET /v1/a"},
        "/timed": {"calls": 0, "lifetime": 300, "resource": "GET /timed"},
    }
