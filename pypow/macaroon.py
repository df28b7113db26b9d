# SPDX-License-Identifier: Apache-2.0
"""Macaroons: bearer credentials that whoever holds them may narrow, and nobody can widen.

As Go's macaroon.v2, libmacaroons, pymacaroons and npm's macaroon write them, version 2, with
first-party caveats only: binary in base64 or hex, and JSON. A caveat for a third party is refused,
and so is anything above 1,024 bytes or 16 caveats. What the caveats of L402 say is `pypow.l402`'s.
"""

import hmac
import json
import re
from dataclasses import dataclass, field, replace

from . import _bridge_macaroons, base64_text, strict_json
from .errors import InvalidInputError, WireError, shown

LOCATION = "lsat"
"""Where L402's macaroons say that they come from; it is not signed."""

MAX_BYTES: int = _bridge_macaroons.MAX_BYTES
MAX_CAVEATS: int = _bridge_macaroons.MAX_CAVEATS
MAX_TEXT = 8192
"""Characters of the longest that is read, JSON in base64: an octet may take six of JSON."""

SIGNATURE_BYTES = 32

_GENERATOR = b"macaroons-key-generator"
_VERSION = 2
_END, _LOCATION, _IDENTIFIER, _VERIFICATION, _SIGNATURE = 0, 1, 2, 4, 6
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Macaroon:
    """One macaroon; whoever has it may use it, so it is shown to its buyer only.

    Attributes:
        identifier: what its root key belongs to.
        caveats: what it is restricted to, each narrower than none; all have to hold.
        signature: 32 bytes, the last of the chain of HMACs; never shown.
        location: a hint for its holder, which nothing signs.
    """

    identifier: bytes
    caveats: tuple[bytes, ...]
    signature: bytes = field(repr=False)
    location: str = LOCATION

    def __post_init__(self) -> None:
        for name, part in (("identifier", self.identifier), ("signature", self.signature)):
            if not isinstance(part, bytes):
                raise WireError(f"macaroon.{name}: expected bytes, got {type(part).__name__}")
        if len(self.signature) != SIGNATURE_BYTES:
            raise WireError(
                f"macaroon.signature: expected {SIGNATURE_BYTES} bytes, got {len(self.signature)}"
            )
        if not isinstance(self.location, str):
            raise WireError("macaroon.location: expected text")
        if not isinstance(self.caveats, tuple) or not all(
            isinstance(caveat, bytes) for caveat in self.caveats
        ):
            raise WireError("macaroon.caveats: expected a tuple of bytes")
        if len(self.caveats) > MAX_CAVEATS:
            raise WireError(
                f"macaroon.caveats: expected at most {MAX_CAVEATS}, got {len(self.caveats)}"
            )
        if len(self.octets) > MAX_BYTES:
            raise WireError(
                f"expected a macaroon of at most {MAX_BYTES} bytes, got {len(self.octets)}; "
                "use fewer or shorter caveats"
            )

    @property
    def octets(self) -> bytes:
        """V2 binary."""
        location = _utf8_bytes(self.location)
        parts = [bytes([_VERSION])]
        if location:
            parts.append(_packed(_LOCATION, location))
        parts += _packed(_IDENTIFIER, self.identifier), bytes([_END])
        for caveat in self.caveats:
            parts += _packed(_IDENTIFIER, caveat), bytes([_END])
        parts += bytes([_END]), _packed(_SIGNATURE, self.signature)
        return b"".join(parts)

    @property
    def text(self) -> str:
        """V2 binary in base64 with padding (RFC 4648, 4), as L402 carries it."""
        return base64_text.encode(self.octets)

    @property
    def hex(self) -> str:
        """V2 binary in hex, as gRPC metadata carries it."""
        return self.octets.hex()

    @property
    def json(self) -> str:
        """V2 JSON; parts that are not UTF-8 are in base64url, and so is the signature."""
        document: dict[str, object] = {"v": _VERSION}
        if self.location:
            document["l"] = self.location
        document |= _json_part("i", self.identifier)
        if self.caveats:
            document["c"] = [_json_part("i", caveat) for caveat in self.caveats]
        document["s64"] = base64_text.encode_url(self.signature)
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False)

    def narrowed(self, *caveats: bytes) -> "Macaroon":
        """The same with more caveats: its holder can do that without any key.

        Raises:
            WireError: too many or too long.
        """
        return replace(
            self,
            caveats=(*self.caveats, *caveats),
            signature=_chained(self.signature, caveats),
        )


def mint(
    root_key: bytes, identifier: bytes, caveats: tuple[bytes, ...] = (), location: str = LOCATION
) -> Macaroon:
    """Make a macaroon under a root key, of any length.

    Raises:
        WireError: too many caveats, or too long ones.
    """
    key = hmac.digest(_GENERATOR, root_key, "sha256")
    signature = _chained(hmac.digest(key, identifier, "sha256"), caveats)
    return Macaroon(identifier, caveats, signature, location)


def decode(text: str) -> Macaroon:
    """Read any form that travels; nothing is said about its signature.

    V2 binary in base64 of either alphabet, padded or not, or in hex of either case; V2 JSON, or
    that in base64.

    Raises:
        WireError: none of these, third-party caveats, or too long. The text is not quoted: it may
            be nearly right, and it is a secret.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise WireError(f"expected a macaroon of at most {MAX_TEXT} characters")
    if text.startswith("{"):
        return macaroon_of_octets(_utf8_bytes(text))
    in_hex = text.startswith("0") and _HEX.fullmatch(text)
    return macaroon_of_octets(bytes.fromhex(text) if in_hex else _of_base64(text))


def macaroon_of_octets(octets: bytes) -> Macaroon:
    """Read V2 binary, or V2 JSON in UTF-8; nothing is said about its signature.

    Raises:
        WireError: neither, third-party caveats, or too long.
    """
    if octets[:1] == b"{" and len(octets) <= MAX_TEXT:
        return _of_json(octets)
    if len(octets) > MAX_BYTES:
        raise WireError(f"expected a macaroon of at most {MAX_BYTES} bytes, got {len(octets)}")
    if octets[:1] != bytes([_VERSION]):
        raise WireError(f"expected a macaroon of version {_VERSION}, got {shown(octets[:1])}")
    unread = _Unread(octets, 1)
    location = unread.field(_LOCATION, optional=True)
    identifier = unread.field(_IDENTIFIER)
    unread.end()
    caveats = []
    while not unread.at_end():
        whose = unread.field(_LOCATION, optional=True)
        caveats.append(unread.field(_IDENTIFIER))
        _require_first_party(whose, unread.field(_VERIFICATION, optional=True))
        unread.end()
    unread.end()
    signature = unread.field(_SIGNATURE)
    if unread.at != len(octets):
        raise WireError(f"expected nothing after a macaroon, got {len(octets) - unread.at} bytes")
    return Macaroon(identifier, tuple(caveats), signature, _utf8(location))


class _Unread:
    """What is left to read of V2 binary."""

    __slots__ = ("at", "octets")

    def __init__(self, octets: bytes, at: int) -> None:
        self.octets = octets
        self.at = at

    def at_end(self) -> bool:
        """Whether a section ends here."""
        return self.octets[self.at : self.at + 1] == bytes([_END])

    def end(self) -> None:
        if not self.at_end():
            raise WireError(f"expected the end of a macaroon's section at byte {self.at}")
        self.at += 1

    def field(self, kind: int, *, optional: bool = False) -> bytes:
        """The bytes of the field here, which is of this kind; if optional, none are none."""
        if self.octets[self.at : self.at + 1] != bytes([kind]):
            if optional:
                return b""
            raise WireError(f"expected field {kind} of a macaroon at byte {self.at}")
        self.at += 1
        length = self._length()
        found = self.octets[self.at : self.at + length]
        if len(found) != length:
            raise WireError(f"expected {length} bytes of a macaroon's field, got {len(found)}")
        self.at += length
        return found

    def _length(self) -> int:
        """Up to 127 in one byte; above in two, the low seven bits first; nothing needs a third."""
        found = self.octets[self.at : self.at + 2]
        if found and found[0] <= 0x7F:
            self.at += 1
            return found[0]
        if len(found) < 2 or not 0 < found[1] <= 0x7F:
            raise WireError(f"expected the length of a macaroon's field at byte {self.at}")
        self.at += 2
        return (found[0] & 0x7F) | found[1] << 7


def _packed(kind: int, part: bytes) -> bytes:
    length = len(part)
    digits = bytearray([kind])
    while length > 0x7F:
        digits.append((length & 0x7F) | 0x80)
        length >>= 7
    return bytes([*digits, length]) + part


def _chained(signature: bytes, caveats: tuple[bytes, ...]) -> bytes:
    for caveat in caveats:
        signature = hmac.digest(signature, caveat, "sha256")
    return signature


def _require_first_party(*parts: object) -> None:
    if any(parts):
        raise WireError("expected first-party caveats only, got one for a third party")


def _of_base64(text: str) -> bytes:
    try:
        return base64_text.decode_either(text)
    except WireError:  # which may show what is nearly right
        raise WireError(
            f"expected a macaroon in base64 or hex, got {len(text)} other characters"
        ) from None


def _json_part(name: str, part: bytes) -> dict[str, str]:
    try:
        return {name: part.decode()}
    except UnicodeDecodeError:
        return {f"{name}64": base64_text.encode_url(part)}


def _of_json(document: bytes) -> Macaroon:
    try:
        found = strict_json.loads(document)
    except InvalidInputError as error:
        raise WireError(str(error)) from None
    if not isinstance(found, dict) or found.get("v") != _VERSION:
        raise WireError(f'expected a macaroon as a JSON object with "v": {_VERSION}')
    caveats = found.get("c", [])
    if found.keys() - {"v", "l", "i", "i64", "c", "s", "s64"} or not isinstance(caveats, list):
        raise WireError('expected just "v", "l", "i", "c" and "s" in a macaroon')
    return Macaroon(
        _part(found, "i"),
        tuple(_caveat(caveat) for caveat in caveats),
        _part(found, "s"),
        _string(found.get("l", "")),
    )


def _caveat(caveat: object) -> bytes:
    if not isinstance(caveat, dict) or caveat.keys() - {"l", "i", "i64", "v", "v64"}:
        raise WireError('expected each caveat to be an object with just "i"')
    _require_first_party(*(caveat.get(name) for name in ("l", "v", "v64")))
    return _part(caveat, "i")


def _part(found: dict[str, object], name: str) -> bytes:
    """A part as text, or in base64 under the name that says so."""
    if (name in found) == (f"{name}64" in found):
        raise WireError(f'expected either "{name}" or "{name}64" in a macaroon')
    return (
        _utf8_bytes(_string(found[name]))
        if name in found
        else _of_base64(_string(found[f"{name}64"]))
    )


def _string(given: object) -> str:
    if not isinstance(given, str):
        raise WireError(f"expected a string in a macaroon, got {strict_json.kind(given)}")
    return given


def _utf8_bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise WireError("expected characters in a macaroon, got half of one") from None


def _utf8(part: bytes) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise WireError("expected the location of a macaroon in UTF-8") from None
