# SPDX-License-Identifier: Apache-2.0
"""One worker with an app at /bare, and the same app behind a gate at every other path.

    python benchmarks/gate_server.py memory:

Both share the server, its listener and its process, so that they can take turns under one load.
Prints the port once it serves.
"""

import sys
from collections.abc import Callable

from pypow import Key, Keyring
from pypow_server import listeners
from pypow_server.address import Address
from pypow_server.gate import Gate
from pypow_server.policy import Policy, Price
from pypow_server.rails.work import WorkRail
from pypow_server.scope import Receive, Scope, Send
from pypow_server.stores import Store, memory, redis_store, sqlite

KEY = Key(id=1, secret=bytes(32))
PRICE = Price("benchmark", 1024)
"""One bit: proofs are made as fast as they are used, and are checked like any other."""

HOST = "gate.example"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def open_store(url: str) -> Store:
    scheme, _, rest = url.partition(":")
    stores: dict[str, Callable[[str], Store]] = {
        "memory": memory.open_store,
        "sqlite": sqlite.open_store,
        "redis": redis_store.open_store,
    }
    return stores[scheme](rest)


def rail() -> WorkRail:
    return WorkRail(Keyring([KEY]), public_host=HOST)


def main() -> None:
    store = open_store(sys.argv[1])
    gate = Gate(app, rails=[rail()], ledger=store.ledger, policy=Policy(default=PRICE))

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope.get("raw_path") == b"/bare" else gate)(scope, receive, send)

    public = listeners.bind(Address("127.0.0.1", 0), option="--listen")
    admin = listeners.bind(Address("127.0.0.1", 0), option="--admin")
    with public, admin:
        port = listeners.bound_address(public).port
        listeners.run(
            (public, either),
            (admin, app),
            ready=lambda: print(port, flush=True),
            draining=lambda: None,
            drain_s=1,
        )


if __name__ == "__main__":
    main()
