# SPDX-License-Identifier: Apache-2.0
"""The issuers whose tokens an operator takes, and where they keep their keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from pypow.errors import InvalidInputError, shown
from pypow_server.fixable import FixableError

from .addresses import is_loopback
from .client_credential import ClientCredential
from .fetching import FetchError, Reach
from .signatures import ALGORITHMS
from .urls import read_url

DEFAULT_ALGORITHMS: Final = frozenset(("ES256", "EdDSA", "Ed25519", "PS256", "RS256"))
MAX_SKEW_S: Final = 300

_WELL_KNOWN: Final = "/.well-known/"
_OAUTH: Final = "oauth-authorization-server"
_OPENID: Final = "openid-configuration"


class IssuerError(FixableError):
    """An issuer that cannot be configured so; the text says what to do."""


class Gets(Protocol):
    """The part of a `Fetcher` that finds keys."""

    async def get(self, url: str, *, max_octets: int = ...) -> dict[str, object]:
        """The JSON object at a URL; raises `FetchError`."""
        ...


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer, as the operator wrote it.

    Attributes:
        url: compared with ``iss`` octet by octet.
        audiences: its tokens are for us if they name one of these (``aud``).
        kind: whether we read its tokens (``jwt``, RFC 9068) or ask it (``introspection``,
            RFC 7662).
        algorithms: what its tokens may be signed by.
        jwks_uri: where its keys are; None to find out (RFC 8414, OpenID Connect Discovery).
        accept_untyped: whether tokens without ``typ`` of RFC 9068 are taken. Then nothing but the
            audience tells access tokens from other tokens of the same issuer.
        skew_s: how far its clock may be from ours.
        near: whether its hosts may be in a private network.
        introspection_endpoint: where it is asked; None to find out as with its keys.
        credential: who we are to it, where it is asked.

    Raises:
        IssuerError: it cannot be trusted so.
    """

    url: str
    audiences: frozenset[str]
    kind: Literal["jwt", "introspection"] = "jwt"
    algorithms: frozenset[str] = DEFAULT_ALGORITHMS
    jwks_uri: str | None = None
    accept_untyped: bool = False
    skew_s: int = 60
    near: bool = False
    introspection_endpoint: str | None = None
    credential: ClientCredential | None = None

    def __post_init__(self) -> None:
        _require_url("an issuer", self.url)
        if "?" in self.url:
            raise IssuerError(
                f"{self.url} has a query, which no issuer has (RFC 8414 section 2)",
                fix="write the issuer as its metadata document says it",
            )
        if self.jwks_uri is not None:
            _require_url("jwks_uri", self.jwks_uri)
        if self.introspection_endpoint is not None:
            _require_url("introspection_endpoint", self.introspection_endpoint)
        if self.kind == "introspection" and self.credential is None:
            raise IssuerError(
                f"{self.url} is to be asked about tokens, and answers nobody it does not know",
                fix="register this gate there, and set its client id and secret",
            )
        if not self.audiences or "" in self.audiences:
            raise IssuerError(
                f"{self.url} has no audience, so that tokens for anybody would do",
                fix="set audience to the resource that its tokens name (aud)",
            )
        wrong = sorted(self.algorithms - ALGORITHMS)
        if wrong or not self.algorithms:
            raise IssuerError(
                f"{self.url} may not sign by {', '.join(wrong) or 'nothing'}",
                fix=f"choose algorithms of {', '.join(sorted(ALGORITHMS))}; a shared secret or"
                " none proves no issuer",
            )
        if not 0 <= self.skew_s <= MAX_SKEW_S:
            raise IssuerError(
                f"{self.url} has a skew of {shown(self.skew_s)} s",
                fix=f"set it from 0 to {MAX_SKEW_S}",
            )

    def near_hosts(self) -> frozenset[str]:
        """The hosts of this issuer's own URLs that may be near.

        This machine needs no further word: whoever writes 127.0.0.1 means it.
        """
        urls = (self.url, self.jwks_uri, self.introspection_endpoint)
        hosts = [read_url(url).host or "" for url in urls if url is not None]
        return frozenset(host for host in hosts if self.near or is_loopback(host))


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer says of itself (RFC 8414 section 2), as far as it is used here."""

    jwks_uri: str
    introspection_endpoint: str | None = None
    document: Mapping[str, object] = field(default_factory=dict, repr=False)


def reach(issuer: Issuer, trusted: Reach | None = None) -> Reach:
    """Whom an issuer's keys may be got from, beside what holds for all."""
    trusted = trusted or Reach()
    return Reach(trusted.near_hosts | issuer.near_hosts(), trusted.ca_file)


def metadata_urls(issuer: str) -> list[str]:
    """Where an issuer's metadata may be, in the order to ask (RFC 8414 section 3, OpenID).

    >>> metadata_urls("https://a.example/b")[0]
    'https://a.example/.well-known/oauth-authorization-server/b'
    """
    url = read_url(issuer)
    origin, path = str(url.origin()), url.raw_path.rstrip("/")
    found = [f"{origin}{_WELL_KNOWN}{_OAUTH}{path}", f"{origin}{_WELL_KNOWN}{_OPENID}{path}"]
    return found if not path else [*found, f"{origin}{path}{_WELL_KNOWN}{_OPENID}"]


async def discover(issuer: str, fetcher: Gets) -> Metadata:
    """Ask an issuer for its metadata, which must name the very same issuer.

    Raises:
        FetchError: it has none, or that of somebody else.
    """
    for url in metadata_urls(issuer):
        try:
            document = await fetcher.get(url)
        except FetchError as error:
            # 4xx says that it lies elsewhere; whatever else went wrong may pass.
            if error.status is not None and 400 <= error.status < 500:
                continue
            raise
        return _metadata(issuer, document)
    raise FetchError(f"{issuer} publishes no metadata (RFC 8414); set jwks_uri")


async def key_set(issuer: Issuer, fetcher: Gets) -> dict[str, object]:
    """The key set of an issuer, wherever it is kept.

    Raises:
        FetchError: it cannot be had.
    """
    uri = issuer.jwks_uri or (await discover(issuer.url, fetcher)).jwks_uri
    return await fetcher.get(uri)


def _metadata(issuer: str, document: dict[str, object]) -> Metadata:
    if document.get("issuer") != issuer:
        raise FetchError(
            f"expected the metadata of {issuer}, got that of {shown(document.get('issuer'))};"
            " the two must be the same text"
        )
    uri, introspection = document.get("jwks_uri"), document.get("introspection_endpoint")
    if not isinstance(uri, str):
        raise FetchError(f"{issuer} does not say where its keys are (jwks_uri)")
    return Metadata(uri, introspection if isinstance(introspection, str) else None, document)


def _require_url(what: str, text: str) -> None:
    try:
        url = read_url(text)
    except InvalidInputError as error:
        raise IssuerError(f"{what}: {error}", fix="write it whole") from None
    host = url.host or ""
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise IssuerError(
            f"{what}, {text}, is not asked over https, so that anybody on the way could be it",
            fix="use https; plain http is for this machine (127.0.0.1) only",
        )
