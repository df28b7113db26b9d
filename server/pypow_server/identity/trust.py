# SPDX-License-Identifier: Apache-2.0
"""All issuers that an operator takes tokens of, with all that judging them needs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from . import BadToken, Judgement, TokenJudge, Unavailable
from .fetching import Fetcher, Reach
from .introspection import Introspection
from .issuers import Issuer, key_set, reach
from .judging import TokensOfIssuers, Trusted
from .jwks import IssuerKeys
from .workload import Assertions, Attested, Workloads

Told = Callable[[str, str], None]
"""Hears of each read of keys and each question, for figures: the issuer, and ``read``,
``active``, ``refused`` or ``failed``."""


class Fetchers:
    """One fetcher for each issuer, as each has hosts of its own that may be near.

    Args:
        ca_file: certificates in PEM that are trusted instead of the system's.
        told: hears what is fetched.
    """

    def __init__(self, ca_file: Path | None, told: Told) -> None:
        self._trusted = Reach(ca_file=ca_file)
        self._told = told
        self._opened: list[Fetcher] = []

    def keys(self, issuer: Issuer) -> IssuerKeys:
        """The keys of an issuer; nothing is asked before a token comes."""
        read = partial(key_set, issuer, self._fetcher(issuer))
        return IssuerKeys(read, name=issuer.url, told=partial(self._told, issuer.url))

    def introspection(self, issuer: Issuer) -> Introspection:
        """Asks an issuer."""
        return Introspection(issuer, self._fetcher(issuer), told=partial(self._told, issuer.url))

    async def aclose(self) -> None:
        """Close all connections."""
        for fetcher in self._opened:
            await fetcher.aclose()

    def _fetcher(self, issuer: Issuer) -> Fetcher:
        self._opened.append(Fetcher(reach(issuer, self._trusted)))
        return self._opened[-1]


def _to_nobody(_issuer: str, _what: str) -> None:
    return


class TrustedIssuers:
    """A `TokenJudge` of all tokens that others issue, which gets keys and answers itself.

    Args:
        issuers: as the operator wrote them.
        ca_file: certificates in PEM that are trusted instead of the system's.
        told: hears what is fetched.

    Raises:
        IssuerError: they cannot be trusted together.
        OSError: ``ca_file`` cannot be read, or is none.
    """

    def __init__(
        self, issuers: Sequence[Issuer], *, ca_file: Path | None = None, told: Told = _to_nobody
    ) -> None:
        self._fetchers = Fetchers(ca_file, told)
        trusted: list[Trusted] = []
        asked: list[tuple[str, TokenJudge]] = []
        for issuer in issuers:
            if issuer.kind == "introspection":
                asked.append((issuer.url, self._fetchers.introspection(issuer)))
            else:
                trusted.append(Trusted(issuer, self._fetchers.keys(issuer)))
        self._judge = TokensOfIssuers(trusted, asked)

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """As `TokenJudge.judge`."""
        return await self._judge.judge(token, now_ms=now_ms)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._fetchers.aclose()


class TrustedWorkloads:
    """Judges what workloads show, and gets their platforms' keys itself.

    Args:
        workloads: as the operator wrote them.
        ca_file: certificates in PEM that are trusted instead of the system's.
        told: hears what is fetched.

    Raises:
        OSError: ``ca_file`` cannot be read, or is none.
    """

    def __init__(
        self,
        workloads: Sequence[Workloads],
        *,
        ca_file: Path | None = None,
        told: Told = _to_nobody,
    ) -> None:
        self._fetchers = Fetchers(ca_file, told)
        self._assertions = Assertions(workloads, self._fetchers.keys)

    async def judge(
        self, assertion: str, *, audiences: frozenset[str], now_ms: int
    ) -> Attested | BadToken | Unavailable:
        """As `Assertions.judge`."""
        return await self._assertions.judge(assertion, audiences=audiences, now_ms=now_ms)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._fetchers.aclose()
