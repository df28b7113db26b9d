# SPDX-License-Identifier: Apache-2.0
"""Each rule for DPoP proofs: the published examples, good proofs, and every bad one by its error.

A rule that nobody held would go unseen, so that each is left out once: the verifier without it
must be told from the right one by a bad proof.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from pypow import strict_json
from pypow.base64_text import decode_url, encode_url
from pypow.errors import InvalidInputError, WireError
from pypow_server.identity import dpop
from pypow_server.identity.dpop import (
    DpopError,
    DpopFault,
    DpopRules,
    Nonces,
    Proven,
    verify,
    verifying,
)
from pypow_server.identity.dpop import keys as dpop_keys
from pypow_server.identity.dpop import proofs as dpop_proofs
from support.dpop_proofs import ABSENT, KeyHolder, document, jws

NOW_MS = 1_790_000_000_123
URL = "https://gate.example/mcp"
TOKEN = "a.token.of-somebody"
HOLDER = KeyHolder()
OTHER = KeyHolder()
NONCES = Nonces((b"n" * 32,))

# RFC 9449 section 4.1, figure 2, and section 7.1, figure 12.
_RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk"
    "lDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUw"
    "Q2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_PROOF = (
    f"{_RFC_HEADER}."
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY2"
    "9tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ."
    "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_RESOURCE_PROOF = (
    f"{_RFC_HEADER}."
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm"
    "9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhX"
    "WG9hTnk1OUlpS0NBcWtzbVFFbyJ9."
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
# RFC 7638 section 3.1 and RFC 8037 appendix A.3.
RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPeb"
    "WKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368Q"
    "QMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2"
    "NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
RFC7638_KEY = {"kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
RFC8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def check(*proofs: str | bytes, **changes: Any) -> Proven | DpopFault:
    asked: dict[str, Any] = {"method": "POST", "url": URL, "now_ms": NOW_MS}
    return verify(proofs, **(asked | changes))


def good(holder: KeyHolder = HOLDER, **changes: Any) -> str:
    return holder.proof("POST", URL, now_ms=NOW_MS, **changes)


def test_the_token_request_of_the_rfc_is_taken() -> None:
    found = verify(
        [RFC_TOKEN_PROOF],
        method="POST",
        url="https://server.example.com/token",
        now_ms=1562262616_000,
    )
    assert isinstance(found, Proven)
    assert (found.jti, found.thumbprint) == ("-BwC3ESc6acc2lTc", RFC_THUMBPRINT)


def test_the_resource_request_of_the_rfc_is_taken_with_its_token_and_no_other() -> None:
    def asked(token: str) -> Proven | DpopFault:
        return verify(
            [RFC_RESOURCE_PROOF.encode()],
            method="GET",
            url="https://resource.example.org/protectedresource",
            now_ms=1562262618_000,
            access_token=token,
            bound_to=RFC_THUMBPRINT,
        )

    assert isinstance(asked(RFC_ACCESS_TOKEN), Proven)
    assert isinstance(asked(RFC_ACCESS_TOKEN + "x"), DpopFault)


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RFC7638_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC8037_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (OTHER.jwk, OTHER.thumbprint),
    ],
    ids=["RFC 7638", "RFC 8037", "joserfc"],
)
def test_thumbprints_are_those_of_the_standards(jwk: dict[str, Any], expected: str) -> None:
    assert dpop.thumbprint(jwk) == expected


def test_a_thumbprint_of_no_public_key_is_refused() -> None:
    for jwk in ({}, {"kty": "oct", "k": "c2VjcmV0"}, HOLDER.key.as_dict(private=True)):
        with pytest.raises(WireError, match="expected a public key"):
            dpop.thumbprint(jwk)


def test_the_signed_examples_of_jws_are_verified() -> None:
    # RFC 7515 appendix A.3 and RFC 8037 appendix A.4.
    ec = dpop_keys.read_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        "ES256",
    )
    ed = dpop_keys.read_key(RFC8037_KEY, "EdDSA")
    assert ec is not None
    assert ed is not None
    jws_a3 = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature_a3 = (
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    jws_a4 = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature_a4 = (
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    for key, algorithm, signed, signature in (
        (ec, "ES256", jws_a3, signature_a3),
        (ed, "EdDSA", jws_a4, signature_a4),
    ):
        octets = decode_url(signature)
        assert key.has_signed(signed, octets, algorithm)
        assert not key.has_signed(signed + b"x", octets, algorithm)
        assert not key.has_signed(signed, octets[:-1], algorithm)
        assert not key.has_signed(signed, b"", algorithm)


def test_proofs_of_every_algorithm_are_taken_where_it_is_allowed() -> None:
    rules = DpopRules(algorithms=tuple(sorted(dpop.ALGORITHMS)))
    rsa = RSAKey.generate_key(2048)
    ed = OKPKey.generate_key("Ed25519")
    for algorithm, key in (
        ("ES256", HOLDER.key), ("EdDSA", ed), ("Ed25519", ed), ("RS256", rsa), ("PS256", rsa),
    ):  # fmt: skip
        holder = KeyHolder(key, algorithm)
        found = check(good(holder), rules=rules)
        assert isinstance(found, Proven)
        assert (found.algorithm, found.thumbprint) == (algorithm, key.thumbprint())


def test_a_proof_with_a_token_its_nonce_and_the_tokens_key_is_taken() -> None:
    proof = good(token=TOKEN, nonce=NONCES.current(NOW_MS))
    found = check(proof, access_token=TOKEN, bound_to=HOLDER.thumbprint, nonces=NONCES)
    assert isinstance(found, Proven)
    assert found.digest == decode_url(HOLDER.thumbprint)
    assert found.expires_at_ms == found.issued_at_ms + 300_000


def _private(kind: str = "EC") -> dict[str, Any]:
    key = OctKey.generate_key(256) if kind == "oct" else HOLDER.key
    return {"jwk": key.as_dict(private=True)}


def _off_the_curve() -> dict[str, Any]:
    return {"jwk": HOLDER.jwk | {"y": HOLDER.jwk["x"]}}


def _with_a_zero(coordinate: str) -> str:
    return encode_url(b"\0" + decode_url(coordinate))


def _unsigned(**changes: Any) -> str:
    head, claims, _ = good(**changes).split(".")
    return f"{head}.{claims}."


def _swapped_jwk() -> str:
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": OTHER.jwk}
    return jws(document(head), good().split(".")[1], HOLDER.key, "ES256")


def _repeated(part: str, member: str) -> str:
    head, claims, _ = good().split(".")
    text = decode_url(head if part == "header" else claims).decode()
    twice = encode_url(text.replace("{", f"{{{member},", 1).encode())
    head, claims = (twice, claims) if part == "header" else (head, twice)
    return jws(head, claims, HOLDER.key, "ES256")


def _hmac_with_the_public_key() -> str:
    key = OctKey.import_key(json.dumps(HOLDER.jwk))
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": HOLDER.jwk}
    return jws(document(head), good().split(".")[1], key, "HS256")  # type: ignore[arg-type]


def _old(seconds: int) -> str:
    return good(iat=NOW_MS // 1000 - seconds)


_TOKEN = {"access_token": TOKEN, "bound_to": HOLDER.thumbprint}
_NONCE = {"nonces": NONCES}
_LAST_SPAN_MS = 1000 * NONCES.span_s
INVALID, TOKEN_ERROR, NONCE = (
    DpopError.INVALID_PROOF,
    DpopError.INVALID_TOKEN,
    DpopError.USE_NONCE,
)

Bad = tuple[DpopError, Callable[[], list[str | bytes]], dict[str, Any]]
BAD: dict[str, Bad] = {
    "no proof": (INVALID, list, _TOKEN),
    "two proofs": (INVALID, lambda: [good(), good()], {}),
    "the same proof twice": (INVALID, lambda: [good()] * 2, {}),
    "two proofs in one header": (INVALID, lambda: [f"{good()}, {good()}"], {}),
    "nothing": (INVALID, lambda: [""], {}),
    "garbage": (INVALID, lambda: ["garbage"], {}),
    "octets that are no text": (INVALID, lambda: [b"\xff\xfe.\x00.\x80"], {}),
    "four parts": (INVALID, lambda: [f"{good()}.e30"], {}),
    "padded parts": (INVALID, lambda: [good() + "=="], {}),
    "a header that is no object": (INVALID, lambda: [f"{encode_url(b'[]')}.e30.AAAA"], {}),
    "JSON that is none": (INVALID, lambda: [f"{encode_url(b'{')}.e30.AAAA"], {}),
    "deep nesting": (INVALID, lambda: [f"{encode_url(b'[' * 2000)}.e30.AAAA"], {}),
    "a proof too long": (INVALID, lambda: [good(more="x" * 4000)], {}),
    "a header member twice": (INVALID, lambda: [_repeated("header", '"alg":"none"')], {}),
    "a claim twice": (INVALID, lambda: [_repeated("claims", '"htm":"GET"')], {}),
    "another type": (INVALID, lambda: [good(header={"typ": "JWT"})], {}),
    "no type": (INVALID, lambda: [good(header={"typ": ABSENT})], {}),
    "crit": (INVALID, lambda: [good(header={"crit": ["exp"], "exp": 1})], {}),
    "b64": (INVALID, lambda: [good(header={"b64": False})], {}),
    "alg none": (INVALID, lambda: [_unsigned(header={"alg": "none"})], {}),
    "a symmetric alg": (INVALID, lambda: [_hmac_with_the_public_key()], {}),
    "an alg that is not allowed": (
        INVALID,
        lambda: [good()],
        {"rules": DpopRules(algorithms=("EdDSA",))},
    ),
    "an alg that is no text": (INVALID, lambda: [good(header={"alg": ["ES256"]})], {}),
    "an alg of another kind of key": (INVALID, lambda: [good(header={"alg": "EdDSA"})], {}),
    "no key": (INVALID, lambda: [good(header={"jwk": ABSENT})], {}),
    "a key that is no object": (INVALID, lambda: [good(header={"jwk": "key"})], {}),
    "a private key": (INVALID, lambda: [good(header=_private())], {}),
    "a symmetric key": (INVALID, lambda: [good(header=_private("oct"))], {}),
    "a point on no curve": (INVALID, lambda: [good(header=_off_the_curve())], {}),
    "a key written otherwise": (
        INVALID,
        lambda: [good(header={"jwk": HOLDER.jwk | {"x": HOLDER.jwk["x"] + "="}})],
        {},
    ),
    "a coordinate with a zero before it": (
        INVALID,
        lambda: [good(header={"jwk": HOLDER.jwk | {"x": _with_a_zero(HOLDER.jwk["x"])}})],
        {},
    ),
    "a coordinate that is no text": (
        INVALID,
        lambda: [good(header={"jwk": HOLDER.jwk | {"x": 7}})],
        {},
    ),
    "another curve": (
        INVALID,
        lambda: [good(header={"jwk": ECKey.generate_key("P-384").as_dict(private=False)})],
        {},
    ),
    "another method": (INVALID, lambda: [good(htm="GET")], {}),
    "the method in another case": (INVALID, lambda: [good(htm="post")], {}),
    "no method": (INVALID, lambda: [good(htm=ABSENT)], {}),
    "another path": (INVALID, lambda: [good(htu=URL + "/x")], {}),
    "a path with dots": (INVALID, lambda: [good(htu="https://gate.example/x/../mcp")], {}),
    "another host": (INVALID, lambda: [good(htu="https://gate.example.org/mcp")], {}),
    "another scheme": (INVALID, lambda: [good(htu="http://gate.example/mcp")], {}),
    "a relative URL": (INVALID, lambda: [good(htu="/mcp")], {}),
    "no URL": (INVALID, lambda: [good(htu=ABSENT)], {}),
    "a request by no URL": (INVALID, lambda: [good(htu="/mcp")], {"url": "/mcp"}),
    "too old": (INVALID, lambda: [_old(301)], {}),
    "from the future": (INVALID, lambda: [_old(-301)], {}),
    "no time": (INVALID, lambda: [good(iat=ABSENT)], {}),
    "a time as text": (INVALID, lambda: [good(iat=str(NOW_MS // 1000))], {}),
    "a time that is true": (INVALID, lambda: [good(iat=True)], {}),
    "the end of time": (INVALID, lambda: [good(iat=10**300)], {}),
    "no name": (INVALID, lambda: [good(jti=ABSENT)], {}),
    "an empty name": (INVALID, lambda: [good(jti="")], {}),
    "a long name": (INVALID, lambda: [good(jti="j" * 257)], {}),
    "a name that is no text": (INVALID, lambda: [good(jti=7)], {}),
    "no ath": (INVALID, lambda: [good()], _TOKEN),
    "the ath of another token": (INVALID, lambda: [good(token="other")], _TOKEN),
    "an ath that is null": (INVALID, lambda: [good(ath=None)], {}),
    "a nonce that is null": (INVALID, lambda: [good(nonce=None)], {}),
    "a swapped key": (INVALID, lambda: [_swapped_jwk()], {}),
    "another signature": (INVALID, lambda: [f"{good().rpartition('.')[0]}.{'A' * 86}"], {}),
    "a short signature": (INVALID, lambda: [f"{good().rpartition('.')[0]}.AAAA"], {}),
    "no signature": (INVALID, lambda: [_unsigned()], {}),
    "a token of another key": (TOKEN_ERROR, lambda: [good(OTHER, token=TOKEN)], _TOKEN),
    "a token of no key": (TOKEN_ERROR, lambda: [good(token=TOKEN)], {"access_token": TOKEN}),
    "no nonce": (NONCE, lambda: [good()], _NONCE),
    "a nonce of nobody": (NONCE, lambda: [good(nonce="made-up")], _NONCE),
    "a nonce of half a character": (NONCE, lambda: [good(nonce="\ud800")], _NONCE),
    "an old nonce": (
        NONCE,
        lambda: [good(nonce=NONCES.current(NOW_MS - 2 * _LAST_SPAN_MS))],
        _NONCE,
    ),
    "a wrong nonce where none is needed": (
        NONCE,
        lambda: [good(nonce="made-up")],
        {"nonces": Nonces((b"n" * 32,), required=False)},
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_proof_is_refused_with_its_error(kind: str) -> None:
    error, proofs, asked = BAD[kind]
    found = check(*proofs(), **asked)
    assert isinstance(found, DpopFault)
    assert found.error is error
    assert dpop.challenge(["ES256"], found).isascii()


def _without(module: Any, name: str, instead: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, instead)


_READ, _SIGNER, _KEY = dpop_proofs.read_proof, dpop_proofs._signer, dpop_keys.read_key


def _reading(**changes: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return _without(
        verifying, "read_proof", lambda fields, **asked: _READ(fields, **asked | changes)
    )


def _with_header(**changes: Any) -> Callable[[pytest.MonkeyPatch], None]:
    def signer(header: dict[str, object], algorithms: Any) -> Any:
        kept = {name: value for name, value in header.items() if name not in changes}
        return _SIGNER(kept | {n: v for n, v in changes.items() if v is not ABSENT}, algorithms)

    return _without(dpop_proofs, "_signer", signer)


def _key_of_any_kind(jwk: object, algorithm: str) -> dpop_keys.HolderKey | None:
    public = {name: jwk.get(name) for name in ("crv", "x", "y")} if isinstance(jwk, dict) else {}
    return _KEY(public | {"kty": "EC"}, algorithm)


def _lenient(octets: bytes) -> object:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError):
        raise InvalidInputError("no JSON") from None


WRONG_TWINS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "takes the first of several proofs": _without(
        verifying, "read_proof", lambda fields, **asked: _READ(fields[:1], **asked)
    ),
    "takes proofs of any length": _reading(max_octets=10**6),
    "takes any algorithm": _reading(algorithms=sorted(dpop.ALGORITHMS)),
    "takes any type": _with_header(typ="dpop+jwt"),
    "understands whatever is critical": _with_header(crit=ABSENT),
    "takes b64": _with_header(b64=ABSENT),
    "takes private keys": _without(dpop_proofs, "read_key", _key_of_any_kind),
    "takes keys written otherwise": _without(dpop_keys, "_are_coordinates", lambda *_: True),
    "takes repeated members": _without(strict_json, "loads", _lenient),
    "takes names of any length": _without(dpop_proofs, "MAX_JTI", 10**9),
    "looks at no target": _without(verifying, "_target_fault", lambda *_: None),
    "folds dot segments": _without(
        verifying, "normal_target", lambda url: dpop.normal_target(url.replace("x/../", ""))
    ),
    "looks at no clock": _without(verifying, "_age_fault", lambda *_: None),
    "looks at no ath": _without(verifying, "_token_fault", lambda *_: None),
    "looks at no nonce": _without(verifying, "_nonce_fault", lambda *_: None),
    "looks at no signature": _without(verifying, "_signature_fault", lambda *_: None),
    "looks at no binding": _without(verifying, "_binding_fault", lambda *_: None),
}


@pytest.mark.parametrize("twin", WRONG_TWINS)
def test_a_verifier_that_leaves_a_rule_out_is_caught(
    twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRONG_TWINS[twin](monkeypatch)
    dpop_keys._key.cache_clear()
    taken = [
        kind
        for kind, (error, proofs, asked) in BAD.items()
        if not (isinstance(found := check(*proofs(), **asked), DpopFault) and found.error is error)
    ]
    dpop_keys._key.cache_clear()
    assert taken


@pytest.mark.parametrize("seconds", [300, -300, 0])
def test_a_proof_at_the_edge_of_its_window_is_taken(seconds: int) -> None:
    now_ms = NOW_MS // 1000 * 1000
    assert isinstance(check(_old(seconds), now_ms=now_ms), Proven)


def test_rsa_keys_of_unsound_sizes_are_refused() -> None:
    sound = {"kty": "RSA", "n": RFC7638_N, "e": "AQAB"}
    n = decode_url(RFC7638_N)
    assert dpop_keys.read_key(sound, "RS256") is not None
    for change in (
        {"n": encode_url(n[:128])},
        {"n": encode_url(b"\0" + n)},
        {"n": encode_url(n[:-1] + b"\0")},
        {"n": encode_url(n * 3)},
        {"e": "AQ"},
        {"e": "Ag"},
        {"e": "AAEAAQ"},
        {"e": "AQAAAAE"},
        {"crv": "P-256"},
    ):
        assert dpop_keys.read_key(sound | change, "RS256") is None, change


def test_nonces_count_for_one_span_to_two_and_by_every_secret() -> None:
    old, new = Nonces((b"o" * 32,)), Nonces((b"w" * 32, b"o" * 32))
    start_ms = NOW_MS // (1000 * new.span_s) * (1000 * new.span_s)
    nonce = old.current(start_ms)
    assert [new.recognises(nonce, start_ms + s * 1000) for s in (-1, 0, 120, 239, 240)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert new.current(start_ms) != nonce
    assert not old.recognises(new.current(start_ms), start_ms)


def test_a_proof_without_a_nonce_is_taken_where_none_is_required() -> None:
    assert isinstance(check(good(), nonces=Nonces((b"n" * 32,), required=False)), Proven)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DpopRules(algorithms=("HS256",)), "expected some of"),
        (lambda: DpopRules(algorithms=()), "got none"),
        (lambda: DpopRules(window_s=0), "window_s"),
        (lambda: DpopRules(window_s=601), "window_s"),
        (lambda: Nonces(()), "at least 32 bytes"),
        (lambda: Nonces((b"short",)), "at least 32 bytes"),
        (lambda: Nonces((b"n" * 32,), span_s=0), "span_s"),
    ],
)
def test_rules_that_protect_nobody_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        make()


def test_no_secret_of_nonces_is_shown() -> None:
    assert "nnn" not in repr(NONCES)


@pytest.mark.parametrize(
    ("scheme", "bound_to", "stands"),
    [
        ("DPoP", "key", True), ("dpop", "key", True), ("Bearer", None, True),
        ("Bearer", "key", False), ("DPoP", None, False),
    ],
)  # fmt: skip
def test_a_token_comes_by_the_scheme_of_its_kind(
    scheme: str, bound_to: str | None, stands: bool
) -> None:
    fault = dpop.scheme_fault(scheme, bound_to)
    assert (fault is None) is stands
    assert fault is None or fault.error is DpopError.INVALID_TOKEN


def test_the_challenge_says_error_reason_and_algorithms() -> None:
    fault = DpopFault(DpopError.INVALID_TOKEN, "Invalid DPoP key binding")
    assert dpop.challenge(["ES256", "EdDSA"], fault, resource_metadata="https://x.example/m") == (
        'DPoP error="invalid_token", error_description="Invalid DPoP key binding", '
        'algs="ES256 EdDSA", resource_metadata="https://x.example/m"'
    )


ALIKE = [
    ("https://gate.example/a", "HTTPS://GATE.example:443/a?q=1#f"),
    ("https://gate.example/", "https://gate.example"),
    ("http://gate.example/", "http://gate.example:80"),
    ("https://gate.example/", "https://gate.example:?q"),
    ("https://gate.example/~a-b", "https://gate.example/%7ea%2Db"),
    ("https://gate.example/a%2Fb", "https://gate.example/a%2fb"),
    ("https://[::1]:8443/a", "https://[::1]:08443/a"),
    ("https://[2001:db8::A]/", "https://[2001:DB8::a]:443/"),
]
UNLIKE = [
    ("https://gate.example/a", "https://gate.example/A"),
    ("https://gate.example/a", "https://gate.example/a/"),
    ("https://gate.example/a", "https://gate.example:8443/a"),
    ("https://gate.example/a/b", "https://gate.example/a%2Fb"),
    ("https://gate.example/a", "https://gate.example/b/../a"),
    ("https://gate.example/a", "https://gate.example//a"),
    ("https://gate.example/a", "https://user@gate.example/a"),
    ("https://gate.example/a", "https://gate.example\\@evil.example/a"),
    ("https://gate.example/%2561", "https://gate.example/%61"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_two_ways_to_write_a_target_are_one(one: str, other: str) -> None:
    assert (
        dpop.normal_target(one)
        == dpop.normal_target(other)
        == one.lower()[:8] + one[8:].replace("A]", "a]")
    )


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_two_targets_are_never_one(one: str, other: str) -> None:
    assert dpop.normal_target(one) != dpop.normal_target(other)


@pytest.mark.parametrize(
    "text",
    ["", "/a", "gate.example", "ftp://gate.example/", "https://", "https:///a", "https://a b/",
     "https://gate.example/\n", "https://gate.example/é", "https://gate.example/%zz",
     "https://gate.example:123456/", "https://gate.example/" + "a" * 2048],
)  # fmt: skip
def test_what_is_no_absolute_url_is_no_target(text: str) -> None:
    assert dpop.normal_target(text) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_normal_target_is_its_own(path: str) -> None:
    normal = dpop.normal_target(f"https://gate.example/{path}")
    assert normal is None or dpop.normal_target(normal) == normal


@given(st.lists(st.one_of(st.binary(max_size=200), st.text(max_size=200)), max_size=3))
def test_whatever_comes_as_a_proof_is_answered(proofs: list[bytes | str]) -> None:
    assert isinstance(verify(proofs, method="GET", url=URL, now_ms=NOW_MS), DpopFault)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]), _JSON)
def test_no_claim_of_any_kind_fails_the_verifier(claim: str, value: Any) -> None:
    found = check(good(token=TOKEN, **{claim: value}), **_TOKEN, **_NONCE)
    assert isinstance(found, DpopFault)


@given(st.sampled_from(["typ", "alg", "jwk", "crit"]), _JSON)
def test_no_header_of_any_kind_fails_the_verifier(name: str, value: object) -> None:
    assert isinstance(check(good(header={name: value})), DpopFault)


@given(st.data())
def test_a_proof_with_one_character_changed_is_refused_or_says_the_same(
    data: st.DataObject,
) -> None:
    at = data.draw(st.integers(0, len(PROOF) - 1))
    changed = PROOF[:at] + data.draw(st.sampled_from("AZaz09-_.= ")) + PROOF[at + 1 :]
    assert (changed == PROOF) or isinstance(check(changed), DpopFault)


PROOF = good()


def test_proofs_of_one_name_are_told_apart_by_their_keys_and_by_nothing_else() -> None:
    def spend_key(holder: KeyHolder, **claims: Any) -> bytes:
        found = check(good(holder, **claims))
        assert isinstance(found, Proven)
        return found.spend_key

    named = spend_key(HOLDER, jti="one")
    assert named == spend_key(HOLDER, jti="one", iat=NOW_MS // 1000 - 5)
    assert len({named, spend_key(OTHER, jti="one"), spend_key(HOLDER, jti="two")}) == 3
