# SPDX-License-Identifier: Apache-2.0
"""What an invoice should be read as, read a second time: bit by bit, without regex.

Written from BOLT 11 and BIP 173, and sharing no code with what is held against it. None is always
a refusal.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from support import secp256k1_reference as curve

CHARACTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_NETWORKS: Final = (
    ("bcrt", "regtest"), ("bc", "mainnet"), ("tbs", "signet"), ("tb", "testnet"), ("sb", "simnet"),
)  # fmt: skip
_UNITS: Final = {"m": Fraction(1, 10**3), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9),
                 "p": Fraction(1, 10**12)}  # fmt: skip
_MSAT: Final = 10**11
_LENGTHS: Final = {"p": 52, "s": 52, "h": 52, "n": 53}
_KNOWN: Final = (8, 14, 16, 24, 36, 48)


@dataclass(frozen=True)
class Read:
    """What was read, by the names that `pypow.bolt11.Invoice` has for it."""

    network: str
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


def checksum(prefix: str, data: str) -> str:
    """Six characters that make a prefix and others bech32."""
    values = _spread(prefix) + [CHARACTERS.index(one) for one in data]
    rest = _polymod([*values, 0, 0, 0, 0, 0, 0]) ^ 1
    return "".join(CHARACTERS[rest >> 5 * (5 - place) & 31] for place in range(6))


Signer: TypeAlias = Callable[[bytes, bytes], bytes | None]


def invoice(text: str, signer: Signer = curve.signer) -> Read | None:
    """What an invoice says; None where it cannot be one.

    Args:
        text: the invoice.
        signer: finds who made a signature of a digest.
    """
    if len(text) > 7089 or not text.isascii() or (text != text.lower() and text != text.upper()):
        return None
    text = text.lower()
    prefix, one, data = text.rpartition("1")
    if not one or not set(data) <= set(CHARACTERS) or len(data) < 6 + 104 + 7:
        return None
    if checksum(prefix, data[:-6]) != data[-6:]:
        return None
    money = _network_and_amount(prefix)
    fields = _fields(data[7:-110])
    if money is None or fields is None:
        return None
    bits = _bits(data[:-110])
    signed = prefix.encode() + _octets(bits + "0" * (-len(bits) % 8))
    signature, named = _octets(_bits(data[-110:-6])), fields.get("n")
    payee = _payee(hashlib.sha256(signed).digest(), signature, named, signer)
    return _said(money, int(_bits(data[:7]), 2), fields, payee)


def _said(
    money: tuple[str, int | None], moment: int, fields: dict[str, str], payee: bytes | None
) -> Read | None:
    octets: dict[str, bytes] = {}
    for name in "pshdm":
        if name in fields:
            bits = _bits(fields[name])
            spare = len(bits) % 8
            if spare > 4 or "1" in bits[len(bits) - spare :]:
                return None
            octets[name] = _octets(bits[: len(bits) - spare])
    numbers = {"x": 3600, "c": 18, "9": 0}
    for name in numbers:
        if name in fields:
            if fields[name][:1] == "q" or (name != "9" and len(fields[name]) > 12):
                return None
            numbers[name] = int(_bits(fields[name]) or "0", 2)
    features = numbers["9"]
    asked = [bit for bit, one in enumerate(reversed(f"{features:b}")) if one == "1"]
    if not {"p", "s"} <= set(octets) or ("d" in octets) == ("h" in octets) or payee is None:
        return None
    if any(bit % 2 == 0 and bit not in _KNOWN for bit in asked):
        return None
    try:
        description = octets["d"].decode() if "d" in octets else None
    except UnicodeDecodeError:
        return None
    return Read(
        *money, moment, numbers["x"], octets["p"], octets["s"], description, octets.get("h"),
        numbers["c"], features, octets.get("m"), payee,
    )  # fmt: skip


def _network_and_amount(prefix: str) -> tuple[str, int | None] | None:
    if prefix[:2] != "ln":
        return None
    letters = prefix[2:].rstrip("munp")
    unit = prefix[2 + len(letters) :]
    currency = letters.rstrip("0123456789")
    digits = letters[len(currency) :]
    for named, network in _NETWORKS:
        if currency == named:
            if not digits:
                return (network, None) if not unit else None
            amount = int(digits) * _UNITS.get(unit, Fraction(1)) * _MSAT
            written_well = digits[0] != "0" and len(digits) < 21 and len(unit) < 2
            if not written_well or amount.denominator != 1 or amount > 21_000_000 * _MSAT:
                return None
            return network, int(amount)
    return None


def _fields(data: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        if place + 3 > len(data):
            return None
        letter = data[place]
        size = 32 * CHARACTERS.index(data[place + 1]) + CHARACTERS.index(data[place + 2])
        place += 3 + size
        if place > len(data):
            return None
        if letter in "pshndmxc9" and size == _LENGTHS.get(letter, size):
            if letter in found:
                return None
            found[letter] = data[place - size : place]
    return found


def _payee(digest: bytes, signature: bytes, named: str | None, signer: Signer) -> bytes | None:
    if named is None:
        return signer(digest, signature)
    bits = _bits(named)
    key = _octets(bits[:264])
    s = int.from_bytes(signature[32:64])
    if bits[264:] != "0" or 2 * s > curve.ORDER or signature[64] > 3:
        return None
    signers = (signer(digest, signature[:64] + bytes((one,))) for one in range(4))
    return key if key in signers else None


def _bits(data: str) -> str:
    return "".join(f"{CHARACTERS.index(one):05b}" for one in data)


def _octets(bits: str) -> bytes:
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))


def _spread(prefix: str) -> list[int]:
    return [ord(one) >> 5 for one in prefix] + [0] + [ord(one) & 31 for one in prefix]


def _polymod(values: list[int]) -> int:
    rest = 1
    for value in values:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            if top >> bit & 1:
                rest ^= generator
    return rest
