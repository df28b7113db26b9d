# SPDX-License-Identifier: Apache-2.0
"""What a login costs: a token that is new, one that was seen, and the signature alone.

joserfc's and PyJWT's own verification stand beside for comparison; neither looks at all that
`docs/identity.md` lists.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import jwt as pyjwt
import pytest
from joserfc import jwt as jose_jwt
from joserfc.jwk import Key, RSAKey
from pytest_benchmark.fixture import BenchmarkFixture

from pypow_server.identity import Identity, unverified
from pypow_server.identity.signatures import public_key
from support import tokens
from support.tokens import NOW_MS, RESOURCE, claims, judge_of, minted

JUDGED = 200
"""In each measured call, so that the event loop's own cost is spread thin."""

KEYS: dict[str, Key] = {
    "ES256": tokens.ec_key("key"),
    "EdDSA": tokens.okp_key("key"),
    "RS256": tokens.rsa_key("key"),
}
each_algorithm = pytest.mark.parametrize("algorithm", KEYS)
LATER = NOW_MS // 1000 + 10**9


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def token_by(algorithm: str, **changed: object) -> str:
    return minted(claims(**changed), KEYS[algorithm], algorithm=algorithm)


def tell_each(benchmark: BenchmarkFixture) -> None:
    if benchmark.stats is not None:
        median_s = benchmark.stats.stats.median
        benchmark.extra_info["us_per_token"] = round(1e6 * median_s / JUDGED, 1)


@each_algorithm
def test_new_tokens(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, algorithm: str
) -> None:
    judge = judge_of(KEYS[algorithm])
    counted = itertools.count()

    async def judge_all(shown: list[str]) -> None:
        for token in shown:
            assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)

    def fresh() -> tuple[tuple[list[str]], dict[str, Any]]:
        return ([token_by(algorithm, jti=str(next(counted))) for _ in range(JUDGED)],), {}

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
