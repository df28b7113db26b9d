# SPDX-License-Identifier: Apache-2.0
"""Each proof counts once (RFC 9449 section 11.1), for all servers that share a ledger.

The ledger keeps a proof for as long as it would be taken again, and no longer; what it keeps is
bounded by how many *good* proofs come in that time, as nothing else reaches it.
"""

from pypow_server.stores import Ledger, Spend, StoreError

from .faults import DpopError, DpopFault
from .verifying import Proven

REPLAYED = DpopFault(DpopError.INVALID_PROOF, "this proof was used before; sign one per request")


async def spend_once(ledger: Ledger, proven: Proven, *, now_ms: int) -> DpopFault | None:
    """Use a proof up, in one step; None where it had not been used. The last of all checks.

    Args:
        ledger: remembers; `pypow_server.stores.memory.open_store` has one for one process, others
            are for several.
        proven: what `verify` found.
        now_ms: Unix milliseconds.

    Raises:
        StoreError: the ledger cannot tell. Refuse the request, as for a fault of the server.
    """
    spent = await ledger.spend(
        proven.spend_key, epoch=None, expires_at_ms=proven.expires_at_ms, now_ms=now_ms
    )
    if spent is Spend.UNKNOWN:
        raise StoreError(
            "the ledger cannot tell whether a DPoP proof was used before",
            fix="see what the store says of itself",
        )
    return None if spent is Spend.WON else REPLAYED
