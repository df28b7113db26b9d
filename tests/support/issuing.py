# SPDX-License-Identifier: Apache-2.0
"""A gate that gives out access tokens, in process, and the smallest OAuth client that gets some."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from pypow_server.app import App, create_app
from pypow_server.policy import PassTerms
from pypow_server.policy_rows import Rows
from pypow_server.settings import Settings
from pypow_server.token_sales import TokenSales
from support.asgi_client import Answer, call
from support.gate_process import GateProcess, gate_process
from support.gated import RecordingApp, document, solved
from support.waiting import free_port

T = TypeVar("T")
ISSUER = "https://gate.example"
HERE = "http://127.0.0.1:3030/callback"
VERIFIER = "v" * 43
PKCE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
FORM = b"application/x-www-form-urlencoded"
HOST = (b"host", b"gate.example")


class Desk:
    """The gate, and what a client does with it."""

    def __init__(self, state_dir: Path, **changes: Any) -> None:
        self.upstream = RecordingApp()
        around = changes.pop("around", self.upstream)
        usual = {"token_sales": TokenSales(), "default_sells": PassTerms(3, 300)}
        rows: dict[str, Any] = {**usual, **changes.pop("rows", {})}
        said: dict[str, Any] = {
            "state_dir": state_dir,
            "store": "memory:",
            "bits": 4.0,
            "public_url": ISSUER,
            "rows": Rows(**rows),
            **changes,
        }
        self.settings = Settings(**said)
        self.app: App = create_app(self.settings, around=around)
        # One event loop: what goes on beside requests lives in it.
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self.app.stop())
        self._runner.close()

    def get(self, target: str, **headers: str) -> Answer:
        return self.send("GET", target, headers)

    def post(self, target: str, said: Mapping[str, str] | bytes, **headers: str) -> Answer:
        """A form; ``said`` as octets is sent as it is."""
        body = said if isinstance(said, bytes) else urlencode(said).encode()
        return self.send("POST", target, {"content_type": FORM.decode(), **headers}, body)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        fields = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        return self.run(call(self.app, method, target.encode(), headers=[HOST, *fields], body=body))

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """What comes of it in the gate's event loop."""
        return self._runner.run(story)

    def proof(self, query: str = "") -> str:
        """A minted proof, for any call."""
        return solved(document(self.get(f"/api/challenge{query}")))

    def token_for(self, **said: str) -> Answer:
        return self.post("/oauth/token", said)

    def token(self) -> str:
        """A token bought with work."""
        answer = self.token_for(
            grant_type="client_credentials", client_id="me", client_secret=self.proof()
        )
        assert answer.status == 200, answer.body
        return str(document(answer)["access_token"])

    def call_with(self, token: str, path: str = "/mcp/items") -> Answer:
        """A call with a price, with a token."""
        return self.get(path, authorization=f"Bearer {token}")

    def register(self, *redirects: str, **said: object) -> str:
        """The id of a client that was registered."""
        body = json.dumps({"redirect_uris": list(redirects or (HERE,)), **said}).encode()
        answer = self.send("POST", "/oauth/register", {"content_type": "application/json"}, body)
        assert answer.status == 201, answer.body
        return str(document(answer)["client_id"])

    def asked(self, client: str, **changes: str | None) -> str:
        """The target of an authorization request."""
        said = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": HERE,
            "code_challenge": PKCE,
            "code_challenge_method": "S256",
            "state": "s t&te",
            **changes,
        }
        kept = {name: value for name, value in said.items() if value is not None}
        return f"/oauth/authorize?{urlencode(kept)}"

    def code(self, client: str, **changes: str | None) -> str:
        """A code, earned without a browser."""
        offered = document(self.get(self.asked(client, **changes)))
        answer = self.earn(offered)
        assert answer.status == 200, answer.body
        return str(document(answer)["code"])

    def earn(self, offered: Mapping[str, Any], **headers: str) -> Answer:
        """What comes of solving what was offered for a code."""
        nonce = solved(offered["work"]).rpartition("=")[2]
        sent = {
            "request": offered["request"],
            "challenge": offered["work"]["challenge"],
            "nonce": nonce,
        }
        return self.post("/oauth/authorize", sent, **headers)

    def redeem(self, code: str, client: str, *, dpop: str = "", **changes: str) -> Answer:
        said = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": client,
            "redirect_uri": HERE,
            "code_verifier": VERIFIER,
            **changes,
        }
        kept = {name: value for name, value in said.items() if value}
        return self.post("/oauth/token", kept, **({"dpop": dpop} if dpop else {}))


def told(location: str) -> dict[str, str]:
    """The parameters that a client is sent back with."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@contextmanager
def issuing_process(home: Path, upstream: str, prices: str = "") -> Iterator[GateProcess]:
    """`pypow gate` with an authorization server, where OAuth's clients are asked for a token first.

    Args:
        home: holds its files.
        upstream: URL of the guarded server.
        prices: more of its file.
    """
    port = free_port()
    file = home / "pypow.toml"
    file.write_text(
        f"""
[gate]
public_url = "http://127.0.0.1:{port}"
entry = "oauth"
[oauth]
server = true
{prices or DEFAULT_PRICE}
""",
        encoding="utf-8",
    )
    options = ("--config", str(file), "--listen", f"127.0.0.1:{port}", "--store", "memory:")
    with gate_process(home, upstream, *options) as gate:
        yield gate


DEFAULT_PRICE = """[default]
bits = 8
pass = "3 calls / 5m"
"""
