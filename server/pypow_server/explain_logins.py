# SPDX-License-Identifier: Apache-2.0
"""What a policy means for who signs in: which rails let a call in, and whose tokens count."""

from dataclasses import dataclass

from .authorization.place import TOKEN, Place
from .price import Price
from .settings import Settings


@dataclass(frozen=True, slots=True)
class SignIn:
    """How callers sign in.

    Attributes:
        resource: what access tokens must be for.
        issuers: whose are taken, and whether they are read here (``jwt``) or asked about.
        forwards_tokens: whether they travel on to the upstream.
        asks_first: whether who brings nothing is asked for a login where one helps.
    """

    resource: str
    issuers: tuple[tuple[str, str], ...]
    forwards_tokens: bool
    asks_first: bool


@dataclass(frozen=True, slots=True)
class GivenOut:
    """Access tokens that the gate gives out itself.

    Attributes:
        endpoint: where they are had.
        workloads: platforms whose jobs get them for nothing, and for which scopes.
        fetches_clients: whether clients may name the URL of a document about them.
    """

    endpoint: str
    workloads: tuple[tuple[str, tuple[str, ...]], ...]
    fetches_clients: bool


def ways(price: Price) -> tuple[str, ...]:
    """What lets a call in, each enough: rails, with a ``+`` where several are needed."""
    paid = [way for way, pays in (("work", price.takes_work), ("l402", price.sats)) if pays]
    if price.login:
        return tuple(f"oauth + {way}" for way in paid) or ("oauth",)
    return ("oauth", *paid) if price.scopes else tuple(paid)


def sign_in(settings: Settings) -> SignIn | None:
    """How callers of a gate with these settings sign in; None where nobody can."""
    logins, resource = settings.rows.logins, settings.resource
    if logins is None or resource is None:
        return None
    issuers = tuple((issuer.url, issuer.kind) for issuer in logins.issuers)
    return SignIn(resource, issuers, logins.forwards_tokens, logins.asks_first)


def given_out(settings: Settings) -> GivenOut | None:
    """The tokens that a gate with these settings gives out; None where it gives none.

    Raises:
        InvalidInputError: a public URL that no token may be for.
    """
    sales = settings.rows.token_sales
    if sales is None:
        return None
    place = Place.of(settings.url, settings.mcp_paths)
    workloads = tuple((row.platform, tuple(sorted(row.scopes))) for row in sales.workloads)
    return GivenOut(place.url(TOKEN), workloads, sales.fetches_clients)
