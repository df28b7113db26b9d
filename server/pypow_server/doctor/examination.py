# SPDX-License-Identifier: Apache-2.0
"""All checks of a gate, one after the other."""

import time
from collections.abc import Callable

from pypow_server.settings import Settings
from pypow_server.stores import Store

from . import Finding, clock, keys, logins, store, upstream, wallet
from .exchange import exchange
from .public import PublicUrl, own_address


async def examine(settings: Settings, open_store: Callable[[str], Store]) -> list[Finding]:
    """Look at a gate with these settings.

    Args:
        settings: the gate's own.
        open_store: opens the store of a URL; raises `StoreError`.
    """
    findings, keyring = keys.check(settings.key_file)
    findings += await store.check(settings.store_url, open_store)
    findings += await wallet.check(settings)
    findings += await logins.check(settings)
    if settings.forward_auth is None:
        async with exchange() as direct:
            findings += await upstream.check(direct, settings.upstream, settings.mcp_paths)
    source, seen_as = own_address(settings.url)
    async with exchange(source=source) as outside:
        public = PublicUrl(outside, url=settings.url, admin_url=settings.admin.url, source=seen_as)
        findings += await public.check(keyring)
    ahead_s = {} if public.ahead_s is None else {settings.url: public.ahead_s}
    return [*findings, *clock.check(time.time_ns() // 1_000_000, ahead_s)]
