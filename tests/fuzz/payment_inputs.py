# SPDX-License-Identifier: Apache-2.0
"""What inputs of the parsers of payments are put together from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fuzz.kit import NOISE, Kit
from fuzz.payment_parsers import CAN_READ_INVOICES
from pypow import base64_text, payment_wire
from pypow.l402_wire import L402Challenge
from pypow.payment_wire import PaymentCredential
from support.macaroon_cases import PLAIN, PREIMAGE, VALUES, WHOLE

_VECTORS: Final = Path(__file__).parents[1] / "vectors"
_INVOICES: Final[dict[str, Any]] = json.loads((_VECTORS / "bolt11.json").read_text("utf-8"))
_TEXTS: Final = tuple(
    case["invoice"].encode() for kind in ("others", "valid") for case in _INVOICES[kind]
)
_PREIMAGE: Final = "00ff" * 16
_L402: Final = f"AgEEbHNhdA==:{_PREIMAGE}".encode()
_CARRYING: Final = PLAIN.narrowed(b"preimage=" + PREIMAGE.hex().encode(), b"pypow_uses=7")
_METADATA: Final = b"0201" + b"preimage=00".hex().encode()
_CHALLENGE: Final = payment_wire.issue(
    bytes(32), realm="gate.example", method="lightning", intent="charge",
    request={"amount": "21"}, expires_at_ms=1_800_000_000_000, description="Q&A",
    header=payment_wire.CREDENTIAL_HEADER,
)  # fmt: skip
_PAID: Final = PaymentCredential(_CHALLENGE, {"preimage": _PREIMAGE}, "did:key:z6")
_PAYMENT: Final = _PAID.authorization().encode()
_DOCUMENT: Final = base64_text.decode_url(_PAYMENT.decode().removeprefix("Payment "))
_SHORT: Final = json.dumps(
    {"challenge": dict.fromkeys(("id", "realm", "method", "intent", "request"), "a"),
     "payload": {"preimage": _PREIMAGE}, "source": "me"}
).encode()  # fmt: skip
_RECEIPT: Final = json.dumps(
    {"status": "success", "method": "lightning", "timestamp": "t", "reference": "r",
     "challengeId": "c"}
).encode()  # fmt: skip
_ASKED: Final = L402Challenge("bWFj", "lnbc1x").www_authenticate().encode()
_JSON_PIECES: Final = (
    *NOISE, b"{", b"}", b"[", b"]", b'"a":', b"null", b'""', b"7", b'"method":"pow",',
    b'"header":"Authorization",', b"\\u00e9", b"\\ud83d\\ude00", b"|", b"\\n", b":",
)  # fmt: skip

_OF_INVOICES: Final = {
    "an invoice": Kit(_TEXTS, (*NOISE, b"1", b"q", b"p", b"lnbc", b"K", b"B")),
    "what an invoice says": Kit(
        # Fields of the first four differ in kind and order.
        tuple(text.lower()[:-6] for text in _TEXTS[:4] + _TEXTS[-2:]),
        (
            b"", b"1", b"q", b"p", b"qqq", b"lnbc", b"lntbs", b"2500u", b"10p", b"m", b"n",
            b"pp5", b"sp5", b"hp5", b"np4", b"dqq", b"dqpqq", b"xqp", b"xqyjw5q", b"cqp2", b"9qr",
            b"mq8q8a04uq", b"rqq", b"fqq",
        ),
    ),
}  # fmt: skip

KITS: Final[Mapping[str, Kit]] = {
    "Authorization: L402": Kit(
        (_L402, b"bWFj,bWFj:" + _L402[-64:], b'{"v":2}:' + _L402[-64:]),
        (*NOISE, b":", b"00", b"FF", b"==", b"-", b"_", b"+", b"/", b"{", b"bWFj,"),
    ),
    "Macaroon": Kit((_METADATA, _METADATA.upper()), (*NOISE, b"00", b"F", b"70", b"=")),
    "a macaroon": Kit(
        (f"{WHOLE.text}:{PREIMAGE.hex()}".encode(), f"{PLAIN.hex}:{PREIMAGE.hex()}".encode(),
         f"{PLAIN.json}:{PREIMAGE.hex()}".encode(), f"{_CARRYING.text}:".encode()),
        (*NOISE, b":", b"A", b"0", b"-", b"_", b"=", b'"i":"', b'"i64":"', b'{"', b"},{"),
    ),
    "caveats": Kit(
        (b"\n".join(WHOLE.caveats), b"\n".join(PLAIN.caveats), b"\n".join(_CARRYING.caveats)),
        (*NOISE, b"0", b"9", b":", b"/", *(f"\n{name}=".encode() for name in VALUES),
         *(value.encode() for values in VALUES.values() for value in values if len(value) < 70)),
    ),
    "a payment in JSON": Kit((_SHORT, _DOCUMENT), _JSON_PIECES),
    "a receipt in JSON": Kit((_RECEIPT,), _JSON_PIECES),
    "base64url": Kit(
        (b"aGVsbG8", b"aGVsbG8=", b"__79", b"AA==", b"-_-_"), (*NOISE, b"=", b"+", b"/", b"A", b"B")
    ),
    "WWW-Authenticate": Kit(
        (_ASKED, _CHALLENGE.www_authenticate().encode(),
         b'Basic realm="a, b=c", ' + _ASKED
         + b",Payment id=a, realm=r, method=m, intent=c, request=q",
         b"Negotiate YWJj==, L402 token=a invoice=b , , Bearer"),
        (*NOISE, b'="', b" = ", b'\\"', b"Payment ", b"L402 ", b"LSAT ", b"id=", b"token=",
         b"a", b"|", b"macaroon=", b"YQ=="),
    ),
    "Accept-Payment": Kit(
        (b"tempo/charge, lightning/*;q=0.5", b"*/*;q=0.001,a/b ; Q=1.000", b"lightning/charge"),
        (*NOISE, b"*", b"/", b";q=", b"0", b"1", b".", b"*/*", b"a", b"B", b"-"),
    ),
    "a request's payments": Kit(
        (b"authorization:L402 " + _L402, b"payment-authorization: " + _PAYMENT,
         b"authorization:LSAT " + _L402 + b"\nAuthorization:l402\t" + _L402,
         b"authorization:Bearer a\npayment-authorization:" + _PAYMENT,
         b"authorization:Bearer a, L402 " + _L402 + b",lsat " + _L402,
         b"macaroon:" + _METADATA + b"\ngrpc-metadata-macaroon:" + _METADATA),
        (*NOISE, b":", b"\nauthorization:", b"\npayment-authorization:L402 a", b"\nmacaroon:",
         b"L402 ", b"Payment ", b",l402\t", b"0", b"F", b"A"),
    ),
    "canonical JSON": Kit(
        (b'{"b":[1,-2.5e3,null],"a":{"\\ue000":1e-7,"\\ud83d\\ude00":0.1}}',
         b"[1e21,123456789012345678,5e-324,1.7976931348623157e308,-0.0,1e-6]",
         b'"\\u0000\\b/\x7f\\u2028"'),
        (*NOISE, b"{", b"}", b"[", b"]", b'"a":', b"1e", b"9", b"0", b".", b"-", b"\\ud800", b":"),
    ),
    **(_OF_INVOICES if CAN_READ_INVOICES else {}),
}  # fmt: skip
"""By what the parsers read."""
