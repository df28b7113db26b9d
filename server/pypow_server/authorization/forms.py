# SPDX-License-Identifier: Apache-2.0
"""Parameters that OAuth's clients send, read under limits: none may come twice (RFC 6749 3.2)."""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote_plus

from pypow_server.scope import Receive, Scope

from .oauth_error import OAuthError

MAX_OCTETS: Final = 16 * 1024
MAX_PARAMETERS: Final = 32
DEADLINE_S: Final = 10.0
_FORM: Final = re.compile(
    rb'application/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset="?utf-8"?)?', re.I
)

Parameters: TypeAlias = Mapping[str, str]


def read_query(scope: Scope) -> Parameters | OAuthError:
    """The parameters in the query of a request."""
    return _parsed(bytes(scope["query_string"]))


async def read_form(scope: Scope, receive: Receive) -> Parameters | OAuthError:
    """The parameters in the body of a request."""
    kinds = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    if len(kinds) != 1 or not _FORM.fullmatch(kinds[0].strip()):
        return OAuthError(
            "invalid_request", "expected Content-Type: application/x-www-form-urlencoded"
        )
    body = await read_body(receive)
    return body if isinstance(body, OAuthError) else _parsed(body)


async def read_body(receive: Receive) -> bytes | OAuthError:
    """The body of a request."""
    body = bytearray()
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return OAuthError("invalid_request", "the connection ended before the body")
                body += message.get("body", b"")
                if len(body) > MAX_OCTETS:
                    return OAuthError(
                        "invalid_request", f"expected a body of at most {MAX_OCTETS} octets", 413
                    )
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return OAuthError("invalid_request", f"expected the body within {DEADLINE_S:g} s", 408)


def basic_credentials(scope: Scope) -> tuple[str, str] | OAuthError | None:
    """Client and secret by HTTP Basic (RFC 6749 section 2.3.1); None where there is no such."""
    said = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if not said:
        return None
    scheme, _, rest = said[0].strip(b" \t").partition(b" ")
    if len(said) > 1 or scheme.lower() != b"basic" or len(rest) > MAX_OCTETS:
        return OAuthError(
            "invalid_client", "expected one Authorization: Basic, or none", 401, challenged=True
        )
    try:
        pair = base64.b64decode(rest.strip(b" \t"), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    client, colon, secret = pair.partition(":")
    if not colon:
        return OAuthError(
            "invalid_client",
            "expected Authorization: Basic with base64 of client_id:client_secret",
            401,
            challenged=True,
        )
    return unquote_plus(client), unquote_plus(secret)


def _parsed(octets: bytes) -> Parameters | OAuthError:
    try:
        pairs = parse_qsl(
            octets.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(octets),
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        return OAuthError(
            "invalid_request",
            f"expected at most {MAX_PARAMETERS} parameters, name=value, escaped and joined by &",
        )
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            return OAuthError("invalid_request", f"expected {name[:40]!a} once")
        found[name] = value
    # A parameter without a value counts as none (RFC 6749 section 3.1).
    return {name: value for name, value in found.items() if value}
