# SPDX-License-Identifier: Apache-2.0
"""Issuers that are asked: seldom, by whom they know, and believed for a short while."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt as pyjwt
import pytest
from aiohttp import web

from pypow_server.identity import BadToken, Identity, Judgement, Unavailable, introspection
from pypow_server.identity.client_credential import ClientCredential, CredentialError
from pypow_server.identity.fetching import Fetcher, FetchError
from pypow_server.identity.introspection import BELIEVED_S, MAX_ASKED, PAUSE_S, Introspection
from pypow_server.identity.issuers import Issuer, IssuerError, reach
from pypow_server.identity.trust import TrustedIssuers
from support import tokens
from support.token_issuer import TokenIssuer, issuing
from support.tokens import ISSUER, NOW_MS, NOW_S, RESOURCE, claims

CREDENTIAL = ClientCredential("the-gate", "secret:with/signs")
ASKED = Issuer(ISSUER, frozenset((RESOURCE,)), kind="introspection", credential=CREDENTIAL,
               introspection_endpoint="https://login.example/introspect")  # fmt: skip


def active(**changed: object) -> dict[str, object]:
    return {"active": True, **claims(**changed)}


class Bench:
    """An issuer without a network, and a clock that is set by hand."""

    def __init__(self, answer: Mapping[str, object] | None = None) -> None:
        self.now = 1000.0
        self.answer = active() if answer is None else answer
        self.fails = False
        self.status: int | None = None
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.told: list[str] = []
        self.judge = Introspection(ASKED, self, monotonic=lambda: self.now, told=self.told.append)

    async def get(self, url: str, *, max_octets: int = 0) -> dict[str, object]:
        raise AssertionError

    async def post(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        self.asked.append(form["token"])
        await self.open.wait()
        if self.fails:
            raise FetchError("it is down", status=self.status)
        return dict(self.answer)

    async def judged(self, token: str = "opaque", *, now_ms: int = NOW_MS) -> Judgement:
        return await self.judge.judge(token, now_ms=now_ms)


def played(play: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await play()

    asyncio.run(bounded())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_active_token_says_who_calls() -> None:
    async def play() -> None:
        found = await Bench(active(cnf={"jkt": "key"})).judged()
        assert isinstance(found, Identity)
        assert (found.issuer, found.subject) == (ISSUER, "somebody")
        assert found.scopes == {"tools:search", "tools:read"}
        assert found.key_thumbprint == "key"

    played(play)


def test_a_client_that_acts_for_itself_is_its_own_subject() -> None:
    async def play() -> None:
        found = await Bench(active(sub=None, iss=None)).judged()
        assert isinstance(found, Identity)
        assert found.subject == "an-agent"

    played(play)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"active": False}, "calls active"),
        ({"active": "true", **claims()}, "calls active"),
        ({"active": 1, **claims()}, "calls active"),
        (claims(), "calls active"),
        (active(iss="https://evil.example"), "(iss)"),
        (active(aud="https://other.example"), "(aud)"),
        (active(aud=None), "(aud)"),
        (active(exp=None), "(exp)"),
        (active(exp=NOW_S - 60), "(exp)"),
        (active(nbf=NOW_S + 61), "(nbf)"),
        (active(sub=None, client_id=None), "as sub"),
        (active(scope=7), "(scope)"),
        (active(cnf={"x5t#S256": "x"}), "(cnf.jkt)"),
    ],
)
def test_an_answer_that_is_no_yes_for_us_is_a_no(answer: dict[str, object], reason: str) -> None:
    async def play() -> None:
        found = await Bench(answer).judged()
        assert isinstance(found, BadToken)
        assert reason in found.detail

    played(play)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "a\0", "é", "x" * 8193])
def test_what_can_be_no_token_is_shown_to_nobody(token: str) -> None:
    async def play() -> None:
        bench = Bench()
        assert isinstance(await bench.judged(token), BadToken)
        assert bench.asked == []

    played(play)


@pytest.mark.parametrize("answer", [active(), {"active": False}])
def test_all_who_show_the_same_token_are_told_one_answer(answer: dict[str, object]) -> None:
    async def play() -> None:
        bench = Bench(answer)
        bench.open.clear()
        callers = [asyncio.create_task(bench.judged()) for _ in range(100)]
        await settle()
        callers.pop().cancel()
        bench.open.set()
        found = await asyncio.gather(*callers)
        assert found == [found[0]] * 99
        bench.now += BELIEVED_S - 1
        assert await bench.judged() == found[0]
        assert bench.asked == ["opaque"]
        bench.now += 1
        await bench.judged()
        assert bench.asked == ["opaque"] * 2

    played(play)


def test_a_revoked_token_lives_on_for_as_long_as_an_answer_is_believed() -> None:
    async def play() -> None:
        bench = Bench()
        assert isinstance(await bench.judged(), Identity)
        bench.answer = {"active": False}
        bench.now += BELIEVED_S
        assert isinstance(await bench.judged(), BadToken)
        assert bench.told == ["active", "refused"]

    played(play)


def test_a_remembered_token_ends_with_its_time() -> None:
    async def play() -> None:
        bench = Bench(active(exp=NOW_S + 5))
        assert isinstance(await bench.judged(), Identity)
        assert isinstance(await bench.judged(now_ms=NOW_MS + 65_000), BadToken)
        assert len(bench.asked) == 1

    played(play)


def test_made_up_tokens_drive_no_good_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        bench = Bench()
        assert isinstance(await bench.judged(), Identity)
        bench.answer = {"active": False}
        for each in range(5000):
            await bench.judged(f"made-up-{each}")
        asked = len(bench.asked)
        assert isinstance(await bench.judged(), Identity)
        assert len(bench.asked) == asked
        assert len(bench.judge._bad) == 4096

    played(play)


def test_no_more_questions_are_under_way_than_an_issuer_bears() -> None:
    async def play() -> None:
        bench = Bench()
        bench.open.clear()
        callers = [asyncio.create_task(bench.judged(f"token-{each}")) for each in range(200)]
        await settle()
        bench.open.set()
        found = await asyncio.gather(*callers)
        assert sum(isinstance(each, Identity) for each in found) == MAX_ASKED == len(bench.asked)
        assert sum(isinstance(each, Unavailable) for each in found) == 200 - MAX_ASKED

    played(play)


def test_a_flood_of_made_up_tokens_shuts_nobody_out_whose_token_was_good() -> None:
    async def play() -> None:
        bench = Bench()
        assert isinstance(await bench.judged("good"), Identity)
        bench.now += BELIEVED_S
        bench.open.clear()
        flood = [asyncio.create_task(bench.judged(f"token-{each}")) for each in range(200)]
        await settle()
        again = asyncio.create_task(bench.judged("good"))
        await settle()
        bench.open.set()
        assert isinstance(await again, Identity)
        await asyncio.gather(*flood)
        assert len(bench.asked) == MAX_ASKED + 2

    played(play)


def test_an_issuer_that_is_down_is_no_verdict_and_is_left_alone_for_a_moment() -> None:
    async def play() -> None:
        bench = Bench()
        bench.fails = True
        assert {type(await bench.judged(f"token-{each}")) for each in range(9)} == {Unavailable}
        assert (len(bench.asked), bench.told) == (1, ["failed"])
        bench.fails = False
        bench.now += PAUSE_S
        assert isinstance(await bench.judged(), Identity)

    played(play)


def test_a_token_that_an_issuer_cannot_read_silences_it_for_nobody_else() -> None:
    async def play() -> None:
        bench = Bench()
        bench.fails, bench.status = True, 400
        assert isinstance(await bench.judged("made-up"), Unavailable)
        bench.fails = False
        assert isinstance(await bench.judged(), Identity)

    played(play)


def _over_http(issuer: TokenIssuer, credential: ClientCredential) -> tuple[Introspection, Fetcher]:
    configured = Issuer(
        issuer.url, frozenset((RESOURCE,)), kind="introspection", credential=credential
    )
    fetcher = Fetcher(reach(configured))
    return Introspection(configured, fetcher), fetcher


KEY = tokens.ec_key("gate")
CREDENTIALS = [
    CREDENTIAL,
    ClientCredential("the-gate", "secret:with/signs", "client_secret_post"),
    ClientCredential("the-gate", KEY.as_pem(private=True).decode(), "private_key_jwt"),
    ClientCredential("the-gate", json.dumps(KEY.as_dict(private=True)), "private_key_jwt"),
    ClientCredential("the-gate", tokens.okp_key().as_pem(True).decode(), "private_key_jwt"),
    ClientCredential("the-gate", tokens.rsa_key().as_pem(True).decode(), "private_key_jwt"),
]


@pytest.mark.parametrize("credential", CREDENTIALS, ids=range(len(CREDENTIALS)))
def test_an_issuer_is_asked_by_whom_it_knows(credential: ClientCredential) -> None:
    seen: dict[str, Any] = {}

    async def play() -> None:
        async with issuing() as issuer:

            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                seen.update(await request.post())
                seen["Authorization"] = request.headers.get("Authorization")
                return web.json_response(active(iss=issuer.url))

            issuer.instead["/introspect"] = answer
            judge, fetcher = _over_http(issuer, credential)
            found = await judge.judge("opaque", now_ms=NOW_MS)
            await fetcher.aclose()
            assert isinstance(found, Identity)
            assert issuer.asked["/introspect"] == 1
            seen["issuer"] = issuer.url

    played(play)
    assert (seen["token"], seen["token_type_hint"]) == ("opaque", "access_token")
    match credential.method:
        case "client_secret_basic":
            pair = base64.b64decode(seen["Authorization"].removeprefix("Basic "))
            assert pair == b"the-gate:secret%3Awith%2Fsigns"
            assert "client_secret" not in seen
        case "client_secret_post":
            assert (seen["client_id"], seen["client_secret"]) == ("the-gate", "secret:with/signs")
        case "private_key_jwt":
            said = pyjwt.decode(
                seen["client_assertion"],
                options={"verify_signature": False, "verify_exp": False, "verify_iat": False},
            )
            assert (said["iss"], said["sub"], said["aud"]) == (
                "the-gate", "the-gate", seen["issuer"],
            )  # fmt: skip
            assert said["exp"] - said["iat"] == 60


def test_an_assertion_is_signed_by_the_key_that_is_registered() -> None:
    assertion = CREDENTIALS[2].form("https://login.example", now_ms=NOW_MS)["client_assertion"]
    pyjwt.decode(
        assertion, KEY.as_pem(private=False), ["ES256"], audience="https://login.example",
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (("", "x"), "client id"),
        (("x", ""), "client id"),
        (("x", "no key", "private_key_jwt"), "is no key"),
        (("x", KEY.as_pem(private=False).decode(), "private_key_jwt"), "is no key"),
        (("x", '{"kty":"oct","k":"AAAA"}', "private_key_jwt"), "is no key"),
        (("x", "{", "private_key_jwt"), "is no key"),
    ],
)
def test_a_credential_that_proves_nothing_is_refused(made: Any, reason: str) -> None:
    with pytest.raises(CredentialError, match=reason):
        ClientCredential(*made)


def test_an_issuer_is_not_asked_without_a_credential() -> None:
    with pytest.raises(IssuerError, match="register this gate there"):
        Issuer(ISSUER, frozenset((RESOURCE,)), kind="introspection")


def test_no_secret_is_shown() -> None:
    shown = "".join(repr(each) for each in (*CREDENTIALS, ASKED))
    assert "secret:with" not in shown
    assert "PRIVATE" not in shown


def test_an_issuer_that_does_not_say_where_it_is_asked_cannot_be() -> None:
    async def play() -> None:
        async with issuing() as issuer:

            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                return web.json_response({"issuer": issuer.url, "jwks_uri": "https://x.example"})

            issuer.instead["/.well-known/oauth-authorization-server"] = answer
            judge, fetcher = _over_http(issuer, CREDENTIAL)
            assert isinstance(await judge.judge("opaque", now_ms=NOW_MS), Unavailable)
            await fetcher.aclose()

    played(play)


def test_tokens_go_to_their_own_issuers_keys_or_to_the_one_that_is_asked() -> None:
    async def play() -> None:
        async with issuing(KEY) as read, issuing() as asked:

            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                return web.json_response(active(iss=asked.url))

            asked.instead["/introspect"] = answer
            audience = frozenset((RESOURCE,))
            told: list[tuple[str, str]] = []
            trusted = TrustedIssuers(
                [
                    Issuer(read.url, audience),
                    Issuer(asked.url, audience, kind="introspection", credential=CREDENTIAL),
                ],
                told=lambda issuer, what: told.append((issuer, what)),
            )
            jwt, opaque = read.mint(KEY), "opaque"
            found = [await trusted.judge(token, now_ms=NOW_MS) for token in (jwt, opaque)]
            await trusted.aclose()
            assert [getattr(each, "issuer", each) for each in found] == [read.url, asked.url]
            assert told == [(read.url, "read"), (asked.url, "active")]

    played(play)


class _BelievesEveryText(Introspection):
    """A wrong twin: whatever is not false is yes."""

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        answer = await self._fetcher.post("", {"token": token})
        said = {**answer, "active": bool(answer.get("active"))}
        return introspection._judged(said, ASKED, now_ms=now_ms)


def test_a_judge_who_believes_any_text_is_caught() -> None:
    async def play() -> None:
        twin = _BelievesEveryText(ASKED, Bench({"active": "false", **claims()}))
        assert isinstance(await twin.judge("opaque", now_ms=NOW_MS), Identity)

    played(play)
