# SPDX-License-Identifier: Apache-2.0
"""Issue a challenge and check a proof: pure functions of bytes, keys and a clock value.

Issuing writes nothing anywhere. Checking goes from cheap to dear and ends before the ledger:
whoever admits on a `Checked` proof must still spend ``challenge.id`` there, exactly once.
"""

import enum
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TypeAlias

from . import _bridge_checks, difficulty, wire
from .errors import InvalidInputError, WireError, shown
from .wire import ANY_RESOURCE, ANYONE, Challenge, Proof

DEFAULT_LIFETIME_S = 120
MAX_CLOCK_SKEW_MS: int = _bridge_checks.MAX_CLOCK_SKEW_MS
"""How far ahead another replica's clock may be."""

MIN_SECRET_BYTES = 16


_PURPOSES = ("challenge", "pass", "resource", "principal", "macaroon", "standing", "payment")


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of a deployment, and the keys derived from it, one for each purpose.

    Attributes:
        id: 0 to 65535; travels in what it signs.
        secret: at least 16 random bytes; never shown.
    """

    id: int
    secret: bytes = field(repr=False)
    challenge_mac: bytes = field(init=False, repr=False)
    pass_mac: bytes = field(init=False, repr=False)
    resource_mac: bytes = field(init=False, repr=False)
    principal_mac: bytes = field(init=False, repr=False)
    macaroon_mac: bytes = field(init=False, repr=False)
    standing_mac: bytes = field(init=False, repr=False)
    payment_mac: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, int) or not 0 <= self.id <= 0xFFFF:
            raise InvalidInputError(f"expected a key id from 0 to 65535, got {shown(self.id)}")
        if not isinstance(self.secret, bytes) or len(self.secret) < MIN_SECRET_BYTES:
            raise InvalidInputError(
                f"expected a secret of at least {MIN_SECRET_BYTES} bytes for key {self.id}; "
                "make one with os.urandom(32)"
            )
        for purpose in _PURPOSES:
            derived = hkdf_sha256(self.secret, info=f"pypow 1 {purpose}".encode())
            object.__setattr__(self, f"{purpose}_mac", derived)


class Keyring:
    """The secrets of a deployment: the first signs, all verify.

    Attributes:
        signing: the key that signs.
        mac_keys: what checks challenges, prepared for the C core; as secret as the keys.
        macaroon_keys: what checks macaroons, likewise.
    """

    __slots__ = ("_by_id", "mac_keys", "macaroon_keys", "signing")

    def __init__(self, keys: Iterable[Key]) -> None:
        ordered = tuple(keys)
        self._by_id = {key.id: key for key in ordered}
        if not ordered or len(self._by_id) != len(ordered):
            raise InvalidInputError(
                f"expected one or more keys with different ids, got ids {[k.id for k in ordered]}"
            )
        self.signing: Key = ordered[0]
        self.mac_keys = _bridge_checks.MacKeys([(key.id, key.challenge_mac) for key in ordered])
        self.macaroon_keys = _bridge_checks.MacKeys([(k.id, k.macaroon_mac) for k in ordered])

    def __reduce__(self) -> tuple[type["Keyring"], tuple[tuple[Key, ...]]]:
        return Keyring, (self.keys,)

    @property
    def keys(self) -> tuple[Key, ...]:
        """All of them, the signing one first."""
        return tuple(self._by_id.values())

    def find(self, key_id: int) -> Key | None:
        """The key with this id, or None."""
        return self._by_id.get(key_id)


class Reason(enum.StrEnum):
    """Why a proof was not accepted; the values are stable and travel in problems and logs."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_MAC = "bad_mac"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    STALE_EPOCH = "stale_epoch"
    WRONG_RESOURCE = "wrong_resource"
    UNDERWEIGHT = "underweight"
    WRONG_PRINCIPAL = "wrong_principal"
    WRONG_NONCES = "wrong_nonces"
    NOT_ENOUGH_WORK = "not_enough_work"


# By the numbers of the C core, in which 0 is a proof that stands.
_REASONS = dict(enumerate(Reason, start=1))


def reason_of_code(code: int) -> Reason | None:
    """What a code of `pypow.check_batch` stands for; None is a proof that stands.

    Raises:
        InvalidInputError: there is no such code.
    """
    given: object = code  # an int, or an element of the array that `check_batch` gives
    known = isinstance(given, Integral) and not isinstance(given, bool)
    reason = _REASONS.get(code) if known else None
    if not known or (reason is None and code != _bridge_checks.STANDS):
        raise InvalidInputError(f"expected a code from 0 to {len(_REASONS)}, got {shown(code)}")
    return reason


@dataclass(frozen=True, slots=True)
class Checked:
    """A proof that stands in every respect but one: its challenge has yet to be spent."""

    challenge: Challenge


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proof that does not stand; ``detail`` says what was expected, what came, what to do."""

    reason: Reason
    detail: str


Outcome: TypeAlias = Checked | Refusal


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proof is held against, besides its own signed bytes.

    Attributes:
        now_ms: Unix milliseconds.
        epoch: the ledger's epoch.
        resource: 12 bytes, what the caller asks for.
        weight: what that costs, in units.
        principal: 12 bytes, who asks; `ANYONE` when the gate does not bind principals.
    """

    now_ms: int
    epoch: int
    resource: bytes = ANY_RESOURCE
    weight: int = 1
    principal: bytes = ANYONE


class Issuer:
    """Issues challenges on the same terms, which are checked and packed once.

    Attributes:
        terms: a challenge of the beginning of time that nothing has signed.
    """

    __slots__ = ("_head", "_key", "_lifetime", "_tail", "terms")

    def __init__(
        self,
        key: Key,
        *,
        q: int,
        puzzles: int = 1,
        weight: int = 1,
        lifetime_s: int = DEFAULT_LIFETIME_S,
        resource: bytes = ANY_RESOURCE,
        principal: bytes = ANYONE,
        overdraft: int = 0,
    ) -> None:
        """Take the terms.

        Args:
            key: what signs.
            q: total difficulty in 1/1024 bit.
            puzzles: the most sub-puzzles the caller can do; lowered until each keeps 10 bits.
            weight: cost of the call in units.
            lifetime_s: 1 to 600.
            resource: 12 bytes, what is bought.
            principal: 12 bytes, whom it is for.
            overdraft: the surcharge at issue, in 1/8 bit.

        Raises:
            InvalidInputError: a value outside its range, or sub-puzzles above 44 bits.
        """
        self.terms = Challenge(
            puzzles=difficulty.split(q, puzzles),
            overdraft=overdraft,
            q=q,
            weight=weight,
            key=key.id,
            epoch=0,
            issued_at_ms=0,
            lifetime_s=lifetime_s,
            id=bytes(wire.ID_BYTES),
            resource=resource,
            principal=principal,
            mac=bytes(wire.MAC_BYTES),
        )
        self._key = key.challenge_mac
        self._head, self._lifetime, self._tail = wire.around_moment(self.terms)

    def issue(self, *, now_ms: int, epoch: int, identity: bytes) -> bytes:
        """The 78 octets of a challenge. Writes nothing; costs one HMAC.

        Args:
            now_ms: Unix milliseconds.
            epoch: the ledger's.
            identity: 16 fresh random bytes (``os.urandom(16)``).

        Raises:
            InvalidInputError: a value outside its range.
        """
        try:
            moment = epoch.to_bytes(4) + now_ms.to_bytes(6)
            signed = b"".join((self._head, moment, self._lifetime, identity, self._tail))
        except (AttributeError, TypeError, OverflowError):
            signed = b""
        if len(signed) != wire.CHALLENGE_BYTES - wire.MAC_BYTES:
            # Which looks at every field, and says what is wrong.
            replace(self.terms, issued_at_ms=now_ms, epoch=epoch, id=identity)
        return signed + hmac.digest(self._key, signed, "sha256")[: wire.MAC_BYTES]


def issue(
    key: Key,
    *,
    q: int,
    now_ms: int,
    epoch: int,
    identity: bytes,
    puzzles: int = 1,
    weight: int = 1,
    lifetime_s: int = DEFAULT_LIFETIME_S,
    resource: bytes = ANY_RESOURCE,
    principal: bytes = ANYONE,
    overdraft: int = 0,
) -> Challenge:
    """Make a signed challenge; the arguments are those of `Issuer` and of its ``issue``.

    Raises:
        InvalidInputError: a value outside its range, or sub-puzzles above 44 bits.
    """
    issuer = Issuer(
        key,
        q=q,
        puzzles=puzzles,
        weight=weight,
        lifetime_s=lifetime_s,
        resource=resource,
        principal=principal,
        overdraft=overdraft,
    )
    return wire.challenge_of_octets(issuer.issue(now_ms=now_ms, epoch=epoch, identity=identity))


def check(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    """Hold a proof against what was signed, what is asked for, and the work it claims.

    Difficulty comes from the signed bytes only: a price that rose since breaks no proof.
    Reaches no store, and is one native call. A forged challenge costs one HMAC; a bad nonce one
    hash more.

    Returns:
        `Checked`, or a `Refusal` with the reason that is found first.

    Raises:
        InvalidInputError: ``expected`` holds what cannot be expected of any challenge.
    """
    reason, octets = _bridge_checks.check_challenge(
        keyring.mac_keys,
        expected.now_ms,
        expected.epoch,
        expected.weight,
        expected.resource,
        expected.principal,
        proof.challenge if isinstance(proof.challenge, str) else "",
        proof.nonces,
    )
    if reason != _bridge_checks.STANDS:
        return _refusal(_REASONS[reason], proof, expected)
    return Checked(wire.challenge_of_octets(octets))


def _refusal(reason: Reason, proof: Proof, expected: Expected) -> Refusal:
    """The refusal for a reason that the C core found, in words."""
    try:
        challenge = wire.decode_challenge(proof.challenge or "")
        if reason is Reason.WRONG_NONCES:
            wire.require_nonces(challenge, proof.nonces)
    except WireError as error:
        return Refusal(reason, str(error))
    return Refusal(reason, _detail(reason, challenge, proof, expected))


def _detail(reason: Reason, challenge: Challenge, proof: Proof, expected: Expected) -> str:
    match reason:
        case Reason.UNKNOWN_KEY:
            return f"key {challenge.key} is not known here; fetch a new challenge"
        case Reason.NOT_YET_VALID:
            return "the challenge is dated in the future; the clocks of the gates differ"
        case Reason.EXPIRED:
            late_s = (expected.now_ms - challenge.expires_at_ms) / 1000
            return f"the challenge expired {late_s:.1f} s ago; fetch a new one"
        case Reason.UNDERWEIGHT:
            return (
                f"the call costs {expected.weight} units and the challenge is good for "
                f"{challenge.weight}; fetch one for this call"
            )
        case Reason.NOT_ENOUGH_WORK:
            _, failed = _bridge_checks.check_work(challenge.text, proof.nonces)
            return (
                f"SHA-256(challenge || nonce) of nonce {failed} is not below the target: expected "
                f"at least {difficulty.bits(challenge.sub_q):.2f} bits of work; solve on"
            )
        case _:
            return _DETAILS[reason]


_DETAILS = {
    Reason.MALFORMED: "expected a well-formed challenge; fetch a new one",
    Reason.BAD_MAC: "the challenge was not issued here, or was changed; fetch a new one",
    Reason.STALE_EPOCH: "the ledger was renewed since the challenge was issued; fetch a new one",
    Reason.WRONG_RESOURCE: "the challenge was issued for another call; fetch one for this",
    Reason.WRONG_PRINCIPAL: "the challenge was issued to another caller; fetch your own",
    Reason.WRONG_NONCES: "expected one nonce for each sub-puzzle",
}


def work_stands(challenge: Challenge, nonces: tuple[bytes, ...]) -> bool:
    """Whether these are nonces of the challenge, and all win. One native call."""
    reason, _ = _bridge_checks.check_work(challenge.text, nonces)
    return reason == _bridge_checks.STANDS


def scope_digest(key: bytes, *parts: bytes) -> bytes:
    """12 bytes that name a resource or a principal, unreadable without the key.

    Every part is preceded by its length, so that no two lists of parts read alike. Never the
    twelve zero bytes, which mean "any".
    """
    message = b"".join(len(part).to_bytes(4) + part for part in parts)
    digest = hmac.digest(key, message, "sha256")[:12]
    return digest if any(digest) else b"\xff" * 12


def hkdf_sha256(secret: bytes, *, info: bytes, length: int = 32) -> bytes:
    """HKDF with SHA-256 and no salt (RFC 5869), for at most 32 bytes: one expansion block."""
    if not 1 <= length <= hashlib.sha256().digest_size:
        raise InvalidInputError(f"expected a key length of 1 to 32 bytes, got {length}")
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:length]
