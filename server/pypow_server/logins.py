# SPDX-License-Identifier: Apache-2.0
"""What an operator decides of logins: whose access tokens are taken, and what becomes of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pypow.errors import InvalidInputError

from .address import Address
from .fixable import FixableError

if TYPE_CHECKING:
    from .identity.issuers import Issuer

_MISSING: Final = "logins need joserfc and aiohttp; run: pip install 'pypow-engine[oauth]'"
_ANY: Final = "urn:pypow:resource"


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One ``[[oauth.issuer]]``.

    Attributes:
        url: as its tokens say it.
        audiences: its tokens are for us if they name one of these; empty for our resource.
        kind: ``jwt`` where its tokens are read here, ``introspection`` where it is asked.
        algorithms: what its tokens may be signed by; empty for the usual ones.
        jwks_uri: where its keys are; None to find out.
        accept_untyped: whether JWTs that do not say that they are access tokens are taken.
        skew_s: how far its clock may be from ours.
        near: whether its hosts may be in a private network.
        endpoint: where it is asked; None to find out.
        client_id: who asks.
        secret_file: holds the secret by which that is proven.
        secret_env: names the variable that does; one of the two, for ``introspection``.
    """

    url: str
    audiences: tuple[str, ...] = ()
    kind: str = "jwt"
    algorithms: tuple[str, ...] = ()
    jwks_uri: str | None = None
    accept_untyped: bool = False
    skew_s: int = 60
    near: bool = False
    endpoint: str | None = None
    client_id: str | None = None
    secret_file: Path | None = field(default=None, repr=False)
    secret_env: str | None = None

    def trusted(self, resource: str = _ANY) -> "Issuer":
        """The issuer, for a gate that is this resource.

        Raises:
            InvalidInputError: it cannot be trusted so; the text has the fix.
        """
        try:
            from .identity.issuers import DEFAULT_ALGORITHMS, Issuer
        except ImportError:
            raise InvalidInputError(_MISSING) from None
        try:
            return Issuer(
                self.url,
                frozenset(self.audiences or (resource,)),
                kind="introspection" if self.kind == "introspection" else "jwt",
                algorithms=frozenset(self.algorithms) or DEFAULT_ALGORITHMS,
                jwks_uri=self.jwks_uri,
                accept_untyped=self.accept_untyped,
                skew_s=self.skew_s,
                near=self.near,
            )
        except FixableError as error:
            raise InvalidInputError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Logins:
    """How callers sign in.

    Attributes:
        issuers: whose access tokens are taken, at least one.
        resource: what tokens must be for; None for the public URL, with the MCP path where there is
            one.
        forwards_tokens: whether tokens travel on to the upstream.
        asks_first: whether who brings nothing is asked for a login where one helps (401).
    """

    issuers: tuple[TrustedIssuer, ...]
    resource: str | None = None
    forwards_tokens: bool = False
    asks_first: bool = False

    def resource_at(self, public_url: str | None, mcp_paths: tuple[str, ...]) -> str:
        """What tokens must be for, of a gate with this public URL.

        Raises:
            InvalidInputError: there is none, or one over plain HTTP.
        """
        if self.resource is None and public_url is None:
            raise InvalidInputError(
                "expected gate.public_url beside [[oauth.issuer]], such as "
                '"https://mcp.example.com": tokens must say that they are for it'
            )
        found = self.resource or f"{(public_url or '').rstrip('/')}{_only(mcp_paths)}"
        url = urlsplit(found)
        if url.scheme == "http" and not Address(url.hostname or "", 0).is_loopback:
            raise InvalidInputError(
                f"expected an https:// URL that tokens are for, got {found}: over plain HTTP "
                "anybody on the way could take them; say https in gate.public_url or oauth.resource"
            )
        return found


def _only(paths: tuple[str, ...]) -> str:
    return paths[0] if len(paths) == 1 else ""
