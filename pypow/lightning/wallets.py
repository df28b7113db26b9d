# SPDX-License-Identifier: Apache-2.0
"""Which wallets there are, and how an operator says which one: ``KIND:WHERE``.

========================================  ==========================================
address                                   credential
========================================  ==========================================
``development:``                          none
``lnd:https://HOST:8080``                 a macaroon: its file, or its hex digits
``cln:https://HOST:3010``                 a rune
``phoenixd:http://127.0.0.1:9740``        a password
``lnbits:https://HOST``                   a wallet's key
``nwc:``                                  ``nostr+walletconnect://...``
``lightning-address:user@HOST``           none
========================================  ==========================================

An address is no secret and holds none. The credential is read from the file that
``PYPOW_WALLET_CREDENTIAL_FILE`` names, or is ``PYPOW_WALLET_CREDENTIAL`` itself;
``PYPOW_WALLET_CA_FILE`` names certificates to trust instead of the system's.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pypow.bolt11 import Network
from pypow.errors import InvalidInputError, PowError, shown

from . import Wallet
from .checked import CheckedWallet
from .cln import ClnWallet
from .development import DevelopmentWallet
from .exchange import Exchange
from .guarded import TIMEOUT_S, GuardedWallet
from .lightning_address import LightningAddressWallet
from .lnbits import LnbitsWallet
from .lnd import LndWallet
from .near import is_near
from .phoenixd import PhoenixdWallet

CREDENTIAL: Final = "PYPOW_WALLET_CREDENTIAL"
CREDENTIAL_FILE: Final = "PYPOW_WALLET_CREDENTIAL_FILE"
CA_FILE: Final = "PYPOW_WALLET_CA_FILE"
VARIABLES: Final = (CREDENTIAL, CREDENTIAL_FILE, CA_FILE)

DEVELOPMENT: Final = "development"
_MAX_CREDENTIAL: Final = 4096
_MACAROON_V2: Final = b"\x02"
_AT_A_URL: Final = frozenset({"lnd", "cln", "phoenixd", "lnbits"})
_PRINTABLE = re.compile(rb"[!-~]+")


@dataclass(frozen=True, slots=True)
class Site:
    """What an operator said of a wallet.

    Attributes:
        kind: which of the table.
        where: what stands behind it.
        network: the chain that money is on.
        credential: as it was given, without white space around it.
        ca_file: certificates to trust instead of the system's; None for those.
    """

    kind: str
    where: str
    network: Network
    credential: bytes = field(default=b"", repr=False)
    ca_file: Path | None = None

    def text(self) -> str:
        """The credential, where it is a text.

        Raises:
            InvalidInputError: there is none, or it is none.
        """
        if not self.credential:
            raise InvalidInputError(
                f"expected a credential for {self.kind}: set {CREDENTIAL_FILE} or {CREDENTIAL}"
            )
        if not _PRINTABLE.fullmatch(self.credential):
            raise InvalidInputError(
                f"expected a credential for {self.kind} of printable characters without spaces"
            )
        return self.credential.decode("ascii")

    def exchange(self, headers: Mapping[str, str]) -> Exchange:
        """How to ask the server there.

        Raises:
            InvalidInputError: the address or the certificates cannot be used.
        """
        base_url = _base_url(self.kind, self.where)
        try:
            return Exchange(base_url, headers=headers, ca_file=self.ca_file)
        except OSError as error:
            raise InvalidInputError(
                f"{CA_FILE}: expected a readable file of certificates in PEM, got {self.ca_file} "
                f"({error.strerror or type(error).__name__})"
            ) from None


def open_wallet(
    address: str,
    *,
    network: Network,
    environment: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
) -> GuardedWallet:
    """The wallet at an address, checked and guarded. Asks nobody yet.

    Args:
        address: ``KIND:WHERE``.
        network: the chain that money is on; ``development:`` has regtest only.
        environment: such as ``os.environ``; `VARIABLES` are read.
        timeout_s: seconds for a call but a payment; less than its caller waits, or a wallet that
            hangs is never left alone.

    Raises:
        InvalidInputError: no such wallet, or not its credential.
        PowError: a package is missing that it needs.
    """
    require_address(address)
    kind, _, where = address.partition(":")
    ca_file = environment.get(CA_FILE)
    site = Site(
        kind=kind,
        where=where,
        network=network,
        credential=_credential(environment),
        ca_file=None if ca_file is None else Path(ca_file),
    )
    return GuardedWallet(CheckedWallet(_KINDS[kind](site), network=network), timeout_s=timeout_s)


def require_address(address: str) -> None:
    """Look at an address alone: reads no credential, and opens nothing.

    Raises:
        InvalidInputError: no such wallet, or a text that may hold a secret; the error shows none.
    """
    kind, _, where = address.partition(":")
    if kind.startswith("nostr") or (kind == "nwc" and where):
        raise InvalidInputError(f"expected nwc: alone; the connection goes into {CREDENTIAL_FILE}")
    if kind not in _KINDS:
        expected = ", ".join(f"{known}:" for known in _KINDS)
        raise InvalidInputError(f"expected a wallet of {expected} got {shown(kind)}")
    if kind in _AT_A_URL:
        _base_url(kind, where)


def _credential(environment: Mapping[str, str]) -> bytes:
    file, text = environment.get(CREDENTIAL_FILE), environment.get(CREDENTIAL)
    if file is not None and text is not None:
        raise InvalidInputError(f"expected {CREDENTIAL_FILE} or {CREDENTIAL}, got both; unset one")
    if file is None:
        found = (text or "").encode()
    else:
        try:
            with Path(file).open("rb") as opened:
                found = opened.read(_MAX_CREDENTIAL + 1)
        except OSError as error:
            raise InvalidInputError(f"{CREDENTIAL_FILE}: {file}: {error.strerror}") from None
    if len(found) > _MAX_CREDENTIAL:
        raise InvalidInputError(f"expected a credential of at most {_MAX_CREDENTIAL} bytes")
    # A macaroon's file may end in any octet; texts end in a line feed that editors put there.
    return found if found[:1] == _MACAROON_V2 else found.strip()


def _base_url(kind: str, where: str) -> str:
    expected = f"expected {kind}:https://HOST[:PORT]"
    try:
        split = urlsplit(where)
        port = split.port
    except ValueError:
        raise InvalidInputError(f"{expected}, got another form") from None
    if split.username is not None or split.query or split.fragment:
        raise InvalidInputError(f"{expected} alone; credentials go into {CREDENTIAL_FILE}")
    if split.scheme not in ("http", "https") or not split.hostname or port == 0:
        raise InvalidInputError(f"{expected}, got another form")
    if split.scheme == "http" and not is_near(split.hostname):
        raise InvalidInputError(
            f"{expected}: a credential is not sent unencrypted to {shown(split.hostname)}; "
            "plain http is for this machine and private networks"
        )
    return where.rstrip("/")


def _development(site: Site) -> Wallet:
    if site.where or site.network is not Network.REGTEST:
        raise InvalidInputError(
            f"expected development: alone, and the network {Network.REGTEST}: it has no money"
        )
    return DevelopmentWallet()


def _lnd(site: Site) -> Wallet:
    # The node's own files are binary.
    if site.credential[:1] == _MACAROON_V2:
        macaroon = site.credential.hex()
    else:
        macaroon = site.text()
        if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", macaroon):
            raise InvalidInputError("expected a macaroon: LND's file, or its hex digits")
    return LndWallet(site.exchange({"Grpc-Metadata-macaroon": macaroon}))


def _cln(site: Site) -> Wallet:
    return ClnWallet(site.exchange({"Rune": site.text()}))


def _phoenixd(site: Site) -> Wallet:
    login = base64.b64encode(b":" + site.text().encode()).decode()
    return PhoenixdWallet(site.exchange({"Authorization": f"Basic {login}"}))


def _lnbits(site: Site) -> Wallet:
    return LnbitsWallet(site.exchange({"X-Api-Key": site.text()}))


def _nwc(site: Site) -> Wallet:
    try:
        from .nwc import NwcWallet
    except ModuleNotFoundError:
        raise PowError(
            "Nostr Wallet Connect needs the nostr-sdk package; pip install 'pypow-engine[nwc]'"
        ) from None
    return NwcWallet(site.text())


def _lightning_address(site: Site) -> Wallet:
    host = urlsplit(f"//{site.where}").hostname or ""
    exchange = Exchange("", ca_file=site.ca_file, only_public=not is_near(host))
    return LightningAddressWallet(site.where, exchange)


_KINDS: Final[Mapping[str, Callable[[Site], Wallet]]] = {
    DEVELOPMENT: _development,
    "lnd": _lnd,
    "cln": _cln,
    "phoenixd": _phoenixd,
    "lnbits": _lnbits,
    "nwc": _nwc,
    "lightning-address": _lightning_address,
}
