# SPDX-License-Identifier: Apache-2.0
"""Servers made with the kits of others: ``program KIT PACKAGES`` tells its URL.

They run with this project's FastAPI; of PACKAGES, a folder, they take nothing but the kit and what
this project does not have. A development wallet makes the invoices.
"""

import base64
import json
import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from pypow.lightning.development import DevelopmentWallet

SATS = 7
_LIFE_S = 600


async def invoice(sats: int) -> Any:
    """A new one."""
    return await DevelopmentWallet().create_invoice(sats, memo="sold", expiry_s=_LIFE_S)


def l402kit(app: FastAPI) -> None:
    """PyPI l402kit, with tokens as its own providers make them."""
    from l402kit.middleware import l402_required

    class Provider:
        async def create_invoice(self, amount_sats: int) -> SimpleNamespace:
            made = await invoice(amount_sats)
            said = {"hash": made.payment_hash.hex(), "exp": int(1000 * (time.time() + _LIFE_S))}
            token = base64.b64encode(json.dumps(said).encode()).decode()
            return SimpleNamespace(payment_request=made.text, macaroon=token)

    async def sold(request: Request) -> str:
        return request.url.path

    app.get("/sold")(l402_required(price_sats=SATS, lightning=Provider())(sold))


def lightning_toll(app: FastAPI) -> None:
    """PyPI lightning-toll."""
    from lightning_toll.toll import create_toll

    class Wallet:
        async def create_invoice(
            self, amount_sats: int, description: str, expiry: int
        ) -> SimpleNamespace:
            made = await invoice(amount_sats)
            return SimpleNamespace(invoice=made.text, payment_hash=made.payment_hash.hex())

    toll = create_toll(wallet=Wallet(), secret="secret")(sats=SATS)

    @app.get("/sold")
    async def sold(request: Request) -> str:
        await toll(request)
        return request.url.path


def main(kit: str, packages: str) -> None:
    """Sell until somebody ends it."""
    sys.path.append(packages)
    app = FastAPI()
    {"l402kit": l402kit, "lightning-toll": lightning_toll}[kit](app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/sold", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
