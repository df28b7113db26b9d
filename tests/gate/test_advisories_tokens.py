# SPDX-License-Identifier: Apache-2.0
"""What went wrong in libraries that read tokens, and must not here.

A test is named after the published advisory. `docs/security.md` lists them all.
"""

import asyncio
import json

import pytest
from joserfc.jwk import RSAKey

from pypow.errors import InvalidInputError
from pypow_server.identity import BadToken, Identity, Judgement, Unavailable, jwks
from pypow_server.identity.fetching import Fetcher, FetchError
from pypow_server.identity.issuers import Issuer, IssuerError
from pypow_server.identity.judging import TokensOfIssuers, Trusted
from pypow_server.identity.jwks import IssuerKeys
from pypow_server.identity.signatures import public_key
from support import tokens
from support.tokens import ISSUER, NOW_MS, RESOURCE, claims, judge_of, minted, published

KEY, OTHER = tokens.ec_key(), tokens.ec_key()
RSA = tokens.rsa_key("one")


def judged(token: str, judge: TokensOfIssuers | None = None) -> Judgement:
    return asyncio.run((judge or judge_of(KEY)).judge(token, now_ms=NOW_MS))


def test_pyjwt_cve_2026_48526_a_public_key_in_no_form_is_a_secret_of_hmac() -> None:
    with pytest.raises(IssuerError, match="shared secret"):
        Issuer(ISSUER, frozenset((RESOURCE,)), algorithms=frozenset(("ES256", "HS256")))
    secrets = [
        json.dumps(published(RSA)).encode(),
        json.dumps(RSA.as_dict(private=False)).encode(),
        RSA.as_pem(private=False),
        RSA.as_der(private=False),
    ]
    for secret in secrets:
        for named in ("HS256", "RS256"):
            token = minted(claims(), secret, algorithm=named, kid="one")
            assert isinstance(judged(token, judge_of(RSA)), BadToken)


def test_pyjwt_cve_2026_48523_a_key_is_used_by_the_algorithm_that_the_token_names() -> None:
    """The allow-list is held against what the token says, and the key against the same."""
    bound = RSAKey.import_key({**RSA.as_dict(private=True), "alg": "RS512"})
    issuer = Issuer(ISSUER, frozenset((RESOURCE,)), algorithms=frozenset(("RS256",)))
    token = minted(claims(), RSA, algorithm="RS512", alg="RS256")
    assert isinstance(judged(token, judge_of(bound, issuer=issuer)), BadToken)
    honest = minted(claims(), RSA, algorithm="RS512")
    assert isinstance(judged(honest, judge_of(bound, issuer=issuer)), BadToken)


def test_pyjwt_cve_2026_48524_an_issuer_that_fails_takes_no_key_away() -> None:
    """Neither does a flood of made-up key ids, nor does it reach the issuer without bound."""
    reads, now, fails = 0, 1000.0, False

    async def read() -> dict[str, object]:
        nonlocal reads
        reads += 1
        if fails:
            raise FetchError("too many requests", status=429)
        return published(KEY)

    async def play() -> None:
        nonlocal fails, now
        keys = IssuerKeys(read, name=ISSUER, monotonic=lambda: now)
        judge = TokensOfIssuers([Trusted(Issuer(ISSUER, frozenset((RESOURCE,))), keys)])
        assert isinstance(await judge.judge(minted(claims(), KEY), now_ms=NOW_MS), Identity)
        fails = True
        for each in range(100):
            now += 1
            found = await judge.judge(minted(claims(), OTHER, kid=str(each)), now_ms=NOW_MS)
            assert isinstance(found, Unavailable)
            other = minted(claims(jti=str(each)), KEY)
            assert isinstance(await judge.judge(other, now_ms=NOW_MS), Identity)

    asyncio.run(play())
    assert 1 < reads <= 1 + jwks.ASK_AT_ONCE + 100 / jwks.ASK_EVERY_S


def test_pyjwt_cve_2026_48522_keys_are_fetched_by_https_and_by_nothing_else() -> None:
    for url in ("file:///etc/passwd", "ftp://keys.example/", 'data:application/json,{"keys":[]}'):
        with pytest.raises(IssuerError):
            Issuer(ISSUER, frozenset((RESOURCE,)), jwks_uri=url)
        with pytest.raises(FetchError, match="expected"):
            asyncio.run(Fetcher().get(url))


def test_pyjwt_cve_2026_48525_a_payload_that_is_not_encoded_is_not_read() -> None:
    token = minted(b"x" * 5000, KEY, b64=False, crit=["b64"])
    detached = f"{token.split('.')[0]}..{token.split('.')[2]}"
    for each in (token, detached, minted(claims(), KEY, b64=False)):
        assert isinstance(judged(each), BadToken)


def test_pyjwt_cve_2026_32597_an_extension_that_is_critical_is_not_passed_over() -> None:
    for critical in (["x-mac"], ["exp"], [], "x", None, 1):
        header = {"typ": "at+jwt", "alg": "ES256", "kid": "one", "crit": critical, "x-mac": 1}
        assert isinstance(judged(minted(claims(), KEY, header=header)), BadToken)


def test_authlib_cve_2026_27962_a_token_brings_no_key_of_its_own() -> None:
    for key_id in ("one", "two", None):
        token = minted(claims(), OTHER, kid=key_id, jwk=OTHER.as_dict(private=False))
        assert isinstance(judged(token), BadToken)


def test_joserfc_cve_2026_49852_no_secret_verifies_nothing() -> None:
    for jwk in ({"kty": "oct", "k": ""}, {"kty": "oct"}, {"kty": "RSA", "n": "", "e": ""}):
        with pytest.raises(InvalidInputError):
            public_key(jwk)
    for named in ("HS256", "ES256", "none"):
        assert isinstance(judged(minted(claims(), b"", algorithm=named, kid="one")), BadToken)


def test_joserfc_ghsa_5jhw_7jv7_qcqq_a_token_has_one_spelling() -> None:
    """Else deny-lists and memories of the text miss what means the same."""
    token = minted(claims(), KEY)
    header, payload, signature = token.split(".")
    spellings = [
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}=.{signature}",
        f"{header}.{payload}==.{signature}",
        f"{token}==",
        f"{token}\n",
        f" {token}",
        f"{header}.{payload}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}",
        token.replace("_", "/").replace("-", "+") if "_" in token or "-" in token else f"{token}+",
    ]
    assert [isinstance(judged(each), BadToken) for each in spellings] == [True] * len(spellings)
    assert isinstance(judged(token), Identity)


def test_libjwt_cve_2026_44699_a_key_without_an_algorithm_is_no_key_of_hmac() -> None:
    bare = RSAKey.import_key(
        {name: value for name, value in RSA.as_dict(private=True).items() if name != "alg"}
    )
    for secret in (b"", b"\0" * 32):
        token = minted(claims(), secret, algorithm="HS256", kid="one")
        assert isinstance(judged(token, judge_of(bare)), BadToken)
