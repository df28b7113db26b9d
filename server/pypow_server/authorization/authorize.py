# SPDX-License-Identifier: Apache-2.0
"""The authorization endpoint: whoever comes here earns a code, with work or with sats.

There is nobody to sign in. A browser gets a page that solves, callers without one JSON. Until the
client and its redirect URI are known to be good, no way leads there (RFC 6749 section 4.1.2.1); a
person is sent there with a code, and goes by a link with a refusal. Every answer to the client
names this server (RFC 9207).
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from pypow_server.api_decisions import asked_in
from pypow_server.problems import Problem
from pypow_server.reply import Reply, json_reply
from pypow_server.scope import Receive, Scope

from .authorize_page import error_page, page, reads_html
from .clients import Clients
from .codes import CHALLENGE, CODE_LIFETIME_MS, Codes, Wanted
from .forms import Parameters, read_form, read_query
from .oauth_error import NO_STORE, OAuthError, note, of_problem
from .offers import Earning, Offers
from .place import AUTHORIZE, Place
from .purchases import Purchases, Secret
from .redirects import with_parameters

_MAX_STATE: Final = 1024
_SHORTEST_MS: Final = 5_000
"""A code that ends sooner would not come back in time."""


class _Refused(NamedTuple):
    """Why a client gets no code, and where a person may tell it so; None for here only."""

    error: OAuthError
    redirect_uri: str | None = None
    state: str | None = None


_Read: TypeAlias = Wanted | _Refused


class Authorize:
    """Answers at the authorization endpoint. Keeps nothing: all that it needs again is sealed."""

    def __init__(
        self,
        place: Place,
        *,
        clients: Clients,
        codes: Codes,
        purchases: Purchases,
        offers: Offers,
        clock: Callable[[], int],
    ) -> None:
        """Give codes for tokens of this place."""
        self._place = place
        self._clients = clients
        self._codes = codes
        self._purchases = purchases
        self._offers = offers
        self._clock = clock

    async def ask(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer a client's request (GET) with what would earn it a code."""
        said = read_query(scope)
        now_ms = self._clock()
        if isinstance(said, OAuthError):
            return self._refuse(_Refused(said), scope)
        found = await self._read(said, now_ms=now_ms)
        if isinstance(found, _Refused):
            return self._refuse(found, scope)
        return await self._show(found, scope, now_ms=now_ms)

    async def earn(self, scope: Scope, receive: Receive) -> Reply:
        """Give a code for a proof or a payment (POST)."""
        said = await read_form(scope, receive)
        now_ms = self._clock()
        if isinstance(said, OAuthError):
            return self._refuse(_Refused(said), scope)
        wanted = self._codes.wanted(said.get("request", ""), now_ms=now_ms)
        if wanted is None:
            error = OAuthError(
                "invalid_request", "the request is too old, or is not from here; start again"
            )
            return self._refuse(_Refused(error), scope)
        secret = _secret(said)
        until_ms = await self._purchases.until(secret, asked_in(scope), now_ms=now_ms)
        if isinstance(until_ms, Problem):
            asked_in(scope).problem = until_ms
            return await self._again(wanted, of_problem(until_ms, "access_denied"), scope, now_ms)
        until_ms = min(until_ms, now_ms + CODE_LIFETIME_MS)
        if until_ms < now_ms + _SHORTEST_MS:
            error = OAuthError("access_denied", "the challenge is too old; solve a new one")
            return await self._again(wanted, error, scope, now_ms)
        code = self._codes.code(wanted, secret, until_ms=until_ms)
        return self._send_on(wanted.redirect_uri, {"code": code}, wanted.state, scope)

    async def _read(self, said: Parameters, *, now_ms: int) -> _Read:
        """What a client asks for, held against all that OAuth 2.1 and MCP want of it."""
        client = await self._clients.find(said.get("client_id", ""), now_ms=now_ms)
        if isinstance(client, OAuthError):
            return _Refused(client)
        redirect_uri = said.get("redirect_uri", client.redirects[0])
        if not client.may_be_sent_to(redirect_uri):
            return _Refused(
                OAuthError("invalid_request", "expected a redirect_uri that the client registered")
            )
        state = said.get("state")
        error = _wrong(said)
        audience = self._place.resource(said.get("resource", self._place.default))
        if error is None and audience is None:
            error = OAuthError("invalid_target", "expected a resource of this server")
        if error is not None or audience is None:
            assert error is not None
            told = None if state is None or _is_too_much(state) else state
            return _Refused(error, redirect_uri=redirect_uri, state=told)
        challenge = said["code_challenge"]
        return Wanted(
            client.id,
            client.name,
            redirect_uri,
            challenge,
            audience,
            state,
            said.get("dpop_jkt"),
        )

    async def _show(
        self, wanted: Wanted, scope: Scope, *, now_ms: int, error: OAuthError | None = None
    ) -> Reply:
        earning = await self._offers.offer(asked_in(scope), now_ms=now_ms)
        if isinstance(earning, Problem):
            asked_in(scope).problem = earning
            refused = of_problem(earning, "access_denied")
            return self._refuse(
                _Refused(refused, redirect_uri=wanted.redirect_uri, state=wanted.state), scope
            )
        request = self._codes.request(wanted, now_ms=now_ms)
        if reads_html(scope):
            return page(wanted, earning, request=request, error=error)
        return _json(self._place.url(AUTHORIZE), earning, request)

    async def _again(self, wanted: Wanted, error: OAuthError, scope: Scope, now_ms: int) -> Reply:
        """A person may try again; a program is told."""
        note(error, asked_in(scope))
        if reads_html(scope):
            return await self._show(wanted, scope, now_ms=now_ms, error=error)
        return error.reply()

    def _refuse(self, refused: _Refused, scope: Scope) -> Reply:
        note(refused.error, asked_in(scope))
        if not reads_html(scope):
            return refused.error.reply()
        uri = refused.redirect_uri
        if uri is None:
            return error_page(refused.error)
        told = self._told(refused.error.members, refused.state)
        # Anybody can register any address. So a link to here must lead nobody on who does nothing
        # (RFC 9700 section 4.11.2).
        return error_page(refused.error, back=with_parameters(uri, told))

    def _send_on(self, uri: str, said: dict[str, str], state: str | None, scope: Scope) -> Reply:
        told = self._told(said, state)
        location = with_parameters(uri, told)
        if not reads_html(scope):
            return json_reply(200, {**told, "redirect_to": location}, headers=(NO_STORE,))
        return Reply(
            303,
            (
                (b"location", location.encode("ascii")),
                (b"cache-control", b"no-store"),
                (b"referrer-policy", b"no-referrer"),
            ),
        )

    def _told(self, said: dict[str, str], state: str | None) -> dict[str, str]:
        return {**said, **({} if state is None else {"state": state}), "iss": self._place.issuer}


def _wrong(said: Parameters) -> OAuthError | None:
    if _is_too_much(said.get("state", "")):
        return OAuthError(
            "invalid_request", f"expected a state of at most {_MAX_STATE} ASCII characters"
        )
    if "request" in said or "request_uri" in said:
        return OAuthError("invalid_request", "expected no request object")
    if said.get("response_type") != "code":
        return OAuthError("unsupported_response_type", "expected response_type=code")
    if said.get("response_mode", "query") != "query":
        return OAuthError("invalid_request", "expected response_mode=query, or none")
    if said.get("code_challenge_method") != "S256":
        return OAuthError("invalid_request", "expected code_challenge_method=S256 (PKCE)")
    if not CHALLENGE.fullmatch(said.get("code_challenge", "")):
        return OAuthError("invalid_request", "expected a code_challenge of 43 characters (PKCE)")
    if not CHALLENGE.fullmatch(said.get("dpop_jkt", said["code_challenge"])):
        return OAuthError("invalid_request", "expected a dpop_jkt of 43 characters, or none")
    return None


def _is_too_much(state: str) -> bool:
    """Whether a state is none (RFC 6749 appendix A.5), or too long to come back with."""
    return len(state) > _MAX_STATE or not state.isascii()


def _secret(said: Parameters) -> Secret:
    """What a form pays with: a proof, or else a payment."""
    if "nonce" in said:
        return Secret(f"challenge={said.get('challenge', '')},nonce={said['nonce'].strip()}", None)
    return Secret(f"{said.get('macaroon', '')}:{said.get('preimage', '').strip()}", None)


def _json(where: str, earning: Earning, request: str) -> Reply:
    document = {
        "request": request,
        "post": where,
        "work": {
            **earning.challenge.published(),
            "solve": earning.solve,
            "send": "request=<request>&challenge=<challenge>&nonce=<nonce>",
        },
    }
    if earning.invoice is not None:
        document["l402"] = {
            "sats": earning.sats,
            "invoice": earning.invoice,
            "macaroon": earning.macaroon,
            "send": "request=<request>&macaroon=<macaroon>&preimage=<preimage>",
        }
    return json_reply(200, document, headers=(NO_STORE,))
