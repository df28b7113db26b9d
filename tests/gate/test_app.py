# SPDX-License-Identifier: Apache-2.0
"""The assembled server, over real HTTP, for a caller that has nothing of pypow."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pypow import InvalidInputError
from pypow_server import asgi
from pypow_server.access import Access
from pypow_server.app import App, create_app
from pypow_server.match import Match
from pypow_server.policy_rows import Rows
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send
from pypow_server.settings import Settings
from pypow_server.stores import StoreError
from support.asgi_client import Answer, call, http_scope
from support.plain_http import ask, solution, solve
from support.serving import served


class Upstream:
    """Counts what reaches it, and says what it saw."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stopped = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopped = True
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.calls.append(f"{scope['method']} {scope['path']}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"earned"})


def make(tmp_path: Path, upstream: ASGIApp, **changes: Any) -> App:
    settings = {"state_dir": tmp_path, "store": "memory:", "bits": 8.0, **changes}
    return create_app(Settings(**settings), around=upstream)


@contextmanager
def gated(tmp_path: Path, **changes: Any) -> Iterator[tuple[str, Upstream]]:
    upstream = Upstream()
    with served(make(tmp_path, upstream, **changes), lifespan=True) as url:
        yield url, upstream


def asked(
    app: ASGIApp,
    method: str = "GET",
    target: bytes = b"/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes = b"",
) -> Answer:
    """One request in process, where the octets on the wire are not the point."""
    return asyncio.run(call(app, method, target, headers=headers, body=body))


def test_a_server_that_tells_no_raw_path_is_served_too(tmp_path: Path) -> None:
    app = make(tmp_path, Upstream())
    decoded = {"path": "/"}

    async def without_raw_path(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, **decoded, "raw_path": None}, receive, send)

    decoded["path"] = "/api/challenge"
    issued = asked(without_raw_path)
    decoded["path"] = "/\udcff"
    strange = asked(without_raw_path)
    asyncio.run(close(app))

    assert (issued.status, strange.status) == (200, 402)
    assert "challenge" in json.loads(issued.body)


def test_a_stock_caller_gets_a_challenge_solves_it_and_is_let_in_once(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, upstream):
        refused = ask(f"{url}/tools/call", method="POST")
        published = ask(f"{url}/api/challenge").json
        proof = solution(published)
        admitted = ask(f"{url}/tools/call", method="POST", headers=proof)
        replayed = ask(f"{url}/tools/call", method="POST", headers=proof)

    assert (refused.status, admitted.status, replayed.status) == (402, 200, 402)
    assert refused.json["type"] == "urn:pypow:error:work-required"
    assert replayed.json["type"] == "urn:pypow:error:already-spent"
    assert admitted.body == b"earned"
    assert upstream.calls == ["POST /tools/call"]
    assert published.keys() >= {"challenge", "difficulty", "algorithm"}
    assert (published["difficulty"], published["algorithm"], published["bits"]) == (2, "sha256", 8)


def test_the_refusal_itself_carries_all_that_a_caller_needs(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, upstream):
        refused = ask(f"{url}/v1/items")
        (offer,) = refused.json["offers"]
        admitted = ask(f"{url}/v1/items", headers=solution(offer))

    assert admitted.status == 200
    assert refused.headers["WWW-Authenticate"].startswith(f'PoW challenge="{offer["challenge"]}"')
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Cache-Control"] == "no-store"
    assert len(upstream.calls) == 1


def test_a_challenge_for_one_call_buys_no_other(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, upstream):
        resource = quote("POST /v1/items")
        proof = solution(ask(f"{url}/api/challenge?resource={resource}").json)
        elsewhere = ask(f"{url}/v1/users", method="POST", headers=proof)
        there = ask(f"{url}/v1/items", method="POST", headers=proof)

    assert elsewhere.json["type"] == "urn:pypow:error:wrong-resource"
    assert there.status == 200
    assert upstream.calls == ["POST /v1/items"]


def test_a_challenge_for_a_tool_admits_its_call_over_mcp(tmp_path: Path) -> None:
    def tool(name: str, proof: dict[str, str]) -> dict[str, Any]:
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": name, "arguments": {}, "_meta": {"io.pypow/proof": proof}},
        }
        return {"method": "POST", "body": json.dumps(message).encode()}

    with gated(tmp_path) as (url, upstream):
        published = ask(f"{url}/api/challenge?resource=tools/call%20search").json
        proof = {"challenge": published["challenge"], "nonce": solve(published)}
        other = ask(f"{url}/mcp", **tool("delete", proof))
        admitted = ask(f"{url}/mcp", **tool("search", proof))

    assert other.json["result"]["isError"] is True
    assert admitted.body == b"earned"
    assert upstream.calls == ["POST /mcp"]


def test_a_proof_can_be_redeemed_for_a_pass_that_is_good_for_one_call(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, upstream):
        published = ask(f"{url}/api/challenge").json
        proof = json.dumps({"challenge": published["challenge"], "nonce": solve(published)})
        redeemed = ask(f"{url}/api/verify", method="POST", body=proof.encode())
        again = ask(f"{url}/api/verify", method="POST", body=proof.encode())
        bearer = {"Authorization": f"Bearer {redeemed.json['pass']}"}
        first = ask(f"{url}/x", headers=bearer)
        second = ask(f"{url}/x", headers=bearer)
        spent = ask(f"{url}/x", headers=solution(published))

    assert redeemed.status == 200
    assert redeemed.json.keys() == {"pass", "calls", "expires_at"}
    assert redeemed.json["calls"] == 1
    assert redeemed.headers["Cache-Control"] == "no-store"
    assert (first.status, second.status) == (200, 402)
    assert again.json["type"] == spent.json["type"] == "urn:pypow:error:already-spent"
    assert upstream.calls == ["GET /x"]


def test_a_pass_is_good_for_what_its_challenge_was_for_only(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, upstream):
        published = ask(f"{url}/api/challenge?resource=GET%20/x").json
        proof = json.dumps({"challenge": published["challenge"], "nonce": solve(published)})
        bought = ask(f"{url}/api/verify", method="POST", body=proof.encode()).json["pass"]
        elsewhere = ask(f"{url}/y", headers={"Authorization": f"Bearer {bought}"})
        there = ask(f"{url}/x", headers={"Authorization": f"Bearer {bought}"})

    assert elsewhere.json["type"] == "urn:pypow:error:wrong-resource"
    assert there.status == 200
    assert upstream.calls == ["GET /x"]


def test_a_proof_buys_as_a_cookie_what_no_script_can_read(tmp_path: Path) -> None:
    cookies = {}
    for public_url in ("http://gate.example", "https://gate.example"):
        with gated(tmp_path, public_url=public_url) as (url, upstream):
            published = ask(f"{url}/api/challenge").json
            proof = json.dumps({"challenge": published["challenge"], "nonce": solve(published)})
            bought = ask(f"{url}/api/verify?cookie=1", method="POST", body=proof.encode())
            name, _, attributes = bought.headers["Set-Cookie"].partition("; ")
            admitted = ask(f"{url}/x", headers={"Cookie": f"theme=dark; {name}"})
        cookies[public_url] = sorted(attributes.split("; "))
        assert name.startswith("pypow_pass=pyp_")
        assert bought.json.keys() == {"calls", "expires_at"}
        assert (admitted.status, upstream.calls) == (200, ["GET /x"])

    plain = ["HttpOnly", "Max-Age=120", "Path=/", "SameSite=lax"]
    assert cookies == {
        "http://gate.example": plain,
        "https://gate.example": sorted([*plain, "Secure"]),
    }


@pytest.mark.parametrize(
    ("query", "headers"), [("?puzzles=16", {}), ("", {"X-PoW-Accept": "puzzles=16"})]
)
def test_a_caller_that_can_do_more_gets_sub_puzzles_and_fractions_of_bits(
    query: str, headers: dict[str, str], tmp_path: Path
) -> None:
    with gated(tmp_path, bits=14.5) as (url, _):
        fine = ask(f"{url}/api/challenge{query}", headers=headers).json
        plain = ask(f"{url}/api/challenge").json

    assert (fine["puzzles"], fine["bits"]) == (16, 14.5)
    assert (plain["puzzles"], plain["bits"], plain["difficulty"]) == (1, 16, 4)


BAD_QUERIES = {
    "an unknown name": ("?puzles=16", "puzles"),
    "a number of puzzles that is none": ("?puzzles=many", "puzzles"),
    "a number that is no power of two": ("?puzzles=3", "sub-puzzles"),
    "too many puzzles": ("?puzzles=128", "sub-puzzles"),
    "a resource that is none": ("?resource=5", "tools/call search"),
    "the envelope of MCP calls": ("?resource=POST%20/mcp", "tools/call search"),
    "a resource that is free": ("?resource=tools/list", "free"),
    "an endless resource": ("?resource=GET%20/" + "a" * 5000, "resource"),
}


@pytest.mark.parametrize("name", BAD_QUERIES)
def test_a_challenge_that_cannot_be_asked_for_is_a_problem_with_the_reason(
    name: str, tmp_path: Path
) -> None:
    query, reason = BAD_QUERIES[name]
    upstream = Upstream()

    answer = asked(make(tmp_path, upstream), target=f"/api/challenge{query}".encode())

    assert answer.status == 400
    assert answer.values(b"content-type") == [b"application/problem+json"]
    problem = json.loads(answer.body)
    assert problem["type"] == "urn:pypow:error:bad-request"
    assert reason in problem["detail"]
    assert upstream.calls == []


BAD_PROOFS = {
    "nothing": b"",
    "no JSON": b"challenge",
    "another shape": b"[]",
    "a missing field": b'{"challenge": "x"}',
    "a repeated field": b'{"nonce": "1", "challenge": "x", "nonce": "1"}',
    "a nonce that is a number": json.dumps({"challenge": "A" * 104, "nonce": 5}).encode(),
    "an unknown version": json.dumps({"challenge": "A" * 104, "nonce": "5"}).encode(),
    "not UTF-8": b'{"challenge": "\xff", "nonce": "5"}',
}


@pytest.mark.parametrize("name", BAD_PROOFS)
def test_a_proof_that_cannot_be_read_is_a_problem(name: str, tmp_path: Path) -> None:
    answer = asked(make(tmp_path, Upstream()), "POST", b"/api/verify", body=BAD_PROOFS[name])

    assert answer.status == 400
    assert json.loads(answer.body)["type"] == "urn:pypow:error:malformed-proof"


def test_an_endless_proof_is_refused_without_being_read(tmp_path: Path) -> None:
    answer = asked(make(tmp_path, Upstream()), "POST", b"/api/verify", body=b" " * 5000)

    assert answer.status == 413
    assert json.loads(answer.body)["type"] == "urn:pypow:error:too-large"


def test_a_wrong_nonce_is_told_and_spends_nothing(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, _):
        published = ask(f"{url}/api/challenge").json
        text = published["challenge"]
        nonce = next(
            nonce
            for nonce in itertools.count()
            if not hashlib.sha256(f"{text}{nonce}".encode()).hexdigest().startswith("0")
        )
        losing = {"X-PoW-Solution": f"challenge={text},nonce={nonce}"}
        refused = ask(f"{url}/x", headers=losing)
        admitted = ask(f"{url}/x", headers=solution(published))

    assert refused.json["type"] == "urn:pypow:error:not-enough-work"
    assert admitted.status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/challenge"), ("HEAD", "/api/verify"), ("PUT", "/api/verify")],
)
def test_the_api_takes_no_other_methods(method: str, path: str, tmp_path: Path) -> None:
    upstream = Upstream()

    assert asked(make(tmp_path, upstream), method, path.encode()).status == 405
    assert upstream.calls == []


@pytest.mark.parametrize(
    "path", ["/api/challenge/", "/api%2Fchallenge", "//api/challenge", "/API/challenge", "/api"]
)
def test_what_only_looks_like_the_api_goes_through_the_gate(path: str, tmp_path: Path) -> None:
    upstream = Upstream()

    assert asked(make(tmp_path, upstream), target=path.encode()).status == 402
    assert upstream.calls == []


def test_browsers_may_ask_before_they_call_the_api(tmp_path: Path) -> None:
    with gated(tmp_path) as (url, _):
        preflight = ask(f"{url}/api/verify", method="OPTIONS")
        challenge = ask(f"{url}/api/challenge")

    assert preflight.status == 204
    assert challenge.headers["Access-Control-Allow-Origin"] == "*"


HOST = (b"host", b"gate.example")
PAID = json.dumps({"challenge": "x", "nonce": "0"}).encode()


@pytest.mark.parametrize("path", [b"/api/challenge", b"/api/verify"])
@pytest.mark.parametrize(
    ("changes", "status", "problem"),
    [
        ({"hosts": ("another.example",)}, 421, "misdirected"),
        ({"rows": Rows(denied=(Access(networks=("192.0.2.0/24",)),))}, 403, "denied"),
        ({"rows": Rows(denied=(Access(match=Match("* /api/*")),))}, 403, "denied"),
    ],
)
def test_the_api_turns_away_whom_the_gate_turns_away(
    path: bytes, changes: dict[str, Any], status: int, problem: str, tmp_path: Path
) -> None:
    method = "GET" if path == b"/api/challenge" else "POST"
    app = make(tmp_path, Upstream(), **changes)
    answer = asked(app, method, path, headers=[HOST], body=PAID)
    assert (answer.status, json.loads(answer.body)["type"]) == (
        status, f"urn:pypow:error:{problem}",
    )  # fmt: skip

    observing = make(tmp_path, Upstream(), mode="observe", **changes)
    assert asked(observing, method, path, headers=[HOST], body=PAID).status in (200, 400)


def test_no_challenge_is_given_for_a_call_that_is_denied(tmp_path: Path) -> None:
    app = make(tmp_path, Upstream(), rows=Rows(denied=(Access(match=Match("tools/call drop")),)))
    statuses = [
        asked(app, target=f"/api/challenge?resource=tools/call%20{tool}".encode()).status
        for tool in ("drop", "search")
    ]
    assert statuses == [403, 200]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/livez", "/readyz"])
def test_pages_for_operators_are_not_on_the_callers_side(path: str, tmp_path: Path) -> None:
    upstream = Upstream()

    assert asked(make(tmp_path, upstream), target=path.encode()).status == 402
    assert upstream.calls == []


def test_operators_see_health_and_the_documentation_of_the_callers_api(tmp_path: Path) -> None:
    admin = make(tmp_path, Upstream()).admin

    with served(admin) as url:
        described = ask(f"{url}/openapi.json").json
        assert ask(f"{url}/livez").status == 200
        assert ask(f"{url}/readyz").status == 200
        assert "/openapi.json" in ask(f"{url}/docs").body.decode()

    assert described["paths"].keys() == {"/api/challenge", "/api/verify"}
    assert described["paths"]["/api/verify"]["post"]["requestBody"]["required"] is True


def test_a_gate_whose_ledger_takes_no_spends_is_not_ready_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_self: object) -> None:
        raise StoreError("the disk is full; make room")

    monkeypatch.setattr("pypow_server.stores.memory.MemoryLedger.probe", broken)
    admin = make(tmp_path, Upstream()).admin

    with served(admin) as url:
        answer = ask(f"{url}/readyz")
        assert ask(f"{url}/livez").status == 200

    assert (answer.status, answer.body) == (503, b"the disk is full; make room\n")


def test_the_ledger_is_closed_after_the_guarded_app_has_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream()
    stopped_when_closed: list[bool] = []

    async def close(_self: object) -> None:
        stopped_when_closed.append(upstream.stopped)

    monkeypatch.setattr("pypow_server.stores.memory.MemoryLedger.aclose", close)
    with served(make(tmp_path, upstream), lifespan=True):
        assert stopped_when_closed == []

    assert stopped_when_closed == [True]


def test_a_proof_is_worth_nothing_under_another_public_url(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/ledger.db"
    here = make(tmp_path, Upstream(), store=store, public_url="https://a.example")
    there = make(tmp_path, Upstream(), store=store, public_url="https://b.example")
    issued = asked(here, target=b"/api/challenge?resource=GET%20/x")
    proof = solution(json.loads(issued.body))["X-PoW-Solution"].encode()

    refused = asked(there, target=b"/x", headers=[(b"x-pow-solution", proof)])
    admitted = asked(here, target=b"/x", headers=[(b"x-pow-solution", proof)])
    asyncio.run(close(there))
    asyncio.run(close(here))

    assert json.loads(refused.body)["type"] == "urn:pypow:error:wrong-resource"
    assert admitted.status == 200


async def close(app: App) -> None:
    incoming: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(_message: Message) -> None:
        pass

    await app({"type": "lifespan"}, receive, send)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "expected --upstream"),
        (
            {"forward_auth": "nginx", "upstream": "http://127.0.0.1:9"},
            "forward_auth: expected no upstream, since nginx passes requests on by itself",
        ),
        ({"forward_auth": "nginx"}, "expected --trusted-proxy NET"),
        ({"store": "mysql://u:p@h"}, "got 'mysql://...@h'"),
        ({"store": "sqlite:"}, "sqlite:/var"),
        ({"store": "sqlite:/nowhere/at/all/ledger.db"}, "/nowhere/at/all"),
        ({"upstream": "http://127.0.0.1:9", "state_dir": Path("/proc/nowhere")}, "--state-dir"),
    ],
)
def test_a_server_that_cannot_be_put_together_says_why_in_one_line(
    changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    settings = {"state_dir": tmp_path, **changes}
    around = Upstream() if "store" in changes else None

    with pytest.raises(InvalidInputError) as raised:
        create_app(Settings(**settings), around=around)

    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_uvicorn_factory_reads_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYPOW_UPSTREAM", "http://127.0.0.1:9")
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path))

    app = asgi.create()

    assert asyncio.run(call(app, target=b"/x")).status == 402


def test_the_uvicorn_factory_ends_with_one_line_when_a_setting_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYPOW_BITS", "many")

    with pytest.raises(SystemExit, match=r"^pypow: PYPOW_BITS: expected a number, got 'many'$"):
        asgi.create()


def test_a_caller_that_leaves_within_its_proof_is_no_fault_of_the_server(tmp_path: Path) -> None:
    parts: list[Message] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    app = make(tmp_path, Upstream())
    asyncio.run(app(http_scope("POST", b"/api/verify"), receive, send))
    assert sent[0]["status"] == 400
