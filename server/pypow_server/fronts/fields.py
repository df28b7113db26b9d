# SPDX-License-Identifier: Apache-2.0
"""Which header fields cross the proxy and which end at it (RFC 9110 section 7.6, RFC 9112 6)."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from pypow.errors import InvalidInputError
from pypow_server.call import PRINCIPAL_KEY
from pypow_server.scope import Scope

RawFields: TypeAlias = Iterable[tuple[bytes, bytes]]

# RFC 9110 7.6.1, with Trailer because trailers are not forwarded, and with the credentials that
# RFC 9110 11.7 gives to the next proxy only.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The server that the proxy runs in has answered 100-continue; the upstream gets its own Host.
_ENDS_HERE: Final = _HOP_BY_HOP | {b"expect", b"host", b"forwarded", b"x-real-ip"}
# The server that the proxy runs in writes one of its own, and two would be one too many.
_SET_ANEW: Final = frozenset({b"date"})
_LOCATIONS: Final = frozenset({b"location", b"content-location"})
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f]")
_BODILESS: Final = frozenset({204, 304})


def request_fields(scope: Scope) -> list[tuple[str, str]]:
    """The header fields to send to the upstream, in the caller's order, duplicates kept.

    The caller's own word on who it is (``Forwarded``, ``X-Forwarded-*``, ``X-Real-IP``,
    ``X-PoW-*``) is dropped and set anew.

    Raises:
        InvalidInputError: The body's length is stated twice, it is coded otherwise than in chunks,
            or a field is not UTF-8.
    """
    received: list[tuple[bytes, bytes]] = list(scope["headers"])
    _require_one_length(received)
    _require_known_coding(received)
    dropped = _ENDS_HERE | _named_in_connection(received)
    kept = [
        (_text(name), _text(value))
        for name, value in received
        if name.lower() not in dropped and not _vouched_for(name)
    ]
    return kept + _set_by_the_proxy(scope, received)


def response_fields(
    status: int, received: RawFields, *, upstream: str
) -> list[tuple[bytes, bytes]]:
    """The header fields to send to the caller, in the upstream's order, duplicates kept.

    A redirect to the upstream's own address (its URL is ``upstream``) leads to the same path here:
    callers cannot go there, or would go around the gate.
    """
    base = upstream.rstrip("/").encode()
    fields = [
        (name, _from_here(value, base) if name.lower() in _LOCATIONS else value)
        for name, value in received
    ]
    dropped = _HOP_BY_HOP | _SET_ANEW | _named_in_connection(fields)
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in fields)
    if chunked or status in _BODILESS:
        # Beside chunks a length is void (RFC 9112 6.3); without a body it describes no octet of
        # this message, and servers wait for the octets it promises.
        dropped = dropped | {b"content-length"}
    return [(name, value) for name, value in fields if name.lower() not in dropped]


def _from_here(location: bytes, base: bytes) -> bytes:
    path = location.removeprefix(base)
    # Two slashes, or what browsers take for them, would begin the name of another host.
    rooted = path.startswith(b"/") and path[1:2] not in (b"/", b"\\")
    return path if rooted and path != location else location


def _require_one_length(fields: RawFields) -> None:
    stated = [n for n, _ in fields if n.lower() in (b"content-length", b"transfer-encoding")]
    if len(stated) > 1:
        names = ", ".join(name.decode("latin-1") for name in stated)
        raise InvalidInputError(
            f"expected the length of the body to be stated once; got {names}: send one of them"
        )


def _require_known_coding(fields: RawFields) -> None:
    # The coding would end here and its octets travel on, as what they are not.
    for name, value in fields:
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise InvalidInputError(
                f"expected Transfer-Encoding: chunked and no other coding; got {value[:40]!r}"
            )


def _named_in_connection(fields: RawFields) -> frozenset[bytes]:
    return frozenset(
        option.strip().lower()
        for name, value in fields
        if name.lower() == b"connection"
        for option in value.split(b",")
    )


def _vouched_for(name: bytes) -> bool:
    # Frameworks that turn names into variables read X_Forwarded_For as X-Forwarded-For.
    return name.lower().replace(b"_", b"-").startswith((b"x-forwarded-", b"x-real-ip", b"x-pow-"))


def _text(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        raise InvalidInputError(
            "expected header fields in ASCII or UTF-8 without control characters; got other "
            "octets: percent-encode them"
        )
    return text


def _set_by_the_proxy(scope: Scope, received: RawFields) -> list[tuple[str, str]]:
    fields = [("X-Forwarded-Proto", str(scope.get("scheme", "http")))]
    client = scope.get("client")
    if client:
        fields.append(("X-Forwarded-For", str(client[0])))
    host = next((value for name, value in received if name.lower() == b"host"), None)
    if host is not None:
        fields.append(("X-Forwarded-Host", _text(host)))
    fields.append(("Via", f"{scope.get('http_version', '1.1')} pypow"))
    # There every time, so that nobody takes another's word for it; empty for a free call.
    fields.append(("X-PoW-Principal", str(scope.get(PRINCIPAL_KEY, ""))))
    return fields
