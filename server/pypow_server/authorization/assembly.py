# SPDX-License-Identifier: Apache-2.0
"""The authorization server put together, for a gate whose operator wants one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pypow_server.api_decisions import Deciding
from pypow_server.decision import Recorder
from pypow_server.identity.dpop import Nonces
from pypow_server.rails import Rail
from pypow_server.redemption import Redemption
from pypow_server.resource_metadata import metadata_url
from pypow_server.scope import ASGIApp
from pypow_server.stores import Limiter

from .approvals import Approvals
from .attestations import Attestations
from .authorize import Authorize
from .client_documents import ClientDocuments
from .clients import Clients
from .codes import Codes
from .device import DeviceAuthorization, DeviceCodes
from .device_approval import DeviceApproval
from .device_grant import DeviceGrant
from .key_proofs import KeyProofs
from .offers import Offers
from .place import Place
from .purchases import Purchases
from .sealing import Seals
from .server import AuthorizationServer
from .signing import SigningKeys
from .token_endpoint import TokenEndpoint
from .tokens import Tokens
from .user_codes import UserCodes


@dataclass(frozen=True, slots=True)
class Issuing:
    """What a gate with an authorization server has besides.

    Attributes:
        app: answers at its `place.PATHS`.
        tokens: judges those that come back.
        proofs: tells who holds the keys that some are bound to.
        redemption: where those proofs are spent, and whose policy counts.
        told: an app whose refusals are told as those of the gate are.
        metadata_url: where whoever is refused finds out who gives out tokens (RFC 9728).
    """

    app: ASGIApp
    tokens: Tokens
    proofs: KeyProofs
    redemption: Redemption
    told: Callable[[ASGIApp], ASGIApp]
    metadata_url: str


def issuing(
    place: Place,
    redemption: Redemption,
    *,
    payments: Rail | None,
    documents: ClientDocuments | None,
    attestations: Attestations,
    nonces: Nonces | None,
    approvals: Approvals,
    limiter: Limiter,
    recorders: Sequence[Recorder],
    clock: Callable[[], int],
) -> Issuing:
    """An authorization server of a gate.

    Args:
        place: where it is.
        redemption: where proofs are spent.
        payments: judges payments; None where nothing is sold for sats.
        documents: finds clients by URLs; None where none are asked for.
        attestations: finds out who callers are for whom others answer.
        nonces: that proofs of keys need; None where they need none.
        approvals: of devices.
        limiter: counts what each network asks.
        recorders: are told of every redemption and refusal.
        clock: Unix milliseconds.
    """
    keyring = redemption.rail.keyring
    keys, seals = SigningKeys(keyring), Seals(keyring)
    tokens, clients, codes = Tokens(place, keys, seals), Clients(seals, documents), Codes(seals)
    purchases = Purchases(redemption, payments)
    proofs = KeyProofs(place, nonces)
    offers = Offers(redemption, payments)
    user_codes, device_codes = UserCodes(keyring), DeviceCodes(seals)
    server = AuthorizationServer(
        place,
        keys=keys,
        clients=clients,
        fetches_clients=documents is not None,
        authorize=Authorize(
            place,
            clients=clients,
            codes=codes,
            purchases=purchases,
            offers=offers,
            clock=clock,
        ),
        token=TokenEndpoint(
            place,
            tokens,
            purchases,
            codes,
            attestations,
            proofs,
            DeviceGrant(device_codes, approvals, redemption, limiter),
            clock=clock,
        ),
        device=DeviceAuthorization(place, user_codes, device_codes, clock=clock),
        approval=DeviceApproval(
            place,
            user_codes=user_codes,
            approvals=approvals,
            purchases=purchases,
            offers=offers,
            seals=seals,
            clock=clock,
        ),
        limiter=limiter,
        free_limit=redemption.policy.free_limit,
        clock=clock,
    )
    told = partial(
        Deciding,
        policy=redemption.policy,
        clock=clock,
        recorders=recorders,
        holders=redemption.holders,
    )
    return Issuing(told(server), tokens, proofs, redemption, told, metadata_url(place.default))
