# SPDX-License-Identifier: Apache-2.0
"""A listener's end: who has connected is accepted, and who comes later is not."""

import asyncio
import resource
import socket

from pypow_server.last_connections import last_connections


def test_who_waits_in_the_backlog_is_accepted() -> None:
    async def story(listener: socket.socket) -> list[socket.socket]:
        return await last_connections([listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accepted = asyncio.run(story(listener))

    assert [one.getpeername() for one in accepted] == [one.getsockname() for one in callers]
    for one in (*accepted, *callers):
        one.close()


def test_no_handshake_is_taken_any_more_and_those_made_still_work() -> None:
    async def story(listener: socket.socket) -> tuple[list[socket.socket], BaseException | None]:
        before = socket.create_connection(listener.getsockname())
        ending = asyncio.create_task(last_connections([listener]))
        await asyncio.sleep(0)  # the filter is in place
        late = socket.socket()
        late.setblocking(False)
        connecting = asyncio.get_running_loop().sock_connect(late, listener.getsockname())
        pending = asyncio.create_task(connecting)
        accepted = await ending
        assert not pending.done()
        listener.close()
        before.sendall(b"heard")
        (failure,) = await asyncio.gather(pending, return_exceptions=True)
        late.close()
        assert accepted[0].recv(5) == b"heard"
        before.close()
        return accepted, failure

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted, failure = asyncio.run(story(listener))

    assert isinstance(failure, ConnectionRefusedError)
    assert len(accepted) == 1
    accepted[0].close()


def test_whom_there_is_no_file_descriptor_for_stops_no_end() -> None:
    async def story(listener: socket.socket) -> list[socket.socket]:
        ending = asyncio.create_task(last_connections([listener]))
        await asyncio.sleep(0)  # the filter is in place
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as lowest:
            spare = lowest.fileno() + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, before[1]))
        try:
            return await ending
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accepted = asyncio.run(story(listener))

    assert len(accepted) == 1
    for one in (*accepted, *callers):
        one.close()
