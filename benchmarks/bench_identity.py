# SPDX-License-Identifier: Apache-2.0
"""What a token costs: new ones in a gate, judged alone, and the signature alone.

joserfc's and PyJWT's own verification stand beside for comparison; neither looks at all that
`docs/identity.md` lists.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import jwt as pyjwt
import pytest
from joserfc import jwt as jose_jwt
from joserfc.jwk import Key as Jwk
from joserfc.jwk import RSAKey
from pytest_benchmark.fixture import BenchmarkFixture

from pypow import Key, Keyring
from pypow_server.gate import Gate
from pypow_server.identity import Identity, unverified
from pypow_server.identity.signatures import public_key
from pypow_server.policy import Policy, Price
from pypow_server.rails.oauth import OAuthRail
from pypow_server.rails.work import WorkRail
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.stores.memory import MemoryLedger
from support import tokens
from support.asgi_client import call
from support.tokens import NOW_MS, RESOURCE, claims, judge_of, minted

JUDGED = 200
"""In each measured call, so that the event loop's own cost is spread thin."""

KEYS: dict[str, Jwk] = {
    "ES256": tokens.ec_key("key"),
    "EdDSA": tokens.okp_key("key"),
    "RS256": tokens.rsa_key("key"),
}
each_algorithm = pytest.mark.parametrize("algorithm", KEYS)
LATER = NOW_MS // 1000 + 10**9
HOST = (b"host", b"gate.example")
COUNTED = itertools.count()


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def token_by(algorithm: str, **changed: object) -> str:
    return minted(claims(**changed), KEYS[algorithm], algorithm=algorithm)


def fresh_tokens(algorithm: str) -> list[str]:
    """Tokens that nobody has seen, good for a while from now on."""
    now_s = int(time.time())
    said = [claims(jti=str(next(COUNTED)), iat=now_s, exp=now_s + 3600) for _ in range(JUDGED)]
    return [minted(each, KEYS[algorithm], algorithm=algorithm) for each in said]


@pytest.fixture
def gate() -> Gate:
    login = OAuthRail(
        judge_of(*KEYS.values()), resource=RESOURCE, public_url="https://gate.example",
        metadata_url="https://gate.example/.well-known/oauth-protected-resource",
        issuers=[tokens.ISSUER],
    )  # fmt: skip
    price = Price("members", 16 * 1024, scopes=frozenset(("tools:search",)))
    return Gate(
        app,
        rails=[WorkRail(Keyring([Key(id=1, secret=bytes(32))]), public_host="gate.example")],
        login=login,
        ledger=MemoryLedger(),
        policy=Policy(default=price, takes_tokens=True),
    )


def ask(loop: asyncio.AbstractEventLoop, asked: ASGIApp, shown: list[str]) -> set[int]:
    """One request for each token; the statuses met."""

    async def all_of_them() -> set[int]:
        headers = [[HOST, (b"authorization", f"Bearer {token}".encode())] for token in shown]
        answers = [await call(asked, "GET", b"/x", headers=one) for one in headers]
        return {answer.status for answer in answers}

    return loop.run_until_complete(all_of_them())


@each_algorithm
def test_calls_with_new_tokens(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, gate: Gate, algorithm: str
) -> None:
    def fresh() -> tuple[tuple[object, ...], dict[str, Any]]:
        return (loop, gate, fresh_tokens(algorithm)), {}

    statuses = benchmark.pedantic(ask, setup=fresh, rounds=20)  # type: ignore[no-untyped-call]
    assert statuses == {200}
    tell_each(benchmark)


def tell_each(benchmark: BenchmarkFixture) -> None:
    if benchmark.stats is not None:
        median_s = benchmark.stats.stats.median
        benchmark.extra_info["us_per_token"] = round(1e6 * median_s / JUDGED, 1)


@each_algorithm
def test_new_tokens(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, algorithm: str
) -> None:
    judge = judge_of(KEYS[algorithm])

    async def judge_all(shown: list[str]) -> None:
        for token in shown:
            assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)

    def fresh() -> tuple[tuple[list[str]], dict[str, Any]]:
        return ([token_by(algorithm, jti=str(next(COUNTED))) for _ in range(JUDGED)],), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]  # the plugin's own gap
        lambda shown: loop.run_until_complete(judge_all(shown)), setup=fresh, rounds=20
    )
    tell_each(benchmark)


def test_a_token_that_was_seen(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop
) -> None:
    judge = judge_of(KEYS["ES256"])
    token = token_by("ES256")

    async def judge_all() -> None:
        for _ in range(JUDGED):
            assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)

    benchmark(lambda: loop.run_until_complete(judge_all()))
    tell_each(benchmark)


@each_algorithm
def test_a_signature_alone(benchmark: BenchmarkFixture, algorithm: str) -> None:
    key = public_key(KEYS[algorithm].as_dict(private=False))
    read = unverified.read(token_by(algorithm))
    assert isinstance(read, unverified.Unverified)
    assert benchmark(key.has_signed, read.signed, read.signature, algorithm=algorithm)


def test_reading_alone(benchmark: BenchmarkFixture) -> None:
    assert isinstance(benchmark(unverified.read, token_by("ES256")), unverified.Unverified)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_joserfc(benchmark: BenchmarkFixture, algorithm: str) -> None:
    benchmark(jose_jwt.decode, token_by(algorithm), KEYS[algorithm], algorithms=[algorithm])


@each_algorithm
def test_pyjwt(benchmark: BenchmarkFixture, algorithm: str) -> None:
    key = KEYS[algorithm]
    assert isinstance(key, RSAKey) or algorithm != "RS256"
    pem = key.public_key
    benchmark(
        pyjwt.decode, token_by(algorithm, exp=LATER, iat=0), pem, algorithms=[algorithm],
        audience=RESOURCE,
    )  # fmt: skip
