# SPDX-License-Identifier: Apache-2.0
"""Rails: ways to earn admission. One module per rail; this is the seam they share with the gate."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from pypow.pricing import Quote
from pypow_server.call import Call
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.sale import Sale


class Claim(NamedTuple):
    """What must still be spent before a credential admits.

    Attributes:
        key: what names the value; the ledger's key.
        epoch: the ledger's epoch that the credential carries; None for what outlives a lost
            ledger.
        expires_at_ms: Unix milliseconds.
        limit: how many uses the key has in all.
        sale: what was paid for them; None for what cost no money.
    """

    key: bytes
    epoch: int | None
    expires_at_ms: int
    limit: int = 1
    sale: Sale | None = None


class Paid(NamedTuple):
    """What a proof paid for, by which its redemption is charged.

    Attributes:
        overdraft: besides the price, in 1/8 bit.
        issued_at_ms: when that was asked, Unix milliseconds.
        calls: how many it buys.
    """

    overdraft: int
    issued_at_ms: int
    calls: int = 1


class Admit(NamedTuple):
    """The credential stands; the call may pass once ``spend`` is spent.

    Attributes:
        principal: who is charged.
        spend: what the gate must win first; None for nothing.
        bought: the text of the pass that the credential buys beside this call; None for none. The
            caller is told in ``X-PoW-Pass``.
        q: work that was done for this call, in 1/1024 bit; None for none.
        solve_ms: from the issue of the challenge to now; None without one.
        paid: None for what was charged when it was bought.
        receipt: headers that the caller gets beside the answer.
        goes_first: whether it was bought with money, and so waits in a lane of its own.
        guard: what the gate must win before ``spend``: the proof of a key, which counts once; None
            for none. It is not given back.
    """

    principal: str
    spend: Claim | None
    bought: str | None = None
    q: int | None = None
    solve_ms: int | None = None
    paid: Paid | None = None
    receipt: tuple[Header, ...] = ()
    goes_first: bool = False
    guard: Claim | None = None

    def __repr__(self) -> str:
        """Without the pass: it is a secret."""
        return f"Admit(principal={self.principal!r}, spend={self.spend!r})"


@dataclass(frozen=True, slots=True)
class Refuse:
    """A credential of this rail came and does not stand."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Absent:
    """No credential of this rail came."""


Verdict: TypeAlias = Admit | Refuse | Absent

Denial: TypeAlias = Callable[[bytes], Awaitable[Problem | None]]


async def nobody(_identity: bytes) -> None:
    """The denial of a rail whose passes are never revoked."""


class Offer(NamedTuple):
    """How a rail says, in a refusal, what it wants.

    Attributes:
        rail: its name.
        www_authenticate: the challenges of RFC 9110 section 11.6.1, one a line; none where it has
            no scheme.
        json: the same for machines, the text of a JSON object.
        ask: the same for a reader, in at most 300 characters of ASCII.
        q: work that it asks for, in 1/1024 bit; None where it asks for something else.
        beside: members that its clients look for beside those of the problem, the text of a JSON
            object without its braces.
        challenges: of the `Payment` scheme, as MCP has them: the text of a JSON array; "" for none.
    """

    rail: str
    www_authenticate: tuple[str, ...]
    json: str
    ask: str
    q: int | None = None
    beside: str = ""
    challenges: str = ""

    @property
    def body(self) -> dict[str, object]:
        """What ``json`` says."""
        body: dict[str, object] = json.loads(self.json)
        return body


class Rail(Protocol):
    """One way to earn admission.

    A rail judges and offers; it neither spends nor asks a store. Only the gate touches the
    ledger, after every check has passed. A rail that spent by itself could charge a caller whom
    the next check refuses.
    """

    @property
    def name(self) -> str:
        """What offers and logs call this rail."""
        ...

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """Hold what the call presents against its price. At most one credential per rail.

        No epoch: the ledger compares a challenge's with its own as it spends, so that a credential
        with nothing to spend is judged while no store can be reached.
        """
        ...

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer | None:
        """What would earn this call admission; None where nothing of this rail would, now.

        Writes nothing.

        Args:
            call: the call.
            price: what it costs everybody.
            now_ms: Unix milliseconds.
            epoch: the ledger's.
            quote: what it costs this caller; None where that is the same.
        """
        ...


LOGIN: Final = "oauth"
"""What offers and logs call the rail by which callers sign in."""


class LoginRail(Protocol):
    """The rail that says who calls. It is judged before the others, where a price has scopes."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """As `Rail.judge`."""
        ...

    def offer(self, price: Price) -> Offer:
        """Where to get a token for calls of this price."""
        ...

    def challenge(self, price: Price) -> str:
        """The ``WWW-Authenticate`` line of a call that came without a token."""
        ...
