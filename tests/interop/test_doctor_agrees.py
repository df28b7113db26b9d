# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of clients of others is what they really do, at servers that are wrong."""

import time
from collections.abc import Iterator

import pytest

from pypow.l402_doctor import clients
from pypow.l402_doctor.clients import Client, Fate
from pypow.l402_doctor.observed import Answer
from pypow_server.scope import Receive, Scope, Send
from support.l402_clients import CLIENTS, PayingClient
from support.plain_http import ask
from support.serving import served
from support.toll import BODY
from support.wrong_tolls import RIGHT, WRONG, Purse, WrongToll, purse

pytest.importorskip("coincurve", reason="signatures need the extra l402")

WAYS = (RIGHT, *WRONG)
BOUGHT = (200, BODY.decode())


class Street:
    """All these servers, at ``/0``, ``/1`` and so on."""

    def __init__(self, wallet: Purse) -> None:
        self.tolls = [WrongToll(wrong, wallet) for wrong in WAYS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.tolls[int(scope["path"].strip("/"))](scope, receive, send)


@pytest.fixture(scope="module")
def wallet() -> Iterator[Purse]:
    with purse() as made:
        yield made


def done(answer: tuple[int, str], payments: int) -> set[Fate]:
    """What a client did, in the doctor's words."""
    if answer == BOUGHT:
        assert payments == 1
        return {Fate.PAYS}
    if payments == 0:
        return {Fate.GIVES_UP, Fate.OTHER_SCHEME}
    return {Fate.IN_VAIN} if payments == 1 else {Fate.AGAIN}


def known(client: PayingClient) -> Client:
    (found,) = (one for one in clients.CLIENTS if one.name.partition(" ")[2] == client.name)
    assert found.version == client.version
    return found


@pytest.fixture(scope="module")
def heard(wallet: Purse) -> dict[str, tuple[Answer, Answer]]:
    """What each server answers to a call, and to a credential without a scheme."""
    with served(Street(wallet)) as url:
        places = {wrong.name: f"{url}/{place}" for place, wrong in enumerate(WAYS)}
        without = {"Authorization": f"x:{32 * '00'}"}
        return {name: (observed(at), observed(at, without)) for name, at in places.items()}


def observed(url: str, headers: dict[str, str] | None = None) -> Answer:
    seen = ask(url, headers=headers)
    fields = tuple((name.lower(), value) for name, value in seen.headers.items())
    return Answer(seen.status, fields, seen.body)


def disagreements(
    client: PayingClient, judged: Client, wallet: Purse, heard: dict[str, tuple[Answer, Answer]]
) -> dict[str, Fate]:
    """Where a client does another thing than the doctor says of one that is judged."""
    street = Street(wallet)
    with served(street) as url:
        answers = client.fetch(f"{url}/{{}}", wallet, times=len(WAYS))
    seen = {
        toll.wrong.name: done(answer, toll.payments)
        for toll, answer in zip(street.tolls, answers, strict=True)
    }
    said = {name: said_of(judged, *answers) for name, answers in heard.items()}
    return {name: fate for name, fate in said.items() if fate not in seen[name]}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_what_the_doctor_says(
    client: PayingClient, wallet: Purse, heard: dict[str, tuple[Answer, Answer]]
) -> None:
    assert disagreements(client, known(client), wallet, heard) == {}


def test_a_reader_that_reads_as_another_client_does_is_caught(
    wallet: Purse, heard: dict[str, tuple[Answer, Answer]]
) -> None:
    (strict,) = (client for client in CLIENTS if client.name == "l402sdk")
    for other in ("l402-requests", "l402kit", "l402"):
        (judged,) = (one for one in CLIENTS if one.name == other)
        assert disagreements(strict, known(judged), wallet, heard) != {}, other


def said_of(client: Client, refusal: Answer, without: Answer) -> Fate:
    """The doctor's verdict of a client at a server."""
    found = clients.verdicts(refusal, without, now_ms=time.time_ns() // 1_000_000)
    (fate,) = (one.fate for one in found if one.client is client)
    return fate


def test_every_fate_is_met(heard: dict[str, tuple[Answer, Answer]]) -> None:
    met = {said_of(known(client), *answers) for client in CLIENTS for answers in heard.values()}
    assert met == set(Fate)
