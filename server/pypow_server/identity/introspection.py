# SPDX-License-Identifier: Apache-2.0
"""Judges tokens by asking their issuer (RFC 7662), once for all who show the same one at a time.

An answer is believed for a short while: so long may a revoked token live on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from . import BadToken, Identity, Judgement, Unavailable, access_token
from .claims import invalid
from .fetching import FetchError
from .issuers import Gets, Issuer, discover
from .remembered import Remembered, digest
from .unverified import MAX_OCTETS

BELIEVED_S: Final = 30.0
"""How long a yes is; and a no, which an issuer takes back as seldom."""

PAUSE_S: Final = 1.0
"""After an issuer did not answer, nobody waits for it."""

MAX_ASKED: Final = 64
"""Questions under way about tokens that were not good before; made-up ones take no more of the
issuer's time."""

# Whoever makes up such a token would silence the issuer for everybody.
_ABOUT_THE_TOKEN: Final = (400, 413, 422)
_LOG = logging.getLogger("pypow_server.identity")


class Posts(Gets, Protocol):
    """The part of a `Fetcher` that asks."""

    async def post(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """The JSON object that answers a form; raises `FetchError`."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    judgement: Identity | BadToken
    until: float


class Introspection:
    """The judge of one issuer's tokens, whatever they look like.

    Args:
        issuer: of kind ``introspection``.
        fetcher: asks.
        monotonic: seconds, from any moment on.
        told: hears of each question, for figures: ``active``, ``refused`` or ``failed``.
    """

    def __init__(
        self,
        issuer: Issuer,
        fetcher: Posts,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert issuer.credential is not None
        self._issuer = issuer
        self._credential = issuer.credential
        self._fetcher = fetcher
        self._monotonic = monotonic
        self._told = told
        self._endpoint = issuer.introspection_endpoint
        # Apart, so that no flood of made-up tokens drives the good ones out.
        self._good: Remembered[_Answer] = Remembered()
        self._bad: Remembered[_Answer] = Remembered()
        self._asking: dict[bytes, asyncio.Task[Judgement]] = {}
        self._failed_at = float("-inf")

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """As `TokenJudge.judge`."""
        if len(token) > MAX_OCTETS:
            return invalid(f"expected a token of at most {MAX_OCTETS} octets, got {len(token)}")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            return invalid("expected a token without spaces and control characters")
        key = digest(token)
        known = self._good.get(key) or self._bad.get(key)
        if known is not None and self._monotonic() < known.until:
            return self._still(known.judgement, now_ms)
        asking = self._asking.get(key)
        if asking is None:
            is_busy = len(self._asking) >= MAX_ASKED and self._good.get(key) is None
            if is_busy or self._monotonic() - self._failed_at < PAUSE_S:
                return self._unavailable()
            asking = asyncio.create_task(self._ask(token, key, now_ms))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # A caller who leaves must not take the answer away from the others.
        return await asyncio.shield(asking)

    def _still(self, judgement: Identity | BadToken, now_ms: int) -> Judgement:
        """A judgement of a moment ago, unless the token has expired since."""
        skew_ms = self._issuer.skew_s * 1000
        if isinstance(judgement, Identity) and now_ms >= judgement.expires_at_ms + skew_ms:
            return invalid("expected a token that has not expired (exp)")
        return judgement

    async def _ask(self, token: str, key: bytes, now_ms: int) -> Judgement:
        try:
            answer = await self._fetcher.post(
                await self._where(),
                {
                    "token": token,
                    "token_type_hint": "access_token",
                    **self._credential.form(self._issuer.url, now_ms=now_ms),
                },
                headers=self._credential.headers(),
            )
        except FetchError as error:
            _LOG.warning("%s cannot be asked about a token: %s", self._issuer.url, error)
            if error.status not in _ABOUT_THE_TOKEN:
                self._failed_at = self._monotonic()
            self._told("failed")
            return self._unavailable()
        judgement = _judged(answer, self._issuer, now_ms=now_ms)
        is_good = isinstance(judgement, Identity)
        self._told("active" if is_good else "refused")
        (self._bad if is_good else self._good).forget(key)
        believed = _Answer(judgement, self._monotonic() + BELIEVED_S)
        (self._good if is_good else self._bad).put(key, believed)
        return judgement

    async def _where(self) -> str:
        if self._endpoint is None:
            found = await discover(self._issuer.url, self._fetcher)
            if found.introspection_endpoint is None:
                raise FetchError("it does not say where it is asked (introspection_endpoint)")
            self._endpoint = found.introspection_endpoint
        return self._endpoint

    def _unavailable(self) -> Unavailable:
        return Unavailable("the token's issuer does not answer now; try again", 1)


def _judged(answer: Mapping[str, object], issuer: Issuer, *, now_ms: int) -> Identity | BadToken:
    if answer.get("active") is not True:
        return invalid("expected a token that its issuer calls active")
    if answer.get("iss", issuer.url) != issuer.url:
        return invalid("expected a token of the issuer that was asked (iss)")
    said = dict(answer)
    # A client that acts for itself is its own subject (RFC 9068 section 2.2).
    said.setdefault("sub", said.get("client_id"))
    found = access_token.identify(said, issuer, now_ms=now_ms, is_typed=False)
    return found if isinstance(found, BadToken) else found[0]
