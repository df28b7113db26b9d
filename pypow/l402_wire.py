# SPDX-License-Identifier: Apache-2.0
"""L402 as it is spoken (and LSAT, its old name): the challenge, and the credential for it.

Clients differ in what they read of a challenge, so ours says everything twice, in the one order
that all of them read; and they differ in how they write a credential, so all of that is read. What
a macaroon says is not looked at in here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from . import base64_text
from .auth_params import AuthChallenge, quoted, read_challenges
from .errors import WireError
from .payment_reasons import Reason

SCHEMES: Final = frozenset({"l402", "lsat"})
MAX_CREDENTIAL: Final = 8 * 1024
"""Characters of a credential that are read."""

MAX_MACAROONS: Final = 4
PREIMAGE_CAVEAT: Final = b"preimage="
"""With what a macaroon's caveat begins that holds the preimage, where no header does."""

_PREIMAGE = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class L402Challenge:
    """What a server asks for.

    Attributes:
        token: a macaroon in base64, as it is to be sent back; other servers have other tokens.
        invoice: what is to be paid, as BOLT 11 writes it.
    """

    token: str
    invoice: str

    @classmethod
    def of(cls, macaroon: bytes, invoice: str) -> "L402Challenge":
        """The challenge for a macaroon, in the base64 that every client reads."""
        return cls(base64_text.encode(macaroon), invoice)

    def www_authenticate(self) -> str:
        """The value of ``WWW-Authenticate``, in the form and order that all clients read."""
        token, invoice = quoted(self.token), quoted(self.invoice)
        return f'L402 macaroon={token}, invoice={invoice}, version="0", token={token}'

    def lsat_www_authenticate(self) -> str:
        """The same by its old name; clients that read it answer by that name."""
        return f"LSAT macaroon={quoted(self.token)}, invoice={quoted(self.invoice)}"

    def authorization(self, preimage: bytes) -> str:
        """The value of ``Authorization`` of whoever paid."""
        return f"L402 {self.token}:{preimage.hex()}"


def read_l402_challenges(values: Iterable[str]) -> tuple[L402Challenge, ...]:
    """The L402 challenges in the values of ``WWW-Authenticate``, each once, in order.

    What is incomplete, contradicts itself or cannot be read is left out: another may be whole.
    """
    found: dict[L402Challenge, None] = {}
    for value in values:
        try:
            challenges = read_challenges(value)
        except WireError:
            continue
        for challenge in challenges:
            offer = _challenge(challenge)
            if offer is not None:
                found[offer] = None
    return tuple(found)


def _challenge(challenge: AuthChallenge) -> L402Challenge | None:
    said = challenge.parameters
    tokens = {said[name] for name in ("macaroon", "token") if said.get(name)}
    if challenge.scheme not in SCHEMES or len(tokens) != 1 or not said.get("invoice"):
        return None
    return L402Challenge(tokens.pop(), said["invoice"])


@dataclass(frozen=True, slots=True)
class L402Credential:
    """What a caller sends back.

    Attributes:
        macaroons: one or more, binary or JSON, as octets; not yet read.
        preimage: 32 bytes; None where a caveat of the macaroon holds it.
    """

    macaroons: tuple[bytes, ...] = field(repr=False)
    preimage: bytes | None = field(repr=False)


def credential_from_authorization(parameters: str) -> L402Credential:
    """Read what follows ``Authorization: L402``: ``<macaroon>[,<macaroon>...]:<preimage>``.

    A macaroon is base64 of either alphabet, padded or not, or its JSON as it is; the preimage is
    hex in either case.

    Raises:
        WireError: anything else; ``reason`` is a `Reason`.
    """
    if len(parameters) > MAX_CREDENTIAL:
        raise WireError(
            f"expected a credential of at most {MAX_CREDENTIAL} characters, got {len(parameters)}",
            reason=Reason.TOO_LONG,
        )
    tokens, colon, preimage = parameters.rpartition(":")
    if not colon:
        raise WireError("expected L402 <macaroon>:<preimage>, got no colon")
    preimage = preimage.strip(" \t")
    if not _PREIMAGE.fullmatch(preimage):
        # What came is not quoted: it may be a preimage nevertheless.
        raise WireError(
            f"expected a preimage of 64 hex digits, got {len(preimage)} other characters",
            reason=Reason.BAD_PREIMAGE,
        )
    return L402Credential(_macaroons(tokens.strip(" \t")), bytes.fromhex(preimage))


def _macaroons(tokens: str) -> tuple[bytes, ...]:
    if tokens.startswith("{") and tokens.isascii():
        return (tokens.encode("ascii"),)
    texts = [text.strip(" \t") for text in tokens.split(",")]
    if not 1 <= len(texts) <= MAX_MACAROONS or not all(texts):
        raise WireError(
            f"expected 1 to {MAX_MACAROONS} macaroons with commas between them, got {len(texts)}",
            reason=Reason.BAD_MACAROON,
        )
    try:
        return tuple(map(base64_text.decode_either, texts))
    except WireError:
        raise WireError(
            "expected a macaroon in base64, got other text", Reason.BAD_MACAROON
        ) from None


def credential_from_metadata(value: str) -> L402Credential | None:
    """Read a ``Macaroon`` or ``Grpc-Metadata-Macaroon`` header: hex, with the preimage in a caveat.

    None for anything else: by the same name Lightning nodes get credentials of their own, which
    are not for a gate before them.
    """
    text = value.strip(" \t")
    if len(text) > 2 * MAX_CREDENTIAL or not _HEX.fullmatch(text):
        return None
    macaroon = bytes.fromhex(text)
    return L402Credential((macaroon,), None) if PREIMAGE_CAVEAT in macaroon else None
