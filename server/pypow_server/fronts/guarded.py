# SPDX-License-Identifier: Apache-2.0
"""What stands behind the gate: the upstream, or the proxy that asks."""

from collections.abc import Callable, Mapping
from typing import Final

from pypow.errors import InvalidInputError
from pypow_server import problems
from pypow_server.problems import Problem
from pypow_server.scope import ASGIApp
from pypow_server.settings import Settings

from .forward_auth import vouch
from .proxy import Proxy

_PROBLEMS: Final[Mapping[int, Callable[[str], Problem]]] = {
    400: problems.bad_request,
    403: problems.denied,
    404: problems.not_found,
    501: problems.method_not_allowed,
    502: problems.bad_gateway,
    504: problems.gateway_timeout,
}


def front_of(settings: Settings) -> ASGIApp:
    """The app that a gate of its own process guards.

    Raises:
        InvalidInputError: no upstream, or two ways to reach it.
    """
    if settings.forward_auth is not None:
        if settings.upstream is not None:
            raise InvalidInputError(
                f"forward_auth: expected no upstream, since {settings.forward_auth} passes "
                "requests on by itself; leave one of the two out"
            )
        if not settings.trusted_proxies:
            raise InvalidInputError(
                "forward_auth: expected --trusted-proxy NET (PYPOW_TRUSTED_PROXIES, [trust] "
                "proxies), the network of the proxy that asks; nobody else gets an answer"
            )
        return vouch
    if settings.upstream is None:
        raise InvalidInputError(
            "expected --upstream URL (PYPOW_UPSTREAM), the server to guard, such as "
            "http://127.0.0.1:8000"
        )
    return Proxy(settings.upstream, failure=problem_of)


def problem_of(status: int, detail: str) -> Problem:
    """The problem of a front that failed with this status."""
    return _PROBLEMS[status](detail)
