# SPDX-License-Identifier: Apache-2.0
"""Which stores there are: each is one module, and one row here."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from . import Store, StoreError, UnopenedStoreError, memory, sqlite, without_secrets
from .redis_address import SCHEMES as REDIS_SCHEMES


def _redis(scheme: str, rest: str) -> Store:
    # Imported when it is asked for: the redis package is an extra.
    from .redis_store import open_store

    return open_store(rest, scheme=scheme)


_STORES: Final[Mapping[str, Callable[[str], Store]]] = {
    "memory": memory.open_store,
    "sqlite": sqlite.open_store,
    **{scheme: partial(_redis, scheme) for scheme in REDIS_SCHEMES},
}


def open_store(url: str) -> Store:
    """Open the store of a URL.

    Raises:
        UnopenedStoreError: no such store, or one that cannot be had; one line.
    """
    scheme, _, rest = url.partition(":")
    if scheme not in _STORES:
        raise UnopenedStoreError(
            "expected --store to be memory:, sqlite:PATH or redis://HOST, got "
            f"{without_secrets(url)!r}",
            fix="docs/stores.md lists them",
        )
    try:
        return _STORES[scheme](rest)
    except StoreError as error:
        shown = without_secrets(url)
        raise UnopenedStoreError(f"--store {shown}: {error.found}", fix=error.fix) from None
