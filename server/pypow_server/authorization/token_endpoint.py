# SPDX-License-Identifier: Apache-2.0
"""Where tokens are given out: RFC 6749 section 3.2, and the grants that need no account."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pypow_server.api_decisions import Asked, asked_in
from pypow_server.identity import Identity
from pypow_server.identity.dpop import Proven
from pypow_server.problems import Problem
from pypow_server.rails import LOGIN, Claim
from pypow_server.reply import Reply, json_reply
from pypow_server.scope import Receive, Scope
from pypow_server.settlement import settle

from .attestations import CLIENT_ASSERTION, JWT_BEARER, Attestations
from .codes import Codes
from .device_grant import DEVICE_CODE, DeviceGrant
from .forms import Parameters, basic_credentials, read_form
from .key_proofs import KeyProofs, guard_of, use_up
from .oauth_error import NO_STORE, Code, OAuthError, note, of_problem
from .place import Place
from .purchases import PROOF, Purchases, Secret, read_secret
from .tokens import Bought, Issued, Tokens

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
PROOF_TYPE: Final = "urn:pypow:token-type:proof"
_JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
PAYMENT_TYPE: Final = "urn:pypow:token-type:payment"
_MAX_CLIENT_ID: Final = 4096
_LONGEST_NAMED: Final = 256
"""Of a client's id that goes into a token; a longer one is a registration, and stays out."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One request for a token.

    Attributes:
        said: its parameters, and those of HTTP Basic among them.
        asked: who sends it.
        audience: the resource that the token is to be for.
        challenged: whether the client used HTTP Basic.
        key: whose holder asks, and alone is to use the token; None where none is proven.
    """

    said: Parameters = field(repr=False)
    asked: Asked
    audience: str
    challenged: bool
    key: Proven | None

    @property
    def client_id(self) -> str:
        """As it goes into the token; empty where the client does not say."""
        named = self.said.get("client_id", "")
        return named if len(named) <= _LONGEST_NAMED else "registered"

    @property
    def thumbprint(self) -> str | None:
        """Of the key."""
        return None if self.key is None else self.key.thumbprint

    @property
    def first(self) -> Claim | None:
        """What must be won before anything is spent: the proof of the key counts once."""
        return None if self.key is None else guard_of(self.key)


_Answer: TypeAlias = tuple[Bought | Identity, Mapping[str, str]] | OAuthError


class TokenEndpoint:
    """Gives a token for what a client pays with. Whatever does not stand writes nothing."""

    def __init__(
        self,
        place: Place,
        tokens: Tokens,
        purchases: Purchases,
        codes: Codes,
        attestations: Attestations,
        proofs: KeyProofs,
        device: DeviceGrant,
        *,
        clock: Callable[[], int],
    ) -> None:
        """Sell tokens of this place."""
        self._attestations = attestations
        self._proofs = proofs
        self._device = device
        self._place = place
        self._tokens = tokens
        self._purchases = purchases
        self._codes = codes
        self._clock = clock
        self._grants: Mapping[str, Callable[[_Request, int], Awaitable[_Answer]]] = {
            "client_credentials": self._client_credentials,
            "authorization_code": self._authorization_code,
            TOKEN_EXCHANGE: self._token_exchange,
            JWT_BEARER: self._jwt_bearer,
            DEVICE_CODE: self._device_code,
        }

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """Answer one POST."""
        found = await self._found(scope, receive)
        nonce = self._proofs.fields(self._clock())
        if isinstance(found, OAuthError):
            note(found, asked_in(scope))
            return found.reply(*nonce)
        return json_reply(200, found, headers=(NO_STORE, *nonce))

    async def _found(self, scope: Scope, receive: Receive) -> dict[str, object] | OAuthError:
        """What a client gets (RFC 6749 section 5.1), or why it gets nothing."""
        request = await self._read(scope, receive)
        if isinstance(request, OAuthError):
            return request
        grant = self._grants.get(request.said.get("grant_type", ""))
        if grant is None:
            named = ", ".join(self._grants)
            return OAuthError("unsupported_grant_type", f"expected a grant_type of {named}")
        now_ms = self._clock()
        found = await grant(request, now_ms)
        if isinstance(found, OAuthError):
            return found
        bought, beside = found
        issued = self._issue(bought, request, now_ms)
        return {
            "access_token": issued.token,
            "token_type": "Bearer" if request.key is None else "DPoP",
            "expires_in": issued.expires_in_s,
            "scope": issued.scope,
            **beside,
        }

    def _issue(self, found: Bought | Identity, request: _Request, now_ms: int) -> Issued:
        client, audience, bound_to = request.client_id, request.audience, request.thumbprint
        if isinstance(found, Identity):
            request.asked.rail = LOGIN
            return self._tokens.vouch(
                found, client_id=client, audience=audience, bound_to=bound_to, now_ms=now_ms
            )
        return self._tokens.issue(
            found, client_id=client, audience=audience, bound_to=bound_to, now_ms=now_ms
        )

    async def _read(self, scope: Scope, receive: Receive) -> _Request | OAuthError:
        basic = basic_credentials(scope)
        if isinstance(basic, OAuthError):
            return basic
        said = await read_form(scope, receive)
        if isinstance(said, OAuthError):
            return said
        if basic is not None:
            if "client_secret" in said or said.get("client_id", basic[0]) != basic[0]:
                return OAuthError(
                    "invalid_request", "expected client and secret once, in header or body"
                )
            said = {**said, "client_id": basic[0], "client_secret": basic[1]}
        client_id = said.get("client_id", "")
        if len(client_id) > _MAX_CLIENT_ID or not client_id.isascii():
            return OAuthError(
                "invalid_request",
                f"expected a client_id of at most {_MAX_CLIENT_ID} ASCII characters",
            )
        audience = self._place.resource(said.get("resource", self._place.default))
        if audience is None:
            named = ", ".join(map(self._place.url, self._place.resources))
            return OAuthError("invalid_target", f"expected a resource of {named}")
        asked = asked_in(scope)
        key = self._proofs.of_asker(scope, now_ms=self._clock())
        if isinstance(key, Problem):
            return _refused(key, asked, "invalid_request")
        return _Request(said, asked, audience, basic is not None, key)

    async def _client_credentials(self, request: _Request, now_ms: int) -> _Answer:
        said = request.said
        text = said.get("client_secret")
        if said.get("client_assertion_type") == CLIENT_ASSERTION and text is None:
            return await self._assertion(
                said.get("client_assertion"), request, now_ms, "invalid_client"
            )
        if text is None:
            return OAuthError(
                "invalid_client",
                "expected a client_secret: a solved challenge, challenge=...,nonce=..., or a paid "
                "L402, macaroon:preimage",
                401,
                challenged=True,
            )
        found = await self._buy(text, request, now_ms, "invalid_client")
        if isinstance(found, OAuthError) and request.challenged and found.status == 401:
            return OAuthError(found.code, found.detail, 401, challenged=True)
        return found if isinstance(found, OAuthError) else (found, {})

    async def _token_exchange(self, request: _Request, now_ms: int) -> _Answer:
        said = request.said
        text, kind = said.get("subject_token"), said.get("subject_token_type")
        if said.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            return OAuthError("invalid_request", f"expected to be asked for {ACCESS_TOKEN}")
        if "actor_token" in said or "audience" in said:
            return OAuthError("invalid_request", "expected no actor_token, and no audience")
        beside = {"issued_token_type": ACCESS_TOKEN}
        if text is not None and kind in (ACCESS_TOKEN, _JWT_TYPE):
            known = await self._attestations.of_token(text, now_ms=now_ms, first=request.first)
            return known if isinstance(known, OAuthError) else (known, beside)
        if text is None or kind not in (PROOF_TYPE, PAYMENT_TYPE):
            return OAuthError(
                "invalid_request",
                f"expected a subject_token, and a subject_token_type of {PROOF_TYPE} or "
                f"{PAYMENT_TYPE}",
            )
        if text.startswith(PROOF) != (kind == PROOF_TYPE):
            return OAuthError("invalid_request", f"expected the subject_token to be a {kind}")
        found = await self._buy(text, request, now_ms, "invalid_request")
        return found if isinstance(found, OAuthError) else (found, beside)

    async def _authorization_code(self, request: _Request, now_ms: int) -> _Answer:
        said = request.said
        code = self._codes.read(said.get("code", ""), now_ms=now_ms)
        if code is None:
            return OAuthError("invalid_grant", "expected a code of this server, within a minute")
        wrong = code.misuse(
            client_id=said.get("client_id", ""),
            redirect_uri=said.get("redirect_uri", ""),
            verifier=said.get("code_verifier", ""),
            thumbprint=request.thumbprint,
        )
        if wrong is not None:
            return OAuthError("invalid_grant", wrong)
        if request.audience != code.wanted.audience:
            return OAuthError("invalid_target", "expected the resource that the code is for")
        # A thief who sends it first without the verifier has not come this far.
        ledger = self._purchases.redemption.ledger
        problem = await use_up(ledger, request.first, now_ms=now_ms) or await settle(
            ledger, code.claim, now_ms=now_ms
        )
        if problem is not None:
            return _refused(problem, request.asked, "invalid_grant")
        found = await self._pay(code.secret, request.asked, now_ms, "invalid_grant", first=None)
        return found if isinstance(found, OAuthError) else (found, {})

    async def _jwt_bearer(self, request: _Request, now_ms: int) -> _Answer:
        text = request.said.get("assertion")
        return await self._assertion(text, request, now_ms, "invalid_grant")

    async def _device_code(self, request: _Request, now_ms: int) -> _Answer:
        found = await self._device.buy(
            request.said, request.audience, now_ms=now_ms, first=request.first
        )
        return found if isinstance(found, OAuthError) else (found, {})

    async def _assertion(
        self, text: str | None, request: _Request, now_ms: int, code: Code
    ) -> _Answer:
        found = await self._attestations.of_assertion(
            text or "", code, now_ms=now_ms, first=request.first
        )
        return found if isinstance(found, OAuthError) else (found, {})

    async def _buy(
        self, text: str, request: _Request, now_ms: int, code: Code
    ) -> Bought | OAuthError:
        secret = read_secret(text)
        if isinstance(secret, Problem):
            return _refused(secret, request.asked, code)
        return await self._pay(secret, request.asked, now_ms, code, first=request.first)

    async def _pay(
        self, secret: Secret, asked: Asked, now_ms: int, code: Code, *, first: Claim | None
    ) -> Bought | OAuthError:
        found = await self._purchases.buy(secret, asked, now_ms=now_ms, first=first)
        return _refused(found, asked, code) if isinstance(found, Problem) else found


def _refused(problem: Problem, asked: Asked, code: Code) -> OAuthError:
    asked.problem = problem  # so that it is told as what the gate refuses is
    return of_problem(problem, code)
