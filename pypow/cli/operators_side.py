# SPDX-License-Identifier: Apache-2.0
"""What the operators' side of a running gate says of a decision."""

import json
from typing import Any, Final

from pypow import difficulty
from pypow.errors import InvalidInputError, PowError, shown

DEFAULT_ADMIN: Final = "http://127.0.0.1:8403"

_TIMEOUT_S: Final = 10
_MAX_BODY: Final = 1 << 20
_LONGEST: Final = 200


def decision(admin: str, identity: str) -> dict[str, Any]:
    """What the gate says of a decision.

    Raises:
        InvalidInputError: ``admin`` is no URL.
        PowError: the gate does not answer, or does not know it.
    """
    status, body = _ask(admin, f"/decisions/{identity}")
    if status == 404:
        raise PowError(
            f"the gate at {admin} has no refusal {identity} among its last 1000; admissions are "
            "in its audit log, and other gates have their own"
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status != 200 or not _is_decision(document):
        said = plain(body.decode("utf-8", "replace").strip())
        raise PowError(
            f"expected the operators' side of a gate at {admin}, got status {status}: {said}; "
            "name it with --admin URL"
        )
    known: dict[str, Any] = document
    return known


def _is_decision(document: object) -> bool:
    return (
        isinstance(document, dict)
        and all(
            isinstance(document.get(name), str)
            for name in ("outcome", "problem", "client", "entry", "method", "name")
        )
        and all(isinstance(document.get(name), int) for name in ("at_ms", "status"))
        and _is_work(document.get("q", ""))
        and _is_quote(document.get("quote"))
        and isinstance(document.get("overdrawn"), str | None)
        and _is_span(document.get("retry_after_s"))
    )


def _is_work(q: object) -> bool:
    return q is None or (isinstance(q, int) and 0 <= q <= difficulty.MAX_Q)


def _is_span(amount: object) -> bool:
    """Whether it is a time that fits a clock, or None."""
    return amount is None or (isinstance(amount, int) and 0 <= amount < 2**53)


def _is_quote(quote: object) -> bool:
    if not isinstance(quote, dict):
        return quote is None
    parts = [quote.get(name) for name in ("base_q", "weight_q", "overdraft_q", "entry_q")]
    return all(
        isinstance(amount, int) and _is_span(amount) for amount in (*parts, quote.get("free_in_ms"))
    )


def plain(text: str) -> str:
    """Words of callers, who may have chosen some that move a cursor."""
    return ascii(text[:_LONGEST])[1:-1]


def _ask(admin: str, path: str) -> tuple[int, bytes]:
    """GET a path, without proxies or redirects."""
    import http.client

    scheme, host, port, prefix = _place(admin)
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", prefix + path)
        response = connection.getresponse()
        return response.status, response.read(_MAX_BODY)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise PowError(
            f"no answer from the operators' side at {admin}: {why}; name it with --admin URL"
        ) from None
    finally:
        connection.close()


def _place(admin: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of a URL."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(admin)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(
            f"--admin: expected a URL such as {DEFAULT_ADMIN}, got {shown(admin)}"
        )
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
