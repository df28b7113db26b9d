# SPDX-License-Identifier: Apache-2.0
"""What payment headers should be read as, read a second time: slow, obvious, without regex.

Written from RFC 9110, RFC 4648, RFC 8785, draft-httpauth-payment-00 and what L402's clients send,
and sharing no code with what is held against it. JSON is read by a parser in another language.
None is always a refusal.
"""

import math
import string
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from pydantic_core import from_json

from fuzz.gate_whole_readings import colons, is_finite, members

Challenges: TypeAlias = list[tuple[str, dict[str, str]]]

_WORD: Final = string.ascii_letters + string.digits
_TOKEN: Final = frozenset(_WORD + "!#$%&'*+-.^_`|~")
_TOKEN68: Final = frozenset(_WORD + "-._~+/")
_BARE: Final = frozenset(map(chr, range(0x21, 0x7F))) - frozenset('",')
_UNSENDABLE: Final = frozenset(map(chr, [*range(9), *range(10, 32), 127]))
_URL: Final = _WORD[26:52] + _WORD[:26] + string.digits + "-_"
_HEX: Final = frozenset(string.hexdigits)
_LOWER_HEX: Final = frozenset("0123456789abcdef")
_NEEDED: Final = ("id", "realm", "method", "intent", "request")
_SLOTS: Final = (*_NEEDED, "expires", "digest", "description", "opaque", "header")


def base64_octets(text: str, *, either: bool = False) -> bytes | None:
    """The octets in base64url, or in either alphabet; padded or not."""
    bare = text.rstrip("=")
    letters = [("-_"["+/".index(one)] if either and one in "+/" else one) for one in bare]
    padding = len(text) - len(bare)
    bits = 6 * len(bare)
    if padding > 2 or (padding and len(text) % 4) or len(bare) % 4 == 1:
        return None
    if not all(one in _URL for one in letters):
        return None
    number = 0
    for one in letters:
        number = 64 * number + _URL.index(one)
    if number % 2 ** (bits % 8):
        return None
    return (number >> bits % 8).to_bytes(bits // 8)


def json_object(text: str) -> dict[str, Any] | None:
    """The object of JSON in base64url."""
    octets = base64_octets(text.strip(" \t")) if len(text) <= 16384 else None
    try:
        document = None if octets is None else from_json(octets, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(document, dict) or octets is None:
        return None
    return document if members(document) == colons(octets) and is_finite(document) else None


def credential(text: str) -> tuple[object, ...] | None:
    """What follows ``L402``: the macaroons, and the preimage."""
    end = len(text.rstrip(" \t"))
    colon = text.rfind(":")
    macaroons, preimage = text[:colon].strip(" \t"), text[colon + 1 : end].lstrip(" \t")
    if len(text) > 8192 or colon < 0 or len(preimage) != 64 or not set(preimage) <= _HEX:
        return None
    if macaroons[:1] == "{" and macaroons.isascii():
        return (macaroons.encode(),), bytes.fromhex(preimage)
    parts = [part.strip(" \t") for part in macaroons.split(",")]
    octets = tuple(base64_octets(part, either=True) for part in parts)
    return (octets, bytes.fromhex(preimage)) if len(octets) <= 4 and all(octets) else None


def metadata(text: str) -> tuple[object, ...] | None:
    """A macaroon in hex, with the preimage in a caveat."""
    digits = text.strip(" \t")
    if not digits or len(digits) > 16384 or len(digits) % 2 or not set(digits) <= _HEX:
        return None
    octets = bytes.fromhex(digits)
    return ((octets,), None) if octets.find(b"preimage=") >= 0 else None


def challenge(said: dict[str, Any]) -> tuple[str | None, ...] | None:
    """What a payment challenge says, in the order of ``_SLOTS``."""
    found: list[str | None] = []
    for name in _SLOTS:
        value = said.get(name)
        if name not in _NEEDED and value in (None, ""):
            found.append(None)
            continue
        if name == "header" and str(value).lower() == "authorization":
            found.append(None)
            continue
        if not isinstance(value, str) or not value or set(value) & _UNSENDABLE:
            return None
        if "|" in value and name not in ("id", "description"):
            return None
        found.append(value)
    method, intent, header = found[2] or "", found[3] or "", found[9]
    lower = frozenset(string.ascii_lowercase)
    fits = method[0] in lower and set(method) <= lower | set("0123456789:_-")
    fits = fits and set(intent) <= set(_WORD + "-") and max(len(method), len(intent)) <= 64
    named = header is None or (len(header) <= 64 and set(header) <= _TOKEN)
    return tuple(found) if fits and named else None


def payment(text: str) -> tuple[object, ...] | None:
    """What follows ``Payment``: the challenge, what proves the payment, and who paid."""
    said = json_object(text)
    if said is None or not isinstance(said.get("challenge"), dict):
        return None
    asked, payload, source = challenge(said["challenge"]), said.get("payload"), said.get("source")
    if asked is None or not isinstance(payload, dict) or not isinstance(source, str | None):
        return None
    return asked, payload, source or None


def preimage(payload: dict[str, Any]) -> bytes | None:
    """What proves a payment over Lightning."""
    digits = payload.get("preimage")
    fits = isinstance(digits, str) and len(digits) == 64 and set(digits) <= _LOWER_HEX
    return bytes.fromhex(digits) if fits and isinstance(digits, str) else None


def receipt(text: str) -> tuple[object, ...] | None:
    """Reference, moment, method and challenge of a receipt."""
    said = json_object(text)
    if said is None or said.get("status") != "success":
        return None
    texts = [said.get(name) for name in ("reference", "timestamp", "method")]
    identity = said.get("challengeId") or None
    if not all(isinstance(text, str) and text for text in (*texts, identity or "none")):
        return None
    return (*texts, identity)


def challenges(text: str) -> Challenges | None:
    """The challenges of a field value, octet by octet."""
    found: Challenges = []
    at = _after(text, 0, " \t,")
    while len(text) <= 16384 and at < len(text):
        end = _after(text, at, _TOKEN)
        name = text[at:end]
        value = _value(text, _after(text, end, " \t")) if name else None
        if value is not None and found:
            found[-1][1].setdefault(name.lower(), value[0])
            at = _after(text, value[1], " \t,")
            continue
        if not name or value is not None or text[end : end + 1] not in ("", " ", "\t", ","):
            return None
        found.append((name.lower(), {}))
        end = _after(text, end, " \t")
        alone = _after(text, end, _TOKEN68)
        closed = _after(text, _after(text, alone, "="), " \t")
        if alone > end and text[closed : closed + 1] in ("", ","):
            end = closed
        at = _after(text, end, " \t,")
    return found if len(text) <= 16384 else None


def _after(text: str, at: int, letters: frozenset[str] | str) -> int:
    while at < len(text) and text[at] in letters:
        at += 1
    return at


def _value(text: str, at: int) -> tuple[str, int] | None:
    """What stands behind an equals sign, and where it ends."""
    if text[at : at + 1] != "=":
        return None
    at = _after(text, at + 1, " \t")
    if text[at : at + 1] != '"':
        end = _after(text, at, _BARE)
        closed = text[end : end + 1] in ("", " ", "\t", ",")
        return (text[at:end], end) if closed and end > at else None
    value, at = "", at + 1
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\"
        if text[at : at + 1] in _UNSENDABLE or at == len(text):
            return None
        value += text[at]
        at += 1
    return (value, at + 1) if at < len(text) else None


def weights(text: str) -> dict[tuple[str, str], int] | None:
    """The ranges of ``Accept-Payment``, with their weights in thousandths."""
    found: dict[tuple[str, str], int] = {}
    for member in text.split(","):
        if not member.strip(" \t"):
            continue
        way, semicolon, weight = member.strip(" \t").partition(";")
        method, _, intent = way.rstrip(" \t").partition("/") if semicolon else way.partition("/")
        rest = weight.lstrip(" \t")
        thousandths = 1000 if not semicolon else _thousandths(rest[2:])
        asked = not semicolon or (len(rest) > 2 and rest[0] in "qQ" and rest[1] == "=")
        lower = set(string.ascii_lowercase)
        named = method == "*" or (
            method[:1] in lower
            and len(method) <= 64
            and set(method) <= lower | set("0123456789:_-")
        )
        meant = intent == "*" or (0 < len(intent) <= 64 and set(intent) <= set(_WORD + "-"))
        if not (method and named and meant and asked and thousandths is not None):
            return None
        found.setdefault((method, intent), thousandths)
    return found if found and len(text) <= 1024 else None


def _thousandths(text: str) -> int | None:
    whole, _, part = text.partition(".")
    if whole not in ("0", "1") or len(part) > 3 or not set(part) <= set(string.digits):
        return None
    number = int(whole) * 1000 + int((part + "000")[:3])
    return number if number <= 1000 else None


def canonical(value: object) -> str | None:
    """The text that RFC 8785 has for a value; None where it has none."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _canonical_text(value)
    if isinstance(value, int | float):
        return _canonical_number(value)
    if isinstance(value, list):
        items = [canonical(one) for one in value]
        return None if None in items else "[" + ",".join(filter(None, items)) + "]"
    assert isinstance(value, dict)
    names = sorted(value, key=_units)
    pairs = [(_canonical_text(name), canonical(value[name])) for name in names]
    if any(None in pair for pair in pairs):
        return None
    return "{" + ",".join(f"{name}:{said}" for name, said in pairs) + "}"


def _units(name: str) -> list[int]:
    octets = name.encode("utf-16-le", "surrogatepass")
    return [octets[at] + 256 * octets[at + 1] for at in range(0, len(octets), 2)]


def _canonical_text(text: str) -> str | None:
    short = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 92: "\\"}
    written = '"'
    for one in text:
        code = ord(one)
        if 0xD800 <= code < 0xE000:
            return None
        if code in short:
            written += "\\" + short[code]
        else:
            written += f"\\u{code:04x}" if code < 32 else one
    return written + '"'


def _canonical_number(value: float) -> str | None:
    try:
        double = float(value)
    except OverflowError:
        return None
    if not math.isfinite(double):
        return None
    if double == 0:
        return "0"
    sign, double = ("-", -double) if double < 0 else ("", double)
    shortest = next(
        text for text in (f"{double:.{more}e}" for more in range(17)) if float(text) == double
    )
    digits, exponent = shortest.split("e")
    digits, tens = digits.replace(".", "").rstrip("0"), int(exponent)
    if 0 <= tens < 21:
        whole = digits[: tens + 1] + "0" * (tens + 1 - len(digits))
        part = digits[tens + 1 :]
        return f"{sign}{whole}.{part}" if part else sign + whole
    if -7 < tens < 0:
        return f"{sign}0.{'0' * (-tens - 1)}{digits}"
    part = "." + digits[1:] if digits[1:] else ""
    return f"{sign}{digits[0]}{part}e{'+' if tens > 0 else '-'}{abs(tens)}"


def payments(fields: Sequence[tuple[bytes, bytes]]) -> tuple[object, ...] | str | None:
    """The one payment in header fields, ``refused``, or None where there is none."""
    found: list[tuple[Any, ...]] = []
    apart: list[tuple[Any, ...]] = []
    refused = False
    for name, value in fields:
        if name in (b"macaroon", b"grpc-metadata-macaroon"):
            alone = metadata(value.decode("latin-1"))
            apart += [alone] if alone is not None and alone not in apart else []
        elif name in (b"authorization", b"payment-authorization"):
            for scheme, text in _authorizations(value):
                if scheme in (b"l402", b"lsat"):
                    read = credential(text) if text.isascii() else None
                elif scheme == b"payment":
                    read = payment(text) if text.isascii() else None
                else:
                    continue
                refused = refused or read is None
                elsewhere = scheme == b"payment" and read and _method(read) != "lightning"
                found += [read] if read and not elsewhere and read not in found else []
    if not found and refused:
        return "refused"
    found = found or apart
    if len(found) > 1:
        return "refused"
    return found[0] if found else None


def _authorizations(value: bytes) -> list[tuple[bytes, str]]:
    """Schemes and what follows them; a comma before one of ours begins another."""
    values, rest = [], value
    at = rest.find(b",")
    while at >= 0:
        behind = rest[at + 1 :].lstrip(b" \t")
        scheme = behind.replace(b"\t", b" ").partition(b" ")
        if scheme[0].lower() in (b"l402", b"lsat", b"payment") and scheme[1]:
            values.append(rest[:at])
            rest, at = behind, -1
        at = rest.find(b",", at + 1)
    found = []
    for one in (*values, rest):
        words = one.strip(b" \t").replace(b"\t", b" ").split(b" ", 1)
        text = (words[1:] or [b""])[0].strip(b" ").decode("latin-1")
        found.append((words[0].lower(), text))
    return found


def _method(read: tuple[Any, ...]) -> str:
    asked: tuple[str, ...] = read[0]
    return asked[2]
