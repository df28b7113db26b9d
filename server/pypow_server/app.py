# SPDX-License-Identifier: Apache-2.0
"""The assembled server: the one place that knows which rail, store and front there are."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from typing import Final

from fastapi import FastAPI

from pypow import chosen_kernel
from pypow.challenge import Keyring, hkdf_sha256

from . import configuration, keyfile, tracing
from .admin import Readiness, create_admin
from .api import CHALLENGE_PATH, VERIFY_PATH, create_api
from .authorization.opening import TokenDesk
from .calibration.calibrating import Calibrating
from .calibration.calibration_figures import CalibrationFigures
from .calibration.samples import Samples
from .crowd.climate_figures import ClimateFigures
from .crowd.conditions import Conditions, rules_of
from .crowd.turn_figures import TurnFigures
from .crowd.turns import Turns
from .decision import Recorder
from .fronts.dialects import DIALECTS
from .fronts.forward_auth import ForwardAuth, vouch, without_bodies
from .fronts.guarded import front_of, problem_of
from .gate import Gate, wall_clock_ms
from .holders import Holders
from .lifespan import serve_lifespan
from .login_desk import LoginDesk
from .old_sales import OldSales
from .paid_calls import PaidCalls
from .policy import Entry, Policy
from .rails import LoginRail
from .rails.opening import Rails, login_rail, rails_of
from .redemption import Redemption
from .resource import raw_path
from .revoked import RevokedPasses
from .scope import ASGIApp, Receive, Scope, Send
from .settings import Settings
from .shop import Shop
from .sold.routes import sold_routes
from .stores import Store
from .stores.opening import open_store
from .telemetry import AUDIT_PURPOSE, Telemetry

_LOG: Final = logging.getLogger("pypow_server.gate")
_SAMPLES_PURPOSE: Final = b"pypow 1 samples"
"""What the key is derived for, by HKDF, under which samples have their names."""

_API_PATHS: Final = (CHALLENGE_PATH.encode(), VERIFY_PATH.encode())


@dataclass(frozen=True, slots=True)
class _Rules:
    """All that may change while the gate runs."""

    settings: Settings
    policy: Policy
    rails: Rails
    api: FastAPI
    holders: Holders | None
    own: Mapping[bytes, ASGIApp]
    """What is answered here, by path."""


class App:
    """A gate with its API: an ASGI app for callers, and another for operators.

    Attributes:
        gate: what callers go through, but for the API.
        readiness: whether new callers should come.
        turns: of the upstream.
        telemetry: to be told when log files were moved away.
    """

    def __init__(
        self,
        settings: Settings,
        front: ASGIApp,
        *,
        keys: Keyring,
        store: Store,
        prices: Sequence[Entry] = (),
    ) -> None:
        """Put the parts together. `create_app` makes them.

        Args:
            settings: all of it.
            front: the guarded app.
            keys: sign and verify.
            store: remembers; closed with the app.
            prices: rows that stand before those of the settings.
        """
        self._prices = tuple(prices)
        self.telemetry = _telemetry(settings, keys)
        self._store = self.telemetry.store(store)
        self._revoked = RevokedPasses(store.revocations, clock=wall_clock_ms)
        self._conditions = Conditions(store.climate)
        self.turns = Turns(gates=lambda: self._conditions.gates)
        self._conditions.fill = self.turns.mean_fill
        self._turn_figures = TurnFigures(self.turns)
        self.telemetry.metrics.show(self._turn_figures)
        self._samples = Samples(hkdf_sha256(keys.signing.secret, info=_SAMPLES_PURPOSE))
        self._calibrating = Calibrating(store.calibration, self._samples, moved=self._moved)
        self._calibrating.follow(settings.calibration)
        self._shop = Shop(settings, self._store.limiter)
        self._shop.show(self.telemetry, self._store.sales)
        self._desk = LoginDesk(settings, self.telemetry.metrics)
        self._tokens = TokenDesk(settings, self._store.limiter, self._revoked, clock=wall_clock_ms)
        self._login = self._login_rail(settings, keys)
        self._api = self.telemetry.gate(self._answer_api)
        self._paid_calls = PaidCalls(self._store.payments)
        self._old_sales = OldSales(
            self._store.sales,
            lambda: self._rules.settings.rows.selling,
            clock=wall_clock_ms,
        )
        self._rules = self._rules_of(
            settings, self._rails(settings, keys), self._holders(settings, keys)
        )
        self._follow()
        self.telemetry.activity.crowd = self._conditions.crowd
        self.telemetry.metrics.show(
            ClimateFigures(self._conditions, lambda: self._rules.settings.rows.pricing.replicas)
        )
        self.telemetry.metrics.show(CalibrationFigures(self._calibrating))
        self.gate = self._gate(self.telemetry.upstream(front), self._rules.policy)
        # Decides about requests whose body stays with the proxy that asks.
        self._unseen = self._gate(vouch, without_bodies(self._rules.policy))
        self._entrance = self.telemetry.gate(self._entrance_of(settings))
        self.readiness = Readiness(self._store.ledger)

    @cached_property
    def admin(self) -> FastAPI:
        """The operators' app; serve it where callers cannot reach it.

        Its live view counts from when this is first asked for: a gate that nobody can look at
        does not pay for it.
        """
        return create_admin(
            api=self._rules.api,
            readiness=self.readiness,
            telemetry=self.telemetry,
            configuration=lambda: {
                **configuration.shown(self._rules.settings),
                "calibration": self._calibrating.shown(),
            },
            names=lambda: self._rules.settings.admin_names,
            beside=(sold_routes(self._store.sales, clock=wall_clock_ms),),
            remark=self._shop.remark,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await serve_lifespan(
                self._entrance, scope, receive, send, start=self.start, stop=self.stop
            )
        elif scope["type"] == "http" and (own := self._own(scope)) is not None:
            await own(scope, receive, send)
        else:
            await self._entrance(scope, receive, send)

    def _own(self, scope: Scope) -> ASGIApp | None:
        # As the gate does, by the raw path: what servers may read in two ways is not ours to
        # answer. The gate answers OPTIONS for every path.
        own = self._rules.own.get(raw_path(scope))
        return None if scope["method"] == "OPTIONS" else own

    def reload(self, settings: Settings) -> None:
        """Serve requests that begin from now on by these settings; `LIVE` ones, and keys, count.

        Raises:
            InvalidInputError: keys that cannot be read. Everything stays as it was.
        """
        keys = keyfile.load(settings.key_file)
        self._shop.require_same(settings)
        self._desk.require_same(settings)
        self._tokens.require_same(settings)
        rules = self._rules_of(settings, self._rails(settings, keys), self._holders(settings, keys))
        self._calibrating.follow(settings.calibration)
        self._login = self._login_rail(settings, keys)
        self._decide_by(rules)
        self._follow()
        self.telemetry.metrics.reloaded()

    def _moved(self) -> None:
        """Serve requests that begin from now on at the prices to which calibration has moved."""
        rules = self._rules
        self._decide_by(self._rules_of(rules.settings, rules.rails, rules.holders))

    def _decide_by(self, rules: _Rules) -> None:
        recorders = self._recorders(rules.settings)
        seen, unseen = rules.policy, without_bodies(rules.policy)
        for gate, policy in ((self.gate, seen), (self._unseen, unseen)):
            gate.decide_by(
                policy=policy,
                rails=rules.rails,
                holders=rules.holders,
                login=self._login,
                recorders=recorders,
            )
        self._rules = rules

    def _recorders(self, settings: Settings) -> Sequence[Recorder]:
        """Who is told of decisions; some only where something comes of it."""
        told = self.telemetry.recorders
        if settings.calibration is not None:
            told = (*told, self._samples.record)
        if settings.rows.pricing.capacity is not None:
            told = (*told, self._turn_figures.record)
        return told

    def _follow(self) -> None:
        pricing = self._rules.settings.rows.pricing
        self._conditions.follow(rules_of(pricing, self._rules.policy.default.q))
        self.turns.serve(pricing.capacity)
        if pricing.replicas > 1:
            _LOG.warning(
                "pricing.replicas is %d: this gate gives out one part in so many of each caller's "
                "allowance, and of the capacity, since the others share no store with it",
                pricing.replicas,
            )

    def _gate(self, app: ASGIApp, policy: Policy) -> Gate:
        return Gate(
            app,
            rails=self._rules.rails,
            ledger=self._store.ledger,
            policy=policy,
            credit=self._store.credits,
            conditions=self._conditions,
            turns=self.turns,
            limiter=self._store.limiter,
            holders=self._rules.holders,
            paid_calls=self._paid_calls,
            login=self._login,
            recorders=self._recorders(self._rules.settings),
        )

    def _entrance_of(self, settings: Settings) -> ASGIApp:
        gate = self._tokens.carrying(self.gate)
        if settings.forward_auth is None:
            return gate
        return ForwardAuth(
            unseen=self._tokens.carrying(self._unseen),
            named=gate if settings.mcp_headers == "checked" else None,
            policy=lambda: self._rules.policy,
            dialect=DIALECTS[settings.forward_auth],
            failure=problem_of,
        )

    def _rails(self, settings: Settings, keys: Keyring) -> Rails:
        return rails_of(
            settings, keys, self._shop, denial=self._revoked.denial, others=self._tokens.rails()
        )

    def _login_rail(self, settings: Settings, keys: Keyring) -> LoginRail | None:
        return login_rail(
            settings,
            keys,
            self._tokens.judging(self._desk.judge),
            issuers=self._tokens.issuers(settings),
            denial=self._revoked.denial,
        )

    def _holders(self, settings: Settings, keys: Keyring) -> Holders | None:
        pricing = settings.rows.pricing
        if pricing.quota is None or pricing.standing_ms is None:
            return None
        return Holders(
            keys,
            lifetime_ms=pricing.standing_ms,
            secure_cookies=_is_https(settings),
            told=self.telemetry.metrics.standing_token,
        )

    def _rules_of(self, settings: Settings, rails: Rails, holders: Holders | None) -> _Rules:
        policy = settings.policy_moved(self._calibrating.offset_by(settings.calibration))
        policy = replace(policy, entries=(*self._prices, *policy.entries))
        redemption = Redemption(
            rails[0],
            policy,
            self._store.ledger,
            self._store.credits,
            self._conditions,
            holders,
            # There is no gate before its rules.
            meter_then=lambda price, at_ms: self.gate.meter_then(price, at_ms),  # noqa: PLW0108
        )
        recorders = self._recorders(settings)
        api = create_api(
            redemption,
            clock=wall_clock_ms,
            recorders=recorders,
            secure_cookies=_is_https(settings),
            selling=settings.rows.selling,
        )
        own = dict.fromkeys(_API_PATHS, self._api)
        own.update(self._desk.documents(settings, policy))
        own.update(self._tokens.answers(settings, redemption, rails, recorders))
        return _Rules(settings, policy, rails, api, holders, own)

    async def _answer_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._rules.api(scope, receive, send)

    def start(self) -> None:
        """Begin what goes on beside requests; in the event loop that serves them."""
        self._revoked.start()
        self._conditions.start()
        self._calibrating.start()
        self._old_sales.start()

    def drain(self) -> None:
        """The gate is to stop: who waits for a turn is sent to another one."""
        self.readiness.drain()
        self.turns.close()

    async def stop(self) -> None:
        """Close store and logs, once the guarded app has shut down."""
        await self._revoked.aclose()
        await self._conditions.aclose()
        await self._calibrating.aclose()
        await self._paid_calls.aclose()
        await self._old_sales.aclose()
        await self._shop.aclose()
        await self._desk.aclose()
        await self._tokens.aclose()
        await self._store.limiter.aclose()
        await self._store.ledger.aclose()
        self.telemetry.close()


def create_app(
    settings: Settings, *, around: ASGIApp | None = None, prices: Sequence[Entry] = ()
) -> App:
    """Put the server together. Makes keys and ledger where there are none.

    Args:
        settings: all of it.
        around: the ASGI app to guard in this process; by default what is at the upstream's URL.
        prices: rows that stand before those of the settings.

    Raises:
        InvalidInputError: no upstream, or keys or a ledger that cannot be had; one line.
    """
    front = around if around is not None else front_of(settings)
    keys = keyfile.load_or_create(settings.key_file)
    store = open_store(settings.store_url)
    return App(settings, front, keys=keys, store=store, prices=prices)


def _telemetry(settings: Settings, keys: Keyring) -> Telemetry:
    return Telemetry(
        version=resources.files("pypow").joinpath("VERSION").read_text("ascii").strip(),
        kernel=chosen_kernel().name,
        store_url=settings.store_url,
        audit_file=settings.audit,
        audit_key=hkdf_sha256(keys.signing.secret, info=AUDIT_PURPOSE),
        tracing=tracing.configured(),
    )


def _is_https(settings: Settings) -> bool:
    return settings.url.startswith("https:")
