# SPDX-License-Identifier: Apache-2.0
"""What an offer of work says. From one to the next only its challenge and its time differ."""

from dataclasses import dataclass

from pypow.challenge import Issuer
from pypow_server.mcp_message import PROOF_META
from pypow_server.policy import Price
from pypow_server.reply import json_text
from pypow_server.resource import Resource

from . import Offer

RAIL = "work"


@dataclass(frozen=True, slots=True)
class OfferForm:
    """The offers for one call at one price, with the challenge cut out.

    Attributes:
        issuer: makes their challenges.
        www_authenticate: the pieces around the challenge.
        json: the pieces around the challenge, up to the time of expiry, and those after it.
        ask: the pieces around the challenge.
    """

    issuer: Issuer
    www_authenticate: list[str]
    json: tuple[list[str], list[str]]
    ask: list[str]

    @classmethod
    def of(cls, issuer: Issuer, price: Price, resource: Resource) -> "OfferForm":
        """What to say of these challenges.

        Args:
            issuer: makes them.
            price: what they pay.
            resource: what they buy.
        """
        # The one that is cut out holds a digest of the resource: no name of one can contain it.
        published = issuer.terms.published()
        cut = issuer.terms.text
        solve = f"pypow solve --challenge {cut}"
        proof = f"challenge={cut},nonce=<nonce>"
        body: dict[str, object] = {"rail": RAIL, **published, "solve": solve}
        body["send"] = f"X-PoW-Solution: {proof}"
        if price.sells is not None:
            body["pass"] = {
                "calls": price.sells.calls,
                "lifetime": price.sells.lifetime_s,
                "resource": resource.text,
            }
        if resource.kind == "mcp":
            body["send_mcp"] = {"_meta": {PROOF_META: proof}}
        until, since = json_text(body).split(f'"expires_at":{published["expires_at"]},')
        line = (
            f'PoW challenge="{cut}", difficulty="{published["difficulty"]}", '
            f'algorithm="sha256", bits="{published["bits"]:g}"'
        )
        ask = (
            f"Run `{solve}` and repeat the call with the header that it prints as "
            f'_meta["{PROOF_META}"].'
        )
        return cls(issuer, line.split(cut), (until.split(cut), since.split(cut)), ask.split(cut))

    def filled_in(
        self, challenge: str, *, expires_at_ms: int, free_in_s: int | None = None
    ) -> Offer:
        """The offer of one challenge.

        Args:
            challenge: as text.
            expires_at_ms: Unix milliseconds.
            free_in_s: after how many seconds the call is free, if nobody calls meanwhile; None
                where it never is.
        """
        until, since = map(challenge.join, self.json)
        if free_in_s is not None:
            since = f'"free_in":{free_in_s},{since}'
        return Offer(
            RAIL,
            (challenge.join(self.www_authenticate),),
            f'{until}"expires_at":{expires_at_ms // 1000},{since}',
            challenge.join(self.ask),
            self.issuer.terms.q,
        )
