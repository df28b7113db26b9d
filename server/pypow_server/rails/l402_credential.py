# SPDX-License-Identifier: Apache-2.0
"""A payment held against the call that it was made for, in either of the forms that callers send.

Both say the same of one invoice: what it bought, how many uses, until when. How long the spend
must be remembered is said by what the gate signed, and by no caveat: whoever narrows a macaroon
to end at once would else be forgotten at once, and could send the wider one again.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pypow import base64_json, l402, payment_lightning
from pypow.challenge import Key, Keyring
from pypow.errors import WireError
from pypow.l402 import Expected, Reason, Refusal, Terms
from pypow.l402_wire import L402Credential
from pypow.payment_headers import read_credential
from pypow.payment_reasons import Reason as PaymentReason
from pypow.payment_wire import PaymentCredential
from pypow_server import problems
from pypow_server.payment_fields import Paying, too_much
from pypow_server.problems import Problem

SERVICE: Final = "pypow"

_UNTIL_BYTES: Final = 6
_SATS_BYTES: Final = 6
_KEY_BYTES: Final = l402.TOKEN_ID_BYTES - l402.IDENTITY_BYTES
_PAY: Final = "pay the invoice of a fresh offer"

_PROBLEMS: Final[Mapping[Reason, Callable[[str], Problem]]] = {
    Reason.MALFORMED: problems.bad_signature,
    Reason.FOREIGN: problems.bad_signature,
    Reason.THIRD_PARTY: problems.bad_caveat,
    Reason.UNKNOWN_KEY: problems.unknown_key,
    Reason.BAD_MAC: problems.bad_signature,
    Reason.UNKNOWN_CAVEAT: problems.bad_caveat,
    Reason.BAD_CAVEAT: problems.bad_caveat,
    Reason.WIDENED: problems.bad_caveat,
    Reason.WRONG_SERVICE: problems.wrong_resource,
    Reason.EXPIRED: problems.expired,
    Reason.WRONG_CAPABILITY: problems.wrong_resource,
    Reason.WRONG_AUDIENCE: problems.wrong_resource,
    Reason.WRONG_TOOL: problems.wrong_resource,
    Reason.WRONG_BODY: problems.wrong_resource,
    Reason.WRONG_HOLDER: problems.wrong_principal,
    Reason.MISSING_CAVEAT: problems.bad_caveat,
    Reason.WRONG_PREIMAGE: problems.unpaid,
}


class Sold(NamedTuple):
    """What a payment buys, as its macaroon and its `Payment` challenge say.

    Attributes:
        bought: names the call, or the row of the price list, that it is for.
        uses: how many calls.
        until_s: Unix seconds; from then on it is worth nothing.
        sats: what is paid.
    """

    bought: str
    uses: int
    until_s: int
    sats: int

    def identity(self, random: bytes) -> bytes:
        """What names the macaroon, beside its key and its payment: 30 bytes.

        Args:
            random: 18 bytes or more.
        """
        said = self.until_s.to_bytes(_UNTIL_BYTES) + self.sats.to_bytes(_SATS_BYTES)
        return said + random[: l402.IDENTITY_BYTES - len(said)]

    def terms(self, *, audience: str, tool: str) -> Terms:
        """What the macaroon permits."""
        return Terms(
            service=SERVICE,
            valid_until_s=self.until_s,
            capabilities=(self.bought,),
            uses=self.uses,
            audience=audience,
            tool=tool,
        )

    def opaque(self, key: Key) -> dict[str, str]:
        """What the `Payment` challenge says besides what it asks for."""
        return {
            "for": self.bought,
            "key": str(key.id),
            "until": str(self.until_s),
            "uses": str(self.uses),
        }


class Bought(NamedTuple):
    """A payment that stands, and has yet to be spent.

    Attributes:
        payment_hash: 32 bytes.
        uses: how many calls it is good for.
        until_s: how long it must be remembered, Unix seconds.
        principal: who is charged.
        sats: what was paid.
        challenge_id: of the `Payment` challenge; None of a macaroon.
    """

    payment_hash: bytes
    uses: int
    until_s: int
    principal: str
    sats: int
    challenge_id: str | None = None


def judge(
    paying: Paying, keyring: Keyring, expected: Expected, *, realm: str, now_ms: int
) -> Bought | Problem | None:
    """Hold what a request pays with against the call; None where that is for somebody else.

    Args:
        paying: the fields that hold it.
        keyring: the deployment's secrets.
        expected: what the call asks for.
        realm: the host that is paid for.
        now_ms: Unix milliseconds.
    """
    wrong = too_much(paying)
    if wrong is not None:
        return wrong
    try:
        credential = read_credential(paying.fields)
        if isinstance(credential, L402Credential):
            return _judge_macaroons(credential, keyring, expected, now_s=now_ms // 1000)
        if isinstance(credential, PaymentCredential):
            return _judge_payment(credential, keyring, expected, realm=realm, now_ms=now_ms)
    except WireError as error:
        if error.reason == PaymentReason.CONFLICTING:
            return problems.conflicting_credentials(str(error))
        return problems.malformed_payment(str(error))
    return None


def _judge_macaroons(
    credential: L402Credential, keyring: Keyring, expected: Expected, *, now_s: int
) -> Bought | Problem:
    first: Refusal | None = None
    preimage = credential.preimage or b""
    for macaroon in credential.macaroons:
        found = l402.check(macaroon, preimage, keyring, expected, now_s=now_s)
        if not isinstance(found, Refusal):
            signed = found.token_id[_KEY_BYTES:]
            return Bought(
                found.payment_hash,
                found.uses or 1,
                int.from_bytes(signed[:_UNTIL_BYTES]),
                f"l402:{found.token_id.hex()}",
                int.from_bytes(signed[_UNTIL_BYTES : _UNTIL_BYTES + _SATS_BYTES]),
            )
        first = first or found
    assert first is not None
    return _PROBLEMS[first.reason](first.detail)


def _judge_payment(
    credential: PaymentCredential,
    keyring: Keyring,
    expected: Expected,
    *,
    realm: str,
    now_ms: int,
) -> Bought | Problem:
    """As `l402.check` does of macaroons: nothing is believed before the MAC is."""
    asked = credential.challenge
    said = base64_json.loads(asked.opaque or "", "opaque") if asked.opaque else {}
    key = _key_of(said, keyring)
    if key is None:
        return problems.unknown_key(f"the key of this challenge is not known here; {_PAY}")
    if not asked.is_ours(key.payment_mac):
        return problems.bad_signature(f"the challenge was not issued here, or was changed; {_PAY}")
    if asked.realm != realm or said["for"] != expected.capability:
        return problems.wrong_resource("the payment is for another call")
    until_s = int(said["until"])
    if now_ms >= 1000 * until_s:
        return problems.expired(f"the payment is past its time; {_PAY}")
    paid_for = payment_lightning.asked(asked)
    payment_hash = paid_for.payment_hash
    assert payment_hash is not None
    preimage = payment_lightning.preimage(credential)
    if not hmac.compare_digest(hashlib.sha256(preimage).digest(), payment_hash):
        return problems.unpaid("expected the preimage of the payment; pay the invoice")
    principal = f"l402:{payment_hash.hex()}"
    uses = int(said["uses"])
    return Bought(payment_hash, uses, until_s, principal, paid_for.amount_sat, asked.id)


def _key_of(said: Mapping[str, object], keyring: Keyring) -> Key | None:
    number = said.get("key")
    if not isinstance(number, str) or not (number.isascii() and number.isdigit()):
        return None
    return keyring.find(int(number)) if len(number) <= len("65535") else None
