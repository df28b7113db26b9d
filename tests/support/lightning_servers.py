# SPDX-License-Identifier: Apache-2.0
"""Servers that speak as wallets do, in front of a `Node`; each says where its calls are written.

They take what those calls document and nothing else, and answer with all the documented members.
"""

import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from support.lightning_node import Made, Node

CREDENTIAL = "c0ffee" * 10
"""What all of them want; hex digits, since a macaroon has those."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(*routes: web.RouteDef, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serves on a free loopback port; yields host and port."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _only(said: dict[str, Any], *names: str) -> dict[str, Any]:
    assert set(said) <= set(names), said
    return said


def lnd_routes(node: Node, credential: str = CREDENTIAL) -> list[web.RouteDef]:
    """LND 0.19: AddInvoice, LookupInvoice, SendPaymentV2.

    lightning.engineering/api-docs/api/lnd/lightning/add-invoice, lightning/lookup-invoice,
    router/send-payment-v2; 64-bit integers are strings, bytes are base64, but for
    ``payment_preimage`` of a payment, which is a hex string.
    """

    async def add(request: web.Request) -> web.Response:
        if denied := _denied(request, "Grpc-Metadata-macaroon", credential):
            return denied
        said = _only(await request.json(), "value", "memo", "expiry", "r_preimage")
        chosen = base64.b64decode(said["r_preimage"]) if "r_preimage" in said else None
        made = node.add(1000 * int(said["value"]), said["memo"], int(said["expiry"]), chosen)
        return web.json_response(
            {
                "r_hash": _b64(made.invoice.payment_hash),
                "payment_request": made.invoice.text,
                "add_index": "1",
                "payment_addr": _b64(made.invoice.payment_secret),
            }
        )

    async def look_up(request: web.Request) -> web.Response:
        if denied := _denied(request, "Grpc-Metadata-macaroon", credential):
            return denied
        made = node.made.get(bytes.fromhex(request.match_info["hash"]))
        if made is None:
            error = {"code": 5, "message": "unable to locate invoice", "details": []}
            return web.json_response(error, status=404)
        is_settled = made.settled_at_s is not None
        age_s = made.invoice.expiry_s if made.is_over else 0
        return web.json_response(
            {
                "memo": made.invoice.description,
                "r_preimage": _b64(made.preimage),
                "r_hash": _b64(made.invoice.payment_hash),
                "value": str((made.invoice.amount_msat or 0) // 1000),
                "value_msat": str(made.invoice.amount_msat),
                "settled": is_settled,
                "creation_date": str(made.invoice.created_at_s - age_s),
                "settle_date": str(made.settled_at_s or 0),
                "payment_request": made.invoice.text,
                "expiry": str(made.invoice.expiry_s),
                "amt_paid_msat": str(made.invoice.amount_msat if is_settled else 0),
                "state": "SETTLED" if is_settled else "OPEN",
            }
        )

    async def send(request: web.Request) -> web.Response:
        if denied := _denied(request, "Grpc-Metadata-macaroon", credential):
            return denied
        said = _only(
            await request.json(),
            *("payment_request", "timeout_seconds", "fee_limit_msat", "no_inflight_updates"),
        )
        preimage = node.pay(said["payment_request"])
        result = {
            "payment_hash": "00" * 32,
            "payment_preimage": (preimage or b"\0" * 32).hex(),
            "status": "FAILED" if preimage is None else "SUCCEEDED",
            "failure_reason": "FAILURE_REASON_NO_ROUTE" if preimage is None else "NONE",
        }
        return web.Response(text=json.dumps({"result": result}) + "\n")

    return [
        web.post("/v1/invoices", add),
        web.get("/v1/invoice/{hash}", look_up),
        web.post("/v2/router/send", send),
    ]


def cln_routes(node: Node) -> list[web.RouteDef]:
    """Core Lightning 24.11 behind clnrest: invoice, listinvoices, pay.

    docs.corelightning.org/reference/invoice, /listinvoices, /pay; answers have status 201, and
    errors ``code`` and ``message``.
    """

    async def invoice(request: web.Request) -> web.Response:
        if denied := _denied(request, "Rune", CREDENTIAL):
            return denied
        said = _only(
            await request.json(), "amount_msat", "label", "description", "expiry", "preimage"
        )
        chosen = bytes.fromhex(said["preimage"]) if "preimage" in said else None
        made = node.add(said["amount_msat"], said["description"], said["expiry"], chosen)
        return web.json_response(
            {
                "payment_hash": made.invoice.payment_hash.hex(),
                "expires_at": made.invoice.expires_at_ms // 1000,
                "bolt11": made.invoice.text,
                "payment_secret": made.invoice.payment_secret.hex(),
                "created_index": 1,
            },
            status=201,
        )

    async def list_invoices(request: web.Request) -> web.Response:
        if denied := _denied(request, "Rune", CREDENTIAL):
            return denied
        said = _only(await request.json(), "payment_hash")
        made = node.made.get(bytes.fromhex(said["payment_hash"]))
        return web.json_response(
            {"invoices": [] if made is None else [_cln_invoice(made)]}, status=201
        )

    async def pay(request: web.Request) -> web.Response:
        if denied := _denied(request, "Rune", CREDENTIAL):
            return denied
        said = _only(await request.json(), "bolt11", "retry_for", "maxfee")
        preimage = node.pay(said["bolt11"])
        if preimage is None:
            error = {"code": 205, "message": "Could not find a route"}
            return web.json_response(error, status=500)
        return web.json_response(
            {"payment_preimage": preimage.hex(), "status": "complete", "parts": 1}, status=201
        )

    return [
        web.post("/v1/invoice", invoice),
        web.post("/v1/listinvoices", list_invoices),
        web.post("/v1/pay", pay),
    ]


def _cln_invoice(made: Made) -> dict[str, Any]:
    said = {
        "label": "pypow",
        "description": made.invoice.description,
        "payment_hash": made.invoice.payment_hash.hex(),
        "status": "expired" if made.is_over else "unpaid",
        "expires_at": made.invoice.expires_at_ms // 1000,
        "amount_msat": made.invoice.amount_msat,
        "bolt11": made.invoice.text,
    }
    if made.settled_at_s is not None:
        said |= {
            "status": "paid",
            "amount_received_msat": made.invoice.amount_msat,
            "paid_at": made.settled_at_s,
            "payment_preimage": made.preimage.hex(),
        }
    return said


def phoenixd_routes(node: Node) -> list[web.RouteDef]:
    """phoenixd 0.6: createinvoice, payments/incoming, payinvoice.

    phoenix.acinq.co/server/api; forms go in and JSON comes out; the password has no user. A look-up
    has the preimage before anybody paid.
    """
    login = "Basic " + _b64(f":{CREDENTIAL}".encode())

    async def create(request: web.Request) -> web.Response:
        if denied := _denied(request, "Authorization", login):
            return denied
        said = _only(dict(await request.post()), "amountSat", "description", "expirySeconds")
        made = node.add(
            1000 * int(said["amountSat"]), said["description"], int(said["expirySeconds"])
        )
        return web.json_response(
            {
                "amountSat": int(said["amountSat"]),
                "paymentHash": made.invoice.payment_hash.hex(),
                "serialized": made.invoice.text,
            }
        )

    async def incoming(request: web.Request) -> web.Response:
        if denied := _denied(request, "Authorization", login):
            return denied
        made = node.made.get(bytes.fromhex(request.match_info["hash"]))
        if made is None:
            return web.Response(status=404, text="Not found")
        sats = (made.invoice.amount_msat or 0) // 1000
        return web.json_response(
            {
                "type": "incoming_payment",
                "subType": "lightning",
                "paymentHash": made.invoice.payment_hash.hex(),
                "preimage": made.preimage.hex(),
                "description": made.invoice.description,
                "invoice": made.invoice.text,
                "isPaid": made.settled_at_s is not None,
                "isExpired": made.is_over,
                "requestedSat": sats,
                "receivedSat": 0 if made.settled_at_s is None else sats,
                "fees": 0,
                "completedAt": None if made.settled_at_s is None else 1000 * made.settled_at_s,
                "createdAt": 1000 * made.invoice.created_at_s,
            }
        )

    async def pay(request: web.Request) -> web.Response:
        if denied := _denied(request, "Authorization", login):
            return denied
        said = _only(dict(await request.post()), "invoice")
        preimage = node.pay(said["invoice"])
        if preimage is None:
            return web.json_response({"paymentHash": "00" * 32, "reason": "no route"})
        return web.json_response(
            {
                "recipientAmountSat": 21,
                "routingFeeSat": 4,
                "paymentId": "2b1b3f1e-6a4b-4a0e-8f6b-000000000000",
                "paymentHash": "00" * 32,
                "paymentPreimage": preimage.hex(),
            }
        )

    return [
        web.post("/createinvoice", create),
        web.get("/payments/incoming/{hash}", incoming),
        web.post("/payinvoice", pay),
    ]


def address_routes(node: Node) -> list[web.RouteDef]:
    """The host of a Lightning Address: LUD-06 and LUD-16, with look-ups of LUD-21.

    github.com/lnurl/luds; errors are ``{"status": "ERROR", "reason": ...}`` with status 200.
    """

    async def offer(request: web.Request) -> web.Response:
        if request.match_info["user"] != "shop":
            return web.json_response({"status": "ERROR", "reason": "nobody by this name"})
        return web.json_response(
            {
                "tag": "payRequest",
                "callback": f"http://{request.host}/pay?to=shop",
                "minSendable": 1000,
                "maxSendable": 100_000_000,
                "metadata": '[["text/plain","shop"]]',
                "commentAllowed": 0,
            }
        )

    async def pay(request: web.Request) -> web.Response:
        assert request.query["to"] == "shop"
        made = node.add(int(request.query["amount"]), "shop", 600)
        verify = f"http://{request.host}/verify/{made.invoice.payment_hash.hex()}"
        return web.json_response({"pr": made.invoice.text, "routes": [], "verify": verify})

    async def verify(request: web.Request) -> web.Response:
        made = node.made[bytes.fromhex(request.match_info["hash"])]
        is_settled = made.settled_at_s is not None
        return web.json_response(
            {
                "status": "OK",
                "settled": is_settled,
                "preimage": made.preimage.hex() if is_settled else None,
                "pr": made.invoice.text,
            }
        )

    return [
        web.get("/.well-known/lnurlp/{user}", offer),
        web.get("/pay", pay),
        web.get("/verify/{hash}", verify),
    ]


def _denied(request: web.Request, name: str, expected: str) -> web.Response | None:
    if request.headers.get(name) == expected:
        return None
    return web.json_response({"message": "verification failed"}, status=401)
