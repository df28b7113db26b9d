# SPDX-License-Identifier: Apache-2.0
"""Who holds a standing token: how much it is worth, and what its holder gets for being served.

Nobody is refused for a token. One that is worth nothing is passed over, and its holder is charged
like anybody from the same network.
"""

import enum
import functools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pypow.challenge import Keyring
from pypow.errors import WireError
from pypow.tariff import Constants

from . import standing
from .call import STANDING_COOKIE
from .fresh import fresh_id
from .presented import Form, Presented
from .reply import Header
from .standing import MINUTE_MS, StandingToken
from .stores.holder import Holder

COUNTS_FROM_MS: Final = Constants().known_age_ms
"""How old a token must be to count: who only collects them gets nothing by it."""

_MOST_REMEMBERED: Final = 1024


class Event(enum.StrEnum):
    """What became of standing tokens: values of a metric's label."""

    GOOD = "good"
    ELSEWHERE = "elsewhere"
    """It names its holder, who does not come from where it was issued."""
    YOUNG = "young"
    EXPIRED = "expired"
    FOREIGN = "foreign"
    """It was not issued here, or was changed."""
    SEVERAL = "several"
    ISSUED = "issued"
    RENEWED = "renewed"


class Bearer(NamedTuple):
    """What a caller brought.

    Attributes:
        found: how much it is worth.
        holder: whom calls are charged to; None for the caller's networks.
        token: None where it is not ours.
        in_cookie: whether it came in one.
    """

    found: Event
    holder: Holder | None = None
    token: StandingToken | None = None
    in_cookie: bool = False

    def __repr__(self) -> str:
        """Without the token."""
        return f"Bearer({self.found}, {self.holder})"


class Holders:
    """Reads standing tokens and gives them out. Remembers nothing that counts."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        lifetime_ms: int,
        secure_cookies: bool = False,
        told: Callable[[Event], None] = lambda _event: None,
        fresh_id: Callable[[], bytes] = fresh_id,
    ) -> None:
        """Set up for one deployment.

        Args:
            keyring: its secrets.
            lifetime_ms: how long after its last renewal a token counts.
            secure_cookies: whether callers come by https, and cookies may travel by nothing else.
            told: is told what becomes of tokens.
            fresh_id: 16 random bytes at each call.
        """
        self._keyring = keyring
        self._lifetime_ms = lifetime_ms
        cookie = (
            f"{STANDING_COOKIE}=%s; HttpOnly; Max-Age={lifetime_ms // 1000}; Path=/; SameSite=lax"
        )
        self._cookie = f"{cookie}{'; Secure' if secure_cookies else ''}".encode("ascii")
        self._told = told
        self._fresh_id = fresh_id
        self._read = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._decode)

    def bearer(self, presented: Sequence[Presented], *, client: str, now_ms: int) -> Bearer | None:
        """What a caller is worth by the tokens that it brought; None for none.

        Args:
            presented: the tokens.
            client: its own network.
            now_ms: Unix milliseconds.
        """
        if not presented:
            return None
        bearer = self._bearer(presented, client, now_ms)
        self._told(bearer.found)
        return bearer

    def thanks(
        self,
        bearer: Bearer | None,
        *,
        client: str,
        now_ms: int,
        paid: bool,
        in_cookie: bool = False,
    ) -> tuple[Header, ...]:
        """The response headers for a caller who was just served, and charged for it.

        Args:
            bearer: what it brought.
            client: its own network.
            now_ms: Unix milliseconds.
            paid: whether it did work for it: only then a first token is given.
            in_cookie: whether a first token is to travel in a cookie.
        """
        if bearer is None or bearer.found in (Event.EXPIRED, Event.FOREIGN):
            if not paid:
                return ()
            given = standing.issue(
                self._keyring.signing,
                identity=self._fresh_id(),
                now_ms=now_ms,
                near=standing.near(client),
            )
            self._told(Event.ISSUED)
        elif bearer.found is Event.GOOD and bearer.token is not None:
            if now_ms // MINUTE_MS <= bearer.token.last_minute:
                return ()
            given = standing.renew(self._keyring.signing, bearer.token, now_ms=now_ms)
            self._told(Event.RENEWED)
        else:
            return ()
        text = given.text.encode("ascii")
        if in_cookie if bearer is None else bearer.in_cookie:
            return ((b"set-cookie", self._cookie % text),)
        return ((b"x-pow-standing", text), (b"access-control-expose-headers", b"X-PoW-Standing"))

    def _bearer(self, presented: Sequence[Presented], client: str, now_ms: int) -> Bearer:
        first, *others = presented
        in_cookie = first.form is Form.STANDING_COOKIE
        if any(other.value != first.value for other in others):
            return Bearer(Event.SEVERAL)
        assert isinstance(first.value, bytes)
        token = self._read(first.value) if len(first.value) == standing.CHARACTERS else None
        if token is None:
            return Bearer(Event.FOREIGN, in_cookie=in_cookie)
        if now_ms - token.last_minute * MINUTE_MS >= self._lifetime_ms:
            return Bearer(Event.EXPIRED, in_cookie=in_cookie)
        if now_ms - token.first_ms < COUNTS_FROM_MS:
            return Bearer(Event.YOUNG, in_cookie=in_cookie)
        is_near = token.near == standing.near(client)
        holder = Holder(
            b"standing:%b" % token.id.hex().encode(),
            is_near,
            token.minutes,
            token.last_minute,
            token.first_ms,
        )
        return Bearer(Event.GOOD if is_near else Event.ELSEWHERE, holder, token, in_cookie)

    def _decode(self, text: bytes) -> StandingToken | None:
        try:
            token = standing.decode(text.decode("latin-1"))
        except WireError:
            return None
        return token if standing.is_ours(token, self._keyring) else None
