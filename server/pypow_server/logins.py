# SPDX-License-Identifier: Apache-2.0
"""What an operator decides of logins: whose access tokens are taken, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pypow.errors import InvalidInputError

from .address import Address
from .fixable import FixableError

if TYPE_CHECKING:
    from .identity.issuers import Issuer

Method: TypeAlias = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]

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
        method: how that is proven, by its name in OAuth.
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
    method: Method = "client_secret_basic"

    def trusted(self, resource: str = _ANY, secret: str | None = None) -> "Issuer":
        """The issuer, for a gate that is this resource.

        Args:
            resource: what tokens are for that name no other audience.
            secret: of who asks; None where nobody will, and only the rest is looked at.

        Raises:
            InvalidInputError: it cannot be trusted so; the text has the fix.
        """
        try:
            from .identity.client_credential import ClientCredential
            from .identity.issuers import DEFAULT_ALGORITHMS, Issuer
        except ImportError:
            raise InvalidInputError(_MISSING) from None
        asks = None
        try:
            if self.client_id is not None:
                method = "client_secret_basic" if secret is None else self.method
                asks = ClientCredential(self.client_id, secret or "unread", method)
            return Issuer(
                self.url,
                frozenset(self.audiences or _spellings(resource)),
                kind="introspection" if self.kind == "introspection" else "jwt",
                algorithms=frozenset(self.algorithms) or DEFAULT_ALGORITHMS,
                jwks_uri=self.jwks_uri,
                accept_untyped=self.accept_untyped,
                skew_s=self.skew_s,
                near=self.near,
                introspection_endpoint=self.endpoint,
                credential=asks,
            )
        except FixableError as error:
            raise InvalidInputError(str(error)) from None

    def read_secret(self, environment: Mapping[str, str]) -> str | None:
        """The secret of who asks; None where nobody does.

        Raises:
            InvalidInputError: it is not where the operator says; the text names the place.
        """
        if self.secret_env is not None:
            found = environment.get(self.secret_env, "")
        elif self.secret_file is not None:
            try:
                found = self.secret_file.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInputError(
                    f"oauth.issuer.client_secret_file: {self.secret_file}: expected the secret as "
                    f"text: {error}"
                ) from None
        else:
            return None
        if not found:
            where = self.secret_env or self.secret_file
            raise InvalidInputError(
                f"expected the secret of {self.client_id} at {self.url} in {where}, got nothing"
            )
        return found


@dataclass(frozen=True, slots=True)
class Logins:
    """How callers sign in.

    Attributes:
        issuers: whose access tokens are taken, at least one.
        resource: what tokens must be for; None for the public URL, with the MCP path where it has
            no path and there is one.
        forwards_tokens: whether tokens travel on to the upstream.
        dpop_nonces: whether proofs of keys need a nonce of the gate.
        asks_first: whether who brings nothing is asked for a login where one helps (401).
    """

    issuers: tuple[TrustedIssuer, ...]
    resource: str | None = None
    forwards_tokens: bool = False
    asks_first: bool = False
    dpop_nonces: bool = False

    def resource_at(self, public_url: str | None, mcp_paths: tuple[str, ...]) -> str:
        """What tokens must be for, of a gate with this public URL.

        Raises:
            InvalidInputError: there is none, or one over plain HTTP.
        """
        if self.resource is None and public_url is None:
            raise InvalidInputError(
                'expected gate.public_url where tokens are taken, such as "https://mcp.example.com"'
                ": they must say that they are for it"
            )
        found = self.resource or _at(public_url or "", mcp_paths)
        url = urlsplit(found)
        if url.scheme == "http" and not Address(url.hostname or "", 0).is_loopback:
            raise InvalidInputError(
                f"expected an https:// URL that tokens are for, got {found}: over plain HTTP "
                "anybody on the way could take them; say https in gate.public_url or oauth.resource"
            )
        return found


def _at(public_url: str, mcp_paths: tuple[str, ...]) -> str:
    bare = public_url.rstrip("/")
    return bare + mcp_paths[0] if len(mcp_paths) == 1 and not urlsplit(bare).path else bare


def _spellings(resource: str) -> tuple[str, ...]:
    """A URL without a path is the same with a slash, and many clients write that one."""
    return (resource,) if urlsplit(resource).path else (resource, f"{resource}/")
