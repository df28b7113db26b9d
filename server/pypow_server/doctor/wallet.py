# SPDX-License-Identifier: Apache-2.0
"""Does the wallet answer that calls are sold with?"""

from typing import Final

from pypow.errors import InvalidInputError
from pypow.lightning import Reason, WalletError
from pypow_server.settings import Settings
from pypow_server.shop import wallet_of
from pypow_server.stores import without_secrets

from . import Finding, fail, ok, warn

_FIX_CREDENTIAL: Final = "give the gate the right one, by PYPOW_WALLET_CREDENTIAL_FILE"
_FIX_OTHERS: Final = "start it, or correct l402.wallet; until then callers are offered work only"


async def check(settings: Settings) -> list[Finding]:
    """Ask the wallet whether it is there; makes no invoice. Nothing where nothing is sold."""
    selling = settings.rows.selling
    if selling is None:
        return []
    try:
        wallet = wallet_of(settings)
    except InvalidInputError as error:
        return [fail("wallet", str(error), fix="see docs/lightning.md")]
    assert wallet is not None
    shown = without_secrets(selling.wallet)
    try:
        await wallet.probe()
    except WalletError as error:
        fix = _FIX_CREDENTIAL if error.reason == Reason.UNAUTHORIZED else _FIX_OTHERS
        return [fail("wallet", f"{shown}: {error}", fix=fix)]
    finally:
        await wallet.aclose()
    if selling.is_development:
        return [
            warn(
                "wallet",
                f"{shown} has no money: anybody can settle its invoices",
                fix="name a wallet of docs/lightning.md before calls are worth something",
            )
        ]
    return [ok("wallet", f"{shown} answers, and takes the credential")]
