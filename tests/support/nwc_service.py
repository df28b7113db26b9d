# SPDX-License-Identifier: Apache-2.0
"""A wallet service of NIP-47 in front of a `Node`, behind a real Nostr relay on loopback.

github.com/nostr-protocol/nips, 47: requests are events of kind 23194, answers of kind 23195, and
what a service can do is one of kind 13194. Contents are encrypted as NIP-44 says.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from support.lightning_node import Made, Node
from support.waiting import PATIENCE_S

_METHODS = "get_info make_invoice lookup_invoice pay_invoice"


class _RefusalError(Exception):
    """What a request is answered with that cannot be served."""


def answered(node: Node, asked: dict[str, Any]) -> dict[str, Any]:
    """The right answer to a request."""
    method = asked["method"]
    try:
        result = _served(node, method, asked["params"])
    except _RefusalError as fault:
        code, message = fault.args
        error = {"code": code, "message": message}
        return {"result_type": method, "error": error, "result": None}
    return {"result_type": method, "error": None, "result": result}


def _served(node: Node, method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "make_invoice":
            made = node.add(params["amount"], params["description"], params["expiry"])
            return _transaction(made)
        case "lookup_invoice":
            made_before = node.made.get(bytes.fromhex(params["payment_hash"]))
            if made_before is None:
                raise _RefusalError("NOT_FOUND", "no such invoice")
            return _transaction(made_before)
        case "pay_invoice":
            preimage = node.pay(params["invoice"])
            if preimage is None:
                raise _RefusalError("INSUFFICIENT_BALANCE", "not that rich")
            return {"preimage": preimage.hex(), "fees_paid": 0}
    raise _RefusalError("NOT_IMPLEMENTED", method)


def _transaction(made: Made) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": "incoming",
        "state": "expired" if made.is_over else "pending",
        "invoice": made.invoice.text,
        "description": made.invoice.description,
        "payment_hash": made.invoice.payment_hash.hex(),
        "amount": made.invoice.amount_msat,
        "fees_paid": 0,
        "created_at": made.invoice.created_at_s,
        "expires_at": made.invoice.expires_at_ms // 1000,
    }
    if made.settled_at_s is not None:
        said |= {
            "state": "settled",
            "settled_at": made.settled_at_s,
            "preimage": made.preimage.hex(),
        }
    return said


Answering = Callable[[Node, dict[str, Any]], dict[str, Any]]


@asynccontextmanager
async def nwc_service(node: Node, answer: Answering = answered) -> AsyncIterator[str]:
    """Serves; yields the connection to give to a client. Needs nostr-sdk.

    Args:
        node: what makes invoices and pays.
        answer: finds the answer to a request; a lie, perhaps.
    """
    import nostr_sdk as nostr

    relay = nostr.LocalRelayBuilder().addr("127.0.0.1").build()
    await relay.run()
    url = await relay.url()
    service, app = nostr.Keys.generate(), nostr.Keys.generate()
    client = nostr.ClientBuilder().build()
    await client.add_relay(url)
    await client.connect(timedelta(seconds=PATIENCE_S))
    about = nostr.EventBuilder(nostr.Kind(13194), _METHODS)
    encryption = nostr.Tag.parse(["encryption", "nip44_v2"])
    await client.send_event(about.tags([encryption]).finalize(service))
    notifications = client.notifications()
    requests = nostr.Filter().kind(nostr.Kind(23194)).pubkey(service.public_key())
    await client.subscribe(nostr.ReqTarget.auto([requests]))

    async def serve() -> None:
        while (notification := await notifications.next()) is not None:
            if not notification.is_new_event():
                continue
            event = notification.event
            if event.author().to_hex() != app.public_key().to_hex():
                continue
            asked = json.loads(service.nip44_decrypt(event.author(), event.content()))
            told = service.nip44_encrypt(event.author(), json.dumps(answer(node, asked)))
            reply = nostr.EventBuilder(nostr.Kind(23195), told).tags(
                [
                    nostr.Tag.parse(["p", event.author().to_hex()]),
                    nostr.Tag.parse(["e", event.id().to_hex()]),
                ]
            )
            await client.send_event(reply.finalize(service))

    serving = asyncio.create_task(serve())
    try:
        key, secret = service.public_key().to_hex(), app.secret_key().to_hex()
        yield f"nostr+walletconnect://{key}?relay={url}&secret={secret}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await client.shutdown()
        relay.shutdown()
