# SPDX-License-Identifier: Apache-2.0
"""What callers say to the API and what it answers, for pydantic and for OpenAPI."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_RESOURCE: Final = 2000


class ChallengeQuery(BaseModel):
    """What a caller may say about the challenge it wants."""

    model_config = ConfigDict(extra="forbid")

    resource: str | None = Field(
        None,
        max_length=MAX_RESOURCE,
        description="The call it is for, such as `tools/call search` or `POST /v1/items`; "
        "any call of the default price where it is left out.",
    )
    puzzles: int | None = Field(
        None,
        description="The most sub-puzzles that the caller can do. "
        "Left out, the caller gets one puzzle of whole hex digits.",
        json_schema_extra={"enum": [1, 2, 4, 8, 16, 32, 64]},
    )


class NonceForm(BaseModel):
    """How the nonce of a sub-puzzle is written."""

    encoding: str
    width: int
    index_digits: int


class PublishedChallenge(BaseModel):
    """A challenge: find a nonce so that SHA-256(challenge || nonce) is at most the target."""

    challenge: str
    difficulty: int = Field(description="Leading zero hex digits that are surely enough.")
    algorithm: str
    bits: float = Field(description="Expected work, as a power of two.")
    target: str = Field(description="256 bits in hex, inclusive.")
    puzzles: int
    expires_at: int = Field(description="Unix seconds.")
    nonce: NonceForm
    sats: int | None = Field(
        None,
        description="The price in satoshis, for who would rather pay: make the call, and pay the "
        "invoice of its refusal. Left out where the call is not sold for sats.",
    )


class SentProof(BaseModel):
    """A challenge, and the nonce that wins it."""

    challenge: str
    nonce: str = Field(description="One for each sub-puzzle, joined by dots.")
    resource: str | None = Field(
        None,
        max_length=MAX_RESOURCE,
        description="The call that the challenge was for, such as `tools/call search`: where its "
        "price sells passes of several calls, this buys one. Not needed for a challenge for any "
        "call.",
    )


class VerifyQuery(BaseModel):
    """How a caller wants its pass."""

    model_config = ConfigDict(extra="forbid")

    cookie: Literal["1"] | None = Field(
        None, description="`1`: as the cookie `pypow_pass`, which no script can read."
    )


class BoughtPass(BaseModel):
    """A bearer credential for what the proof paid for."""

    text: str | None = Field(
        None,
        alias="pass",
        description="Send it as `Authorization: Bearer <pass>`. Left out where it is a cookie.",
    )
    calls: int = Field(description="0: as many as fit in its time.")
    expires_at: int = Field(description="Unix seconds.")
    thumbprint: str | None = Field(
        None,
        description="The key that it is bound to (RFC 7638): send it as `Authorization: DPoP "
        "<pass>`, with a proof of that key. Left out where it is bound to none.",
    )


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457); docs/errors.md lists the types."""

    type: str
    title: str
    status: int
    detail: str
    decision: str
