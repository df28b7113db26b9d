# SPDX-License-Identifier: Apache-2.0
"""Why a payment's text was refused, in words that never change."""

import enum


class Reason(enum.StrEnum):
    """`WireError.reason` of all that reads payment headers; the values travel in logs."""

    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    BAD_BASE64 = "bad_base64"
    BAD_JSON = "bad_json"
    BAD_MACAROON = "bad_macaroon"
    BAD_PREIMAGE = "bad_preimage"
    MISSING_MEMBER = "missing_member"
    WRONG_METHOD = "wrong_method"
    CONFLICTING = "conflicting"
