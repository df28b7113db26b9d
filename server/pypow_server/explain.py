# SPDX-License-Identifier: Apache-2.0
"""What a policy means: each price in work and time, what is out of reach, what a call costs."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pypow import difficulty
from pypow.pricing import UNIT, Account, Beyond, Principal, Quote, admit, quote
from pypow.profiles import Device, device_of
from pypow.solve_times import solve_times

from .access import parse_network
from .crowd.turns import SOJOURN_MS
from .explain_logins import GivenOut, SignIn, given_out, sign_in, ways
from .match import Match
from .policy import FREE, Policy, Price, Unpriced
from .resource import Resource
from .setting_sources import DEFAULT
from .settings import Settings
from .shop import require_sense
from .stores import Quota

_HANDSHAKE: Final = Resource("mcp", "initialize", "")
_IS_HTTP: Final = re.compile(r"[A-Z*]+ /", re.ASCII)
_BURST: Final = (1, 61, 100)
_OVERRIDING: Final = ("PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price, as an operator thinks of it.

    Attributes:
        entry: its match, or ``default``.
        bits: of work.
        hashes: on average.
        seconds: on average, at the profile's speed.
        p99_s: what all but one in a hundred of its solves take.
        free: calls and milliseconds of its free quota; None for none.
        sells: calls and seconds of the pass that it sells; None for one call.
        observe: whether its calls pass whatever is found.
        sats: the same price in satoshis; None where it is asked in work only.
        ways: what lets a call in, each enough: rails, with a ``+`` where several are needed.
        scopes: what an access token must permit; empty where none is of use.
        login_free: as ``free``, for the holder of such a token; None for the same.
    """

    entry: str
    bits: float
    hashes: float
    seconds: float
    p99_s: float
    free: tuple[int, int] | None
    sells: tuple[int, int] | None
    observe: bool
    sats: int | None = None
    ways: tuple[str, ...] = ("work",)
    scopes: tuple[str, ...] = ()
    login_free: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BurstCall:
    """One of many calls that a caller makes at once who has its whole quota.

    Attributes:
        number: which of them, from 1.
        bits: what it costs; 0 where it is free, None where it is not sold.
    """

    number: int
    bits: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call would cost.

    Attributes:
        request: method and name.
        entry: what decides: a price's entry, ``free``, ``allow`` or ``deny``; ``none`` for a
            WebSocket where MCP is spoken. Rows about networks are left out.
        price: None for what is free or refused.
        burst: what some of a hundred calls at once cost, where prices follow use.
    """

    request: str
    entry: str
    price: PriceLine | None
    burst: tuple[BurstCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Prices that follow the callers' speed, beginning where they are shown.

    Attributes:
        entries: which of them.
        target_ms: what 99 of 100 solves by the slow tenth of known callers shall stay below.
        most_bits: how far they move at most,
        most_bits_a_day: and in a day.
    """

    entries: tuple[str, ...]
    target_ms: int
    most_bits: float
    most_bits_a_day: float


@dataclass(frozen=True, slots=True)
class Sold:
    """What is sold for sats, and how.

    Attributes:
        wallet: its address, which holds no credential.
        network: the chain that money is on.
        expiry_s: how long an invoice can be paid, in seconds.
        grace_s: how long after that a payment is honoured, in seconds.
        max_sats: no call costs more, whatever is used.
        invoices: what each network gets of them without work, and in how many milliseconds; None
            for none.
        invoice_bits: of the work for one beyond that.
        strict: whether the wallet is asked before a payment admits the first time.
    """

    wallet: str
    network: str
    expiry_s: int
    grace_s: int
    max_sats: int
    invoices: tuple[int, int] | None
    invoice_bits: float
    strict: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that `pypow gate --check` tells.

    Attributes:
        profile: whose speed seconds are reckoned with.
        reference: its speed, and where that is from.
        prices: in the order in which they are tried; the default last.
        quota: calls of the default price, and in how many milliseconds, that each network may
            make before all prices without ``free`` rise; None where these do not follow use.
        capacity_per_s: calls that the upstream serves in a second; more wait for their turn. None
            where none is said.
        warnings: what is probably not meant.
        hints: what may be meant otherwise, as the upstream may be.
        calibrated: what follows the callers' speed; None for nothing.
        sold: how calls are sold for sats; None where no wallet is named.
        logins: whose access tokens are taken; None where nobody's are.
        given_out: the access tokens that the gate gives out itself; None where it gives none.
    """

    profile: str
    reference: Device
    prices: tuple[PriceLine, ...]
    quota: tuple[int, int] | None
    capacity_per_s: float | None
    warnings: tuple[str, ...]
    hints: tuple[str, ...]
    calibrated: Calibrated | None = None
    sold: Sold | None = None
    logins: SignIn | None = None
    given_out: GivenOut | None = None


def explain(settings: Settings) -> Explanation:
    """What these settings mean.

    Raises:
        InvalidInputError: no gate would start with them.
    """
    require_sense(settings)
    policy = settings.policy
    profile = settings.rows.profile
    pricing = settings.rows.pricing
    prices = (*(entry.price for entry in policy.entries), policy.default)
    return Explanation(
        profile,
        device_of(profile),
        tuple(_line(price, profile) for price in prices if price is not FREE),
        _quota(pricing.quota),
        None if pricing.capacity is None else pricing.capacity / UNIT,
        tuple(_warnings(settings, policy)),
        tuple(_hints(settings, policy)),
        _calibrated(settings),
        _sold(settings),
        sign_in(settings),
        given_out(settings),
    )


def cost(settings: Settings, request: str) -> Cost:
    """What a call costs that is written ``tools/call search`` or ``POST /v1/items``.

    Raises:
        InvalidInputError: a request that is neither of the two.
    """
    resource = Resource.parse(request)
    if resource.method == "OPTIONS":
        return Cost(request, Unpriced.FREE.entry, None)  # the gate answers it itself
    terms = settings.policy.terms_of(resource)
    if isinstance(terms, Unpriced):
        return Cost(request, terms.entry, None)
    return Cost(request, terms.name, _line(terms, settings.rows.profile), _burst(terms))


def _calibrated(settings: Settings) -> Calibrated | None:
    rules = settings.calibration
    if rules is None:
        return None
    timed = (row.match for row in settings.rows.prices if row.timed)
    return Calibrated(
        (*timed, settings.policy.default.name),
        rules.target_ms,
        difficulty.bits(rules.range_q),
        difficulty.bits(rules.slew_q),
    )


def _burst(price: Price) -> tuple[BurstCall, ...]:
    meter = price.meter
    if meter is None:
        return ()
    constants = meter.tariff.constants
    caller = Principal(replace(Account.new(constants, 0), credit=constants.burst))
    told = []
    for number in range(1, max(_BURST) + 1):
        found = quote(caller, meter.weight, meter.tariff, 0)
        is_free = isinstance(found, Quote) and price.free is not None and found.is_base
        if isinstance(found, Beyond) or not (is_free or price.is_sold):
            bits = None
        else:
            bits = 0.0 if is_free else difficulty.bits(found.q)
            caller = admit(caller, meter.weight, meter.tariff, 0).principal
        if number in _BURST:
            told.append(BurstCall(number, bits))
    return tuple(told)


def _line(price: Price, profile: str) -> PriceLine:
    times = solve_times(price.q, hashes_per_s=device_of(profile).hashes_per_s)
    return PriceLine(
        entry=price.name,
        bits=difficulty.bits(price.q),
        hashes=difficulty.expected_hashes(price.q),
        seconds=times.mean_s,
        p99_s=times.p99_s,
        free=_quota(price.free),
        login_free=_quota(price.login_free),
        sells=None if price.sells is None else (price.sells.calls, price.sells.lifetime_s),
        observe=price.observe,
        sats=price.sats,
        ways=ways(price),
        scopes=tuple(sorted(price.scopes)),
    )


def _sold(settings: Settings) -> Sold | None:
    selling = settings.rows.selling
    if selling is None:
        return None
    return Sold(
        selling.wallet,
        "regtest" if selling.is_development else selling.network,
        selling.expiry_s,
        selling.grace_s,
        selling.max_sats,
        _quota(selling.free_invoices),
        difficulty.bits(selling.stamp_q),
        selling.strict,
    )


def _quota(quota: Quota | None) -> tuple[int, int] | None:
    return None if quota is None else (quota.calls, quota.period_ms)


def _warnings(settings: Settings, policy: Policy) -> Iterator[str]:
    matches = [Match(entry.match) for entry in policy.entries]
    for index, below in enumerate(matches):
        above = next((one for one in matches[:index] if one.hides(below)), None)
        if above is not None:
            yield f'"{below.text}" is never reached: "{above.text}" above it takes all its calls'
    for match in matches:
        if match.covers(_HANDSHAKE):
            yield f'"{match.text}" prices what MCP clients need to connect; most of them give up'
    rows = [row.match for row in policy.allowed if row.match is not None]
    for match in (*matches, *rows):
        method, _, path = match.text.partition(" ")
        if method == "POST" and path and policy.is_mcp_path(path.encode()):
            yield (
                f'"{match.text}" is about no MCP call: those are matched by MCP method and tool, '
                'such as "tools/call *"'
            )
    for line in (_line(price, settings.rows.profile) for price in _prices(policy)):
        if line.seconds > settings.lifetime_s / 4:
            yield (
                f'"{line.entry}" takes {line.seconds:.3g} s on average and a challenge lives '
                f"{settings.lifetime_s} s: about one proof in "
                f"{math.exp(settings.lifetime_s / line.seconds):.3g} comes too late"
            )
    if settings.rows.pricing.replicas > 1 and not settings.store_url.startswith(
        ("memory", "sqlite")
    ):
        yield (
            "[pricing] replicas is for gates that share no store; with this one, each call counts "
            f"{settings.rows.pricing.replicas} times"
        )
    yield from _out_of_reach(settings)
    if settings.rows.selling is not None and not policy.is_sold:
        yield "[l402] has a wallet and no price has sats: nothing is sold for them"
    if settings.rows.logins is not None and not any(price.scopes for price in _prices(policy)):
        yield "[[oauth.issuer]] is trusted and no price has a scope: nobody can sign in"
    yield from _long_turns(settings, policy)
    yield from _exposures(settings)


def _out_of_reach(settings: Settings) -> Iterator[str]:
    """Where calibration has further to go than it may, if callers are as the profile has them."""
    rules = settings.calibration
    if rules is None:
        return
    default = _line(settings.policy.default, settings.rows.profile)
    apart = rules.target_ms / (1000 * default.p99_s)
    if abs(math.log2(apart)) > difficulty.bits(rules.range_q):
        yield (
            f"[work] calibrate is {rules.target_ms} ms, and the default price has a p99 of "
            f"{1000 * default.p99_s:.3g} ms on {settings.rows.profile}: "
            f"{abs(math.log2(apart)):.1f} bits away, of which calibration moves "
            f"{difficulty.bits(rules.range_q):g} at most; "
            f'[default] work = "{1000 * default.seconds * apart:.0f}ms" is near'
        )


def _long_turns(settings: Settings, policy: Policy) -> Iterator[str]:
    """Prices whose calls have others wait for longer than anybody does."""
    capacity = settings.rows.pricing.capacity
    if capacity is None:
        return
    for price in _prices(policy):
        takes_s = price.weight * UNIT / capacity
        if takes_s > SOJOURN_MS / 1000:
            yield (
                f'"{price.name}" takes all turns of {takes_s:.3g} s; other calls wait for '
                f"{SOJOURN_MS / 1000:g} s at the most"
            )


def _hints(settings: Settings, policy: Policy) -> Iterator[str]:
    """What frameworks route to a dear row's handler, and costs less."""
    http = [entry for entry in policy.entries if _IS_HTTP.match(entry.match)]
    for entry in http:
        method, _, path = entry.match.partition(" ")
        if entry.price is FREE or not path or "*" in entry.match:
            continue
        others = [(method, f"{path}.json", "a suffix for the format")]
        if method in _OVERRIDING:
            others.append(("POST", path, f"a form with _method={method}"))
        for other, where, how in others:
            price = policy.price_of(Resource("http", other, where))
            if price is FREE or price.q < entry.price.q:
                yield (
                    f'"{entry.match}" costs more than "{other} {where}", which some frameworks '
                    f"take for it ({how}); where yours does, price both alike, with a * or a row"
                )
    if http and len(http) == len(policy.entries) and settings.origins.get("mcp_paths") == DEFAULT:
        yield (
            f"GET and DELETE of {' and '.join(policy.mcp_paths)} are free, as MCP has it; where "
            "the upstream speaks no MCP, say mcp_paths = []"
        )


def _exposures(settings: Settings) -> Iterator[str]:
    """What lets in, or shows, more than most operators want."""
    if settings.mode == "observe":
        yield "mode is observe: nothing is kept out"
    for network in (text for row in settings.rows.allowed for text in row.networks):
        allowed = parse_network(network)
        if allowed.prefixlen == 0:
            yield f"[[allow]] {network} lets everybody in for nothing"
        elif allowed.is_private and not settings.trusted_proxies:
            yield (
                f"[[allow]] {network} lets everybody in who comes through a proxy there; "
                "name it in [trust] proxies, so that its callers are told apart"
            )
    if not settings.admin.is_loopback:
        yield f"the operators' side listens on {settings.admin}; let nobody else reach it"


def _prices(policy: Policy) -> Iterator[Price]:
    yield from (entry.price for entry in policy.entries if entry.price is not FREE)
    yield policy.default
