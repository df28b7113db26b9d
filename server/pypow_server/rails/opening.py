# SPDX-License-Identifier: Apache-2.0
"""Which rails a gate has, as its operator decides."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from pypow.challenge import Keyring
from pypow_server.bound_passes import key_binding
from pypow_server.gate_nonces import gate_nonces
from pypow_server.resource_metadata import metadata_url
from pypow_server.settings import Settings
from pypow_server.shop import Shop

from . import Denial, LoginRail, Rail
from .l402 import L402Rail
from .work import WorkRail

if TYPE_CHECKING:
    from pypow_server.identity import TokenJudge

Rails: TypeAlias = tuple[WorkRail, *tuple[Rail, ...]]
"""Work is the first, and always one."""


def rails_of(
    settings: Settings,
    keys: Keyring,
    shop: Shop,
    *,
    denial: Denial,
    others: tuple[Rail, ...] = (),
) -> Rails:
    """The ways to earn admission.

    Args:
        settings: all of it.
        keys: sign and verify.
        shop: whose wallet makes invoices.
        denial: why a pass with this id is refused though it stands.
        others: rails that come after these.

    Raises:
        InvalidInputError: what settings ask for is not installed.
    """
    host, binding = urlsplit(settings.url).netloc, key_binding(settings, keys)
    work = WorkRail(
        keys,
        public_host=host,
        lifetime_s=settings.lifetime_s,
        denial=denial,
        binding=binding,
    )
    selling, invoices = settings.rows.selling, shop.invoices
    if selling is None or invoices is None:
        return (work, *others)
    l402 = L402Rail(
        keys,
        selling,
        invoices,
        public_host=host,
        grant=work.grant,
        settled=shop.settled if selling.strict else None,
        denial=denial,
        binding=binding,
    )
    paid: tuple[Rail, ...] = (l402, *others)
    return (work, *paid)


def login_rail(
    settings: Settings,
    keys: Keyring,
    judge: "TokenJudge | None",
    *,
    issuers: Sequence[str],
    denial: Denial,
) -> LoginRail | None:
    """Who says who calls; None where no issuer is trusted.

    Args:
        settings: all of it.
        keys: what nonces come from.
        judge: finds out what tokens are worth; None where nobody does.
        issuers: who may have made tokens.
        denial: why the subject with this id is refused.
    """
    logins, resource = settings.rows.logins, settings.resource
    if judge is None or resource is None:
        return None
    # Whoever takes no tokens needs none of what reading them does.
    from .oauth import OAuthRail

    return OAuthRail(
        judge,
        resource=resource,
        public_url=settings.public_url or resource,
        metadata_url=metadata_url(resource),
        issuers=issuers,
        denial=denial,
        nonces=gate_nonces(keys) if logins is not None and logins.dpop_nonces else None,
    )
