# SPDX-License-Identifier: Apache-2.0
"""Work for an invoice: a challenge that is cheaper than any call, and buys one invoice for one.

It is bound to the caller's network and to the call. Which were used, each gate remembers by
itself, in bounded memory: whoever makes it forget has done more work than that gains.
"""

import functools
from collections.abc import Callable
from typing import Final

from pypow import challenge, difficulty, wire
from pypow.challenge import Expected, Issuer, Key, Keyring, Refusal
from pypow.errors import WireError
from pypow.wire import Challenge

from .fresh import fresh_id
from .mcp_message import INVOICE_META
from .payment_fields import STAMP_HEADER

_PURPOSE: Final = b"invoice"
_MOST_USED: Final = 50_000


class Stamps:
    """Issues challenges for invoices, and takes each proof once."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        host: bytes,
        q: int,
        lifetime_s: int,
        fresh_id: Callable[[], bytes] = fresh_id,
    ) -> None:
        """No stamp was used yet.

        Args:
            keyring: the deployment's secrets.
            host: of the public URL.
            q: work, in 1/1024 bit.
            lifetime_s: how long a challenge is good for, 1 to 600.
            fresh_id: 16 random bytes at each call.
        """
        self._keyring = keyring
        self._host = host
        self._q = difficulty.to_whole_hex_zeros(q)
        self._lifetime_s = lifetime_s
        self._fresh_id = fresh_id
        self._used: dict[bytes, None] = {}

    def challenge(self, *, client: str, bought: str, now_ms: int, epoch: int) -> Challenge:
        """A challenge for one invoice.

        Args:
            client: the caller's network.
            bought: names what the invoice would buy.
            now_ms: Unix milliseconds.
            epoch: the ledger's.
        """
        key = self._keyring.signing
        issuer = Issuer(
            key,
            q=self._q,
            lifetime_s=self._lifetime_s,
            resource=self._resource(key, client, bought),
        )
        octets = issuer.issue(now_ms=now_ms, epoch=epoch, identity=self._fresh_id())
        return wire.challenge_of_octets(octets)

    def take(self, sent: object, *, client: str, bought: str, now_ms: int) -> bytes | None:
        """The id of a proof for such an invoice that was not used here before; now it was.

        None for anything else.
        """
        try:
            said = sent.decode("ascii") if isinstance(sent, bytes) else sent
            proof = wire.proof_from_json(said)
            key_id, epoch = wire.key_and_epoch(proof.challenge or "")
        except (WireError, UnicodeDecodeError):
            return None
        key = self._keyring.find(key_id) or self._keyring.signing
        expected = Expected(now_ms, epoch, self._resource(key, client, bought))
        checked = challenge.check(proof, self._keyring, expected)
        # One that is for any call was made for calls: it is spent in the ledger, and not here.
        if isinstance(checked, Refusal) or checked.challenge.resource == wire.ANY_RESOURCE:
            return None
        if checked.challenge.id in self._used:
            return None
        if len(self._used) >= _MOST_USED:
            del self._used[next(iter(self._used))]
        self._used[checked.challenge.id] = None
        return checked.challenge.id

    def give_back(self, identity: bytes) -> None:
        """Let a proof be used again that bought nothing."""
        self._used.pop(identity, None)

    def _resource(self, key: Key, client: str, bought: str) -> bytes:
        parts = (_PURPOSE, client.encode(), bought.encode())
        return challenge.scope_digest(key.resource_mac, self._host, *parts)


class Stamp:
    """The work that one request brought for an invoice, if any."""

    def __init__(
        self, stamps: Stamps, sent: object, *, client: str, bought: str, now_ms: int
    ) -> None:
        """Nothing is looked at yet; the arguments are those of `Stamps.take`."""
        self._stamps = stamps
        self._sent = sent
        self._take = functools.partial(stamps.take, client=client, bought=bought, now_ms=now_ms)
        self._used: bytes | None = None

    def take(self) -> bool:
        """As `Work.take`."""
        self._used = None if self._sent is None else self._take(self._sent)
        return self._used is not None

    def give_back(self) -> None:
        """As `Work.give_back`."""
        if self._used is not None:
            self._stamps.give_back(self._used)


def asked(stamp: Challenge, *, in_mcp: bool) -> dict[str, object]:
    """What a caller is told of a stamp.

    Args:
        stamp: a fresh one.
        in_mcp: whether the caller speaks MCP.
    """
    proof = f"challenge={stamp.text},nonce=<nonce>"
    told: dict[str, object] = {
        **stamp.published(),
        "solve": f"pypow solve --challenge {stamp.text}",
        "send": f"{STAMP_HEADER}: {proof}",
    }
    if in_mcp:
        told["send_mcp"] = {"_meta": {INVOICE_META: proof}}
    return told
