# SPDX-License-Identifier: Apache-2.0
"""What inputs of one parser are put together from."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kit:
    """What inputs of one parser are made from.

    Attributes:
        right: inputs to begin with.
        pieces: texts to put into them.
    """

    right: tuple[bytes, ...]
    pieces: tuple[bytes, ...]


NOISE: Final = (
    b"", b" ", b"\t", b"\n", b"\r", b"\0", b",", b";", b"=", b'"', b"\\", b"%", b"\xff",
)  # fmt: skip
