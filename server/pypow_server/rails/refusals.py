# SPDX-License-Identifier: Apache-2.0
"""The problems that tell a caller what the engine found wrong with a proof or a pass."""

from collections.abc import Callable
from typing import Final

from pypow.challenge import Reason, Refusal
from pypow_server import problems
from pypow_server.problems import Problem

_PROBLEMS: Final[dict[Reason, Callable[[str], Problem]]] = {
    Reason.MALFORMED: problems.malformed_proof,
    Reason.WRONG_NONCES: problems.malformed_proof,
    Reason.UNKNOWN_KEY: problems.unknown_key,
    Reason.BAD_MAC: problems.bad_signature,
    Reason.NOT_YET_VALID: problems.not_yet_valid,
    Reason.EXPIRED: problems.expired,
    Reason.STALE_EPOCH: problems.stale_epoch,
    Reason.WRONG_RESOURCE: problems.wrong_resource,
    Reason.UNDERWEIGHT: problems.underweight,
    Reason.WRONG_PRINCIPAL: problems.wrong_principal,
    Reason.NOT_ENOUGH_WORK: problems.not_enough_work,
}


def problem_of(refusal: Refusal) -> Problem:
    """The problem of a refusal."""
    return _PROBLEMS[refusal.reason](refusal.detail)
