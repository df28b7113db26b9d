# SPDX-License-Identifier: Apache-2.0
"""What goes on beside requests outlives its own faults."""

import asyncio

import pytest

from pypow_server.upkeep import Upkeep


def test_what_fails_is_said_and_done_again_after_the_next_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = asyncio.Event()
    times = 0

    async def do() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise RuntimeError("once")
        done.set()

    async def story() -> None:
        upkeep = Upkeep(do, pause=lambda: asyncio.sleep(0))
        upkeep.start()
        upkeep.start()
        async with asyncio.timeout(10):
            await done.wait()
        assert upkeep.goes_on
        await upkeep.aclose()
        assert not upkeep.goes_on

    asyncio.run(story())
    assert "tried again" in caplog.text
