# SPDX-License-Identifier: Apache-2.0
"""Where devices begin that cannot show a page (RFC 8628 section 3.1). Writes nothing."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from pypow_server.reply import Reply, json_reply
from pypow_server.scope import Receive, Scope

from .forms import read_form
from .oauth_error import NO_STORE, OAuthError
from .place import DEVICE, Place
from .sealing import Seals
from .user_codes import GRACE_MS, UserCode, UserCodes

INTERVAL_S: Final = 5
"""How long a device waits before it asks again."""

_PURPOSE: Final = "device code"
_TOLD_MS: Final = 3_600_000
"""How long a code is still known that is no longer good, so that its device hears so."""


@dataclass(frozen=True, slots=True)
class Device:
    """Who waits.

    Attributes:
        user_code: what a person types for it.
        client: digest of the id of its client.
        audience: the resource that its token is to be for.
    """

    user_code: UserCode
    client: str
    audience: str

    def is_of(self, client_id: str) -> bool:
        """Whether this client asked for the code."""
        return hmac.compare_digest(self.client, _digest(client_id))

    def is_over(self, *, now_ms: int) -> bool:
        """Whether nothing will come of the code any more."""
        return now_ms >= self.user_code.ends_at_ms + GRACE_MS


class DeviceCodes:
    """Makes codes that devices wait with, and reads them again."""

    def __init__(self, seals: Seals) -> None:
        """Seal with these keys."""
        self._seals = seals

    def make(self, user_code: UserCode, *, client_id: str, audience: str) -> str:
        """A code for a device whose person types this one."""
        said = {
            "letters": user_code.letters,
            "period": user_code.period,
            "client": _digest(client_id),  # an id may be as long as a registration
            "audience": audience,
        }
        return self._seals.seal(_PURPOSE, said, until_ms=user_code.ends_at_ms + _TOLD_MS)

    def read(self, text: str, *, now_ms: int) -> Device | None:
        """Who comes back; None where that code was not made here, or long ago."""
        said = self._seals.open(_PURPOSE, text, now_ms=now_ms)
        if said is None:
            return None
        user_code = UserCode(said["letters"], said["period"])
        return Device(user_code, said["client"], said["audience"])


class DeviceAuthorization:
    """Answers at the device authorization endpoint."""

    def __init__(
        self, place: Place, user_codes: UserCodes, codes: DeviceCodes, *, clock: Callable[[], int]
    ) -> None:
        """Give codes for tokens of this place."""
        self._place = place
        self._user_codes = user_codes
        self._codes = codes
        self._clock = clock

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """Answer one POST."""
        said = await read_form(scope, receive)
        if isinstance(said, OAuthError):
            return said.reply()
        client_id = said.get("client_id")
        if client_id is None:
            return OAuthError("invalid_request", "expected a client_id; any will do").reply()
        place = self._place
        audience = place.resource(said.get("resource", place.default))
        if audience is None:
            return OAuthError("invalid_target", "expected a resource of this server").reply()
        now_ms = self._clock()
        user_code = self._user_codes.fresh(now_ms=now_ms)
        page = place.url(DEVICE)
        document = {
            "device_code": self._codes.make(user_code, client_id=client_id, audience=audience),
            "user_code": user_code.text,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': user_code.text})}",
            "expires_in": (user_code.ends_at_ms - now_ms) // 1000,
            "interval": INTERVAL_S,
        }
        return json_reply(200, document, headers=(NO_STORE,))


def _digest(client_id: str) -> str:
    return hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()
