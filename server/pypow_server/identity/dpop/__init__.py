# SPDX-License-Identifier: Apache-2.0
"""DPoP (RFC 9449): tells whether a request comes from whoever holds a token's key.

A verifier for any server, with this gate or without it: no HTTP, no clock, and no store but the
one that it is given. It needs joserfc: ``pip install 'pypow-engine[server,oauth]'``.
docs/dpop.md shows its use.
"""

from .faults import DpopError, DpopFault, challenge
from .keys import ALGORITHMS, thumbprint
from .nonces import Nonces, nonce_fields
from .once import spend_once
from .targets import normal_target
from .verifying import DEFAULT_RULES, DpopRules, Proven, scheme_fault, verify

__all__ = [
    "ALGORITHMS",
    "DEFAULT_RULES",
    "DpopError",
    "DpopFault",
    "DpopRules",
    "Nonces",
    "Proven",
    "challenge",
    "nonce_fields",
    "normal_target",
    "scheme_fault",
    "spend_once",
    "thumbprint",
    "verify",
]
