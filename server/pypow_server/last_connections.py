# SPDX-License-Identifier: Apache-2.0
"""A listener's end, at which nobody who has connected is reset.

Closing a listener resets connections that the kernel has made and nobody has accepted yet. So the
kernel is told to take no more handshakes, those that are under way get time to end, and what waits
is accepted. Who comes in between repeats its handshake a second later, and is refused then.
"""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

HANDSHAKE_S: Final = 0.2
"""How long a handshake may take: the way to a caller and back."""

_SO_ATTACH_FILTER: Final = 26

# A classic BPF program over a segment's TCP header: drops those with SYN and without ACK.
_DROP_SYN: Final = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the octet of flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # is it SYN alone?
        (0x06, 0, 0, 0),  # then take none of the segment
        (0x06, 0, 0, 0xFFFFFFFF),  # else all of it
    )
)


async def last_connections(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    """Take no more handshakes; what waits to be accepted once those under way have ended.

    The caller closes the listeners at once, before anything else can run.
    """
    for listener in listeners:
        _take_no_more(listener)
    await asyncio.sleep(HANDSHAKE_S)
    return [accepted for listener in listeners for accepted in _accept_all(listener)]


def _take_no_more(listener: socket.socket) -> None:
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    pointer = struct.pack("@HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
    # Where a kernel has no such filters, a connection in the last moment may be reset.
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    listener.settimeout(0)
    while True:
        try:
            yield listener.accept()[0]
        except ConnectionAbortedError:
            continue  # it is gone already
        except OSError:
            return  # none waits, or there is no file descriptor for another
