# SPDX-License-Identifier: Apache-2.0
"""``pypow.toml`` read into values; what cannot be is told in one line, with key and line number."""

import functools
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from pypow.calibrate import MAX_P99_MS, require_quick
from pypow.errors import InvalidInputError
from pypow.profiles import DEFAULT_DEVICE, Device, device_of

from . import setting_texts
from .access import Access
from .logins import Logins
from .match import Match
from .meter import STATIC, Pricing
from .oauth_toml import issuer_of, logins_of, ways_of
from .policy import DEFAULT_PRICE, MAX_SATS, RESERVED, PassTerms
from .policy_rows import NO_ROWS, PriceRow, Rows
from .price import Ways
from .selling import Selling
from .stores import Quota
from .token_sales import TokenSales
from .toml_document import AccessTable, Document, Place, PricedTable, PriceTable, complaint
from .toml_place import where
from .workloads_toml import workload_of

MAX_FILE_OCTETS: Final = 1024 * 1024

_SCHEMES: Final = ("gate", "pass_authorization")
_ENTRY: Final = ("gate", "entry")
_NO_WALLET: Final = (
    'expected [l402] wallet beside it, such as "lnd:https://HOST:8080"; without one nothing is '
    "sold for sats"
)

_T = TypeVar("_T")
_G = TypeVar("_G")


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a file says.

    Attributes:
        texts: of settings, by table and key, each with where it stands; a list's are joined by
            commas.
        rows: what no option could say.
        default_q: the default price; None where the file does not say one.
    """

    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    rows: Rows = NO_ROWS
    default_q: int | None = None


def load(path: Path) -> FileSettings:
    """Read a file.

    Raises:
        InvalidInputError: it cannot be read, is no TOML, or says something that cannot be. One
            line that begins with the file, and with line and key where one is to blame.
    """
    try:
        # Opened without waiting: a named pipe would hang the start, or the gate at a reload.
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidInputError(f"{path}: expected a file that can be read again")
            octets = file.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}; see --config") from None
    if len(octets) > MAX_FILE_OCTETS:
        raise InvalidInputError(f"{path}: expected at most {MAX_FILE_OCTETS} octets")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: expected UTF-8, got {error}") from None
    return read(text, name=str(path))


def read(text: str, *, name: str = "pypow.toml") -> FileSettings:
    """Read the text of a file.

    Args:
        text: TOML.
        name: what errors call it.

    Raises:
        InvalidInputError: as `load` does.
    """
    try:
        parsed = tomllib.loads(text)
        _require_small_numbers(parsed)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name}: this is no TOML: {error}") from None
    try:
        document = Document.model_validate(parsed, by_alias=True)
    except ValidationError as error:
        place, what = complaint(error)
        raise InvalidInputError(f"{where(name, text, place)}: {what}") from None
    return _Reading(name, text, document).settings()


def _named(text: str) -> Match:
    """The match of a price, which is also its name."""
    if text in RESERVED or text == DEFAULT_PRICE.name:
        raise InvalidInputError(f'{text!r} is a name with a meaning of its own; write "{text} *"')
    return Match(text)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _require_small_numbers(value: object) -> None:
    """TOML's integers have 64 bits; Python's, which have no end, cannot all be shown or used."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            _require_small_numbers(member)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("expected whole numbers of at most 64 bits")


@dataclass(frozen=True, slots=True)
class _Reading:
    """Makes values of a document, and says where one stands that cannot be."""

    name: str
    text: str
    document: Document

    @property
    def profile(self) -> str:
        return self.document.work.profile or DEFAULT_DEVICE

    @property
    def device(self) -> Device:
        return self._read(("work", "profile"), device_of, self.profile)

    @property
    def max_p99_ms(self) -> float:
        said = self.document.work.max_p99
        if said is None:
            return MAX_P99_MS
        return self._read(("work", "max_p99"), setting_texts.p99_ms, said)

    @property
    def calibrate_ms(self) -> int | None:
        said = self.document.work.calibrate
        if said is None:
            return None
        return self._read(("work", "calibrate"), setting_texts.calibrated_ms, said)

    @property
    def pricing(self) -> Pricing:
        said = self.document.pricing
        ways: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "quota": ("quota", setting_texts.quota_or_none),
            "max_bits": ("max_q", setting_texts.cap_q),
            "max_overdraft": ("max_overdraft_q", setting_texts.overdraft_q),
            "replicas": ("replicas", setting_texts.between(1, 16, "gates")),
            "capacity": ("capacity", setting_texts.capacity),
            "standing": ("standing_ms", setting_texts.standing_ms),
        }
        given = said.model_dump(exclude_none=True)
        decided = {
            name: self._read(("pricing", key), parse, given[key])
            for key, (name, parse) in ways.items()
            if key in given
        }
        if decided.get("standing_ms") is not None and decided.get("quota") is None:
            raise InvalidInputError(
                f"{self._at(('pricing', 'standing'))}: expected pricing.quota beside it, such as "
                '"60/60s": without one, whoever is known has nothing by it'
            )
        return self._read(
            ("pricing", "capacity"), lambda values: replace(STATIC, **values), decided
        )

    def settings(self) -> FileSettings:
        document = self.document
        default_q = self._q(("default",), document.default)
        rows = Rows(
            prices=tuple(self._price(index, table) for index, table in enumerate(document.price)),
            allowed=tuple(self._access("allow", *row) for row in enumerate(document.allow)),
            denied=tuple(self._access("deny", *row) for row in enumerate(document.deny)),
            default_free=self._quota(("default", "free"), document.default.free),
            default_login_free=self._quota(("default", "login_free"), document.default.login_free),
            default_sells=self._pass(("default",), document.default),
            profile=self.profile,
            max_p99_ms=self.max_p99_ms,
            pricing=self.pricing,
            calibrate_ms=self.calibrate_ms,
            timed_q=default_q if document.default.work is not None else None,
            default_sats=self._sats(("default",), document.default),
            selling=self.selling,
            default_ways=self._ways(("default",), document.default),
            logins=self.logins,
            token_sales=self.token_sales,
        )
        return FileSettings(self._texts(), rows, default_q)

    def _texts(self) -> dict[str, tuple[str, str]]:
        found = {}
        for table in ("gate", "store", "work", "keys", "trust", "limits", "log"):
            said = getattr(self.document, table).model_dump(exclude_none=True)
            for key, value in said.items():
                if (table, key) in (_SCHEMES, _ENTRY):
                    continue
                written = ",".join(value) or "none" if isinstance(value, list) else str(value)
                found[f"{table}.{key}"] = (written, self._at((table, key)))
        return found

    def _price(self, index: int, table: PriceTable) -> PriceRow:
        place: Place = ("price", index)
        match = self._read((*place, "match"), _named, table.match)
        ways = self._ways(place, table)
        q = self._q(place, table)
        if q is None and not ways.takes_work:
            q = DEFAULT_PRICE.q  # nobody pays it; it says what free calls are reckoned by
        if q is None:
            sold = "" if table.sats is None else '; for sats alone, say require = ["l402"]'
            raise InvalidInputError(
                f'{self._at(place)}: expected work = "250ms", bits = 20 or hashes = 1_000_000{sold}'
            )
        free = self._quota((*place, "free"), table.free)
        login_free = self._quota((*place, "login_free"), table.login_free)
        for key, quota in (("free", free), ("login_free", login_free)):
            if quota is not None:
                self._read((*place, key), lambda one: self.pricing.constants(one, q), quota)
        return PriceRow(
            match.text,
            q,
            free,
            self._pass(place, table),
            observe=table.mode == "observe",
            timed=table.work is not None,
            sats=self._sats(place, table),
            ways=ways,
            login_free=login_free,
        )

    @property
    def logins(self) -> Logins | None:
        """How callers sign in; None where nobody can."""
        table, entry = self.document.oauth, self.document.gate.entry
        issuers = tuple(
            self._read(("oauth", "issuer", index), issuer_of, issuer)
            for index, issuer in enumerate(table.issuer)
        )
        asks_first = entry == "oauth"
        read = functools.partial(logins_of, table, asks_first=asks_first)
        schemes = {scheme.lower() for scheme in self.document.gate.pass_authorization or ()}
        if issuers and schemes & {"bearer", "dpop"}:
            raise InvalidInputError(
                f"{self._at(_SCHEMES)}: expected no Bearer and no DPoP beside [[oauth.issuer]], "
                "whose tokens they are; oauth.forward_token = true passes them on"
            )
        return self._read(_ENTRY if asks_first and not issuers else ("oauth",), read, issuers)

    @property
    def token_sales(self) -> TokenSales | None:
        """How access tokens are given out here; None where none are."""
        said = self.document.oauth
        if not said.server:
            for key in ("client_documents", "workload"):
                if getattr(said, key):
                    raise InvalidInputError(
                        f"{self._at(('oauth', key))}: expected oauth.server = true beside it, "
                        "which gives out the tokens that this is about"
                    )
            return None
        asks_first = self.document.gate.entry == "oauth"
        workloads = tuple(
            self._read(("oauth", "workload", index), workload_of, table)
            for index, table in enumerate(said.workload)
        )
        return TokenSales(asks_first, bool(said.client_documents), workloads)

    def _ways(self, place: Place, table: PricedTable) -> Ways:
        has_work = any(said is not None for said in (table.work, table.bits, table.hashes))
        has_issuer = bool(self.document.oauth.issuer or self.document.oauth.workload)
        read = functools.partial(ways_of, has_work=has_work, has_issuer=has_issuer)
        return self._read((*place, "scope" if table.require is None else "require"), read, table)

    @property
    def selling(self) -> Selling | None:
        """How calls are sold; None without a wallet."""
        said = self.document.l402.model_dump(exclude_none=True)
        schemes = self.document.gate.pass_authorization
        if "wallet" not in said:
            for place in (*(("l402", key) for key in said), *([_SCHEMES] if schemes else [])):
                raise InvalidInputError(f"{self._at(place)}: {_NO_WALLET}")
            return None
        decided = {
            name: self._read(("l402", key), parse, said[key])
            for key, (name, parse) in setting_texts.SELLING.items()
            if key in said
        }
        decided["foreign_schemes"] = frozenset(scheme.lower() for scheme in schemes or ())
        return Selling(**decided)

    def _sats(self, place: Place, table: PricedTable) -> int | None:
        if table.sats is None:
            return None
        selling = self.selling
        if selling is None:
            raise InvalidInputError(f"{self._at((*place, 'sats'))}: {_NO_WALLET}")
        most = min(MAX_SATS, selling.max_sats)
        return self._read((*place, "sats"), setting_texts.between(1, most, "sats"), table.sats)

    def _q(self, place: Place, table: PricedTable) -> int | None:
        said = [key for key in ("work", "bits", "hashes") if getattr(table, key) is not None]
        if len(said) > 1:
            raise InvalidInputError(
                f"{self._at((*place, said[1]))}: expected work, bits or hashes, got "
                f"{' and '.join(said)}; leave all but one out"
            )
        device, most_ms = self.device, self.max_p99_ms
        if not said:
            return None
        ways: dict[str, Callable[[Any], int]] = {
            "work": functools.partial(setting_texts.work_q, hashes_per_s=device.hashes_per_s),
            "bits": setting_texts.bits_q,
            "hashes": setting_texts.hashes_q,
        }
        return self._read(
            (*place, said[0]),
            lambda given: require_quick(ways[said[0]](given), device=device, most_ms=most_ms),
            getattr(table, said[0]),
        )

    def _quota(self, place: Place, said: str | None) -> Quota | None:
        return None if said is None else self._read(place, setting_texts.quota, said)

    def _pass(self, place: Place, table: PricedTable) -> PassTerms | None:
        if table.sells is None:
            return None
        return self._read((*place, "pass"), setting_texts.pass_terms, table.sells)

    def _access(self, name: str, index: int, table: AccessTable) -> Access:
        place: Place = (name, index)
        given = table.network
        networks = (given,) if isinstance(given, str) else tuple(given or ())
        match = None if table.match is None else self._read((*place, "match"), Match, table.match)
        return self._read(
            (*place, "network"), lambda texts: Access(networks=texts, match=match), networks
        )

    def _read(self, place: Place, parse: Callable[[_G], _T], given: _G) -> _T:
        try:
            return parse(given)
        except InvalidInputError as error:
            raise InvalidInputError(f"{self._at(place)}: {error}") from None

    def _at(self, place: Place) -> str:
        return where(self.name, self.text, place)
