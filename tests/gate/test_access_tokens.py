# SPDX-License-Identifier: Apache-2.0
"""Access tokens of issuers elsewhere: good ones are taken, and every wrong one has its reason."""

import asyncio
import json
from collections.abc import Callable

import jwt as pyjwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt as jose_jwt
from joserfc.jwk import ECKey, Key, RSAKey

from pypow.base64_text import decode_url
from pypow_server.identity import (
    BadToken,
    Identity,
    Judgement,
    access_token,
    judging,
    unverified,
)
from pypow_server.identity.issuers import Issuer, IssuerError
from pypow_server.identity.judging import TokensOfIssuers, Trusted
from pypow_server.identity.remembered import Remembered
from pypow_server.identity.unverified import Unverified
from support import tokens
from support.tokens import ISSUER, NOW_MS, NOW_S, RESOURCE, claims, judge_of, minted

KEY = tokens.ec_key()
OTHER = tokens.ec_key()
RSA = tokens.rsa_key()
OKP = tokens.okp_key()
PEM = RSA.as_pem(private=False)


def judged(token: str, judge: TokensOfIssuers | None = None, *, now_ms: int = NOW_MS) -> Judgement:
    return asyncio.run((judge or judge_of(KEY, RSA)).judge(token, now_ms=now_ms))


def test_a_token_of_the_issuer_says_who_calls() -> None:
    said = claims(cnf={"jkt": "a-thumbprint"}, aud=["https://elsewhere.example", RESOURCE])
    found = judged(minted(said, KEY))
    assert found == Identity(
        issuer=ISSUER,
        subject="somebody",
        client_id="an-agent",
        scopes=frozenset(("tools:search", "tools:read")),
        expires_at_ms=(NOW_S + 300) * 1000,
        issued_at_ms=(NOW_S - 10) * 1000,
        token_id="token-1",
        key_thumbprint="a-thumbprint",
        claims=said,
    )


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", KEY),
        ("ES384", tokens.ec_key(curve="P-384")),
        ("ES512", tokens.ec_key(curve="P-521")),
        ("RS256", RSA),
        ("PS256", RSA),
        ("RS512", RSA),
        ("EdDSA", OKP),
        ("Ed25519", OKP),
    ],
)
def test_every_algorithm_that_the_operator_allows_is_read(algorithm: str, key: Key) -> None:
    issuer = Issuer(ISSUER, frozenset((RESOURCE,)), algorithms=frozenset((algorithm,)))
    judge = judge_of(key, issuer=issuer)
    assert isinstance(judged(minted(claims(), key, algorithm=algorithm), judge), Identity)


def test_tokens_of_other_libraries_are_read() -> None:
    header = {"typ": "at+jwt", "kid": "one"}
    made = [
        pyjwt.encode(claims(), KEY.as_pem(private=True), "ES256", headers=header),
        jose_jwt.encode({"alg": "ES256", **header}, claims(), KEY),
    ]
    assert all(isinstance(judged(token), Identity) for token in made)


def _raw(header: object, said: object, signature: bytes = b"") -> str:
    return ".".join(
        tokens.encoded(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (header, said, signature)
    )


def _changed(part: int) -> str:
    parts = minted(claims(), KEY).split(".")
    octets = parts[part]
    parts[part] = octets[:10] + ("A" if octets[10] != "A" else "B") + octets[11:]
    return ".".join(parts)


REPEATED_HEADER = b'{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"one"}'
REPEATED_CLAIM = json.dumps(claims()).encode()[:-1] + b', "sub": "somebody-else"}'

WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", "of 3 parts"),
    "an opaque token": (lambda: "2YotnFZFEjr1zCsicMWpAA", "of 3 parts"),
    "an encrypted token": (lambda: "e30.e30.e30.e30.e30", "of 3 parts"),
    "a huge token": (lambda: minted(claims(padding="x" * 8192), KEY), "at most 8192 octets"),
    "a huge header": (lambda: minted(claims(), KEY, x="y" * 2048), "header of at most"),
    "letters beyond ASCII": (lambda: "é" + minted(claims(), KEY), "base64url"),
    "padding": (lambda: minted(claims(), KEY) + "==", "without padding"),
    "spare bits set": (lambda: minted(claims(), KEY)[:-1] + "_", "base64url"),
    "a header that is no object": (lambda: _raw([], claims()), "JSON objects"),
    "a payload that is no object": (lambda: minted(b"[]", KEY), "JSON objects"),
    "a payload of broken JSON": (lambda: minted(b"{", KEY), "JSON without"),
    "a header's member twice": (
        lambda: minted(claims(), KEY, header=REPEATED_HEADER), "repeated members",
    ),
    "a claim twice": (lambda: minted(REPEATED_CLAIM, KEY), "repeated members"),
    "no number": (lambda: minted(b'{"exp": NaN}', KEY), "base64url and JSON"),
    "no alg": (lambda: minted(claims(), KEY, alg=None), "names its algorithm"),
    "alg none": (lambda: _raw({"typ": "at+jwt", "alg": "none"}, claims()), "as alg, got 'none'"),
    "alg None": (lambda: _raw({"typ": "at+jwt", "alg": "None"}, claims()), "as alg, got 'None'"),
    "alg none with a signature": (
        lambda: minted(claims(), KEY, alg="none"), "as alg, got 'none'",
    ),
    "HS256 by the public key as secret": (
        lambda: minted(claims(), PEM, algorithm="HS256", kid="rsa"),
        "as alg, got 'HS256'",
    ),
    "RS256 in name, HS256 by the public key": (
        lambda: minted(claims(), PEM, algorithm="RS256", kid="rsa"),
        "a signature by a key",
    ),
    "an algorithm that the operator left out": (
        lambda: minted(claims(), RSA, algorithm="RS384"), "as alg, got 'RS384'",
    ),
    "an algorithm of another key": (
        lambda: minted(claims(), KEY, alg="RS256"), "that fits kid and alg",
    ),
    "typ of an ID token": (lambda: minted(claims(), KEY, typ="JWT"), "as typ, got 'jwt'"),
    "no typ": (lambda: minted(claims(), KEY, typ=None), "as typ, got ''"),
    "typ of a proof": (lambda: minted(claims(), KEY, typ="dpop+jwt"), "as typ, got 'dpop+jwt'"),
    "typ of no text": (lambda: minted(claims(), KEY, typ=["at+jwt"]), "a text as typ"),
    "crit": (lambda: minted(claims(), KEY, crit=["exp"], exp=1), "critical extensions"),
    "empty crit": (lambda: minted(claims(), KEY, crit=[]), "critical extensions"),
    "b64=false": (lambda: minted(claims(), KEY, b64=False, crit=["b64"]), "critical extensions"),
    "b64=false without crit": (lambda: minted(claims(), KEY, b64=False), "no b64"),
    "kid that is a path": (
        lambda: minted(claims(), OTHER, kid="../../dev/null"), "that fits kid and alg",
    ),
    "kid of SQL": (lambda: minted(claims(), OTHER, kid="' OR 1=1 --"), "that fits kid and alg"),
    "kid of no text": (lambda: minted(claims(), KEY, kid=1), "as kid"),
    "a long kid": (lambda: minted(claims(), KEY, kid="k" * 257), "as kid"),
    "another key under the same kid": (lambda: minted(claims(), OTHER), "a signature by a key"),
    "another key, brought along": (
        lambda: minted(claims(), OTHER, jwk=OTHER.as_dict(private=False)), "a signature by a key",
    ),
    "another key, to be fetched": (
        lambda: minted(claims(), OTHER, jku="https://evil.example/keys"), "a signature by a key",
    ),
    "another key, in a certificate elsewhere": (
        lambda: minted(claims(), OTHER, x5u="https://evil.example/c", x5c=["AA"]),
        "a signature by a key",
    ),
    "no signature": (lambda: minted(claims(), KEY).rpartition(".")[0] + ".", "a signature by"),
    "a signature of noughts": (
        lambda: minted(claims(), KEY).rpartition(".")[0] + "." + "A" * 86, "a signature by",
    ),
    "a signature in DER": (
        lambda: minted(claims(), KEY).rpartition(".")[0] + ".MEUCIQ", "a signature by",
    ),
    "no issuer": (lambda: minted(claims(iss=None), KEY), "names its issuer"),
    "another issuer": (lambda: minted(claims(iss="https://evil.example"), KEY), "is trusted here"),
    "the issuer with a slash": (lambda: minted(claims(iss=ISSUER + "/"), KEY), "is trusted here"),
    "the issuer in capitals": (
        lambda: minted(claims(iss=ISSUER.replace("login", "LOGIN")), KEY), "is trusted here",
    ),
    "the issuer over http": (
        lambda: minted(claims(iss=ISSUER.replace("https", "http")), KEY), "is trusted here",
    ),
    "issuers": (lambda: minted(claims(iss=[ISSUER]), KEY), "names its issuer"),
    "no audience": (lambda: minted(claims(aud=None), KEY), "for this resource"),
    "a foreign audience": (
        lambda: minted(claims(aud="https://other.example"), KEY), "for this resource",
    ),
    "the audience's beginning": (lambda: minted(claims(aud=RESOURCE[:-1]), KEY), "this resource"),
    "audiences that are no texts": (lambda: minted(claims(aud=[RESOURCE, 1]), KEY), "(aud)"),
    "expired": (lambda: minted(claims(exp=NOW_S - 60), KEY), "(exp)"),
    "no end": (lambda: minted(claims(exp=None), KEY), "(exp)"),
    "an end that is a text": (lambda: minted(claims(exp=str(NOW_S + 9)), KEY), "moments in"),
    "an end that is true": (lambda: minted(claims(exp=True), KEY), "moments in"),
    "an end beyond reason": (lambda: minted(claims(exp=1e300), KEY), "moments in"),
    "not yet": (lambda: minted(claims(nbf=NOW_S + 61), KEY), "(nbf)"),
    "issued tomorrow": (lambda: minted(claims(iat=NOW_S + 61), KEY), "(iat)"),
    "no sub": (lambda: minted(claims(sub=None), KEY), "as sub"),
    "sub of no text": (lambda: minted(claims(sub=7), KEY), "as sub"),
    "a long sub": (lambda: minted(claims(sub="s" * 256), KEY), "as sub"),
    "no client_id": (lambda: minted(claims(client_id=None), KEY), "client_id and iat"),
    "no iat": (lambda: minted(claims(iat=None), KEY), "client_id and iat"),
    "scope of no text": (lambda: minted(claims(scope={"a": 1}), KEY), "(scope)"),
    "jti of no text": (lambda: minted(claims(jti=5), KEY), "as jti"),
    "bound to a certificate": (
        lambda: minted(claims(cnf={"x5t#S256": "x"}), KEY), "(cnf.jkt)",
    ),
    "bound to a key and a certificate": (
        lambda: minted(claims(cnf={"x5t#S256": "x", "jkt": "y"}), KEY), "(cnf.jkt)",
    ),
    "bound to nothing that is said": (lambda: minted(claims(cnf="key"), KEY), "(cnf.jkt)"),
    "a changed header": (lambda: _changed(0), "expected"),
    "a changed payload": (lambda: _changed(1), "expected"),
    "a changed signature": (lambda: _changed(2), "expected"),
}  # fmt: skip
each_wrong = pytest.mark.parametrize("name", WRONG)


def test_at_least_thirty_kinds_of_wrong_tokens_are_tried() -> None:
    assert len(WRONG) >= 30


@each_wrong
def test_a_wrong_token_is_refused_with_its_reason_and_never_quoted(name: str) -> None:
    make, reason = WRONG[name]
    token = make()
    found = judged(token)
    assert isinstance(found, BadToken)
    assert found.error == "invalid_token"
    assert reason in found.detail
    assert not token or token not in found.detail
    assert len(found.detail) < 300


@each_wrong
def test_a_wrong_token_is_refused_after_the_good_one_was_remembered(name: str) -> None:
    async def both() -> Judgement:
        judge = judge_of(KEY, RSA)
        assert isinstance(await judge.judge(minted(claims(), KEY), now_ms=NOW_MS), Identity)
        return await judge.judge(WRONG[name][0](), now_ms=NOW_MS)

    assert isinstance(asyncio.run(both()), BadToken)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_is_read_as_media_types_are(typ: str) -> None:
    assert isinstance(judged(minted(claims(), KEY, typ=typ)), Identity)


@pytest.mark.parametrize("typ", ["JWT", None])
def test_plain_tokens_are_taken_of_issuers_that_the_operator_said_so_of(typ: str | None) -> None:
    issuer = Issuer(ISSUER, frozenset((RESOURCE,)), accept_untyped=True)
    judge = judge_of(KEY, issuer=issuer)
    token = minted(claims(client_id=None, azp="an-app", scope=None, scp=["a", "b"]), KEY, typ=typ)
    found = judged(token, judge)
    assert isinstance(found, Identity)
    assert (found.client_id, found.scopes) == ("an-app", frozenset("ab"))
    proof = minted(claims(), KEY, typ="dpop+jwt")
    assert isinstance(judged(proof, judge), BadToken)


def test_a_token_of_another_issuer_is_not_checked_as_one_of_this() -> None:
    read = unverified.read(minted(claims(iss="https://other.example"), KEY))
    assert isinstance(read, Unverified)
    found = access_token.check(read, Issuer(ISSUER, frozenset((RESOURCE,))), now_ms=NOW_MS)
    assert isinstance(found, BadToken)


def test_clocks_may_differ_by_the_skew_and_no_millisecond_more() -> None:
    token = minted(claims(iat=NOW_S, nbf=NOW_S, exp=NOW_S + 300), KEY)
    judge = judge_of(KEY)
    for off_ms, is_good in ((-60_001, False), (-60_000, True), (359_999, True), (360_000, False)):
        found = judged(token, judge, now_ms=NOW_MS + off_ms)
        assert isinstance(found, Identity) is is_good, off_ms


def test_a_key_that_names_its_algorithm_is_used_with_no_other() -> None:
    only = RSAKey.import_key({**RSA.as_dict(private=True), "alg": "RS256"})
    judge = judge_of(only)
    assert isinstance(judged(minted(claims(), RSA, algorithm="RS256"), judge), Identity)
    assert isinstance(judged(minted(claims(), RSA, algorithm="PS256"), judge), BadToken)


def test_a_token_without_kid_is_tried_with_the_keys_that_fit() -> None:
    judge = judge_of(RSA, tokens.ec_key("two"), KEY)
    assert isinstance(judged(minted(claims(), KEY, kid=None), judge), Identity)
    assert isinstance(judged(minted(claims(), OTHER, kid=None), judge), BadToken)
    many = judge_of(*(tokens.ec_key(str(each)) for each in range(4)), KEY)
    assert isinstance(judged(minted(claims(), KEY, kid=None), many), BadToken)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=200) | st.binary(min_size=1, max_size=90).map(tokens.encoded))
def test_any_other_text_is_refused(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}", minted(claims(), KEY) + text):
        assert isinstance(judged(token), BadToken)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(min_value=0), to=st.sampled_from("ABQgwz09-_.="))
def test_one_character_changed_anywhere_is_refused(at: int, to: str) -> None:
    token = minted(claims(), KEY)
    at %= len(token)
    if token[at] != to:
        assert isinstance(judged(token[:at] + to + token[at + 1 :]), BadToken)


def _believes_everything(token: Unverified) -> bool:
    return True


def _believes_keys_that_come_along(token: Unverified) -> bool:
    header = json.loads(decode_url(token.signed.decode().partition(".")[0]))
    brought = ECKey.import_key(header["jwk"]) if "jwk" in header else KEY
    return tokens.MODELS["ES256"].verify(token.signed, token.signature, brought)


@pytest.mark.parametrize(
    ("believes", "caught_by"),
    [
        (_believes_everything, "another key under the same kid"),
        (_believes_keys_that_come_along, "another key, brought along"),
    ],
)
def test_a_judge_who_believes_too_much_is_caught(
    believes: Callable[[Unverified], bool], caught_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(token: Unverified, keys: object) -> BadToken | None:
        return None if believes(token) else BadToken("invalid_token", "")

    monkeypatch.setattr(judging, "signature_fault", fault)
    assert isinstance(judged(WRONG[caught_by][0]()), Identity)


class _Asked:
    """An issuer that is asked, and says yes to everything."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        self.shown.append(token)
        return Identity("https://asked.example", "s", "", frozenset(), now_ms + 1, now_ms)


def test_a_token_is_shown_to_no_issuer_but_its_own() -> None:
    asked = _Asked()
    keys = tokens.known_keys(KEY)
    trusted = Trusted(Issuer(ISSUER, frozenset((RESOURCE,))), keys)
    judge = TokensOfIssuers([trusted], [("https://asked.example", asked)])
    foreign = [minted(claims(iss="https://evil.example"), KEY), minted(claims(sub=None), KEY)]
    for token in [minted(claims(), KEY), *foreign]:
        judged(token, judge)
    assert asked.shown == []
    own = ["an-opaque-token", minted(claims(iss="https://asked.example"), OTHER)]
    for token in own:
        assert isinstance(judged(token, judge), Identity)
    assert asked.shown == own


def test_two_issuers_that_would_see_each_others_tokens_are_refused() -> None:
    with pytest.raises(IssuerError, match="at most one issuer"):
        TokensOfIssuers([], [("https://a.example", _Asked()), ("https://b.example", _Asked())])


def test_one_issuer_twice_is_refused() -> None:
    trusted = Trusted(Issuer(ISSUER, frozenset((RESOURCE,))), tokens.known_keys(KEY))
    for asked in ([], [(ISSUER, _Asked())]):
        with pytest.raises(IssuerError, match="twice"):
            TokensOfIssuers([trusted] * (2 - len(asked)), asked)


def test_what_is_remembered_is_bounded() -> None:
    remembered: Remembered[int] = Remembered(at_most=2)
    for each in (b"a", b"b", b"a", b"c"):
        remembered.put(each, 1)
    assert (len(remembered), remembered.get(b"b"), remembered.get(b"a")) == (2, None, 1)


def test_nothing_personal_is_shown_of_an_identity() -> None:
    found = judged(minted(claims(sub="alice@example.com", email="alice@example.com"), KEY))
    assert "alice" not in repr(found)
    assert "alice" not in repr(unverified.read(minted(claims(sub="alice"), KEY)))
