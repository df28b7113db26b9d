# SPDX-License-Identifier: Apache-2.0
"""The ``Payment`` scheme of HTTP (draft-httpauth-payment-00), by which MPP speaks.

A challenge, and a credential that echoes it. The challenge's id is a MAC over what it says, so
that nobody needs to remember it.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import base64_json, base64_text, canonical_json, moments
from .auth_params import AuthChallenge, quoted, read_challenges
from .errors import InvalidInputError, WireError, shown
from .payment_reasons import Reason

SCHEME: Final = "payment"
CREDENTIAL_HEADER: Final = "Payment-Authorization"
"""The header that a challenge can name for its credential, so that a login keeps the other."""

_METHOD = re.compile(r"[a-z][a-z0-9:_-]{0,63}", re.ASCII)
_INTENT = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

_REQUIRED: Final = ("id", "realm", "method", "intent", "request")
_OPTIONAL: Final = ("expires", "description", "opaque", "digest", "header")
_WRITTEN: Final = (*_REQUIRED, "expires", "digest", "description", "header", "opaque")


@dataclass(frozen=True, slots=True)
class PaymentChallenge:
    """What a server asks for (section 5.1); the same words come back in the credential.

    Attributes:
        id: binds the others.
        realm: whose resource it is: a host.
        method: how it is paid.
        intent: what kind of payment it is.
        request: canonical JSON in base64url, of which the method says what is in it.
        expires: RFC 3339; None for never.
        digest: of the request's body (RFC 9530); None for any body.
        description: for people; not bound.
        opaque: canonical JSON in base64url, for the server itself.
        header: where the credential goes; None for ``Authorization``.
    """

    id: str
    realm: str
    method: str
    intent: str
    request: str
    expires: str | None = None
    digest: str | None = None
    description: str | None = None
    opaque: str | None = None
    header: str | None = None

    def __post_init__(self) -> None:
        for name in _WRITTEN:
            text = getattr(self, name)
            if text is None and name in _OPTIONAL:
                continue
            if not isinstance(text, str) or not text or _UNSENDABLE.search(text):
                raise WireError(f"challenge.{name}: expected text, got {shown(text)}")
            # A MAC over words with bars between them says nothing where they hold bars.
            if "|" in text and name not in ("id", "description"):
                raise WireError(f"challenge.{name}: expected text without |, got {shown(text)}")
        for name, grammar in (("method", _METHOD), ("intent", _INTENT), ("header", _NAME)):
            text = getattr(self, name)
            if text is not None and not grammar.fullmatch(text):
                raise WireError(f"challenge.{name}: expected a name, got {shown(text)}")

    @property
    def slots(self) -> tuple[str, ...]:
        """What the id binds, in order; one more where a header is named."""
        named = () if self.header is None else (self.header,)
        optional = (self.expires or "", self.digest or "", *named, self.opaque or "")
        return (self.realm, self.method, self.intent, self.request, *optional)

    def is_ours(self, secret: bytes) -> bool:
        """Whether the id is what this secret makes of the rest."""
        return hmac.compare_digest(self.id.encode(), bound_id(secret, self.slots).encode())

    @property
    def expires_at_ms(self) -> int | None:
        """Unix milliseconds; None for never.

        Raises:
            WireError: ``expires`` is no moment.
        """
        return None if self.expires is None else moments.moment_of(self.expires)

    def www_authenticate(self) -> str:
        """The value of ``WWW-Authenticate``; beyond ASCII in UTF-8 where it is sent."""
        said = ((name, getattr(self, name)) for name in _WRITTEN)
        return "Payment " + ", ".join(f"{name}={quoted(text)}" for name, text in said if text)

    def to_mcp(self) -> dict[str, object]:
        """The challenge as MCP carries it: all of it JSON, and nothing in base64."""
        said = self.to_json()
        for name in ("request", "opaque"):
            if name in said:
                said[name] = base64_json.loads(str(said[name]), name)
        return said

    def to_json(self) -> dict[str, object]:
        """The challenge as a credential echoes it."""
        said = {name: getattr(self, name) for name in (*_REQUIRED, *_OPTIONAL)}
        return {name: text for name, text in said.items() if text is not None}


def bound_id(secret: bytes, slots: Sequence[str]) -> str:
    """The id for what it binds (section 5.1.2.1.1)."""
    mac = hmac.digest(secret, "|".join(slots).encode("utf-8"), hashlib.sha256)
    return base64_text.encode_url(mac)


def issue(
    secret: bytes,
    *,
    realm: str,
    request: Mapping[str, object],
    method: str,
    intent: str,
    expires_at_ms: int,
    digest: str | None = None,
    description: str | None = None,
    opaque: Mapping[str, str] | None = None,
    header: str | None = None,
) -> PaymentChallenge:
    """A challenge whose id binds what it says.

    Args:
        secret: what binds.
        realm: the host that is paid for.
        request: what the method asks for.
        method: how it is paid.
        intent: what kind of payment it is.
        expires_at_ms: Unix milliseconds.
        digest: of the request's body (RFC 9530).
        description: for people.
        opaque: for the server itself.
        header: where the credential is to be sent; None for ``Authorization``.

    Raises:
        InvalidInputError: what no challenge can say.
    """
    unbound = PaymentChallenge(
        id="unbound",
        realm=realm,
        method=method,
        intent=intent,
        request=_canonical(request),
        expires=moments.text_of(expires_at_ms),
        digest=digest,
        description=description,
        opaque=None if opaque is None else _canonical(opaque),
        header=header,
    )
    return replace(unbound, id=bound_id(secret, unbound.slots))


def read_payment_challenges(values: Iterable[str]) -> tuple[PaymentChallenge, ...]:
    """The ``Payment`` challenges in the values of ``WWW-Authenticate``, in order.

    What is incomplete or cannot be read is left out: another may be whole.
    """
    found = []
    for value in values:
        try:
            challenges = read_challenges(value)
        except WireError:
            continue
        found += [offer for offer in map(_challenge, challenges) if offer is not None]
    return tuple(found)


def _challenge(challenge: AuthChallenge) -> PaymentChallenge | None:
    if challenge.scheme != SCHEME:
        return None
    try:
        return _from_members(challenge.parameters)
    except WireError:
        return None


def _from_members(members: Mapping[str, Any]) -> PaymentChallenge:
    """A challenge from its parameters or its echo; what is unknown is nobody's business."""
    missing = [name for name in _REQUIRED if name not in members]
    if missing:
        raise WireError(
            f"expected a challenge with {', '.join(_REQUIRED)}, got none of {', '.join(missing)}",
            reason=Reason.MISSING_MEMBER,
        )
    said = {name: members[name] for name in _REQUIRED}
    # Some clients write what is absent, and the header that is meant where none is named.
    said |= {name: members[name] for name in _OPTIONAL if members.get(name) not in (None, "")}
    if str(said.get("header")).lower() == "authorization":
        del said["header"]
    return PaymentChallenge(**said)


@dataclass(frozen=True, slots=True)
class PaymentCredential:
    """What a caller sends back (section 5.2).

    Attributes:
        challenge: what was asked for, as the caller tells it.
        payload: what proves the payment; the method says what is in it.
        source: who says to have paid; None where nobody does.
    """

    challenge: PaymentChallenge
    payload: Mapping[str, object] = field(repr=False)
    source: str | None = None

    def authorization(self) -> str:
        """The value of ``Authorization``, or of the header that the challenge names."""
        said: dict[str, object] = {"challenge": self.challenge.to_json()}
        if self.source is not None:
            said["source"] = self.source
        return f"Payment {base64_json.dumps(said | {'payload': dict(self.payload)})}"


def credential_from_authorization(parameters: str) -> PaymentCredential:
    """Read what follows ``Authorization: Payment``: an object of JSON in base64url.

    Raises:
        WireError: anything else; ``reason`` is a `Reason`.
    """
    return _credential(base64_json.loads(parameters, "a credential"))


def credential_from_json(document: object) -> PaymentCredential:
    """Read a credential as MCP carries it, with objects where the header has base64.

    Raises:
        WireError: anything else; ``reason`` is a `Reason`.
    """
    said = document if isinstance(document, dict) else {}
    challenge = said.get("challenge")
    if not isinstance(challenge, dict):
        return _credential(said)
    try:
        written = {
            name: _canonical(value) if isinstance(value, dict) else value
            for name, value in challenge.items()
        }
    except InvalidInputError as error:
        raise WireError(str(error), Reason.BAD_JSON) from None
    return _credential({**said, "challenge": written})


def _credential(said: Mapping[str, Any]) -> PaymentCredential:
    challenge, payload, source = (said.get(name) for name in ("challenge", "payload", "source"))
    if not isinstance(challenge, dict) or not isinstance(payload, dict):
        raise WireError(
            'expected a credential with the objects "challenge" and "payload"',
            reason=Reason.MISSING_MEMBER,
        )
    if source is not None and not isinstance(source, str):
        raise WireError('expected "source" to be text')
    return PaymentCredential(_from_members(challenge), payload, source or None)


def _canonical(document: Mapping[str, object]) -> str:
    return base64_text.encode_url(canonical_json.dumps(dict(document)).encode())
