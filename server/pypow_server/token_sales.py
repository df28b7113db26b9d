# SPDX-License-Identifier: Apache-2.0
"""What an operator decides of access tokens that the gate gives out itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenSales:
    """They are given out, for work and sats.

    Attributes:
        asks_first: whether who brings nothing is asked for one (401), as stock OAuth clients need
            it to begin.
        fetches_clients: whether a client may name the URL of a document about it, which the gate
            then asks for.
    """

    asks_first: bool = False
    fetches_clients: bool = False
