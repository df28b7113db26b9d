# SPDX-License-Identifier: Apache-2.0
"""Objects of JSON in base64url, as payment headers carry them."""

import json
from collections.abc import Mapping
from typing import Any, Final

from . import base64_text, strict_json
from .errors import InvalidInputError, WireError
from .payment_reasons import Reason

MAX_TEXT: Final = 16 * 1024
"""Characters that are read."""


def dumps(document: Mapping[str, object]) -> str:
    """The text for an object, its members in the order that they have."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64_text.encode_url(text.encode())


def loads(text: str, what: str) -> dict[str, Any]:
    """Read an object.

    Nothing that came is quoted in errors: it may be a secret, badly written.

    Args:
        text: in base64url, padded or not.
        what: what it should be, for errors.

    Raises:
        WireError: anything else; ``reason`` is a `Reason`.
    """
    if len(text) > MAX_TEXT:
        raise WireError(
            f"expected {what} of at most {MAX_TEXT} characters, got {len(text)}", Reason.TOO_LONG
        )
    try:
        octets = base64_text.decode_url(text.strip(" \t"))
    except WireError:
        raise WireError(
            f"expected {what} in base64url, got other text", Reason.BAD_BASE64
        ) from None
    try:
        document = strict_json.loads(octets)
        if b"\\u" in octets:  # which may be half of a pair that no text holds alone
            json.dumps(document, ensure_ascii=False).encode()
    except (InvalidInputError, UnicodeEncodeError, RecursionError):
        raise WireError(f"expected {what} in JSON, got other text", Reason.BAD_JSON) from None
    if not isinstance(document, dict):
        raise WireError(f"expected {what} to be an object of JSON", Reason.BAD_JSON)
    return document
