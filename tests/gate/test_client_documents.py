# SPDX-License-Identifier: Apache-2.0
"""Clients that are known by the URL of a document: asked for rarely, and never where it harms."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pypow_server.authorization.client_documents import (
    BAD_MS,
    GOOD_MS,
    MOST_AT_ONCE,
    MOST_KEPT,
    ClientDocuments,
    is_client_url,
)
from pypow_server.authorization.clients import Client
from pypow_server.authorization.oauth_error import OAuthError
from pypow_server.identity.fetching import Fetcher, FetchError
from pypow_server.token_sales import TokenSales
from support.gated import document
from support.issuing import HERE, Desk

URL = "https://client.example/oauth.json"
GOOD = {"client_id": URL, "redirect_uris": [HERE], "client_name": "Trust me"}


@dataclass
class Web:
    """Answers with what it was given, and counts."""

    answers: dict[str, Any] = field(default_factory=lambda: {URL: GOOD})
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def get(self, url: str, *, max_octets: int) -> dict[str, object]:
        assert max_octets <= 5 * 1024
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        if url not in self.answers:
            raise FetchError("it is not there")
        found: dict[str, object] = self.answers[url]
        return found

    async def aclose(self) -> None:
        pass


@dataclass
class Hand:
    now_ms: int = 0

    def __call__(self) -> int:
        return self.now_ms


def test_a_client_is_what_its_document_says_and_is_named_by_its_host() -> None:
    found = asyncio.run(ClientDocuments(Web(), clock=Hand()).find(URL))
    assert found == Client(URL, "client.example", (HERE,))


def test_a_document_is_asked_for_once_in_a_while() -> None:
    async def story() -> None:
        web, clock = Web(), Hand()
        documents = ClientDocuments(web, clock=clock)
        for now_ms in (0, GOOD_MS - 1, GOOD_MS, GOOD_MS + 1):
            clock.now_ms = now_ms
            assert isinstance(await documents.find(URL), Client)
        assert len(web.asked) == 2
        gone = "https://client.example/gone"
        for more_ms in (0, BAD_MS - 1, BAD_MS):
            clock.now_ms = 2 * GOOD_MS + more_ms
            assert isinstance(await documents.find(gone), OAuthError)
        assert web.asked.count(gone) == 2

    asyncio.run(story())


def test_many_who_ask_at_once_are_answered_by_one_look_though_one_goes_away() -> None:
    async def story() -> None:
        web = Web(gate=asyncio.Event())
        documents = ClientDocuments(web, clock=Hand())
        asking = [asyncio.create_task(documents.find(URL)) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.sleep(0)
        assert web.gate is not None
        web.gate.set()
        assert all(isinstance(one, Client) for one in await asyncio.gather(*asking[1:]))
        assert web.asked == [URL]

    asyncio.run(story())


def test_a_flood_of_urls_asks_few_at_once_and_fills_no_memory() -> None:
    async def story() -> None:
        web = Web(gate=asyncio.Event())
        documents = ClientDocuments(web, clock=Hand())
        asking = [
            asyncio.create_task(documents.find(f"https://client.example/{n}")) for n in range(50)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(web.asked) == MOST_AT_ONCE
        assert web.gate is not None
        web.gate.set()
        found = await asyncio.gather(*asking)
        codes = [one.code for one in found if isinstance(one, OAuthError)]
        assert codes.count("temporarily_unavailable") == 50 - MOST_AT_ONCE
        for n in range(MOST_KEPT + 50):
            await documents.find(f"https://client.example/more/{n}")
        assert len(documents._kept) == MOST_KEPT
        await documents.aclose()

    asyncio.run(story())


BAD: dict[str, dict[str, object]] = {
    "another id": {**GOOD, "client_id": "https://client.example/other.json"},
    "no id": {"redirect_uris": [HERE]},
    "a slash more": {**GOOD, "client_id": URL + "/"},
    "no redirects": {"client_id": URL},
    "a redirect to anywhere": {**GOOD, "redirect_uris": ["http://client.example/cb"]},
    "a script for a redirect": {**GOOD, "redirect_uris": ["javascript:alert(1)"]},
    "a secret": {**GOOD, "client_secret": "x"},
    "a method with a secret": {**GOOD, "token_endpoint_auth_method": "client_secret_post"},
}


@pytest.mark.parametrize("said", BAD.values(), ids=list(BAD))
def test_a_document_that_is_not_good_makes_no_client(said: dict[str, object]) -> None:
    found = asyncio.run(ClientDocuments(Web({URL: said}), clock=Hand()).find(URL))
    assert isinstance(found, OAuthError)


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example/x", "https://client.example", "https://client.example/",
        "https://client.example/x?y", "https://client.example/x#y", "https://u@client.example/x",
        "https://client.example/a/../x", "https://client.example/./x", "https:///x",
        "https://client.example\\x/y", "https://[x/y", "https://client.example/" + "x" * 512,
        "https://client.example/x y", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_client_is_not_asked_for(url: str) -> None:
    web = Web()
    assert not is_client_url(url)
    found = asyncio.run(ClientDocuments(web, clock=Hand()).find(url))
    assert isinstance(found, OAuthError)
    assert web.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "2130706433"]
)
def test_nobody_can_make_the_gate_ask_its_own_network_or_find_out_what_is_there(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> object:
        documents = ClientDocuments(Fetcher(), clock=Hand())
        try:
            return await documents.find(f"https://{host}/x")
        finally:
            await documents.aclose()

    with caplog.at_level("INFO", "pypow_server.authorization"):
        found = asyncio.run(story())
    assert isinstance(found, OAuthError)
    assert found.detail == "the client's document: its host cannot be asked"
    assert "cannot be asked" not in caplog.text  # it was not tried


def test_a_gate_takes_such_clients_where_its_operator_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Web()
    monkeypatch.setattr("pypow_server.identity.fetching.Fetcher", lambda: web)
    wanted = {"token_sales": TokenSales(fetches_clients=True)}
    with Desk(tmp_path, rows=wanted) as desk:
        said = document(desk.get("/.well-known/oauth-authorization-server"))
        assert said["client_id_metadata_document_supported"] is True
        code = desk.code(URL)
        assert document(desk.redeem(code, "https://client.example/other"))["error"]
        assert desk.redeem(code, URL).status == 200
        assert web.asked == [URL]


def test_else_it_asks_nobody(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        said = document(desk.get("/.well-known/oauth-authorization-server"))
        assert said["client_id_metadata_document_supported"] is False
        assert document(desk.get(desk.asked(URL)))["error"] == "invalid_client"
