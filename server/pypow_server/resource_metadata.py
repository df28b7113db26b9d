# SPDX-License-Identifier: Apache-2.0
"""What the gate says of itself to OAuth clients (RFC 9728): made once, free, for any origin."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from . import problems
from .policy import Policy
from .reply import Reply, json_text
from .scope import ASGIApp, Receive, Scope, Send

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_MAX_AGE_S: Final = 300


def metadata_url(resource: str) -> str:
    """Where the document of a resource is (RFC 9728 section 3.1).

    >>> metadata_url("https://mcp.example/mcp")
    'https://mcp.example/.well-known/oauth-protected-resource/mcp'
    """
    url = urlsplit(resource)
    return f"{url.scheme}://{url.netloc}{WELL_KNOWN}{url.path.rstrip('/')}"


def documents(
    policy: Policy, *, resource: str, issuers: Sequence[str], dpop_algorithms: Sequence[str]
) -> Mapping[bytes, ASGIApp]:
    """The document by its paths: that of the resource, the root, and those of all MCP paths.

    Args:
        policy: whose prices name scopes.
        resource: what tokens must be for.
        issuers: who makes them.
        dpop_algorithms: by which keys may sign that tokens are bound to.
    """
    prices = [entry.price for entry in policy.entries if entry.price is not None]
    scopes = frozenset[str]().union(*(price.scopes for price in (*prices, policy.default)))
    said = {
        "resource": resource,
        "authorization_servers": list(issuers),
        "scopes_supported": sorted(scopes),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(dpop_algorithms),
    }
    reply = Reply(
        200,
        (
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=%d" % _MAX_AGE_S),
            (b"access-control-allow-origin", b"*"),
        ),
        json_text(said).encode("ascii"),
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await reply(scope, receive, send)
        else:
            refused = problems.method_not_allowed("expected GET of this document")
            await refused(scope, receive, send)

    places = {"", urlsplit(resource).path, *policy.mcp_paths}
    return {f"{WELL_KNOWN}{path.rstrip('/')}".encode("ascii"): answer for path in places}
