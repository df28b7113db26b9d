# SPDX-License-Identifier: Apache-2.0
"""An L402 credential judged a second time, from the description only: slow, obvious, no pypow.

It is the twin in plain Python that benchmarks set beside the native check.
"""

import base64
import hashlib
import hmac
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.challenge_reference import hkdf

LONGEST, MOST_CAVEATS, MOST_LISTED = 1024, 16, 32
STANDARD = set(string.ascii_letters + string.digits + "+/")
HEX_PREIMAGE = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
DECIMAL = re.compile(rb"0|[1-9][0-9]*")

Field = tuple[int, bytes]
Keys = Mapping[int, bytes]
"""The secrets of a deployment, by id."""


@dataclass(frozen=True)
class Call:
    """What is asked for; empty for none."""

    service: str
    capability: str = ""
    audience: str = ""
    tool: str = ""
    body: bytes = b""
    holder: str = ""


class RefusedError(Exception):
    """The reason, by its name."""


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def root_key(secret: bytes, identifier: bytes) -> bytes:
    return hmac_sha256(hkdf(secret, b"pypow 1 macaroon"), identifier)


def signature(root: bytes, identifier: bytes, caveats: Sequence[bytes]) -> bytes:
    found = hmac_sha256(hmac_sha256(b"macaroons-key-generator", root), identifier)
    for caveat in caveats:
        found = hmac_sha256(found, caveat)
    return found


def judge(given: str | bytes, preimage: str, keys: Keys, call: Call, now_s: int) -> str | None:
    """Why a credential does not stand, or None."""
    try:
        identifier, caveats, signed = read(given)
        key = int.from_bytes(identifier[34:36], "big")
        require(key in keys, "unknown_key")
        right = signature(root_key(keys[key], identifier), identifier, caveats)
        require(hmac.compare_digest(right, signed), "bad_mac")
        values = conditions(caveats, call, now_s)
        require("services" in values and f"{call.service}_valid_until" in values, "missing_caveat")
        within = values.get("preimage", b"").decode()
        said = [one for one in (preimage, within) if one]
        require(bool(said) and all(pays(one, identifier[2:34]) for one in said), "wrong_preimage")
    except RefusedError as refused:
        return str(refused)
    return None


def require(truth: bool, reason: str) -> None:
    if not truth:
        raise RefusedError(reason)


def pays(preimage: str, payment_hash: bytes) -> bool:
    right = HEX_PREIMAGE.fullmatch(preimage) is not None
    return right and hashlib.sha256(bytes.fromhex(preimage)).digest() == payment_hash


def read(given: str | bytes) -> tuple[bytes, list[bytes], bytes]:
    """Identifier, caveats and signature of an L402 macaroon."""
    octets = octets_of(given) if isinstance(given, str) else given
    require(len(octets) <= LONGEST, "malformed")
    sections, signed = sections_of(octets)
    head, *caveats = sections
    require([kind for kind, _ in head] in ([2], [1, 2]), "malformed")
    for caveat in caveats:
        require([kind for kind, _ in caveat] in ([2], [1, 2], [2, 4], [1, 2, 4]), "malformed")
    require(len(caveats) <= MOST_CAVEATS and len(signed) == 32, "malformed")
    location, identifier = dict(head).get(1, b""), dict(head)[2]
    ours = location == b"lsat" and len(identifier) == 66 and identifier[:2] == b"\0\0"
    require(ours, "foreign")
    others = [part for caveat in caveats for kind, part in caveat if kind != 2]
    require(not any(others), "third_party")
    return identifier, [dict(caveat)[2] for caveat in caveats], signed


def octets_of(text: str) -> bytes:
    if text.startswith("0"):
        require(re.fullmatch(r"([0-9a-fA-F]{2})+", text) is not None, "malformed")
        return bytes.fromhex(text)
    bare = text
    if len(text) % 4 == 0:
        bare = text[:-2] if text.endswith("==") else text.removesuffix("=")
    standard = bare.replace("-", "+").replace("_", "/")
    require(set(standard) <= STANDARD and len(standard) % 4 != 1, "malformed")
    octets = base64.b64decode(standard + "=" * (-len(standard) % 4))
    require(base64.b64encode(octets).decode().rstrip("=") == standard, "malformed")
    return octets


def sections_of(octets: bytes) -> tuple[list[list[Field]], bytes]:
    """The sections of V2 binary, each a list of fields, and the signature after them."""
    require(octets[:1] == b"\x02", "malformed")
    rest, sections, section = octets[1:], [], list[Field]()
    while True:
        require(len(rest) > 0, "malformed")
        if rest[0] != 0:
            field, rest = field_of(rest)
            section.append(field)
            continue
        rest = rest[1:]
        if not section:
            break
        sections.append(section)
        section = []
    require(len(sections) > 0, "malformed")
    (kind, signed), rest = field_of(rest)
    require(kind == 6 and rest == b"", "malformed")
    return sections, signed


def field_of(octets: bytes) -> tuple[Field, bytes]:
    require(len(octets) >= 2, "malformed")
    kind, length, rest = octets[0], octets[1], octets[2:]
    if length >= 128:
        require(len(rest) > 0 and 1 <= rest[0] <= 127, "malformed")
        length, rest = length - 128 + 128 * rest[0], rest[1:]
    require(len(rest) >= length, "malformed")
    return (kind, rest[:length]), rest[length:]


def conditions(caveats: Sequence[bytes], call: Call, now_s: int) -> dict[str, bytes]:
    """The last value of each condition, all of which hold."""
    values: dict[str, bytes] = {}
    for caveat in caveats:
        name, equals, value = caveat.partition(b"=")
        judges = {
            "services": services,
            f"{call.service}_valid_until": valid_until,
            f"{call.service}_capabilities": capabilities,
            "pypow_uses": uses,
            "pypow_audience": audience,
            "pypow_tool": tool,
            "pypow_body": body,
            "pypow_cnf": holder,
            "preimage": carried,
        }
        condition = name.decode("utf-8", "replace")
        require(equals != b"" and condition in judges, "unknown_caveat")
        judges[condition](value, values.get(condition), call, now_s)
        values[condition] = value
    return values


def number(value: bytes, digits: int, reason: str = "bad_caveat") -> int:
    require(DECIMAL.fullmatch(value) is not None and len(value) <= digits, reason)
    return int(value)


def tiers(value: bytes) -> list[tuple[bytes, int]]:
    found = []
    for entry in value.split(b","):
        name, colon, tier = entry.partition(b":")
        require(name != b"" and colon != b"" and number(tier, 3) <= 255, "bad_caveat")
        found.append((name, int(tier)))
    return found


def services(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    earlier = dict(reversed(tiers(before))) if before is not None else None
    entries = value.split(b",")
    for entry in entries[:MOST_LISTED]:
        ((name, tier),) = tiers(entry)
        require(earlier is None or tier <= earlier.get(name, -1), "widened")
    require(len(entries) <= MOST_LISTED, "bad_caveat")
    require(call.service.encode() in dict(tiers(value)), "wrong_service")


def valid_until(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    end = number(value, 15)
    require(before is None or end <= int(before), "widened")
    require(now_s < end, "expired")


def capabilities(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    entries = value.split(b",") if value else []
    earlier = None if before is None else before.split(b",")
    for entry in entries[:MOST_LISTED]:
        require(entry != b"", "bad_caveat")
        require(earlier is None or entry in earlier, "widened")
    require(len(entries) <= MOST_LISTED, "bad_caveat")
    require(call.capability != "" and call.capability.encode() in entries, "wrong_capability")


def uses(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    calls = number(value, 10)
    require(1 <= calls < 2**32, "bad_caveat")
    require(before is None or calls <= int(before), "widened")


def within(place: bytes, whole: bytes) -> bool:
    return place == whole or place.startswith(whole if whole.endswith(b"/") else whole + b"/")


def audience(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    require(value != b"", "bad_caveat")
    require(before is None or within(value, before), "widened")
    require(within(call.audience.encode(), value), "wrong_audience")


def tool(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    require(value != b"", "bad_caveat")
    require(before in (None, value), "widened")
    require(value == call.tool.encode(), "wrong_tool")


def body(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    require(re.fullmatch(rb"[0-9a-fA-F]{64}", value) is not None, "bad_caveat")
    require(before in (None, value), "widened")
    require(value == call.body.hex().encode(), "wrong_body")


def holder(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    require(len(value) == 43, "bad_caveat")
    require(before in (None, value), "widened")
    require(value == call.holder.encode(), "wrong_holder")


def carried(value: bytes, before: bytes | None, call: Call, now_s: int) -> None:
    require(re.fullmatch(rb"[0-9a-fA-F]{64}", value) is not None, "bad_caveat")
    require(before in (None, value), "widened")
