# SPDX-License-Identifier: Apache-2.0
"""What a device hears that asks for its token (RFC 8628 section 3.5)."""

import logging
from dataclasses import dataclass, replace
from typing import Final

from pypow_server.policy import PassTerms
from pypow_server.problems import Problem
from pypow_server.rails import Claim
from pypow_server.redemption import Redemption
from pypow_server.settlement import settle
from pypow_server.stores import Limiter, Quota

from .approvals import Approvals
from .device import INTERVAL_S, Device, DeviceCodes
from .forms import Parameters
from .key_proofs import use_up
from .oauth_error import OAuthError, of_problem
from .tokens import Bought
from .user_codes import GRACE_MS

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"

_PACE: Final = Quota(2, 2 * 1000 * INTERVAL_S)
"""One more than the interval lets come: clocks and networks are not even."""

_ONE_CALL: Final = PassTerms(1, 300)
"""What a proof buys where the default price sells no passes."""

_LOG: Final = logging.getLogger("pypow_server.authorization")


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """Gives what was worked for to the device that waits for it, once.

    Attributes:
        codes: reads what devices bring.
        approvals: which of them were worked for.
        redemption: sells what they get.
        limiter: tells those that ask too often.
    """

    codes: DeviceCodes
    approvals: Approvals
    redemption: Redemption
    limiter: Limiter

    async def buy(
        self, said: Parameters, audience: str, *, now_ms: int, first: Claim | None = None
    ) -> Bought | OAuthError:
        """What a device gets, or what it must do first.

        Args:
            said: the parameters of its request.
            audience: the resource that it names.
            now_ms: Unix milliseconds.
            first: what must be won before anything is spent; None for nothing.
        """
        device = self.codes.read(said.get("device_code", ""), now_ms=now_ms)
        if device is None or not device.is_of(said.get("client_id", "")):
            return OAuthError(
                "invalid_grant", "expected a device_code of this server, and the client_id it is of"
            )
        if audience != device.audience:
            return OAuthError("invalid_target", f"expected resource={device.audience}")
        if device.is_over(now_ms=now_ms):
            return OAuthError("expired_token", "nobody worked for this device; begin again")
        if await self._is_hasty(device, now_ms=now_ms):
            return OAuthError("slow_down", f"expected {INTERVAL_S} s between two requests")
        approved = await self.approvals.has(device.user_code)
        if isinstance(approved, Problem):
            return of_problem(approved, "invalid_grant")
        if not approved:
            return OAuthError("authorization_pending", "nobody has worked for this device yet")
        replayed = await use_up(self.redemption.ledger, first, now_ms=now_ms)
        if replayed is not None:
            return of_problem(replayed, "invalid_grant")
        return await self._sell(device, now_ms=now_ms)

    async def _sell(self, device: Device, *, now_ms: int) -> Bought | OAuthError:
        # By the approval and not by the device: what was worked for once is given out once,
        # though two devices should have got the same letters.
        user_code = device.user_code
        claim = Claim(b"device:" + user_code.approval, None, user_code.ends_at_ms + GRACE_MS)
        problem = await settle(self.redemption.ledger, claim, now_ms=now_ms)
        if problem is not None and problem.status == 402:
            return OAuthError("invalid_grant", "this device_code got its token before; begin again")
        if problem is not None:
            return of_problem(problem, "invalid_grant")
        price = self.redemption.policy.default
        terms = replace(price, sells=price.sells or _ONE_CALL)
        sold = self.redemption.rail.sell(terms, now_ms=now_ms, used=0)
        assert sold is not None
        return Bought(f"Bearer {sold.text}", "work", sold.calls, sold.expires_at_ms)

    async def _is_hasty(self, device: Device, *, now_ms: int) -> bool:
        try:
            found = await self.limiter.take(
                b"device " + device.user_code.approval, quota=_PACE, now_ms=now_ms
            )
        except Exception as error:  # noqa: BLE001 - any store's fault; it holds back a nuisance
            _LOG.warning("the limiter failed, and holds nothing back: %s", type(error).__name__)
            return False
        return not found.allowed
