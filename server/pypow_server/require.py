# SPDX-License-Identifier: Apache-2.0
"""Gate a single route of a FastAPI app: ``Depends(require("search"))``.

The route's own gate is the same `Gate` that guards whole apps, around nothing: whether it lets
the request through is the answer.
"""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from fastapi import FastAPI, Request, Response, routing

from pypow.errors import InvalidInputError

from .call import PRINCIPAL_KEY
from .embedding import assemble, weighed
from .gate import Gate
from .lifespan import serve_lifespan
from .policy import Price, priced
from .reply import Header, Reply
from .scope import ASGIApp, Message, Receive, Scope, Send

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
        app: whose routes are to be gated; called once, before it starts. A route that requires a
            name without a price ends the start.
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
    default = assembled.gate.policy.default
    till = _Till(
        assembled.gate,
        {name: weighed(name, worth, default) for name, worth in (prices or {}).items()},
    )
    app.state.pypow = till
    app.add_exception_handler(NotEarnedError, _answer)

    def start() -> None:
        for requirement in _requirements(app):
            till.price_of(requirement)
        assembled.start()

    app.add_middleware(partial(_Around, start=start, stop=assembled.stop))


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
    return _Requirement(name, bits)


@dataclass(frozen=True, slots=True)
class _Requirement:
    """What `require` returns. Equal ones are one to FastAPI, so that a route pays once."""

    name: str | None
    bits: float | None

    async def __call__(self, request: Request) -> Charged:
        till = getattr(request.app.state, "pypow", None)
        if not isinstance(till, _Till):
            raise InvalidInputError("require(...) needs install(app) before the app starts")
        return await till.admit(request.scope, till.price_of(self))


def _requirements(app: FastAPI) -> Iterator[_Requirement]:
    """What the routes of an app require; those of apps that are mounted in it are their own."""
    # Until 0.116 FastAPI had all routes in one list.
    contexts = getattr(routing, "iter_route_contexts", iter)
    found = [getattr(route, "dependant", None) for route in contexts(app.routes)]
    while found:
        dependant = found.pop()
        if dependant is not None:
            found += dependant.dependencies
            if isinstance(dependant.call, _Requirement):
                yield dependant.call


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
    prices: Mapping[str, Price]
    _gates: dict[Price, Gate] = field(init=False)
    _default: Price = field(init=False)

    def __post_init__(self) -> None:
        # As it was said: what is weighed against it stays so when calibration moves it.
        self._default = self.gate.policy.default
        self._gates = {price: self._around(price) for price in self.prices.values()}

    def price_of(self, required: _Requirement) -> Price:
        """The price of what is required.

        Raises:
            InvalidInputError: a name that has none, or bits whose own name has another.
        """
        if required.name is not None:
            if required.name in self.prices:
                return self.prices[required.name]
            raise InvalidInputError(self._unknown(required.name))
        assert required.bits is not None
        name = f"{required.bits:g} bits"
        price = weighed(name, required.bits, self._default)
        if self.prices.get(name, price) != price:
            raise InvalidInputError(
                f"expected no price named {name!r}, which is what require(bits=...) calls its own"
            )
        return price

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(self.prices)) or "none"
        nearest = difflib.get_close_matches(name, self.prices, n=1)
        advice = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return f"require: expected a price that install was given ({known}), got {name!r}{advice}"

    def _around(self, price: Price) -> Gate:
        return self.gate.around(_admitted, price=price)

    async def admit(self, scope: Scope, price: Price) -> Charged:
        """Who was charged for this request.

        Raises:
            NotEarnedError: it is refused.
        """
        gate = self._gates.get(price)
        if gate is None:
            gate = self._gates[price] = self._around(price)
        outcome = _Outcome()
        await gate({**scope, _OUTCOME: outcome}, _nothing, outcome.take)
        if not outcome.admitted:
            raise NotEarnedError(outcome.answer)
        bought = (header for header in outcome.answer.headers if header[0] != b"content-length")
        scope[_ADDED].extend(bought)
        return outcome.charged


async def _nothing() -> Message:
    """The body is the route's: the gate of a route is told nothing, not that the caller left."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NotEarnedError)
    response = Response(error.answer.body, status_code=error.answer.status)
    response.raw_headers[:] = error.answer.headers
    return response


class _Around:
    """Goes around the whole app: starts and stops the gate, and tells callers what they bought."""

    def __init__(
        self, app: ASGIApp, *, start: Callable[[], None], stop: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(
                self._app, scope, receive, send, start=self._start, stop=self._stop
            )
            return
        added: list[Header] = []

        async def send_with_added(message: Message) -> None:
            if added and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        # The same scope, since what stands around the app looks there for the route that it took.
        scope[_ADDED] = added
        await self._app(scope, receive, send_with_added)
