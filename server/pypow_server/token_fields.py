# SPDX-License-Identifier: Apache-2.0
"""Access tokens of other issuers: taken out of a request before anything else reads it.

Only a gate that trusts such issuers does so. What was taken out reaches no log, and the upstream
only where the operator says so. Our own passes stay where they are.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from .passes import PREFIX
from .reply import Header

_AUTHORIZATION: Final = b"authorization"
_SCHEMES: Final = {b"bearer": "Bearer", b"dpop": "DPoP"}
_OURS: Final = PREFIX.encode()
_PARAMETER: Final = b"access_token"


class Tokens(NamedTuple):
    """The access tokens that a request brings; not yet read.

    Attributes:
        fields: the header fields that hold them, as they came.
        scheme: of the first, ``Bearer`` or ``DPoP``.
        token: the first; empty where there is none in the headers.
        several: whether there are others, which differ.
        in_query: whether there is one in the query of the URL.
    """

    fields: tuple[Header, ...]
    scheme: str
    token: str
    several: bool
    in_query: bool

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Tokens({len(self.fields)} fields)"


def take_tokens(headers: Sequence[Header], query: bytes) -> tuple[list[Header], Tokens | None]:
    """What is left of the headers of a request, and its access tokens; None where there are none.

    Args:
        headers: of the request.
        query: of its URL; only looked at.
    """
    found = [read_token(name, value) for name, value in headers]
    in_query = bool(query) and _is_named_in(query)
    held = [one for one in found if one is not None]
    if not held:
        none = Tokens((), "", "", several=False, in_query=True) if in_query else None
        return list(headers), none
    kept = [field for field, one in zip(headers, found, strict=True) if one is None]
    taken = tuple(field for field, one in zip(headers, found, strict=True) if one is not None)
    scheme, token = held[0]
    return kept, Tokens(taken, scheme, token, several=len(set(held)) > 1, in_query=in_query)


def read_token(name: bytes, value: bytes) -> tuple[str, str] | None:
    """Scheme and token of a header field; None where it holds none, or a pass."""
    if name.lower() != _AUTHORIZATION:
        return None
    given, rest = (*value.split(None, 1), b"", b"")[:2]  # as loose as any upstream may read it
    scheme, token = _SCHEMES.get(given.lower()), rest.strip()
    if scheme is None or token.startswith(_OURS):
        return None
    return scheme, token.decode("latin-1")


def _is_named_in(query: bytes) -> bool:
    if b"token" not in query and b"%" not in query:
        return False
    names = (part.partition(b"=")[0] for part in query.replace(b";", b"&").split(b"&"))
    return any(unquote_to_bytes(name) == _PARAMETER for name in names)
