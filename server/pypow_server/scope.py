# SPDX-License-Identifier: Apache-2.0
"""The types of an ASGI conversation, and the keys that pypow adds to a scope.

ASGI messages are dictionaries whose shape depends on their ``type``, so this is the one place of
the server where `Any` is the honest type.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

UPSTREAM_REACHED: Final = "pypow.upstream_reached"
"""Scope key that a front sets. False: no octet of the request was handed to an upstream, so what
the caller spent may be given back. True or absent: the upstream may have acted on the request."""

UPSTREAM_FAILED: Final = "pypow.upstream_failed"
"""Scope key that a front sets. True: what the caller gets is the front's own answer, because the
upstream gave none; a call that money was paid for is then unanswered."""
