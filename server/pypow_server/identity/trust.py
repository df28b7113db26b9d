# SPDX-License-Identifier: Apache-2.0
"""All issuers that an operator takes tokens of, with all that judging them needs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from . import Judgement, TokenJudge
from .fetching import Fetcher, Reach
from .introspection import Introspection
from .issuers import Issuer, key_set, reach
from .judging import TokensOfIssuers, Trusted
from .jwks import IssuerKeys


class TrustedIssuers:
    """A `TokenJudge` that gets keys and answers itself; nothing is asked before a token comes.

    Args:
        issuers: as the operator wrote them.
        ca_file: certificates in PEM that are trusted instead of the system's.
        told: hears of each read of keys and each question, for figures: the issuer, and
            ``read``, ``active``, ``refused`` or ``failed``.

    Raises:
        IssuerError: they cannot be trusted together.
        OSError: ``ca_file`` cannot be read, or is none.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        ca_file: Path | None = None,
        told: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        self._fetchers: list[Fetcher] = []
        trusted: list[Trusted] = []
        asked: list[tuple[str, TokenJudge]] = []
        for issuer in issuers:
            fetcher = Fetcher(reach(issuer, Reach(ca_file=ca_file)))
            self._fetchers.append(fetcher)
            hears = partial(told, issuer.url)
            if issuer.kind == "introspection":
                asked.append((issuer.url, Introspection(issuer, fetcher, told=hears)))
            else:
                read = partial(key_set, issuer, fetcher)
                trusted.append(Trusted(issuer, IssuerKeys(read, name=issuer.url, told=hears)))

        self._judge = TokensOfIssuers(trusted, asked)

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """As `TokenJudge.judge`."""
        return await self._judge.judge(token, now_ms=now_ms)

    async def aclose(self) -> None:
        """Close all connections."""
        for fetcher in self._fetchers:
            await fetcher.aclose()
