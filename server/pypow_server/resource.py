# SPDX-License-Identifier: Apache-2.0
"""What is bought: an MCP method and the name it acts on, or an HTTP method and a path."""

import functools
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from pypow.errors import InvalidInputError

from .scope import Scope

# RFC 3986 section 3.3: pchar and "/", but not ";", after which some servers drop the rest. An
# escape is canonical only in upper case, for an octet that cannot stand for itself in a path,
# and not for "%", which a second decoding would turn into something else.
_PATH = re.compile(
    rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%(?:2[023]|3[CEF]|5[BDE]|60|7[BCD]|[89A-F][0-9A-F]))*"
)

_REMEMBERED = 256
"""Octets of the longest request that is remembered: callers must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is bought: an MCP method and the name it acts on, or an HTTP method and a path."""

    kind: str
    method: str
    name: str

    @property
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The octets that a resource digest covers."""
        return (self.kind.encode(), self.method.encode(), self.name.encode())

    @property
    def text(self) -> str:
        """How callers write it: ``tools/call search`` or ``POST /v1/items``."""
        return f"{self.method} {self.name}" if self.name else self.method

    @property
    def readings(self) -> tuple["Resource", ...]:
        """This, and what else servers make of it: some look URIs up in another spelling."""
        if (self.kind, self.method) != ("mcp", "resources/read"):
            return (self,)
        return tuple(replace(self, name=uri) for uri in _uri_readings(self.name))

    @classmethod
    def parse(cls, text: str) -> "Resource":
        """Read ``tools/call search`` or ``POST /v1/items``; a path comes without its query.

        Raises:
            InvalidInputError: neither of the two.
        """
        method, _, name = text.partition(" ")
        if text.isprintable():  # half a surrogate pair is not: digests are of what can be encoded
            if re.fullmatch(r"[A-Z]+", method) and re.fullmatch(r"/[^?#]*", name):
                return cls("http", "GET" if method == "HEAD" else method, name)
            if re.fullmatch(r"[a-z]\S*", method):
                return cls("mcp", method, name)
        raise InvalidInputError(
            f'expected a resource like "tools/call search" or "POST /v1/items", got {text[:60]!r}'
        )


def raw_path(scope: Scope) -> bytes:
    """The path as it came, without the query; where a server does not tell, as it decoded it."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"].encode("utf-8", "surrogatepass") if raw is None else raw


def http_resource(method: str, path: bytes) -> Resource:
    """What a method and a raw path ask for.

    HEAD is the same as GET: servers run the same handler. A WebSocket begins as a GET.
    """
    remembered = len(method) + len(path) <= _REMEMBERED
    return (_named if remembered else _named.__wrapped__)(method, path)


def is_canonical(path: bytes) -> bool:
    """Whether a raw path has one reading: no escape, segment or octet that servers fold."""
    return (_read_alike if len(path) <= _REMEMBERED else _read_alike.__wrapped__)(path)


@functools.lru_cache(maxsize=64)
def _uri_readings(uri: str) -> tuple[str, ...]:
    """As it came, as the URL Standard has it (SDKs do so), and without escapes (templates do)."""
    # Imported when it is asked for: whoever only reads a price list needs no web framework.
    from pydantic_core import Url

    try:
        normal = str(Url(uri))
    except ValueError:
        normal = uri
    return (uri, normal, unquote(normal))


@functools.lru_cache(maxsize=1024)
def _named(method: str, path: bytes) -> Resource:
    meant = "GET" if method in ("HEAD", "WEBSOCKET") else method
    return Resource("http", meant, path.decode("latin-1"))


@functools.lru_cache(maxsize=1024)
def _read_alike(path: bytes) -> bool:
    return (
        _PATH.fullmatch(path) is not None
        and b"//" not in path
        and not {b".", b".."} & set(path.split(b"/"))
    )
