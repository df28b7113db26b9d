# SPDX-License-Identifier: Apache-2.0
"""Callers who buy with sats, for the load of `support.proof_load`: the proof is a payment."""

from dataclasses import dataclass, field

import aiohttp

from support.asgi_client import Answer
from support.proof_load import PROOF_NAME, Headers
from support.selling import l402_credential, payment_credential


@dataclass(frozen=True, slots=True)
class Purse:
    """What was paid for, by payment hash, with the headers that show it."""

    paid: dict[str, Headers] = field(default_factory=dict)

    async def buy(self, session: aiohttp.ClientSession, url: str) -> tuple[str, Headers] | None:
        """Pay the invoice that a call is refused with; None when there is no answer.

        Half of all payments are shown as L402 and half by the `Payment` scheme.
        """
        try:
            async with session.post(f"{url}/x") as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        refusal = Answer(answer.status, list(answer.raw_headers), body, {})
        name = str((await answer.json(content_type=None))["payment_hash"])
        show = l402_credential if int(name, 16) % 2 else payment_credential
        self.paid[name] = {"Authorization": show(refusal).decode(), PROOF_NAME: name}
        return name, self.paid[name]
