# SPDX-License-Identifier: Apache-2.0
"""PyPI pympp, the client of the ``Payment`` scheme, with a method for Lightning."""

import asyncio
from typing import Any

from mpp import Credential
from mpp.client.transport import Mpp
from mpp.methods import Method
from mpp.runtime import ClientMethod, CredentialParams
from pydantic import BaseModel

from interop.python_clients.paying import Fetch, pay, run


class Anything(BaseModel):
    model_config = {"extra": "allow"}


async def credential(params: CredentialParams) -> str:
    details: dict[str, Any] = params.challenge.request["methodDetails"]
    preimage = pay(details["invoice"])
    made = Credential(challenge=params.challenge.to_echo(), payload={"preimage": preimage})
    authorization: str = made.to_authorization()
    return authorization


LIGHTNING = ClientMethod(
    method=Method(
        name="lightning", intent="charge", request_model=Anything, payload_model=Anything
    ),
    create_credential=credential,
)


async def fetched(url: str) -> tuple[int, str]:
    async with Mpp(methods=[LIGHTNING]) as client:
        answer = await client.fetch(url)
        return answer.status_code, answer.text


def client() -> Fetch:
    return lambda url: asyncio.run(fetched(url))


run(client)
