# SPDX-License-Identifier: Apache-2.0
"""A wire to a Redis that can be made to fail: by silence, an end, or an answer of one's own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """Carries octets between clients and a server, until it is told otherwise.

    Attributes:
        port: where clients connect.
        answer: what each script gets for an answer instead of being run; None to run it.
        is_silent: whether the answers of scripts that ran are kept back.
        breaks: whether the connection ends in place of the next answer to a script.
        scripts: how many have been asked for.
        trips: in how many messages.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answer: bytes | None = None
        self.is_silent = False
        self.breaks = False
        self.scripts = 0
        self.trips = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more clients."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            threading.Thread(target=self._return, args=(server, client), daemon=True).start()
            with suppress(OSError):
                while data := client.recv(1 << 16):
                    scripts = data.count(b"EVALSHA")
                    self.scripts += scripts
                    self.trips += scripts > 0
                    if scripts and self.answer is not None:
                        client.sendall(self.answer * scripts)
                    else:
                        server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def _return(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self.breaks and self.scripts:
                    self.breaks = False
                    client.shutdown(socket.SHUT_RDWR)
                    return
                if not (self.is_silent and self.scripts):
                    client.sendall(data)


@contextmanager
def wire_to(server_port: int) -> Iterator[Wire]:
    """A wire for as long as a block lasts."""
    wire = Wire(server_port)
    try:
        yield wire
    finally:
        wire.close()
