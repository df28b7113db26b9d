# SPDX-License-Identifier: Apache-2.0
"""Lightning invoices as BOLT 11 writes them: read, held against what was asked for, and issued.

Nothing in here asks a node or a clock. Signatures need the extra ``[l402]``.
"""

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from . import bech32, secp256k1
from .errors import InvalidInputError, WireError, require_int, shown

MAX_TEXT: Final = 7089
"""Characters of an invoice: what the largest QR code holds."""

DEFAULT_EXPIRY_S: Final = 3600
DEFAULT_MIN_FINAL_CLTV: Final = 18
PLAIN_FEATURES: Final = 1 << 8 | 1 << 14
"""What every invoice asks of its payer: onions of variable length, and the payment secret."""

MAX_MSAT: Final = 21_000_000 * 100_000_000 * 1000
"""All bitcoins there will ever be, in thousandths of a satoshi."""


class Network(enum.StrEnum):
    """The chains that an invoice can be for, by the names that nodes give them."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SIGNET = "signet"
    REGTEST = "regtest"
    SIMNET = "simnet"


class Reason(enum.StrEnum):
    """Why an invoice was refused: `WireError.reason` here is one of these."""

    MALFORMED = "malformed"
    WRONG_CHECKSUM = "wrong_checksum"
    WRONG_SIGNATURE = "wrong_signature"
    UNKNOWN_FEATURE = "unknown_feature"
    WRONG_NETWORK = "wrong_network"
    NO_AMOUNT = "no_amount"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_HASH = "wrong_hash"
    WRONG_PAYEE = "wrong_payee"
    NOT_ONE_PAYMENT = "not_one_payment"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Invoice:
    """What an invoice says, its signature checked.

    Attributes:
        text: the invoice itself, in lower case.
        network: the chain it is for.
        amount_msat: thousandths of a satoshi; None for any amount.
        created_at_s: Unix seconds.
        expiry_s: seconds from then on; from their end on it is not to be paid.
        payment_hash: SHA-256 of the preimage that a payer gets, 32 bytes.
        payment_secret: 32 bytes that only who has seen the invoice knows.
        description: what it is for; None where ``description_hash`` says it.
        description_hash: SHA-256 of what it is for; None where ``description`` says it.
        min_final_cltv: blocks that the last hop is given.
        features: a bit set of BOLT 9.
        metadata: what the payer is to send along; None for nothing.
        payee: public key of the node that is paid, 33 bytes.
    """

    text: str
    network: Network
    amount_msat: int | None
    created_at_s: int
    expiry_s: int
    payment_hash: bytes
    payment_secret: bytes
    description: str | None
    description_hash: bytes | None
    min_final_cltv: int
    features: int
    metadata: bytes | None
    payee: bytes

    @property
    def expires_at_ms(self) -> int:
        """Unix milliseconds; at this moment the invoice is no longer good."""
        return 1000 * (self.created_at_s + self.expiry_s)


_PREFIXES: Final[Mapping[str, Network]] = {
    "bc": Network.MAINNET,
    "tb": Network.TESTNET,
    "tbs": Network.SIGNET,
    "bcrt": Network.REGTEST,
    "sb": Network.SIMNET,
}
_PREFIX = re.compile(r"ln(bcrt|bc|tbs|tb|sb)(?:([1-9][0-9]{0,19})([munp]?))?", re.ASCII)
# What an amount is counted in, in tenths of a thousandth of a satoshi, as the smallest is.
_UNITS: Final = {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}

_TIMESTAMP_GROUPS = 7
_SIGNATURE_GROUPS = 104
_HASH_GROUPS = 52
_MOST_NUMBER_GROUPS = 12

_TAGS: Final = {"p": 1, "s": 16, "d": 13, "m": 27, "n": 19, "h": 23, "x": 6, "c": 24, "9": 5}
"""The fields that are read. ``f`` and ``r`` help a payer on; others are of the future."""
_SIZES: Final = {"p": _HASH_GROUPS, "h": _HASH_GROUPS, "s": _HASH_GROUPS, "n": 53}
_NAMES: Final = {tag: name for name, tag in _TAGS.items()}

_KNOWN_EVEN: Final = 1 << 8 | 1 << 14 | 1 << 16 | 1 << 24 | 1 << 36 | 1 << 48
_EVEN: Final = sum(1 << bit for bit in range(0, 5 * 1024, 2))
_ATOMIC_MULTIPATH: Final = 1 << 30 | 1 << 31
"""Of LND: paid in parts with preimages of the payer's own, so that none of them proves payment."""


def decode(text: str) -> Invoice:
    """Read an invoice, and check its signature.

    A field with a fixed length that has another is skipped, as the vectors of BOLT 11 want it. A
    field that is there twice is refused: two readers could take different ones.

    Raises:
        WireError: anything that a payer would have to refuse; ``reason`` is a `Reason`.
        PowError: the extra ``[l402]`` is not installed.
    """
    if len(text) > MAX_TEXT:
        raise WireError(f"expected an invoice of at most {MAX_TEXT} characters, got {len(text)}")
    prefix, groups = bech32.decode(text)
    match = _PREFIX.fullmatch(prefix)
    if match is None:
        raise WireError(f"expected an invoice that begins with lnbc or its like, got {shown(text)}")
    said, signature = groups[:-_SIGNATURE_GROUPS], groups[-_SIGNATURE_GROUPS:]
    if len(said) < _TIMESTAMP_GROUPS:
        raise WireError(f"expected an invoice with a time and a signature, got {shown(text)}")
    fields = _fields(said[_TIMESTAMP_GROUPS:])
    description, description_hash = _described(fields)
    return Invoice(
        text=text.lower(),
        network=_PREFIXES[match[1]],
        amount_msat=_amount(match[2], match[3]),
        created_at_s=bech32.to_number(said[:_TIMESTAMP_GROUPS]),
        expiry_s=_number(fields, "x", DEFAULT_EXPIRY_S),
        payment_hash=_required(fields, "p"),
        payment_secret=_required(fields, "s"),
        description=description,
        description_hash=description_hash,
        min_final_cltv=_number(fields, "c", DEFAULT_MIN_FINAL_CLTV),
        features=_features(fields),
        metadata=_octets(fields, "m"),
        payee=_payee(_digest(prefix, said), bech32.to_octets(signature), _octets(fields, "n")),
    )


def require(
    invoice: Invoice | str,
    *,
    network: Network,
    amount_msat: int,
    payment_hash: bytes,
    now_ms: int,
    payee: bytes | None = None,
) -> Invoice:
    """Refuse an invoice that is not just what was asked for.

    Without ``n`` an altered invoice has a valid signature of somebody else: who knows the node
    that is to be paid says so.

    Args:
        invoice: the invoice, or its text.
        network: the chain that is meant.
        amount_msat: thousandths of a satoshi that were asked for, at least 1.
        payment_hash: 32 bytes that were agreed on.
        now_ms: Unix milliseconds.
        payee: public key of the node that is to be paid; None for any.

    Raises:
        WireError: it is another; ``reason`` is a `Reason`.
    """
    require_int("amount_msat", amount_msat, 1, MAX_MSAT)
    found = decode(invoice) if isinstance(invoice, str) else invoice
    if found.network != network:
        raise WireError(
            f"expected an invoice for {network}, got one for {found.network}; "
            "is the wallet of another network?",
            reason=Reason.WRONG_NETWORK,
        )
    if found.amount_msat is None:
        raise WireError(
            f"expected an invoice of {amount_msat} msat, got one for any amount",
            reason=Reason.NO_AMOUNT,
        )
    if found.amount_msat != amount_msat:
        raise WireError(
            f"expected an invoice of {amount_msat} msat, got {found.amount_msat} msat",
            reason=Reason.WRONG_AMOUNT,
        )
    if found.payment_hash != payment_hash:
        raise WireError(
            f"expected an invoice with payment hash {payment_hash.hex()}, "
            f"got {found.payment_hash.hex()}",
            reason=Reason.WRONG_HASH,
        )
    if payee is not None and found.payee != payee:
        raise WireError(
            f"expected an invoice of node {payee.hex()}, got one of {found.payee.hex()}",
            reason=Reason.WRONG_PAYEE,
        )
    if found.features & _ATOMIC_MULTIPATH:
        raise WireError(
            "expected an invoice that is paid once with one preimage, got one of LND's AMP",
            reason=Reason.NOT_ONE_PAYMENT,
        )
    if now_ms >= found.expires_at_ms:
        raise WireError(
            f"expected an invoice that can still be paid, got one that expired "
            f"{(now_ms - found.expires_at_ms) // 1000} s ago",
            reason=Reason.EXPIRED,
        )
    return found


def issue(
    secret: bytes,
    *,
    network: Network,
    amount_msat: int | None,
    payment_hash: bytes,
    payment_secret: bytes,
    description: str | bytes,
    created_at_s: int,
    expiry_s: int = DEFAULT_EXPIRY_S,
    min_final_cltv: int = DEFAULT_MIN_FINAL_CLTV,
    features: int = PLAIN_FEATURES,
    metadata: bytes | None = None,
    names_payee: bool = False,
) -> Invoice:
    """Write and sign an invoice; for a wallet that holds a node's key, as in tests.

    Args:
        secret: the node's private key, 32 bytes.
        network: the chain it is for.
        amount_msat: thousandths of a satoshi; None for any amount.
        payment_hash: SHA-256 of the preimage, 32 bytes.
        payment_secret: 32 bytes.
        description: what it is for, or SHA-256 of that.
        created_at_s: Unix seconds.
        expiry_s: seconds.
        min_final_cltv: blocks that the last hop is given.
        features: a bit set of BOLT 9.
        metadata: what the payer is to send along.
        names_payee: whether the public key is written, though the signature shows it.

    Raises:
        InvalidInputError: values that no invoice can say.
    """
    require_int("created_at_s", created_at_s, 0, (1 << 5 * _TIMESTAMP_GROUPS) - 1)
    for name, number in (("expiry_s", expiry_s), ("min_final_cltv", min_final_cltv)):
        require_int(name, number, 0, (1 << 5 * _MOST_NUMBER_GROUPS) - 1)
    require_int("features", features, 0, _EVEN | _EVEN >> 1)
    amount = "" if amount_msat is None else _amount_text(amount_msat)
    prefix = f"ln{_currency(network)}{amount}"
    told, hashed = (description, None) if isinstance(description, str) else (None, description)
    fields = {
        "s": bech32.of_octets(payment_secret),
        "p": bech32.of_octets(payment_hash),
        "d": None if told is None else bech32.of_octets(told.encode()),
        "h": None if hashed is None else bech32.of_octets(hashed),
        "x": None if expiry_s == DEFAULT_EXPIRY_S else bech32.of_number(expiry_s),
        "c": None if min_final_cltv == DEFAULT_MIN_FINAL_CLTV else bech32.of_number(min_final_cltv),
        "m": None if metadata is None else bech32.of_octets(metadata),
        "n": bech32.of_octets(secp256k1.public_key(secret)) if names_payee else None,
        "9": bech32.of_number(features) or None,
    }
    said = bech32.of_number(1 << 5 * _TIMESTAMP_GROUPS | created_at_s)[1:]
    said += b"".join(_field(name, groups) for name, groups in fields.items() if groups is not None)
    signature = secp256k1.sign(_digest(prefix, said), secret)
    return decode(bech32.encode(prefix, said + bech32.of_octets(signature)))


def _field(name: str, groups: bytes) -> bytes:
    if len(groups) > 1023:
        raise InvalidInputError(f"expected a field of at most 639 bytes, got more in {name}")
    return bytes((_TAGS[name], len(groups) >> 5, len(groups) & 31)) + groups


def _fields(groups: bytes) -> dict[str, bytes]:
    """The fields that are read, by their letters."""
    found: dict[str, bytes] = {}
    while groups:
        head, rest = groups[:3], groups[3:]
        size = head[1] << 5 | head[2] if len(head) == 3 else len(groups)
        if len(rest) < size:
            raise WireError("expected whole fields in the invoice, got the beginning of one")
        value, groups = rest[:size], rest[size:]
        name = _NAMES.get(head[0])
        if name is None or len(value) != _SIZES.get(name, len(value)):
            continue
        if name in found:
            raise WireError(f"expected one field {name} in the invoice, got several")
        found[name] = value
    return found


def _digest(prefix: str, said: bytes) -> bytes:
    return hashlib.sha256(prefix.encode("ascii") + bech32.to_filled_octets(said)).digest()


def _payee(digest: bytes, signature: bytes, named: bytes | None) -> bytes:
    payee = named
    if named is None:
        payee = secp256k1.signer(digest, signature)
    elif signature[64] > 3 or not secp256k1.is_signed_by(named, digest, signature):
        payee = None
    if payee is None:
        raise WireError(
            "expected an invoice that its payee signed, got another signature: it was altered",
            reason=Reason.WRONG_SIGNATURE,
        )
    return payee


def _amount(digits: str | None, unit: str) -> int | None:
    if digits is None:
        return None
    msat, rest = divmod(int(digits) * _UNITS[unit], 10)
    if rest or msat > MAX_MSAT:
        raise WireError(
            f"expected an amount in whole thousandths of a satoshi, up to all there are, "
            f"got {digits}{unit}"
        )
    return msat


def _amount_text(msat: int) -> str:
    require_int("amount_msat", msat, 1, MAX_MSAT)
    unit, size = next(pair for pair in _UNITS.items() if 10 * msat % pair[1] == 0)
    return f"{10 * msat // size}{unit}"


def _currency(network: Network) -> str:
    return next(currency for currency, named in _PREFIXES.items() if named is network)


def _octets(fields: Mapping[str, bytes], name: str) -> bytes | None:
    return bech32.to_octets(fields[name]) if name in fields else None


def _required(fields: Mapping[str, bytes], name: str) -> bytes:
    octets = _octets(fields, name)
    if octets is None:
        what = {"p": "payment hash", "s": "payment secret"}[name]
        raise WireError(f"expected an invoice with a {what} of 32 bytes, got none")
    return octets


def _number(fields: Mapping[str, bytes], name: str, default: int) -> int:
    groups = fields.get(name)
    if groups is None:
        return default
    if groups[:1] == b"\0" or len(groups) > _MOST_NUMBER_GROUPS:
        raise WireError(f"expected a number of up to 60 bits without leading zeros in {name}")
    return bech32.to_number(groups)


def _described(fields: Mapping[str, bytes]) -> tuple[str | None, bytes | None]:
    octets, digest = _octets(fields, "d"), _octets(fields, "h")
    if (octets is None) == (digest is None):
        raise WireError("expected an invoice with a description or the hash of one, not both")
    try:
        return None if octets is None else octets.decode("utf-8"), digest
    except UnicodeDecodeError:
        raise WireError("expected a description in UTF-8 in the invoice") from None


def _features(fields: Mapping[str, bytes]) -> int:
    groups = fields.get("9", b"")
    if groups[:1] == b"\0":
        raise WireError("expected features without leading zeros in the invoice")
    features = bech32.to_number(groups)
    unknown = features & _EVEN & ~_KNOWN_EVEN
    if unknown:
        raise WireError(
            f"expected an invoice whose features are known, got feature "
            f"{unknown.bit_length() - 1}, which its payer must know",
            reason=Reason.UNKNOWN_FEATURE,
        )
    return features
