# SPDX-License-Identifier: Apache-2.0
"""Where a Redis or Valkey is, read from a store URL."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pypow_server.stores import StoreError

SCHEMES: Final = (
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_OPTIONS: Final = ("deployment", "ca", "sentinel_user", "sentinel_password")
_DEPLOYMENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379

_FORMS: Final = {
    "": "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]",
    "sentinel": "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/MASTER[/DATABASE]",
    "cluster": "redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """A server, the sentinels that know it, or the nodes of its cluster.

    Attributes:
        hosts: names and ports; of the server, of sentinels, or of nodes.
        master: what sentinels call the server; None where there are none.
        cluster: whether the hosts are nodes of a cluster.
        database: its number.
        username: of an ACL user; None for the default one.
        password: None for none.
        tls: whether the connection is encrypted.
        ca: a file of the authorities to trust; None for the system's.
        sentinel_user: as ``username``, for the sentinels.
        sentinel_password: as ``password``, for the sentinels.
        deployment: what the gates that share spends have in common.
    """

    hosts: tuple[tuple[str, int], ...]
    master: str | None
    cluster: bool
    database: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    ca: str | None
    sentinel_user: str | None
    sentinel_password: str | None = field(repr=False)
    deployment: str

    def key(self, name: str) -> str:
        """A key of this deployment; all of them lie in one slot of a cluster."""
        return f"{{pypow:{self.deployment}}}:{name}"

    def __str__(self) -> str:
        """The address for people, without its secrets."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{hosts}/{self.master}" if self.master else hosts


def read_address(rest: str, *, scheme: str) -> RedisAddress:
    """Reads what stands after ``scheme:`` in a store URL.

    Raises:
        StoreError: it has another form; the text has none of its secrets.
    """
    kind = scheme.partition("+")[2]
    expected = StoreError(f"expected a store such as {_FORMS[kind]}; got another form")
    try:
        split = urlsplit(rest)
    except ValueError:
        raise expected from None
    userinfo, _, hosts = split.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    steps = [unquote(step) for step in split.path.split("/")[1:] if step]
    if not hosts or split.fragment or (kind == "sentinel" and not steps):
        raise expected
    master = steps.pop(0) if kind == "sentinel" else None
    database = steps.pop(0) if steps and kind != "cluster" else "0"
    if steps or not (database.isascii() and database.isdigit()):
        raise expected
    if kind == "" and "," in hosts:
        raise expected
    port = _SENTINEL_PORT if kind == "sentinel" else _PORT
    options = _read_options(split)
    return RedisAddress(
        hosts=tuple(_read_host(host, port, expected) for host in hosts.split(",")),
        master=master,
        cluster=kind == "cluster",
        database=int(database),
        username=unquote(user) or None,
        password=unquote(password) or None,
        tls=scheme.startswith("rediss"),
        ca=options.get("ca"),
        sentinel_user=options.get("sentinel_user"),
        sentinel_password=options.get("sentinel_password"),
        deployment=options.get("deployment", "default"),
    )


def _read_host(text: str, default_port: int, expected: StoreError) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{text}")
        port = split.port
        name = (split.hostname or "").encode("idna")
    except ValueError:
        raise expected from None
    if not name or not split.hostname:
        raise expected
    return split.hostname, default_port if port is None else port


def _read_options(split: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(split.query, keep_blank_values=True)
    options = dict(pairs)
    for name, value in pairs:
        if name not in _OPTIONS:
            # What has no value may be the rest of a password with a question mark in it.
            got = repr(name) if value else "another (a ? in a password is written %3F)"
            raise StoreError(
                f"expected the store's options to be among {', '.join(_OPTIONS)}; got {got}"
            )
    if len(options) < len(pairs):
        raise StoreError("expected each of the store's options once; got one twice")
    if not _DEPLOYMENT.fullmatch(options.get("deployment", "default")):
        raise StoreError(
            "expected deployment= to be 1 to 64 letters, digits, '_', '.' or '-'; "
            f"got {options['deployment']!r}"
        )
    return options
