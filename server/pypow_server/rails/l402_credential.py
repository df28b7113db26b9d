# SPDX-License-Identifier: Apache-2.0
"""A payment held against the call that it was made for, in either of the forms that callers send.

Both say the same of one invoice, which is what was offered when it was made: what it bought, how
many uses, for how long, for how much. How long the spend must be remembered is said by what the
gate signed, and by no caveat: whoever narrows a macaroon to end at once would else be forgotten at
once, and could send the wider one again.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from pypow import base64_json, l402, macaroon, payment_lightning, payment_wire
from pypow.challenge import Key, Keyring
from pypow.errors import WireError
from pypow.l402 import Checked, Expected, Outcome, Reason, Refusal, Terms
from pypow.l402_wire import PREIMAGE_CAVEAT, L402Credential
from pypow.payment_headers import read_credential
from pypow.payment_reasons import Reason as PaymentReason
from pypow.payment_wire import PaymentCredential
from pypow_server import problems
from pypow_server.payment_fields import Paying, too_much
from pypow_server.price import MAX_PASS_CALLS
from pypow_server.problems import Problem

SERVICE: Final = "pypow"

Digest: TypeAlias = Callable[[], bytes]
"""SHA-256 of the arguments of a call; empty for a call whose body is not read."""

ANY_NUMBER: Final = MAX_PASS_CALLS
"""Uses of a payment for a time: its pass has no end of calls, and what a ledger notes of one
payment has."""

_SIGNED: Final = struct.Struct(">QIII")
_KEY_BYTES: Final = l402.TOKEN_ID_BYTES - l402.IDENTITY_BYTES
_USES_CAVEAT: Final = b"pypow_uses="
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
        sats: what was asked for it.
        expires_s: until when the invoice can be paid, Unix seconds.
        after_s: how long after that a payment is honoured.
        uses: how many calls; None for as many as fit in its time.
        lasts_s: its time: how long after ``expires_s`` it is good for any number of calls; 0
            where calls are counted.
        body: SHA-256 of the only arguments of the call, or nothing.
    """

    bought: str
    sats: int
    expires_s: int
    after_s: int
    uses: int | None = 1
    lasts_s: int = 0
    body: bytes = b""

    @property
    def until_s(self) -> int:
        """When it is worth nothing any more, and may be forgotten; Unix seconds."""
        return self.expires_s + self.after_s

    @property
    def form(self) -> tuple[str, int | None, int, bytes]:
        """What tells two of them apart that cost the same."""
        return (self.bought, self.uses, self.lasts_s, self.body)

    def identity(self, random: bytes) -> bytes:
        """What names the macaroon, beside its key and its payment: 30 bytes.

        Args:
            random: 10 bytes or more.
        """
        signed = _SIGNED.pack(self.expires_s, self.after_s, self.lasts_s, self.sats)
        return signed + random[: l402.IDENTITY_BYTES - _SIGNED.size]

    @classmethod
    def of_token(cls, token_id: bytes, bought: str, uses: int | None) -> "Sold":
        """What `identity` says, and what the macaroon's caveats do."""
        expires_s, after_s, lasts_s, sats = _SIGNED.unpack_from(token_id, _KEY_BYTES)
        return cls(bought, sats, expires_s, after_s, uses, lasts_s)

    def terms(self, *, audience: str, tool: str) -> Terms:
        """What the macaroon permits."""
        return Terms(
            service=SERVICE,
            valid_until_s=self.until_s,
            capabilities=(self.bought,),
            uses=self.uses,
            audience=audience,
            tool=tool,
            body=self.body,
        )

    def opaque(self, key: Key) -> dict[str, str]:
        """What the `Payment` challenge says besides what it asks for."""
        body = {"body": self.body.hex()} if self.body else {}
        return {
            **body,
            "after": str(self.after_s),
            "expires": str(self.expires_s),
            "for": self.bought,
            "key": str(key.id),
            "lasts": str(self.lasts_s),
            "uses": str(self.uses or 0),
        }

    @classmethod
    def of_opaque(cls, said: Mapping[str, object], sats: int) -> "Sold":
        """What `opaque` says; only of a challenge whose MAC stands."""
        number = {name: int(str(said[name])) for name in ("after", "expires", "lasts", "uses")}
        return cls(
            str(said["for"]),
            sats,
            number["expires"],
            number["after"],
            number["uses"] or None,
            number["lasts"],
            bytes.fromhex(str(said.get("body", ""))),
        )


class Bought(NamedTuple):
    """A payment that stands, and has yet to be spent.

    Attributes:
        payment_hash: 32 bytes.
        sold: what it buys.
        uses: how many calls its holder may make of these; None for any number.
        key: what signed that.
        principal: who is charged.
        challenge_id: of the `Payment` challenge; None of a macaroon.
        is_whole: whether its holder may do all that was bought, and not a part.
    """

    payment_hash: bytes
    sold: Sold
    uses: int | None
    key: Key
    principal: str
    challenge_id: str | None = None
    is_whole: bool = True


def judge(
    paying: Paying,
    keyring: Keyring,
    expected: Sequence[Expected],
    *,
    realm: str,
    body: Digest,
    now_ms: int,
) -> Bought | Problem | None:
    """Hold what a request pays with against the call; None where that is for somebody else.

    Args:
        paying: the fields that hold it.
        keyring: the deployment's secrets.
        expected: what the call asks for, in each form in which it may have been sold.
        realm: the host that is paid for.
        body: the digest of the call's arguments, reckoned for payments that are bound to some.
        now_ms: Unix milliseconds.
    """
    wrong = too_much(paying)
    if wrong is not None:
        return wrong
    try:
        credential = read_credential(paying.fields)
        if isinstance(credential, L402Credential):
            return _judge_macaroons(
                credential, keyring, expected, realm=realm, body=body, now_s=now_ms // 1000
            )
        if isinstance(credential, PaymentCredential):
            return _judge_payment(
                credential, keyring, expected, realm=realm, body=body, now_ms=now_ms
            )
    except WireError as error:
        if error.reason == PaymentReason.CONFLICTING:
            return problems.conflicting_credentials(str(error))
        return problems.malformed_payment(str(error))
    return None


def _judge_macaroons(
    credential: L402Credential,
    keyring: Keyring,
    expected: Sequence[Expected],
    *,
    realm: str,
    body: Digest,
    now_s: int,
) -> Bought | Problem:
    refusal: Refusal | None = None
    preimage = credential.preimage or b""
    for octets in credential.macaroons:
        found, bought = _check(octets, preimage, keyring, expected, body=body, now_s=now_s)
        if isinstance(found, Checked):
            return _bought(found, octets, keyring, bought, realm)
        refusal = refusal or found
    assert refusal is not None
    return _PROBLEMS[refusal.reason](refusal.detail)


def _check(
    octets: bytes,
    preimage: bytes,
    keyring: Keyring,
    expected: Sequence[Expected],
    *,
    body: Digest,
    now_s: int,
) -> tuple[Outcome, str]:
    """What is found of a macaroon, and in which of the forms it was sold."""
    for form in expected:
        found = l402.check(octets, preimage, keyring, form, now_s=now_s)
        if isinstance(found, Checked) or found.reason is not Reason.WRONG_CAPABILITY:
            break
    if isinstance(found, Refusal) and found.reason is Reason.WRONG_BODY:
        bound = replace(form, body=body())
        found = l402.check(octets, preimage, keyring, bound, now_s=now_s)
    return found, form.capability


def _bought(found: Checked, octets: bytes, keyring: Keyring, bought: str, realm: str) -> Bought:
    caveats = macaroon.macaroon_of_octets(octets).caveats
    sold = Sold.of_token(found.token_id, bought, None)
    is_whole = True
    if sold.lasts_s:
        issued = sold.terms(audience=realm, tool="").caveats
        is_whole = issued == tuple(one for one in caveats if not one.startswith(PREIMAGE_CAVEAT))
    else:
        # The first one is ours, where calls were sold; its holder may have added lower ones.
        uses = next(one for one in caveats if one.startswith(_USES_CAVEAT))
        sold = sold._replace(uses=int(uses.removeprefix(_USES_CAVEAT)))
    key = keyring.find(int.from_bytes(found.token_id[:_KEY_BYTES]))
    assert key is not None
    principal = f"l402:{found.token_id.hex()}"
    return Bought(found.payment_hash, sold, found.uses, key, principal, is_whole=is_whole)


def _judge_payment(
    credential: PaymentCredential,
    keyring: Keyring,
    expected: Sequence[Expected],
    *,
    realm: str,
    body: Digest,
    now_ms: int,
) -> Bought | Problem:
    """As `l402.check` does of macaroons: nothing is believed before the MAC is."""
    asked = credential.challenge
    said = base64_json.loads(asked.opaque or "", "opaque") if asked.opaque else {}
    key = _key_of(said, keyring)
    if key is None:
        return problems.unknown_key(f"the key of this challenge is not known here; {_PAY}")
    # Clients that know of no other header for credentials do not repeat which one we named.
    named = replace(asked, header=payment_wire.CREDENTIAL_HEADER)
    if not (asked.is_ours(key.payment_mac) or named.is_ours(key.payment_mac)):
        return problems.bad_signature(f"the challenge was not issued here, or was changed; {_PAY}")
    if asked.realm != realm or said["for"] not in [form.capability for form in expected]:
        return problems.wrong_resource("the payment is for another call")
    paid = payment_lightning.asked(asked)
    sold = Sold.of_opaque(said, paid.amount_sat)
    if sold.body and sold.body != body():
        return problems.wrong_resource("the payment is for other arguments")
    if now_ms >= 1000 * sold.until_s:
        return problems.expired(f"the payment is past its time; {_PAY}")
    payment_hash = paid.payment_hash
    assert payment_hash is not None
    preimage = payment_lightning.preimage(credential)
    if not hmac.compare_digest(hashlib.sha256(preimage).digest(), payment_hash):
        return problems.unpaid("expected the preimage of the payment; pay the invoice")
    return Bought(payment_hash, sold, sold.uses, key, f"l402:{payment_hash.hex()}", asked.id)


def _key_of(said: Mapping[str, object], keyring: Keyring) -> Key | None:
    number = said.get("key")
    if not isinstance(number, str) or not (number.isascii() and number.isdigit()):
        return None
    return keyring.find(int(number)) if len(number) <= len("65535") else None
