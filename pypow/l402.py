# SPDX-License-Identifier: Apache-2.0
"""L402 credentials: issue a macaroon for a payment, and hold macaroon and preimage against a call.

The identifier is aperture's: a version of two zero bytes, the payment hash, and a token id of 32
bytes, whose first two name the key of the keyring. The root key follows from both, so that issuing
writes nothing anywhere. Whoever admits on a `Checked` credential must still spend its payment hash.

========================  ====================================  ==========================
caveat                    permits                               repeated, it must be
========================  ====================================  ==========================
``services=a:0,b:1``      these services, at these tiers        a part, at no higher tiers
``<s>_valid_until=T``     calls before Unix second T            no later
``<s>_capabilities=a,b``  these capabilities of the service     a part
``pypow_uses=N``          N calls in all; any without it        no more
``pypow_audience=H/P``    this host and path, and all beneath   the same or beneath
``pypow_tool=NAME``       this MCP tool                         the same
``pypow_body=HEX``        a body with this SHA-256              the same
``pypow_cnf=THUMBPRINT``  the holder of this key (RFC 7638)     the same
``preimage=HEX``          nothing: it carries the preimage      the same
========================  ====================================  ==========================

Services and an end are never missing. Any other caveat is refused.
"""

import enum
import hmac
import re
from dataclasses import dataclass, field, make_dataclass
from typing import Any, TypeAlias

from . import _bridge_macaroons, macaroon
from .challenge import Key, Keyring
from .errors import InvalidInputError, WireError, require_int, shown
from .macaroon import Macaroon

TOKEN_ID_BYTES = 32
IDENTITY_BYTES = TOKEN_ID_BYTES - 2
PAYMENT_HASH_BYTES = 32
IDENTIFIER_BYTES = 66
MAX_TIER = 255
MAX_USES = 2**32 - 1
MAX_VALID_UNTIL_S = 10**15 - 1
MAX_LISTED: int = _bridge_macaroons.MAX_LISTED
"""Services or capabilities in one caveat."""

# Printable ASCII without what separates services, tiers and values; and what separates names.
_SERVICE = re.compile(r"[!-+\--9;<>-~]{1,64}", re.ASCII)
_CAPABILITY = re.compile(r"[!-+\--~]{1,64}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an issued macaroon permits.

    Attributes:
        service: 1 to 64 printable ASCII characters, but for ``,``, ``:`` and ``=``.
        valid_until_s: Unix seconds; at this moment it is no longer good.
        tier: of the service, 0 to 255.
        capabilities: the only ones, or None for all.
        uses: how many calls, 1 to 2**32 - 1; None is any number until it ends. Never leave to a
            default elsewhere what is not said here: its holder can say it.
        audience: host and canonical path that it is good for, with all beneath; "" for any.
        tool: the only MCP tool, or "".
        body: SHA-256 of the only body, or nothing.
        holder: thumbprint of the key that its holder must prove (RFC 7638), or "".
    """

    service: str
    valid_until_s: int
    tier: int = 0
    capabilities: tuple[str, ...] | None = None
    uses: int | None = 1
    audience: str = ""
    tool: str = ""
    body: bytes = b""
    holder: str = ""

    def __post_init__(self) -> None:
        _require_service(self.service)
        require_int("valid_until_s", self.valid_until_s, 0, MAX_VALID_UNTIL_S)
        require_int("tier", self.tier, 0, MAX_TIER)
        if self.uses is not None:
            require_int("uses", self.uses, 1, MAX_USES)
        for capability in self.capabilities or ():
            _require_capability(capability)
        if len(self.capabilities or ()) > MAX_LISTED:
            raise InvalidInputError(f"expected at most {MAX_LISTED} capabilities")
        _require_call(self.audience, self.tool, self.body, self.holder)

    @property
    def caveats(self) -> tuple[bytes, ...]:
        """Services first, then the others in the order of the table above."""
        said: list[tuple[str, object]] = [
            ("services", f"{self.service}:{self.tier}"),
            (f"{self.service}_valid_until", self.valid_until_s),
        ]
        if self.capabilities is not None:
            said.append((f"{self.service}_capabilities", ",".join(self.capabilities)))
        said += [
            (name, value)
            for name, value in (
                ("pypow_uses", self.uses),
                ("pypow_audience", self.audience),
                ("pypow_tool", self.tool),
                ("pypow_body", self.body.hex()),
                ("pypow_cnf", self.holder),
            )
            if value
        ]
        return tuple(_encoded(f"{name}={value}") for name, value in said)


def issue(key: Key, terms: Terms, *, payment_hash: bytes, identity: bytes) -> Macaroon:
    """Make the macaroon that a payment will make good. Writes nothing.

    Args:
        key: what signs.
        terms: what it permits.
        payment_hash: 32 bytes, SHA-256 of the preimage that the payment reveals.
        identity: 30 fresh random bytes (``os.urandom(30)``).

    Raises:
        InvalidInputError: octets of another length, or terms longer than a macaroon may be.
    """
    for name, part, length in (
        ("payment_hash", payment_hash, PAYMENT_HASH_BYTES),
        ("identity", identity, IDENTITY_BYTES),
    ):
        if not isinstance(part, bytes) or len(part) != length:
            raise InvalidInputError(f"{name}: expected {length} bytes, got {shown(part)}")
    identifier = b"\0\0" + payment_hash + key.id.to_bytes(2) + identity
    return macaroon.mint(root_key(key, identifier), identifier, terms.caveats)


def root_key(key: Key, identifier: bytes) -> bytes:
    """The root key of the macaroon with this identifier; as secret as the key."""
    return hmac.digest(key.macaroon_mac, identifier, "sha256")


class Reason(enum.StrEnum):
    """Why a credential was not accepted; the values are stable and travel in problems and logs."""

    MALFORMED = "malformed"
    FOREIGN = "foreign"
    THIRD_PARTY = "third_party"
    UNKNOWN_KEY = "unknown_key"
    BAD_MAC = "bad_mac"
    UNKNOWN_CAVEAT = "unknown_caveat"
    BAD_CAVEAT = "bad_caveat"
    WIDENED = "widened"
    WRONG_SERVICE = "wrong_service"
    EXPIRED = "expired"
    WRONG_CAPABILITY = "wrong_capability"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_TOOL = "wrong_tool"
    WRONG_BODY = "wrong_body"
    WRONG_HOLDER = "wrong_holder"
    MISSING_CAVEAT = "missing_caveat"
    WRONG_PREIMAGE = "wrong_preimage"


# The core reads none: bare, in base64, and as octets.
_BEGINS_JSON = ("{", "e", b"{")

# By the numbers of the C core, in which 0 is a credential that stands.
_REASONS = dict(enumerate(Reason, start=1))


def reason_of_code(code: int) -> Reason | None:
    """What a code of `pypow.batch.check_macaroons` stands for; None is one that stands.

    Raises:
        InvalidInputError: there is no such code.
    """
    require_int("code", int(code), 0, len(_REASONS))
    return _REASONS.get(int(code))


@dataclass(frozen=True, slots=True)
class Checked:
    """A credential that stands in every respect but one: it has yet to be spent.

    Attributes:
        payment_hash: 32 bytes; the key to spend.
        token_id: 32 bytes; what a list of revoked macaroons names.
        valid_until_s: Unix seconds.
        uses: how many calls the payment is good for; None is any number until it ends.
        tier: of the service.
    """

    payment_hash: bytes
    token_id: bytes
    valid_until_s: int
    uses: int | None
    tier: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A credential that does not stand; ``detail`` says why and what to do."""

    reason: Reason
    detail: str


Outcome: TypeAlias = Checked | Refusal


@dataclass(frozen=True, slots=True)
class Expected:
    """What a call asks for; make it once for all calls that ask for the same.

    Attributes:
        service: the name of the service here.
        capability: what the call needs, or "" where it needs none that has a name.
        audience: host and canonical path of the call, or "".
        tool: the MCP tool that is called, or "".
        body: SHA-256 of the body, or nothing where it was not hashed.
        holder: thumbprint of the key that the caller has proven to hold, or "".
    """

    service: str
    capability: str = ""
    audience: str = ""
    tool: str = ""
    body: bytes = b""
    holder: str = ""
    demand: _bridge_macaroons.DemandSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_service(self.service)
        if self.capability:
            _require_capability(self.capability)
        _require_call(self.audience, self.tool, self.body, self.holder)
        texts = (
            self.service,
            self.capability,
            self.audience,
            self.tool,
            self.body.hex(),
            self.holder,
        )
        demand = _bridge_macaroons.DemandSpec(*map(_encoded, texts))
        object.__setattr__(self, "demand", demand)


# The same slots, not frozen: filling a frozen value field by field takes as long as the check.
_Unlocked: Any = make_dataclass("_Unlocked", Checked.__slots__, slots=True)


def check(
    given: str | bytes,
    preimage: str | bytes,
    keyring: Keyring,
    expected: Expected,
    *,
    now_s: int,
) -> Outcome:
    """Hold a macaroon and the preimage of its payment against keys, clock and call.

    Reaches no store, and is one native call.

    Args:
        given: the macaroon, as text or octets that `pypow.macaroon` reads.
        preimage: 64 hex digits or 32 bytes; nothing where it is a caveat of the macaroon.
        keyring: the keys that may have signed.
        expected: what the call asks for.
        now_s: Unix seconds.

    Returns:
        `Checked`, or a `Refusal` with the reason that is found first.

    Raises:
        InvalidInputError: a value of another type.
    """
    reason, terms = _bridge_macaroons.check_macaroon(
        keyring.macaroon_keys, now_s, expected.demand, given, preimage
    )
    if reason != _bridge_macaroons.STANDS:
        found = _REASONS[reason]
        if found is Reason.MALFORMED and given[:1] in _BEGINS_JSON:
            return _check_json(given, preimage, keyring, expected, now_s)
        return Refusal(found, _DETAILS[found])
    checked: Checked = _Unlocked(*_bridge_macaroons.read_terms(terms))
    checked.__class__ = Checked
    return checked


def _check_json(
    given: str | bytes, preimage: str | bytes, keyring: Keyring, expected: Expected, now_s: int
) -> Outcome:
    try:
        if isinstance(given, str):
            read = macaroon.decode(given)
        else:
            read = macaroon.macaroon_of_octets(given)
    except WireError as error:
        return Refusal(Reason.MALFORMED, str(error))
    return check(read.octets, preimage, keyring, expected, now_s=now_s)


_DETAILS = {
    Reason.MALFORMED: "expected a macaroon, V2 in base64 or hex; send it as it came",
    Reason.FOREIGN: "expected a macaroon with the identifier of L402; this one is not from here",
    Reason.THIRD_PARTY: "expected first-party caveats only; add none that others discharge",
    Reason.UNKNOWN_KEY: "the key of this macaroon is not known here; buy a new one",
    Reason.BAD_MAC: "the macaroon was not issued here, or was changed; buy a new one",
    Reason.UNKNOWN_CAVEAT: "the macaroon has a caveat that is not known here; use one without it",
    Reason.BAD_CAVEAT: "a caveat has a value that it cannot have; use a macaroon without it",
    Reason.WIDENED: "a caveat permits what one before it does not; a macaroon can only be narrowed",
    Reason.WRONG_SERVICE: "the macaroon is for another service; buy one for this",
    Reason.EXPIRED: "the macaroon has expired; buy a new one",
    Reason.WRONG_CAPABILITY: "the macaroon does not permit what this call does",
    Reason.WRONG_AUDIENCE: "the macaroon is for another host or path",
    Reason.WRONG_TOOL: "the macaroon is for another tool",
    Reason.WRONG_BODY: "the macaroon is for another body",
    Reason.WRONG_HOLDER: "the macaroon is bound to a key that was not proven",
    Reason.MISSING_CAVEAT: "the macaroon says no service or no end; buy a new one",
    Reason.WRONG_PREIMAGE: "expected the preimage of the payment, 64 hex digits; pay the invoice",
}


def _encoded(text: str) -> bytes:
    """UTF-8; halves of characters, which JSON can say, match nothing but themselves."""
    return text.encode(errors="surrogatepass")


def _require_service(service: object) -> None:
    if not isinstance(service, str) or not _SERVICE.fullmatch(service):
        raise InvalidInputError(
            "service: expected 1 to 64 printable ASCII characters without , : and =, "
            f"got {shown(service)}"
        )


def _require_capability(capability: object) -> None:
    if not isinstance(capability, str) or not _CAPABILITY.fullmatch(capability):
        raise InvalidInputError(
            "capability: expected 1 to 64 printable ASCII characters without commas, "
            f"got {shown(capability)}"
        )


def _require_call(audience: object, tool: object, body: object, holder: object) -> None:
    for what, given in (("audience", audience), ("tool", tool)):
        if not isinstance(given, str):
            raise InvalidInputError(f"{what}: expected text, got {shown(given)}")
    if not isinstance(body, bytes) or len(body) not in (0, 32):
        raise InvalidInputError(f"body: expected a SHA-256 digest of 32 bytes, got {shown(body)}")
    if not isinstance(holder, str) or (holder and not _THUMBPRINT.fullmatch(holder)):
        raise InvalidInputError(
            f"holder: expected 43 characters of base64url (RFC 7638), got {shown(holder)}"
        )
