# SPDX-License-Identifier: Apache-2.0
"""The nonces of a gate: the same at all gates that share its keys, and remembered by none."""

from typing import TYPE_CHECKING, Final

from pypow.challenge import Keyring, hkdf_sha256

if TYPE_CHECKING:
    from .identity.dpop import Nonces

_PURPOSE: Final = b"pypow 1 dpop nonces"
"""What their secret is derived for, by HKDF."""


def gate_nonces(keys: Keyring) -> "Nonces":
    """What makes and recognises them: the signing key's, and while keys turn those of all.

    Raises:
        ModuleNotFoundError: joserfc is not there.
    """
    from .identity.dpop import Nonces

    return Nonces(tuple(hkdf_sha256(key.secret, info=_PURPOSE) for key in keys.keys))
