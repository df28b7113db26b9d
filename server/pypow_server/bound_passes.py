# SPDX-License-Identifier: Apache-2.0
"""Whether a gate binds passes to keys, as the operator decides."""

from typing import TYPE_CHECKING, Final

from pypow.challenge import Keyring, hkdf_sha256
from pypow.errors import InvalidInputError

from .settings import Settings

if TYPE_CHECKING:
    from .key_binding import KeyBinding

_NONCES_PURPOSE: Final = b"pypow 1 dpop nonces"
"""What the secret of nonces is derived for, by HKDF."""


def key_binding(settings: Settings, keys: Keyring) -> "KeyBinding | None":
    """What binds passes to keys; None where they are bound to none.

    Raises:
        InvalidInputError: joserfc is not there.
    """
    if settings.bound_passes == "off":
        return None
    try:
        from .identity.dpop import Nonces
        from .key_binding import KeyBinding
    except ModuleNotFoundError:
        raise InvalidInputError(
            "gate.bound_passes: expected joserfc, which reads proofs of keys; "
            "pip install 'pypow-engine[oauth]'"
        ) from None
    if settings.bound_passes == "on":
        return KeyBinding(settings.url, keys)
    secret = hkdf_sha256(keys.signing.secret, info=_NONCES_PURPOSE)
    return KeyBinding(settings.url, keys, Nonces((secret,)))
