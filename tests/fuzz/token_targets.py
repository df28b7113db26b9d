# SPDX-License-Identifier: Apache-2.0
"""Hostile tokens, claims, keys and URLs, and what must hold of whatever reads them.

What is read of a token is what joserfc reads too: two readers never find two meanings.
"""

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from joserfc import jws

from pypow import strict_json
from pypow.base64_text import encode_url
from pypow.errors import InvalidInputError
from pypow_server.identity import BadToken, Identity, access_token, claims, jwks, unverified
from pypow_server.identity.addresses import is_loopback, is_public, literal
from pypow_server.identity.claim_rules import ClaimRule
from pypow_server.identity.fetching import Fetcher, FetchError
from pypow_server.identity.issuers import Issuer, IssuerError, metadata_urls
from pypow_server.identity.unverified import Unverified

NOW_MS: Final = 1_800_000_000_000
ISSUER: Final = Issuer("https://a.example", frozenset(("r",)), accept_untyped=True)
FETCHER: Final = Fetcher()

_REGISTRY: Final = jws.JWSRegistry(algorithms=sorted(ISSUER.algorithms), strict_check_header=False)
_REGISTRY.max_header_length = unverified.MAX_OCTETS


def tokens(octets: bytes) -> None:
    """A token as it stands; and, around a NUL, header and payload of one; its payload as a key."""
    _read(octets.decode("latin-1"))
    header, _, payload = octets.partition(b"\0")
    _read(f"{encode_url(header)}.{encode_url(payload)}.{encode_url(header[:8])}")
    try:
        document = strict_json.loads(payload)
    except InvalidInputError:
        return
    if isinstance(document, dict):
        _claims(document)
        _keys(document)


def urls(octets: bytes) -> None:
    """A text as a URL that is fetched, and as an issuer."""
    text = octets.decode("latin-1")
    try:
        url = FETCHER._permitted(text)
        assert url.scheme == "https"
        assert url.host is not None
        address = literal(url.host)
        assert address is None or is_public(address)
        seen = urlsplit(text)
        assert seen.scheme == "https"
        assert (seen.hostname or "").lower() == url.host.lower(), "two readers see two hosts"
    except FetchError:
        pass
    try:
        issuer = Issuer(text, frozenset(("r",)))
        seen = urlsplit(text)
        assert seen.scheme == "https" or is_loopback(seen.hostname or "")
        assert issuer.url == text
        metadata_urls(text)
    except IssuerError:
        pass


def _read(text: str) -> None:
    read = unverified.read(text)
    if isinstance(read, BadToken):
        assert len(read.detail) < 300
        return
    other = jws.extract_compact(text.encode(), registry=_REGISTRY)
    assert json.loads(other.payload) == read.claims, "two readers see two tokens"
    assert other.protected["alg"] == read.algorithm
    assert other.protected.get("kid") == read.key_id
    signature = text.rpartition(".")[2]
    assert base64.urlsafe_b64decode(signature + "==") == read.signature
    _judged(read)


def _judged(read: Unverified) -> None:
    found = access_token.check(read, ISSUER, now_ms=NOW_MS)
    if isinstance(found, BadToken):
        assert len(found.detail) < 300
        return
    identity, span = found
    assert isinstance(identity, Identity)
    assert read.claims["iss"] == identity.issuer == ISSUER.url
    assert read.claims["sub"] == identity.subject
    assert span.fault(now_ms=NOW_MS, skew_ms=60_000) is None
    assert hash(identity) == hash(identity)


def _claims(said: Mapping[str, object]) -> None:
    for name in (*said, "aud"):
        claims.text(said, name)
        claims.texts(said, name)
        with contextlib.suppress(InvalidInputError):
            ClaimRule(name, str(said.get(name))[:64]).holds(said)
    claims.span(said)
    claims.scopes(said)
    claims.key_thumbprint(said)


def _keys(document: Mapping[str, object]) -> None:
    for key_set in (document, {"keys": [document]}):
        try:
            for key in jwks.usable(key_set):
                assert not key.has_signed(b"", b"", algorithm="HS256")
                for algorithm in key.algorithms:
                    assert not key.has_signed(b"x", b"\0" * 64, algorithm=algorithm)
        except InvalidInputError:
            pass


def token_seeds() -> Iterator[bytes]:
    """Tokens, around a NUL their header and payload, and keys."""
    said = {
        "iss": "https://a.example", "aud": ["r"], "sub": "s", "exp": NOW_MS // 1000 + 60,
        "iat": NOW_MS // 1000, "client_id": "c", "scope": "a b", "cnf": {"jkt": "k"},
    }  # fmt: skip
    header = b'{"typ":"at+jwt","alg":"ES256","kid":"k"}'
    payload = json.dumps(said).encode()
    yield header + b"\0" + payload
    yield f"{encode_url(header)}.{encode_url(payload)}.{encode_url(bytes(64))}".encode()
    yield b'{"alg":"RS256"}\0{"scp":["a"],"nbf":1.5,"aud":"r","exp":1e9,"jti":"j"}'
    yield b'\0{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    yield (
        b'\0{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
        b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","use":"sig","key_ops":["verify"]}'
    )


def url_seeds() -> Iterator[bytes]:
    """URLs that are fetched, and some that are not."""
    yield b"https://login.example/tenant"
    yield b"https://1.1.1.1:8443/keys?a=b"
    yield b"https://[2606:4700::1111]/"
    yield b"http://127.0.0.1:8080/keys"
    yield b"https://user@login.example/#x"
    yield b"https://0x7f.1/"
