# SPDX-License-Identifier: Apache-2.0
"""Keys of issuers: read rarely, there in time for good tokens, and within bounds under floods."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key, OctKey, RSAKey

from pypow.base64_text import decode_url
from pypow.errors import InvalidInputError
from pypow_server.identity import BadToken, Identity, Judgement, Unavailable, jwks
from pypow_server.identity.fetching import Fetcher, FetchError
from pypow_server.identity.issuers import Issuer, key_set, reach
from pypow_server.identity.judging import TokensOfIssuers, Trusted
from pypow_server.identity.jwks import ASK_AT_ONCE, ASK_EVERY_S, IssuerKeys, usable
from pypow_server.identity.signatures import public_key
from support import tokens
from support.token_issuer import TokenIssuer, issuing
from support.tokens import NOW_MS, RESOURCE, claims, minted, published

ONE, TWO, THREE = tokens.ec_key("one"), tokens.ec_key("two"), tokens.ec_key("three")


class Bench:
    """An issuer without a network, and a clock that is set by hand."""

    def __init__(self, *keys: Key) -> None:
        self.now = 1000.0
        self.set: Mapping[str, object] = published(*keys)
        self.fails = False
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.told: list[str] = []
        self.keys = IssuerKeys(
            self.read, name="test", monotonic=lambda: self.now, told=self.told.append
        )

    async def read(self) -> Mapping[str, object]:
        self.reads += 1
        published_now = self.set
        await self.open.wait()
        if self.fails:
            raise FetchError("it is down")
        return published_now

    async def find(self, key_id: str | None) -> str:
        found = await self.keys.find(key_id, "ES256")
        if isinstance(found, Unavailable):
            return "unavailable"
        return ",".join(str(key.key_id) for key in found)


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def played(play: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await play()

    asyncio.run(bounded())


def test_a_set_is_read_once_for_all_who_come_at_once() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        assert set(await asyncio.gather(*(bench.find("one") for _ in range(1000)))) == {"one"}
        assert (bench.reads, bench.told) == (1, ["read"])

    played(play)


def test_an_older_set_serves_while_a_newer_one_is_read() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.now += jwks.FRESH_S + 1
        bench.open.clear()
        bench.set = published(TWO)
        assert await bench.find("one") == "one"
        assert await bench.find("one") == "one"
        bench.open.set()
        await settle()
        assert await bench.find("two") == "two"
        assert bench.reads == 2

    played(play)


def test_an_issuer_that_is_down_is_asked_seldom_and_its_last_set_serves_for_hours() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.fails = True
        bench.now += jwks.FRESH_S + 1
        for _ in range(100):
            assert await bench.find("one") == "one"
            await settle()
        assert bench.reads == 2
        bench.now += jwks.TRUSTED_S
        assert {await bench.find("one") for _ in range(100)} == {"unavailable"}
        assert bench.reads == 3
        assert bench.keys.standing() is None
        bench.fails = False
        bench.now += jwks.PAUSE_S
        assert await bench.find("one") == "one"

    played(play)


def test_an_issuer_that_never_answered_is_asked_again_after_a_pause() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        bench.fails = True
        assert {await bench.find("one") for _ in range(100)} == {"unavailable"}
        assert bench.reads == 1
        bench.fails = False
        bench.now += jwks.PAUSE_S
        assert await bench.find("one") == "one"

    played(play)


def test_a_key_that_is_new_is_found_at_once() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.set = published(ONE, TWO)
        assert await bench.find("two") == "two"
        assert bench.reads == 2

    played(play)


def test_a_key_that_is_published_while_a_set_is_on_its_way_is_found() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.open.clear()
        first = asyncio.create_task(bench.find("made up"))
        await settle()
        bench.set = published(ONE, TWO)
        second = asyncio.create_task(bench.find("two"))
        await settle()
        bench.open.set()
        assert (await first, await second) == ("", "two")
        assert bench.reads == 3

    played(play)


def test_whoever_waits_for_a_set_that_does_not_come_is_told_so() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.open.clear()
        bench.fails = True
        waiters = [asyncio.create_task(bench.find(each)) for each in ("two", "three")]
        await settle()
        bench.open.set()
        assert await asyncio.gather(*waiters) == ["unavailable"] * 2
        assert await bench.find("one") == "one"
        assert bench.reads == 2

    played(play)


def test_a_flood_of_unknown_keys_has_the_set_read_within_an_allowance() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.reads = 0
        minutes = 10
        for second in range(minutes * 60):
            bench.now += 1
            found = await asyncio.gather(
                *(bench.find(f"made up {second} {each}") for each in range(50)), bench.find("one")
            )
            assert set(found[:-1]) <= {"", "unavailable"}
            assert found[-1] == "one"
        allowed = ASK_AT_ONCE + minutes * 60 / ASK_EVERY_S
        refreshed = minutes * 60 / jwks.FRESH_S
        assert 0 < bench.reads <= allowed + refreshed
        assert len(bench.keys._unknown) <= jwks._MAX_UNKNOWN

    played(play)


def test_a_flood_at_once_takes_one_read_of_the_allowance() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        bench.open.clear()
        flood = [asyncio.create_task(bench.find("the same")) for _ in range(1000)]
        await settle()
        bench.open.set()
        assert set(await asyncio.gather(*flood)) == {""}
        assert bench.reads == 2

    played(play)


def test_within_a_flood_nobody_says_that_a_new_key_is_none() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        await bench.find("one")
        for each in range(100):
            await bench.find(f"made up {each}")
        bench.set = published(ONE, TWO)
        found = await bench.keys.find("two", "ES256")
        assert isinstance(found, Unavailable)
        bench.now += found.retry_after_s
        assert await bench.find("two") == "two"

    played(play)


def test_an_unknown_key_is_not_asked_for_again_for_a_while() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        assert [await bench.find("made up") for _ in range(100)] == [""] * 100
        assert bench.reads == 2
        bench.now += jwks._UNKNOWN_S + 1
        bench.set = published(ONE, tokens.ec_key("made up"))
        assert await bench.find("made up") == "made up"

    played(play)


def test_what_is_known_of_unknown_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "_MAX_UNKNOWN", 3)

    async def play() -> None:
        bench = Bench(ONE)
        for each in range(10):
            bench.now += ASK_EVERY_S
            await bench.find(f"made up {each}")
        assert list(bench.keys._unknown) == ["made up 7", "made up 8", "made up 9"]

    played(play)


def test_a_caller_who_leaves_takes_the_keys_away_from_nobody() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        bench.open.clear()
        leaver, other = (asyncio.create_task(bench.find("one")) for _ in range(2))
        await settle()
        leaver.cancel()
        await settle()
        bench.open.set()
        assert await other == "one"
        assert bench.reads == 1

    played(play)


def test_a_key_that_was_taken_back_verifies_no_remembered_token() -> None:
    async def play() -> None:
        bench = Bench(ONE, TWO)
        issuer = Issuer(tokens.ISSUER, frozenset((RESOURCE,)))
        judge = TokensOfIssuers([Trusted(issuer, bench.keys)])
        token = minted(claims(), ONE)
        assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)
        assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)
        bench.set = published(TWO)
        bench.now += jwks.FRESH_S + 1
        await judge.judge(token, now_ms=NOW_MS)
        await settle()
        assert isinstance(await judge.judge(token, now_ms=NOW_MS), BadToken)

    played(play)


def test_a_remembered_token_ends_with_its_time_and_with_its_issuers_silence() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        issuer = Issuer(tokens.ISSUER, frozenset((RESOURCE,)), skew_s=0)
        judge = TokensOfIssuers([Trusted(issuer, bench.keys)])
        token = minted(claims(), ONE)
        assert isinstance(await judge.judge(token, now_ms=NOW_MS), Identity)
        assert isinstance(await judge.judge(token, now_ms=NOW_MS + 300_000), BadToken)
        bench.fails = True
        bench.now += jwks.TRUSTED_S + 1
        assert isinstance(await judge.judge(token, now_ms=NOW_MS), Unavailable)

    played(play)


SECRET = OctKey.generate_key(256, parameters={"kid": "oct"})
GOOD = ONE.as_dict(private=False)
RSA = tokens.rsa_key().as_dict(private=False)


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        (SECRET.as_dict(private=True), "private or symmetric"),
        (ONE.as_dict(private=True), "private or symmetric"),
        ({"kty": "oct", "kid": "oct"}, "expected a key of RSA"),
        ({**GOOD, "kty": "AKP"}, "expected a key of RSA"),
        ({**GOOD, "crv": "secp256k1"}, "expected a key of RSA"),
        ({**GOOD, "use": "enc"}, "for signatures"),
        ({**GOOD, "key_ops": ["encrypt"]}, "that verifies"),
        ({**GOOD, "key_ops": None}, "that verifies"),
        ({**GOOD, "kid": 1}, "text as kid"),
        ({**GOOD, "alg": "RS256"}, "fits the key"),
        ({**RSA, "alg": "HS256"}, "fits the key"),
        ({**RSA, "alg": ["RS256"]}, "fits the key"),
        ({**GOOD, "use": ["sig"]}, "for signatures"),
        ({**GOOD, "x": GOOD["y"]}, "expected a key, got none"),
        ({**GOOD, "x": 1}, "sane length"),
        ({**GOOD, "x": "A" * 4000}, "sane length"),
        ({**GOOD, "x": "!"}, "expected a key, got none"),
        ({"kty": "EC", "crv": "P-256"}, "expected a key, got none"),
        ({"kty": "OKP", "crv": "X25519", "x": "A" * 43}, "expected a key of RSA"),
        ({**RSA, "n": "AQAB"}, "2048 to 8192"),
        ({**RSA, "e": "A" * 40 + "B" * 12}, "exponent"),
        ({**RSA, "e": "AQ"}, "expected a key, got none"),
        ({**RSA, "n": "!"}, "base64url"),
        ({"kty": "RSA"}, "expected a key, got none"),
        ([], "an object"),
    ],
)  # fmt: skip
def test_keys_that_prove_nothing_are_left_out(jwk: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        public_key(jwk)
    assert [key.key_id for key in usable({"keys": [jwk, GOOD]})] == ["one"]
    with pytest.raises(InvalidInputError, match="got none"):
        usable({"keys": [jwk]})


def test_a_key_checks_nothing_by_an_algorithm_of_others() -> None:
    token = minted(claims(), ONE)
    signed, _, signature = token.rpartition(".")
    octets, key = decode_url(signature), public_key(GOOD)
    assert key.has_signed(signed.encode(), octets, algorithm="ES256")
    for other in ("ES384", "RS256", "HS256", "none", ""):
        assert not key.has_signed(signed.encode(), octets, algorithm=other)


def test_sets_that_are_none_are_refused() -> None:
    sets: list[dict[str, object]] = [{}, {"keys": {}}, {"keys": []}, {"keys": [GOOD] * 65}]
    for wrong in sets:
        with pytest.raises(InvalidInputError, match="expected a"):
            usable(wrong)


def test_a_weak_rsa_key_is_left_out() -> None:
    with pytest.warns(match="2048"):
        weak = RSAKey.generate_key(1024).as_dict(private=False)
    with pytest.raises(InvalidInputError, match="2048 to 8192"):
        public_key(weak)


def over_http(issuer: TokenIssuer) -> tuple[TokensOfIssuers, Fetcher]:
    configured = Issuer(issuer.url, frozenset((RESOURCE,)))
    fetcher = Fetcher(reach(configured))

    async def read() -> dict[str, object]:
        return await key_set(configured, fetcher)

    keys = IssuerKeys(read, name=issuer.url)
    return TokensOfIssuers([Trusted(configured, keys)]), fetcher


def test_keys_rotate_under_load_and_no_valid_token_is_refused() -> None:
    """A real issuer replaces its key again and again; old keys stay published, as they should."""

    async def play() -> None:
        async with issuing(ONE) as issuer:
            judge, fetcher = over_http(issuer)
            refused: list[object] = []
            admitted = 0
            rotations = {80: TWO, 160: THREE}

            async def caller(number: int) -> None:
                nonlocal admitted
                for each in range(12):
                    token = issuer.mint(issuer.keys[-1], jti=f"{number} {each}")
                    await asyncio.sleep(0)
                    found = await judge.judge(token, now_ms=NOW_MS)
                    if not isinstance(found, Identity):
                        refused.append(found)
                        continue
                    admitted += 1
                    if admitted in rotations:
                        issuer.keys = [issuer.keys[-1], rotations[admitted]]

            await asyncio.gather(*(caller(number) for number in range(25)))
            await fetcher.aclose()
            assert refused == []
            assert admitted == 25 * 12
            assert 3 <= issuer.asked["/keys"] <= 1 + ASK_AT_ONCE

    played(play)


def test_a_flood_of_made_up_keys_reaches_the_issuer_a_few_times() -> None:
    async def play() -> None:
        async with issuing(ONE) as issuer:
            judge, fetcher = over_http(issuer)
            flood = [
                minted(claims(iss=issuer.url), TWO, kid=f"made up {each}") for each in range(200)
            ]
            found = await asyncio.gather(*(judge.judge(each, now_ms=NOW_MS) for each in flood))
            assert not any(isinstance(each, Identity) for each in found)
            good = await judge.judge(issuer.mint(ONE), now_ms=NOW_MS)
            await fetcher.aclose()
            assert isinstance(good, Identity)
            assert 0 < issuer.asked["/keys"] <= 1 + ASK_AT_ONCE

    played(play)


METADATA = "/.well-known/oauth-authorization-server"
REDIRECT = {"status": 302, "headers": {"Location": "/elsewhere"}}


async def _judged_instead(path: str, answer: dict[str, Any], **metadata: str) -> Judgement:
    """What a good token is worth while its issuer answers otherwise."""
    async with issuing(ONE) as issuer:

        async def otherwise(request: web.BaseRequest) -> web.StreamResponse:
            if metadata:
                return web.json_response({**issuer.metadata(), **metadata})
            return web.Response(**{"content_type": "application/json", **answer})

        issuer.instead[path] = otherwise
        judge, fetcher = over_http(issuer)
        found = await judge.judge(issuer.mint(ONE), now_ms=NOW_MS)
        await fetcher.aclose()
        assert issuer.asked["/elsewhere"] == 0
        return found


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/keys", REDIRECT),
        ("/keys", {"text": '{"keys":[{"kty":"oct","kid":"one","k":"AAAA"}]}'}),
        ("/keys", {"text": "<html>", "content_type": "text/html"}),
        (METADATA, REDIRECT),
    ],
)
def test_an_issuer_that_publishes_no_keys_is_no_verdict_on_its_tokens(
    path: str, answer: dict[str, Any]
) -> None:
    assert isinstance(asyncio.run(_judged_instead(path, answer)), Unavailable)


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/", "https://169.254.169.254/", "https://10.0.0.1/keys",
        "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a9fe:a9fe]/", "file:///etc/passwd",
        "http://127.1/keys", "https://localhost/keys",
    ],
)  # fmt: skip
def test_an_issuer_that_sends_us_to_what_is_near_is_not_followed(uri: str) -> None:
    assert isinstance(asyncio.run(_judged_instead(METADATA, {}, jwks_uri=uri)), Unavailable)


class _AsksEveryTime(IssuerKeys):
    """A wrong twin: no allowance."""

    def _wait_s(self, now: float) -> float:
        return 0.0


def test_keys_without_an_allowance_are_caught() -> None:
    async def play() -> None:
        bench = Bench(ONE)
        bench.keys = _AsksEveryTime(bench.read, name="twin", monotonic=lambda: bench.now)
        for each in range(100):
            await bench.find(f"made up {each}")
        assert bench.reads > ASK_AT_ONCE + 1

    played(play)
