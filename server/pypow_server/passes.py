# SPDX-License-Identifier: Apache-2.0
"""Passes: short-lived bearer credentials, ``pyp_`` and 135 characters of base64url.

A pass is bought with one proof and saves its holder the next ones. It is 101 bytes, fixed width,
big-endian, signed under its own key. Passes with a number of calls are spent in the ledger, once
for each call; passes without one are good until they expire and touch no store. Like
`pypow.challenge`, this is a pure function of bytes, keys and a clock value.
"""

import base64
import hmac
import re
import struct
from dataclasses import dataclass, field, replace

from pypow.challenge import Expected, Key, Keyring, Reason, Refusal
from pypow.errors import WireError
from pypow.wire import ANY_RESOURCE, ANYONE, MAC_BYTES

VERSION = 1
PREFIX = "pyp_"
UNBOUND = bytes(32)
"""The thumbprint of a pass that any holder may use."""

_LAYOUT = struct.Struct(">BH16s12s12sHH6s32s16s")
# 135 characters hold two bits more than 101 bytes. The last one leaves them zero, so that a pass
# has one text.
_TEXT = re.compile(r"pyp_[A-Za-z0-9_-]{134}[AEIMQUYcgkosw048]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a holder presents instead of a proof (version 1).

    Attributes:
        key: which secret signed it, 0 to 65535.
        id: 16 random bytes; what the ledger spends.
        resource: 12 bytes, what it is good for; `ANY_RESOURCE` is any call of its weight.
        principal: 12 bytes, whom it is for; `ANYONE` binds nobody.
        calls: how many calls, 1 to 65535; 0 for as many as fit in its time.
        weight: the dearest call that it is good for, in units, 1 to 65535.
        expires_at_ms: Unix milliseconds; at this moment it is no longer good.
        thumbprint: SHA-256 of the holder's key (RFC 7638); `UNBOUND` for none.
        mac: 16 bytes over all before it.
    """

    key: int
    id: bytes
    resource: bytes
    principal: bytes
    calls: int
    weight: int
    expires_at_ms: int
    thumbprint: bytes = UNBOUND
    mac: bytes = field(default=bytes(MAC_BYTES), repr=False)

    def __post_init__(self) -> None:
        for name, low, high in _INTEGERS:
            if not low <= getattr(self, name) <= high:
                raise WireError(f"pass.{name}: expected {low} to {high}, got {getattr(self, name)}")
        for name, length in _OCTETS:
            if len(getattr(self, name)) != length:
                raise WireError(
                    f"pass.{name}: expected {length} bytes, got {len(getattr(self, name))}"
                )

    @property
    def octets(self) -> bytes:
        """The 101 bytes."""
        return _LAYOUT.pack(
            VERSION,
            self.key,
            self.id,
            self.resource,
            self.principal,
            self.calls,
            self.weight,
            self.expires_at_ms.to_bytes(6),
            self.thumbprint,
            self.mac,
        )

    @property
    def text(self) -> str:
        """What travels; whoever holds it may use it, so it is shown to its buyer only."""
        return PREFIX + base64.urlsafe_b64encode(self.octets).decode("ascii").rstrip("=")


_INTEGERS = (
    ("key", 0, 0xFFFF),
    ("calls", 0, 0xFFFF),
    ("weight", 1, 0xFFFF),
    ("expires_at_ms", 0, 2**48 - 1),
)
_OCTETS = (("id", 16), ("resource", 12), ("principal", 12), ("thumbprint", 32), ("mac", MAC_BYTES))


def issue(
    key: Key,
    *,
    identity: bytes,
    calls: int,
    expires_at_ms: int,
    weight: int = 1,
    resource: bytes = ANY_RESOURCE,
    principal: bytes = ANYONE,
    thumbprint: bytes = UNBOUND,
) -> Pass:
    """Make a signed pass. Writes nothing; costs one HMAC. The arguments are `Pass`'s.

    Raises:
        WireError: a value outside its range.
    """
    unsigned = Pass(
        key=key.id,
        id=identity,
        resource=resource,
        principal=principal,
        calls=calls,
        weight=weight,
        expires_at_ms=expires_at_ms,
        thumbprint=thumbprint,
    )
    return replace(unsigned, mac=_mac(key, unsigned))


def bound(key: Key, given: Pass, thumbprint: bytes) -> Pass:
    """The same pass for the holder of a key alone (RFC 7638), signed by what signed it."""
    unsigned = replace(given, thumbprint=thumbprint)
    return replace(unsigned, mac=_mac(key, unsigned))


def decode(text: str) -> Pass:
    """Read the text of a pass; nothing is said about its MAC.

    Raises:
        WireError: another length, alphabet or version, or a field out of its range. The text is
            not quoted: it may be nearly right, and it is a secret.
    """
    if not _TEXT.fullmatch(text):
        raise WireError(f"expected a pass, pyp_ and 135 base64url characters, got {len(text)}")
    version, key, identity, resource, principal, calls, weight, expires_at, thumbprint, mac = (
        _LAYOUT.unpack(base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "="))
    )
    if version != VERSION:
        raise WireError(f"expected pass version {VERSION}, got {version}")
    return Pass(
        key=key,
        id=identity,
        resource=resource,
        principal=principal,
        calls=calls,
        weight=weight,
        expires_at_ms=int.from_bytes(expires_at),
        thumbprint=thumbprint,
        mac=mac,
    )


def check(
    given: Pass, keyring: Keyring, expected: Expected, *, thumbprint: bytes = UNBOUND
) -> Pass | Refusal:
    """Hold a pass against what was signed and what is asked for. Reaches no store.

    Args:
        given: as it was presented and decoded.
        keyring: the secrets that may have signed it.
        expected: what is asked for; its epoch is not looked at, since a pass outlives a ledger.
        thumbprint: of the key that the caller has proven to hold; `UNBOUND` for none.

    Returns:
        The pass, whose calls have yet to be spent, or the reason that is found first.
    """
    key = signer(given, keyring)
    if isinstance(key, Refusal):
        return key
    refusal = check_terms(
        given,
        now_ms=expected.now_ms,
        resource=expected.resource,
        weight=expected.weight,
        principal=expected.principal,
        thumbprint=thumbprint,
    )
    return refusal or given


def signer(given: Pass, keyring: Keyring) -> Key | Refusal:
    """The secret that signed this pass, or why none of these did."""
    key = keyring.find(given.key)
    if key is None:
        return Refusal(Reason.UNKNOWN_KEY, f"key {given.key} is not known here; get a new pass")
    if not hmac.compare_digest(_mac(key, given), given.mac):
        return Refusal(Reason.BAD_MAC, "the pass was not issued here, or was changed")
    return key


def check_terms(
    given: Pass,
    *,
    now_ms: int,
    resource: bytes,
    weight: int = 1,
    principal: bytes = ANYONE,
    thumbprint: bytes = UNBOUND,
) -> Refusal | None:
    """Hold a pass whose signer is known against what is asked for; the arguments are `check`'s."""
    if now_ms >= given.expires_at_ms:
        late_s = (now_ms - given.expires_at_ms) / 1000
        return Refusal(Reason.EXPIRED, f"the pass expired {late_s:.1f} s ago; get a new one")
    if given.resource not in (ANY_RESOURCE, resource):
        return Refusal(Reason.WRONG_RESOURCE, "the pass is for another call; get one for this")
    if given.weight < weight:
        return Refusal(
            Reason.UNDERWEIGHT,
            f"the call costs {weight} units and the pass is good for {given.weight}",
        )
    if given.principal not in (ANYONE, principal):
        return Refusal(Reason.WRONG_PRINCIPAL, "the pass was issued to another caller")
    if given.thumbprint not in (UNBOUND, thumbprint):
        return Refusal(Reason.WRONG_PRINCIPAL, "the pass is bound to a key that was not proven")
    return None


def _mac(key: Key, unsigned: Pass) -> bytes:
    return hmac.digest(key.pass_mac, unsigned.octets[:-MAC_BYTES], "sha256")[:MAC_BYTES]
