# SPDX-License-Identifier: Apache-2.0
"""Whether a gate binds passes to keys, as the operator decides."""

from typing import TYPE_CHECKING

from pypow.challenge import Keyring
from pypow.errors import InvalidInputError

from .gate_nonces import gate_nonces
from .settings import Settings

if TYPE_CHECKING:
    from .key_binding import KeyBinding


def key_binding(settings: Settings, keys: Keyring) -> "KeyBinding | None":
    """What binds passes to keys; None where they are bound to none.

    Raises:
        InvalidInputError: joserfc is not there.
    """
    if settings.bound_passes == "off":
        return None
    try:
        from .key_binding import KeyBinding
    except ModuleNotFoundError:
        raise InvalidInputError(
            "gate.bound_passes: expected joserfc, which reads proofs of keys; "
            "pip install 'pypow-engine[oauth]'"
        ) from None
    if settings.bound_passes == "on":
        return KeyBinding(settings.url, keys)
    return KeyBinding(settings.url, keys, gate_nonces(keys))
