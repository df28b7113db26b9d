# SPDX-License-Identifier: Apache-2.0
"""What wraps an app starts before it and stops after it, whatever the app makes of lifespans."""

import asyncio

import pytest

from pypow_server.lifespan import serve_lifespan
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


async def lives(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(STARTED)
    await receive()
    await send(STOPPED)


async def knows_none(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("can only handle HTTP connections")


async def knows_none_and_has_listened(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    raise ValueError("what is this")


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def fails_to_start(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
    raise RuntimeError("no database")


async def fails_to_stop(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(STARTED)
    await receive()
    await send({"type": "lifespan.shutdown.failed"})
    raise RuntimeError("stuck")


async def falls_over(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(STARTED)
    raise RuntimeError("fell over")


def played(app: ASGIApp) -> list[str]:
    """All that happens, in order."""
    happened: list[str] = []
    coming: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        happened.append(message["type"].removeprefix("lifespan."))

    async def stop() -> None:
        happened.append("stop")

    async def play() -> None:
        try:
            await serve_lifespan(
                app, {"type": "lifespan"}, receive, send,
                start=lambda: happened.append("start"), stop=stop,
            )  # fmt: skip
        except RuntimeError as error:
            happened.append(str(error))

    asyncio.run(play())
    return happened


@pytest.mark.parametrize("app", [lives, knows_none, knows_none_and_has_listened, says_nothing])
def test_all_is_stopped_before_the_server_hears_of_it(app: ASGIApp) -> None:
    assert played(app) == ["start", "startup.complete", "stop", "shutdown.complete"]


@pytest.mark.parametrize(
    ("app", "happens"),
    [
        (fails_to_start, ["start", "stop", "startup.failed", "no database"]),
        (fails_to_stop, ["start", "startup.complete", "stop", "shutdown.failed", "stuck"]),
        (falls_over, ["start", "startup.complete", "stop", "fell over"]),
    ],
)
def test_an_app_that_fails_is_heard_and_all_is_stopped_once(
    app: ASGIApp, happens: list[str]
) -> None:
    assert played(app) == happens
