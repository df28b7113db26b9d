# SPDX-License-Identifier: Apache-2.0
"""Why a request is not taken for one of the key's holder, and how it is told (RFC 9449, 7.1)."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from pypow.auth_params import quoted


class DpopError(enum.StrEnum):
    """The error codes; they say which of the two credentials to replace."""

    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code
    """The token: it is bound to another key, or to none. No proof helps."""
    INVALID_PROOF = "invalid_dpop_proof"
    """The proof: the same token with a fresh proof may do."""
    USE_NONCE = "use_dpop_nonce"
    """The proof lacks a nonce that counts now; ``DPoP-Nonce`` has one (section 9)."""


@dataclass(frozen=True, slots=True)
class DpopFault:
    """What is wrong.

    Attributes:
        error: the code.
        detail: one sentence: what was expected and what to do. Nothing that came is quoted, so
            that it may stand in a header.
    """

    error: DpopError
    detail: str


def challenge(algorithms: Iterable[str], fault: DpopFault | None = None, **parameters: str) -> str:
    """The value of ``WWW-Authenticate`` that asks for a DPoP-bound token.

    >>> challenge(["ES256"], scope="tools:read")
    'DPoP algs="ES256", scope="tools:read"'

    Args:
        algorithms: that proofs may be signed with.
        fault: why; None where no token came.
        parameters: more of them, such as ``resource_metadata``.

    Raises:
        WireError: a parameter that no header can carry.
    """
    said = {} if fault is None else {"error": fault.error.value, "error_description": fault.detail}
    said |= {"algs": " ".join(algorithms), **parameters}
    return "DPoP " + ", ".join(f"{name}={quoted(text)}" for name, text in said.items())
