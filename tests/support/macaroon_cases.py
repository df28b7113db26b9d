# SPDX-License-Identifier: Apache-2.0
"""L402 credentials around every edge at which a verdict changes."""

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pypow import macaroon
from pypow.challenge import Key, Keyring
from pypow.l402 import Expected, Terms, issue
from pypow.macaroon import Macaroon
from support.macaroon_reference import Call, root_key

KEY, OTHER_KEY = Key(id=1, secret=bytes(range(32))), Key(id=0x0203, secret=b"o" * 32)
KEYS = (KEY, OTHER_KEY)
KEYRING = Keyring(KEYS)
SECRETS = {key.id: key.secret for key in KEYS}
NOW_S = 1_800_000_000
PREIMAGE = bytes(range(32, 64))
PAYMENT_HASH = hashlib.sha256(PREIMAGE).digest()
BODY = hashlib.sha256(b"a body").digest()
HOLDER = "h" * 43
CALL = Call(
    service="pypow", capability="solve", audience="mcp.example.com/a/b", tool="search",
    body=BODY, holder=HOLDER,
)  # fmt: skip
TERMS = Terms(
    service="pypow", valid_until_s=NOW_S + 600, tier=3, capabilities=("read", "solve"), uses=20,
    audience="mcp.example.com/a", tool="search", body=BODY, holder=HOLDER,
)  # fmt: skip
WHOLE = issue(KEY, TERMS, payment_hash=PAYMENT_HASH, identity=bytes(30))
PLAIN = issue(
    OTHER_KEY,
    Terms("pypow", NOW_S + 1, uses=None),
    payment_hash=PAYMENT_HASH,
    identity=b"\xff" * 30,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A credential, and the call that it shall pay for."""

    text: str
    preimage: str = PREIMAGE.hex()
    call: Call = CALL
    now_s: int = NOW_S


def expected(call: Call) -> Expected:
    return Expected(call.service, call.capability, call.audience, call.tool, call.body, call.holder)


def signed(caveats: Sequence[bytes], identifier: bytes = WHOLE.identifier) -> Macaroon:
    """A macaroon with these caveats from the issuer itself."""
    secret = SECRETS[int.from_bytes(identifier[34:36])]
    return macaroon.mint(root_key(secret, identifier), identifier, tuple(caveats))


def flips() -> Iterator[Case]:
    for whole in (WHOLE, PLAIN):
        for at, bit in itertools.product(range(len(whole.octets)), range(8)):
            octets = bytearray(whole.octets)
            octets[at] ^= 1 << bit
            yield Case(base64.b64encode(octets).decode("ascii"))


def forms() -> Iterator[Case]:
    """Every way of writing the octets down, and almost."""
    text = WHOLE.text
    for given in (WHOLE, PLAIN, WHOLE.narrowed(b"pypow_uses=9"), PLAIN.narrowed(b"pypow_uses=7")):
        url = given.text.replace("+", "-").replace("/", "_")
        for form in (given.text, url, given.hex, given.hex.upper()):
            for padding in ("", "=", "==", "==="):
                yield Case(form.rstrip("=") + padding)
            yield from (Case(form[:-1]), Case(form + "A"), Case(" " + form), Case(form + "\n"))
    yield from (Case(wrong) for wrong in ("", "=", "==", "A", "AA", "AAA", "0", "02", "é", "0é"))
    yield Case(text.rstrip("=")[:-1] + "é")
    for length in (1365, 1366, 1367, 1368, 1369, 2046, 2048, 2050, 5000):
        yield from (Case("A" * length), Case("0" * length), Case("02" * (length // 2)))


def field(kind: int, part: bytes) -> bytes:
    digits = [len(part)] if len(part) < 128 else [len(part) % 128 + 128, len(part) // 128]
    return bytes([kind, *digits]) + part


def shapes() -> Iterator[Case]:
    """V2 binary with parts that are not there, not in order, too long, or somebody else's."""
    head = field(1, b"lsat") + field(2, PLAIN.identifier) + b"\0"
    caveat = field(2, b"services=pypow:0") + b"\0"
    end = b"\0" + field(6, PLAIN.signature)
    identifiers = [b"", PLAIN.identifier[:-1], PLAIN.identifier + b"\0", b"\0\1" + bytes(64)]
    for octets in [
        b"\x02" + head + caveat + end, b"\x01" + head + caveat + end, b"\x02" + caveat + end,
        b"\x02" + head + end + b"\0", b"\x02" + head, b"\x02" + head + b"\0", b"\x02", b"\x02\0",
        b"\x02" + head + b"\0" + field(6, b"s" * 31), b"\x02" + head + b"\0" + field(6, b"s" * 33),
        b"\x02" + head + b"\0\x06\xa0\x00" + PLAIN.signature,
        b"\x02" + head + b"\0\x06\xa0\x80\x01" + PLAIN.signature,
        b"\x02" + field(2, PLAIN.identifier) + b"\0" + end,
        b"\x02" + field(1, b"") + field(2, PLAIN.identifier) + b"\0" + end,
        b"\x02" + field(1, b"lsax") + field(2, PLAIN.identifier) + b"\0" + end,
        b"\x02" + field(1, b"lsat") * 2 + field(2, PLAIN.identifier) + b"\0" + end,
        b"\x02" + field(2, PLAIN.identifier) + field(1, b"lsat") + b"\0" + end,
        *(b"\x02" + field(1, b"lsat") + field(2, one) + b"\0" + end for one in identifiers),
        b"\x02" + head + field(1, b"l") + caveat + end,
        b"\x02" + head + field(1, b"") + caveat + end,
        b"\x02" + head + caveat[:-1] + field(4, b"v") + b"\0" + end,
        b"\x02" + head + field(1, b"l") + caveat[:-1] + field(4, b"v") + b"\0" + end,
        b"\x02" + head + caveat[:-1] + field(4, b"") + b"\0" + end,
        b"\x02" + head + caveat[:-1] + field(5, b"v") + b"\0" + end,
        b"\x02" + head + field(4, b"v") + b"\0" + end, b"\x02" + head + caveat * 16 + end,
        b"\x02" + head + caveat * 17 + end, b"\x02" + head + field(2, b"x" * 900) + b"\0" + end,
        b"\x02" + head + field(2, b"x" * 905) + b"\0" + end, WHOLE.octets + b"\0",
    ]:  # fmt: skip
        yield Case(base64.b64encode(octets).decode("ascii"))
    yield from (Case(WHOLE.hex[:length]) for length in range(0, len(WHOLE.hex), 2))
    for key in (0, 2, 0x0201, 0x0302):
        identifier = PLAIN.identifier[:34] + key.to_bytes(2) + PLAIN.identifier[36:]
        yield Case(replace(PLAIN, identifier=identifier).text)


VALUES: dict[str, list[str]] = {
    "services": [
        "pypow:0", "pypow:1", "pypow:255", "pypow:256", "pypow:00", "pypow:-1", "pypow:1000",
        "pypow:", "pypow", ":0", "", ",", "other:0", "other:0,pypow:0", "pypow:0,other:0",
        "pypow:0,", "pypow:0,pypow:1", "pypow:1,pypow:0", "pypo:0", "pypow:0:0",
        ",".join(f"s{i}:0" for i in range(31)) + ",pypow:0",
        ",".join(f"s{i}:0" for i in range(32)) + ",pypow:0",
    ],
    "pypow_valid_until": [
        str(NOW_S), str(NOW_S - 1), str(NOW_S + 1), str(NOW_S + 2), "", "0", "01", "+1", "1e9",
        f" {NOW_S}", "999999999999999", "1000000000000000", f"{NOW_S + 1}x", f"-{NOW_S + 1}",
    ],
    "pypow_capabilities": [
        "", "solve", "read", "solve,read", "read,solve", "solve,", ",solve", ",", "solv", "solvee",
        "solve,read,write", "solve,solve", ",".join(["solve"] * 32), ",".join(["solve"] * 33),
    ],
    "pypow_uses": ["1", "0", "2", "4294967295", "4294967296", "10000000000", "", "01", "x", "9 "],
    "pypow_audience": [
        "mcp.example.com", "mcp.example.com/", "mcp.example.com/a", "mcp.example.com/a/",
        "mcp.example.com/a/b", "mcp.example.com/a/b/", "mcp.example.com/a/b/c", "mcp.example.co",
        "mcp.example.com/x", "", "/", "mcp.example.com/a/", "MCP.example.com",
    ],
    "pypow_tool": ["search", "searc", "searchh", "", "Search", "search,other"],
    "pypow_body": [
        BODY.hex(), BODY.hex().upper(), BODY.hex()[:-1], BODY.hex() + "0", "", "g" * 64, "0" * 64,
    ],
    "pypow_cnf": [HOLDER, "i" * 43, "h" * 42, "h" * 44, ""],
    "preimage": [
        PREIMAGE.hex(), PREIMAGE.hex().upper(), "", "0" * 64, "g" * 64, PREIMAGE.hex()[:-1],
    ],
}  # fmt: skip

NOTHING = [
    b"", b"=", b"services", b"service=pypow:0", b"Services=pypow:0", b" services=pypow:0",
    b"services =pypow:0", b"other_valid_until=0", b"other_capabilities=", b"pypow_valid_unti=0",
    b"_valid_until=9999999999", b"pypow_time=1", b"time < 2026", b"pypow_uses", b"\xff=\xff",
]  # fmt: skip


def caveats() -> Iterator[Case]:
    """Every value of every condition, first, after others, and repeated in every order."""
    needed = (b"services=pypow:0", f"pypow_valid_until={NOW_S + 1}".encode())
    for kept in ((), needed[:1], needed[1:], needed):
        yield Case(signed(kept).text)
    for name, values in VALUES.items():
        rest = [one for one in needed if not one.startswith(name.encode())]
        for value in values:
            one = f"{name}={value}".encode()
            yield Case(signed([*rest, one]).text)
            yield Case(signed([one, *rest]).text)
            yield Case(signed([*rest, one]).text, call=Call("pypow"))
            for other in values:
                yield Case(signed([*rest, one, f"{name}={other}".encode()]).text)
    yield from (Case(PLAIN.narrowed(unknown).text) for unknown in NOTHING)
    yield from (Case(signed([unknown, *needed]).text) for unknown in NOTHING)


def calls() -> Iterator[Case]:
    """Whole terms, and a call that differs from them in one respect."""
    for call in (
        CALL, replace(CALL, service="other"), replace(CALL, service="pypow_"),
        replace(CALL, capability=""), replace(CALL, capability="read"),
        replace(CALL, capability="write"), replace(CALL, audience=""),
        replace(CALL, audience="mcp.example.com/a"), replace(CALL, audience="mcp.example.com/ab"),
        replace(CALL, audience="mcp.example.com"), replace(CALL, tool=""),
        replace(CALL, tool="fetch"), replace(CALL, body=b""), replace(CALL, body=bytes(32)),
        replace(CALL, holder=""), replace(CALL, holder="i" * 43),
    ):  # fmt: skip
        yield Case(WHOLE.text, call=call)
        yield Case(PLAIN.text, call=call)
    for now_s in (0, -1, -(2**63), 2**63 - 1, NOW_S + 599, NOW_S + 600, NOW_S + 601):
        yield Case(WHOLE.text, now_s=now_s)


def preimages() -> Iterator[Case]:
    digits = PREIMAGE.hex()
    carrying = PLAIN.narrowed(b"preimage=" + digits.encode())
    wrong = PLAIN.narrowed(b"preimage=" + b"0" * 64)
    for given in (
        digits, digits.upper(), "", digits[:-1], digits + "0", "0" * 64, "g" * 64, "é" * 64,
        f"0x{digits}"[:64], f" {digits}"[:64], digits[:63] + "f", PAYMENT_HASH.hex(),
    ):  # fmt: skip
        for credential in (PLAIN, carrying, wrong):
            yield Case(credential.text, given)


CASES = [*flips(), *forms(), *shapes(), *caveats(), *calls(), *preimages()]


@st.composite
def any_caveat(draw: st.DrawFn) -> bytes:
    """One that may be, mostly."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(NOTHING) | st.binary(max_size=80))
    name = draw(st.sampled_from([*VALUES]))
    value = draw(st.sampled_from(VALUES[name]))
    return f"{name}={value}".encode()


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    """Whatever is mostly a credential, from any issuer, narrowed by anybody."""
    needed = (b"services=pypow:9", f"pypow_valid_until={NOW_S + 2}".encode())
    first = draw(st.sampled_from([needed, needed[:1], ()]))
    added = draw(st.lists(any_caveat(), max_size=6).filter(lambda few: sum(map(len, few)) < 800))
    whole = signed([*first, *added], draw(st.sampled_from([WHOLE, PLAIN])).identifier)
    text = draw(st.sampled_from([whole.text, whole.hex, whole.text.rstrip("=")]))
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.characters(max_codepoint=0x17F)) + text[at + 1 :]
    preimage = draw(st.sampled_from([PREIMAGE.hex(), PREIMAGE.hex(), "", "0" * 64]))
    call = draw(st.sampled_from([CALL, Call("pypow"), replace(CALL, capability="")]))
    return Case(text, preimage, call, NOW_S + draw(st.integers(-2, 2)))
