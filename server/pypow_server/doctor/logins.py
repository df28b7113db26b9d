# SPDX-License-Identifier: Apache-2.0
"""Do the issuers answer whose access tokens are taken, or whose workloads get some?"""

import os
import time
from typing import TYPE_CHECKING, Final

from pypow.errors import InvalidInputError
from pypow_server.settings import Settings

from . import Finding, fail, ok

if TYPE_CHECKING:
    from pypow_server.identity.fetching import Fetcher
    from pypow_server.identity.issuers import Issuer

_MADE_UP: Final = "pypow-doctor-made-this-up"
_FIX_REACH: Final = "correct the issuer, or let this machine reach it; see docs/identity.md"
_FIX_ALGORITHMS: Final = "correct algorithms, as no token of this issuer can be good"
_FIX_CREDENTIAL: Final = "give the gate the id and secret by which the issuer knows it"


async def check(settings: Settings) -> list[Finding]:
    """Read each issuer's keys, or ask it about a token that nobody made."""
    logins = settings.rows.logins
    findings = []
    for each in () if logins is None else logins.issuers:
        try:
            issuer = each.trusted(secret=each.read_secret(os.environ))
        except InvalidInputError as error:
            findings.append(fail("logins", str(error), fix="see docs/oauth.md"))
        else:
            findings.append(await _answers(issuer))
    sales = settings.rows.token_sales
    vouching = () if sales is None else [row.trusted().trusted for row in sales.workloads]
    return findings + [await _answers(issuer) for issuer in dict.fromkeys(vouching)]


async def _answers(issuer: "Issuer") -> Finding:
    # Imported when it is asked for: what reads tokens comes with an extra.
    from pypow_server.identity.fetching import Fetcher
    from pypow_server.identity.issuers import reach

    fetcher = Fetcher(reach(issuer))
    try:
        if issuer.kind == "introspection":
            return await _knows_us(issuer, fetcher)
        return await _has_keys(issuer, fetcher)
    finally:
        await fetcher.aclose()


async def _has_keys(issuer: "Issuer", fetcher: "Fetcher") -> Finding:
    from pypow_server.identity.fetching import FetchError
    from pypow_server.identity.issuers import key_set
    from pypow_server.identity.jwks import usable

    try:
        keys = usable(await key_set(issuer, fetcher))
    except (FetchError, InvalidInputError) as error:
        return fail("logins", f"{issuer.url}: {error}", fix=_FIX_REACH)
    fitting = [key for key in keys if key.algorithms & issuer.algorithms]
    if not fitting:
        allowed = ", ".join(sorted(issuer.algorithms))
        return fail("logins", f"{issuer.url} has no key for {allowed}", fix=_FIX_ALGORITHMS)
    return ok("logins", f"{issuer.url} publishes keys that fit: {len(fitting)}")


async def _knows_us(issuer: "Issuer", fetcher: "Fetcher") -> Finding:
    from pypow_server.identity import BadToken
    from pypow_server.identity.introspection import Introspection

    now_ms = time.time_ns() // 1_000_000
    found = await Introspection(issuer, fetcher).judge(_MADE_UP, now_ms=now_ms)
    if isinstance(found, BadToken):
        return ok("logins", f"{issuer.url} answers, and takes the credential")
    return fail("logins", f"{issuer.url} does not tell what a token is worth", fix=_FIX_CREDENTIAL)
