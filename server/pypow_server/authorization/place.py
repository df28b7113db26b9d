# SPDX-License-Identifier: Apache-2.0
"""Where the authorization server is, and the resources that its tokens are for."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pypow.errors import InvalidInputError
from pypow_server.address import Address
from pypow_server.resource import is_canonical

AUTHORIZE: Final = "/oauth/authorize"
DEVICE: Final = "/oauth/device"
DEVICE_AUTHORIZATION: Final = "/oauth/device_authorization"
JWKS: Final = "/oauth/jwks"
SCRIPT: Final = "/oauth/authorize.js"
WORKER: Final = "/oauth/solve.js"
STYLE: Final = "/oauth/authorize.css"
REGISTER: Final = "/oauth/register"
TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"

PATHS: Final = frozenset(
    path.encode()
    for path in (
        AUTHORIZE,
        DEVICE,
        DEVICE_AUTHORIZATION,
        JWKS,
        REGISTER,
        SCRIPT,
        STYLE,
        TOKEN,
        WELL_KNOWN,
        WORKER,
    )
)
"""What an authorization server answers."""

MAX_RESOURCE: Final = 512


@dataclass(frozen=True, slots=True)
class Place:
    """One gate, as its callers see it.

    Attributes:
        issuer: scheme, host and port; what its tokens name as ``iss``.
        resources: the paths that tokens may be for, without a slash at the end: "" is all.
    """

    issuer: str
    resources: tuple[str, ...]

    @classmethod
    def of(cls, url: str, mcp_paths: tuple[str, ...]) -> "Place":
        """The place of a gate.

        Args:
            url: its public URL.
            mcp_paths: where MCP is spoken; a token is for the first unless its client says more.

        Raises:
            InvalidInputError: the URL is http, and not of this machine.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" and not Address(parts.hostname or "", 0).is_loopback:
            raise InvalidInputError(
                f"expected an https:// public URL where tokens are given out, got {url}; say "
                "--public-url https://NAME (PYPOW_PUBLIC_URL, gate.public_url)"
            )
        paths = dict.fromkeys(path.rstrip("/") for path in (*mcp_paths, parts.path, ""))
        return cls(_origin(parts), tuple(paths))

    def url(self, path: str) -> str:
        """The URL of a path here."""
        return self.issuer + path

    @property
    def default(self) -> str:
        """What a token is for whose client does not say."""
        return self.issuer + self.resources[0]

    def resource(self, said: str) -> str | None:
        """The resource (RFC 8707 section 2) that a client means, as tokens name it.

        None where it is none of this gate's.
        """
        if len(said) > MAX_RESOURCE:
            return None
        try:
            parts = urlsplit(said)
            known = _origin(parts) == self.issuer and not (parts.query or "#" in said)
        except ValueError:
            return None
        path = parts.path.rstrip("/")
        return self.issuer + path if known and path in self.resources else None

    def covers(self, audience: str, path: str) -> bool:
        """Whether a token for this audience is for this path, as all servers read it."""
        wanted = audience.removeprefix(self.issuer)
        if wanted == audience:
            return False
        if not wanted or path == wanted:
            return True
        return path.startswith(wanted + "/") and is_canonical(path.encode("latin-1"))


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}".lower()
