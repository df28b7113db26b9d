# SPDX-License-Identifier: Apache-2.0
"""Access tokens (RFC 9068): what somebody bought, in the form that OAuth's clients carry.

A token holds, sealed, the pass or payment that it stands for. The gate takes that in its place, so
that a token is good for exactly the calls, and the time, that were bought, whichever form they are
used in. It tells of no account: its scopes are `work` or `sats`, and how many calls there were.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from pypow_server.fresh import fresh_id
from pypow_server.identity import BadToken, Identity
from pypow_server.identity.remembered import Remembered, digest

from .place import Place
from .sealing import Seals
from .signing import SigningKeys, unverified

_CREDENTIAL: Final = "pypow"
"""The claim that holds what was bought."""

_PURPOSE: Final = "token"
_VOUCHED_S: Final = 600
"""How long the word of others is taken, in seconds: they may take it back."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What a token stands for.

    Attributes:
        authorization: what the gate takes for it.
        kind: what it was bought with.
        calls: how many it was bought for; 0 for any number in its time.
        expires_at_ms: Unix milliseconds.
    """

    authorization: str = field(repr=False)
    kind: Literal["work", "sats"]
    calls: int
    expires_at_ms: int

    @property
    def scope(self) -> str:
        """What the token permits, as OAuth writes it."""
        return f"{self.kind} calls:{self.calls}" if self.calls else self.kind


class Issued(NamedTuple):
    """A token, and what its client is told beside it."""

    token: str
    expires_in_s: int
    scope: str

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return f"Issued(expires_in_s={self.expires_in_s}, scope={self.scope!r})"


class Worth(NamedTuple):
    """What a token is good for.

    Attributes:
        authorization: what the gate takes for it; None for one that buys nothing.
        bound_to: thumbprint of the key whose holder alone may use it; None for anybody.
    """

    authorization: str | None
    bound_to: str | None

    def __repr__(self) -> str:
        """Without what the gate takes: it is a secret."""
        return f"Worth(bound_to={self.bound_to!r})"


class Tokens:
    """Issues tokens, and finds out what those are worth that come back."""

    def __init__(self, place: Place, keys: SigningKeys, seals: Seals) -> None:
        """Issue and judge with these keys."""
        self._place = place
        self._keys = keys
        self._seals = seals
        # Its clients send a token with every call, and a signature takes longer than a call. Only
        # good ones are remembered: anybody can make up others, and they would push these out.
        self._known: Remembered[dict[str, Any]] = Remembered()

    def issue(
        self,
        bought: Bought,
        *,
        client_id: str,
        audience: str,
        bound_to: str | None = None,
        now_ms: int,
    ) -> Issued:
        """A token for what was bought.

        Args:
            bought: what it stands for.
            client_id: whom it is given to.
            audience: the one resource that it is for.
            bound_to: thumbprint of the key whose holder alone may use it; None for anybody.
            now_ms: Unix milliseconds.
        """
        name = fresh_id().hex()
        claims = {
            "iss": self._place.issuer,
            "aud": audience,
            # One for each purchase: two tokens of a caller have nothing in common.
            "sub": name,
            "client_id": client_id,
            "scope": bought.scope,
            "jti": name,
            "iat": now_ms // 1000,
            "exp": bought.expires_at_ms // 1000,
            _CREDENTIAL: self._seals.seal(
                _PURPOSE,
                {"authorization": bought.authorization},
                until_ms=bought.expires_at_ms,
            ),
            **_confirmation(bound_to),
        }
        expires_in_s = bought.expires_at_ms // 1000 - now_ms // 1000
        return Issued(self._keys.sign(claims), expires_in_s, bought.scope)

    def vouch(
        self,
        found: Identity,
        *,
        client_id: str,
        audience: str,
        bound_to: str | None = None,
        now_ms: int,
    ) -> Issued:
        """A token for somebody for whom others answer; it buys nothing.

        Args:
            found: who that is; the token ends no later than what they said.
            client_id: whom it is given to.
            audience: the one resource that it is for.
            bound_to: as in `issue`.
            now_ms: Unix milliseconds.
        """
        expires_in_s = min(_VOUCHED_S, (found.expires_at_ms - now_ms) // 1000)
        scope = " ".join(sorted(found.scopes))
        claims = {
            "iss": self._place.issuer,
            "aud": audience,
            # The same for all tokens of one subject, and no name that anybody else knows. The gate
            # goes by what is sealed: whoever has an account or is revoked here stays who he is.
            "sub": self._keys.pseudonym(found.issuer, found.subject),
            "client_id": client_id,
            "scope": scope,
            "jti": fresh_id().hex(),
            "iat": now_ms // 1000,
            "exp": now_ms // 1000 + expires_in_s,
            _CREDENTIAL: self._seals.seal(
                _PURPOSE,
                {"issuer": found.issuer, "subject": found.subject},
                until_ms=found.expires_at_ms,
            ),
            **_confirmation(bound_to),
        }
        return Issued(self._keys.sign(claims), expires_in_s, scope)

    def is_ours(self, token: str) -> bool:
        """Whether a token says that it was issued here."""
        return self._keys.is_named_in(token)

    def worth(self, token: str, *, path: str, now_ms: int) -> Worth | BadToken:
        """What the gate takes in the place of a token.

        Args:
            token: one that `is_ours`.
            path: of the request that brings it.
            now_ms: Unix milliseconds.
        """
        claims = self._read(token)
        wrong = self._wrong(claims, now_ms=now_ms)
        if claims is None or wrong is not None:
            return wrong or BadToken("invalid_token", _FOREIGN)
        if not self._place.covers(claims["aud"], path):
            return BadToken(
                "invalid_token", f"expected a token for this resource, got one for {claims['aud']}"
            )
        said = self._seals.open(_PURPOSE, claims[_CREDENTIAL], now_ms=now_ms)
        if said is None:
            return BadToken("invalid_token", _FOREIGN)
        return Worth(said.get("authorization"), _bound_to(claims))

    async def judge(self, token: str, *, now_ms: int) -> Identity | BadToken:
        """Who it is for whom others answered (a `TokenJudge`); what was bought is for nobody."""
        claims = self._read(token)
        wrong = self._wrong(claims, now_ms=now_ms)
        if claims is None or wrong is not None:
            return wrong or BadToken("invalid_token", _FOREIGN)
        said = self._seals.open(_PURPOSE, claims[_CREDENTIAL], now_ms=now_ms)
        if said is None or "subject" not in said:
            return BadToken("invalid_token", "expected a token of a login, got one that was bought")
        return Identity(
            issuer=said["issuer"],
            subject=said["subject"],
            client_id=claims["client_id"],
            scopes=frozenset(claims["scope"].split()),
            expires_at_ms=1000 * claims["exp"],
            issued_at_ms=1000 * claims["iat"],
            token_id=claims["jti"],
            claims=claims,
            key_thumbprint=_bound_to(claims),
        )

    def _wrong(self, claims: dict[str, Any] | None, *, now_ms: int) -> BadToken | None:
        if claims is None or claims["iss"] != self._place.issuer:
            return BadToken("invalid_token", _FOREIGN)
        if now_ms >= 1000 * claims["exp"]:
            return BadToken("invalid_token", "the token has expired; get a new one")
        return None

    def _read(self, token: str) -> dict[str, Any] | None:
        key = digest(token)
        claims = self._known.get(key)
        if claims is None:
            claims = self._make_read(token)
            if claims is not None:
                self._known.put(key, claims)
        return claims

    def _make_read(self, token: str) -> dict[str, Any] | None:
        # The seal first, at a fifteenth of a signature's cost: who never had a token has no seal.
        claims = unverified(token)
        seal = claims.get(_CREDENTIAL)
        if not isinstance(seal, str) or self._seals.open(_PURPOSE, seal, now_ms=0) is None:
            return None
        return self._keys.read(token)


def _confirmation(bound_to: str | None) -> dict[str, object]:
    """RFC 9449 section 6.1."""
    return {} if bound_to is None else {"cnf": {"jkt": bound_to}}


def _bound_to(claims: dict[str, Any]) -> str | None:
    cnf = claims.get("cnf")
    return None if cnf is None else str(cnf["jkt"])


_FOREIGN: Final = "expected a token that was issued here, got one that was changed or is another's"
