# SPDX-License-Identifier: Apache-2.0
"""The credential of the work rail that a call presents: a proof or a pass."""

from collections.abc import Callable
from typing import TypeVar

from pypow import wire
from pypow.errors import WireError
from pypow.wire import Proof
from pypow_server import problems
from pypow_server.presented import Form, Presented
from pypow_server.problems import Problem

P = TypeVar("P")


def read_credential(
    presented: tuple[Presented, ...], read_pass: Callable[[str], P]
) -> Proof | P | Problem | None:
    """The one credential that a call presents: a proof, a pass, or what is wrong.

    A browser sends its cookie along whatever the caller means. So a cookie gives way to what was
    sent on purpose, and one that cannot be read counts as none.

    Args:
        presented: what came.
        read_pass: reads the text of a pass; raises `WireError` where it is none.
    """
    if len(presented) > 1:
        meant = tuple(one for one in presented if one.form is not Form.COOKIE)
        presented = meant or presented
    found: list[Proof | P] = []
    for one in presented:
        try:
            credential = _read(one, read_pass)
        except WireError as error:
            if one.form is not Form.COOKIE:
                return problems.malformed_proof(f"{one.form.value}: {error}")
        else:
            if credential not in found:
                found.append(credential)
    if len(found) > 1:
        return problems.conflicting_credentials(
            f"expected one proof or pass, got {len(found)} different ones; send one"
        )
    return found[0] if found else None


def _read(presented: Presented, read_pass: Callable[[str], P]) -> Proof | P:
    form, value = presented
    if form is Form.META:
        return wire.proof_from_json(value)
    assert isinstance(value, bytes)
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        raise WireError("expected ASCII characters only") from None
    if form is Form.SOLUTION_HEADER:
        return wire.proof_from_header(text)
    if form is Form.AUTHORIZATION:
        return wire.proof_from_authorization(text)
    return read_pass(text)
