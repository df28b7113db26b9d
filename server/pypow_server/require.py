# SPDX-License-Identifier: Apache-2.0
"""Gate a single route of a FastAPI app: ``Depends(require("search"))``.

The route's own gate is the same `Gate` that guards whole apps, around nothing: whether it lets
the request through is the answer.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from fastapi import FastAPI, Request, Response

from pypow.errors import InvalidInputError

from .call import PRINCIPAL_KEY
from .embedding import assemble, weighed
from .gate import Gate
from .lifespan import serve_lifespan
from .policy import Price, priced
from .reply import Header, Reply
from .scope import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from .app import App

Charged: TypeAlias = str | None
"""Who was charged; None where the call was free."""

_OUTCOME: Final = "pypow.outcome"
_ADDED: Final = "pypow.added_headers"


class NotEarnedError(Exception):
    """Ends a request that has not earned its route; `install` has it answered."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(f"refused with {answer.status}")
        self.answer = answer


def install(
    app: FastAPI,
    *,
    prices: Mapping[str, float | Price] | None = None,
    store: str | None = None,
    public_url: str | None = None,
    state_dir: str | Path | None = None,
) -> None:
    """Make `require` work on the routes of ``app``; all other routes stay as they are.

    Whatever is not given is read from the ``PYPOW_*`` variables that `pypow gate` reads.

    Args:
        app: whose routes are to be gated; called once, before it starts.
        prices: what the names that `require` takes cost: bits of expected work, or a `Price`.
        store: ``memory:``, ``sqlite:PATH`` or a Redis URL; by default a file in ``state_dir``.
        public_url: the app's URL as callers see it; proofs are bound to its host.
        state_dir: holds the keys; made if there is none.

    Raises:
        InvalidInputError: a value that cannot be, or keys or a store that cannot be had.
    """
    assembled = assemble(
        _admitted, prices=None, store=store, public_url=public_url, state_dir=state_dir
    )
    app.state.pypow = _Till(assembled.gate, dict(prices or {}))
    app.add_exception_handler(NotEarnedError, _answer)

    app.add_middleware(partial(_Around, assembled=assembled))


@cache
def require(
    name: str | None = None, *, bits: float | None = None
) -> Callable[[Request], Awaitable[Charged]]:
    """What a route depends on to be reached by calls that have earned it.

    Callers without a credential get the refusal that the gate gives: 402 with offers. A proof is
    spent before the route runs. A pass that a proof bought is told in the answer's ``X-PoW-Pass``.

    Args:
        name: of one of the prices that `install` was given.
        bits: the price itself, in bits of expected work, 1 to 44.

    Returns:
        A dependency whose value is who was charged: a network, or a pass; None where the call was
        free.

    Raises:
        InvalidInputError: not exactly one of the two, or bits out of range.
    """
    if (name is None) == (bits is None):
        raise InvalidInputError('expected require("name") or require(bits=18)')
    if bits is not None:
        priced("", bits=bits)  # a mistake is told where it is made, and not at the first request

    async def earned(request: Request) -> Charged:
        till = getattr(request.app.state, "pypow", None)
        if not isinstance(till, _Till):
            raise InvalidInputError("require(...) needs install(app) before the app starts")
        return await till.admit(request.scope, till.price_of(name, bits))

    return earned


@dataclass(slots=True)
class _Outcome:
    """What a gate around nothing makes of a request: it is let through, or it is answered."""

    admitted: bool = False
    charged: Charged = None
    answer: Reply = field(default_factory=lambda: Reply(500), repr=False)

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answer = Reply(message["status"], tuple(message["headers"]))
        else:
            self.answer = replace(self.answer, body=self.answer.body + message["body"])


async def _admitted(
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """What a route's gate stands around."""
    outcome: _Outcome = scope[_OUTCOME]
    outcome.admitted = True
    outcome.charged = scope.get(PRINCIPAL_KEY)
    await Reply(200)(scope, receive, send)


@dataclass(slots=True)
class _Till:
    """Where the routes of one app are paid.

    Attributes:
        gate: shared by all routes.
        prices: by name.
    """

    gate: Gate
    prices: Mapping[str, float | Price]
    _gates: dict[Price, Gate] = field(default_factory=dict)

    def price_of(self, name: str | None, bits: float | None) -> Price:
        worth = bits if name is None else self.prices.get(name)
        if worth is None:
            known = ", ".join(sorted(self.prices)) or "none"
            raise InvalidInputError(
                f"expected a price that install was given ({known}), got {name!r}"
            )
        return weighed(name or f"{bits:g} bits", worth, self.gate.policy.default)

    async def admit(self, scope: Scope, price: Price) -> Charged:
        """Who was charged for this request.

        Raises:
            NotEarnedError: it is refused.
        """
        gate = self._gates.get(price)
        if gate is None:
            gate = self._gates[price] = self.gate.around(_admitted, price=price)
        outcome = _Outcome()
        await gate({**scope, _OUTCOME: outcome}, _nothing, outcome.take)
        if not outcome.admitted:
            raise NotEarnedError(outcome.answer)
        bought = (header for header in outcome.answer.headers if header[0] != b"content-length")
        scope[_ADDED].extend(bought)
        return outcome.charged


async def _nothing() -> Message:
    raise AssertionError("no gate of a single route reads a body")


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NotEarnedError)
    response = Response(error.answer.body, status_code=error.answer.status)
    response.raw_headers[:] = error.answer.headers
    return response


class _Around:
    """Goes around the whole app: starts and stops the gate, and tells callers what they bought."""

    def __init__(self, app: ASGIApp, *, assembled: "App") -> None:
        self._app = app
        self._assembled = assembled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            start, stop = self._assembled.start, self._assembled.stop
            await serve_lifespan(self._app, scope, receive, send, start=start, stop=stop)
            return
        added: list[Header] = []

        async def send_with_added(message: Message) -> None:
            if added and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        # The same scope, since what stands around the app looks there for the route that it took.
        scope[_ADDED] = added
        await self._app(scope, receive, send_with_added)
