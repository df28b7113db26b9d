# SPDX-License-Identifier: Apache-2.0
"""Every kind of wallet on a stage of its own: opened by its address, with somebody who pays."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from pypow.bolt11 import Invoice, Network
from pypow.lightning.development import DevelopmentWallet
from pypow.lightning.guarded import GuardedWallet
from pypow.lightning.wallets import CREDENTIAL, CREDENTIAL_FILE, open_wallet
from support.lightning_node import NETWORK, Node, made_invoice
from support.lightning_servers import (
    CREDENTIAL as GOOD,
)
from support.lightning_servers import (
    address_routes,
    cln_routes,
    listening,
    lnd_routes,
    phoenixd_routes,
)
from support.lnbits_server import LnbitsServer

KINDS = ("development", "lnd", "cln", "phoenixd", "lnbits", "nwc", "lightning-address")


@dataclass(frozen=True, slots=True)
class Stage:
    """A wallet, and the world around it.

    Attributes:
        wallet: what is tried.
        network: the chain of its invoices.
        settle: somebody pays an invoice of the wallet.
        payable: an invoice of somebody else, which the wallet can pay.
        unpayable: one for which it finds no way.
        stranger: the same wallet with a credential that is not taken; None where there is none.
        end: lets an invoice's time pass; None where only waiting does.
        credential: what no text of ours may have in it; empty for none.
    """

    wallet: GuardedWallet
    network: Network
    settle: Callable[[Invoice], Awaitable[None]]
    payable: Callable[[], Awaitable[Invoice]]
    unpayable: Invoice
    stranger: GuardedWallet | None
    end: Callable[[Invoice], None] | None
    credential: str


@asynccontextmanager
async def staged(kind: str, folder: Path, lnbits: LnbitsServer | None) -> AsyncIterator[Stage]:
    """A stage, for as long as a block lasts."""
    match kind:
        case "development":
            yield _development()
        case "nwc":
            async with _nwc(folder) as stage:
                yield stage
        case "lnbits":
            assert lnbits is not None
            async with _lnbits(lnbits) as stage:
                yield stage
        case _:
            async with _recorded(kind, folder) as stage:
                yield stage


def _development() -> Stage:
    buyer = DevelopmentWallet()
    wallet = open_wallet("development:", network=NETWORK, environment={})

    async def settle(invoice: Invoice) -> None:
        await wallet.pay(invoice, max_fee_msat=0)

    async def payable() -> Invoice:
        return await buyer.create_invoice(21, memo="tea", expiry_s=600)

    return Stage(wallet, NETWORK, settle, payable, made_invoice(), None, None, "")


@asynccontextmanager
async def _recorded(kind: str, folder: Path) -> AsyncIterator[Stage]:
    node = Node()
    routes: dict[str, Callable[[Node], list[web.RouteDef]]] = {
        "lnd": lnd_routes,
        "cln": cln_routes,
        "phoenixd": phoenixd_routes,
        "lightning-address": address_routes,
    }
    file = folder / "credential"
    file.write_text(GOOD + "\n")
    async with listening(*routes[kind](node)) as host:
        is_address = kind == "lightning-address"
        address = f"{kind}:shop@{host}" if is_address else f"{kind}:http://{host}"
        wallet = open_wallet(address, network=NETWORK, environment={CREDENTIAL_FILE: str(file)})
        stranger = None
        if not is_address:
            wrong = {CREDENTIAL: "abcdef"}
            stranger = open_wallet(address, network=NETWORK, environment=wrong)
        try:
            if is_address:
                # Its invoices alone say how long they can be paid.
                yield replace(_on_node(node, wallet, None, ""), end=None)
            else:
                yield _on_node(node, wallet, stranger, GOOD)
        finally:
            await wallet.aclose()
            if stranger is not None:
                await stranger.aclose()


@asynccontextmanager
async def _nwc(folder: Path) -> AsyncIterator[Stage]:
    pytest.importorskip("nostr_sdk", reason="relays need the extra nwc")
    from support.nwc_service import nwc_service

    node = Node()
    async with nwc_service(node) as connection:
        file = folder / "credential"
        file.write_text(connection)
        wallet = open_wallet("nwc:", network=NETWORK, environment={CREDENTIAL_FILE: str(file)})
        try:
            yield _on_node(node, wallet, None, connection)
        finally:
            await wallet.aclose()


def _on_node(
    node: Node, wallet: GuardedWallet, stranger: GuardedWallet | None, credential: str
) -> Stage:
    async def settle(invoice: Invoice) -> None:
        node.settle(invoice)

    async def payable() -> Invoice:
        return node.payable()

    return Stage(wallet, NETWORK, settle, payable, made_invoice(), stranger, node.end, credential)


@asynccontextmanager
async def _lnbits(server: LnbitsServer) -> AsyncIterator[Stage]:
    def opened(key: str) -> GuardedWallet:
        return open_wallet(
            f"lnbits:{server.url}", network=Network.MAINNET, environment={CREDENTIAL: key}
        )

    wallet, buyer = opened(server.admin_key), opened(server.buyers_admin_key)
    stranger = opened("f" * 32)

    async def settle(invoice: Invoice) -> None:
        await buyer.pay(invoice, max_fee_msat=None)

    async def payable() -> Invoice:
        return await buyer.create_invoice(21, memo="tea", expiry_s=600)

    unpayable = made_invoice(10**15, network=Network.MAINNET)
    try:
        yield Stage(
            wallet, Network.MAINNET, settle, payable, unpayable, stranger, None, server.admin_key
        )
    finally:
        for each in (wallet, buyer, stranger):
            await each.aclose()
