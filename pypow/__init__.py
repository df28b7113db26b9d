# SPDX-License-Identifier: Apache-2.0
"""Native-accelerated SHA-256 proof of work: solve, verify, issue and check.

>>> import pypow
>>> puzzle = pypow.Puzzle(b"abc123", pypow.Decimal(), pypow.AtMost(2**240 - 1))
>>> pypow.verify(puzzle, pypow.solve(puzzle))
True
"""

from ._bridge import KernelInfo
from .batch import check_batch, verify_batch, verify_challenges
from .challenge import (
    Checked,
    Expected,
    Key,
    Keyring,
    Reason,
    Refusal,
    check,
    issue,
    reason_of_code,
)
from .engine import (
    DEFAULT_MAX_BITS,
    DEFAULT_TIMEOUT_S,
    asolve,
    chosen_kernel,
    hashrate,
    kernels,
    solve,
    verify,
)
from .errors import (
    ForkedError,
    InvalidInputError,
    KernelUnavailableError,
    NoSolutionError,
    PowError,
    SolverClosedError,
    SolveTimeoutError,
    TooHardError,
    WireError,
)
from .progress import Progress
from .puzzle import (
    Alphabet,
    AtLeast,
    AtMost,
    Decimal,
    FreeBytes,
    Hex,
    Masked,
    Pbkdf2HmacSha256,
    Puzzle,
    Sha256,
    Sha256d,
    Sha256Iterated,
    Unsigned,
)
from .solver import Solver
from .wire import Challenge, Proof, Work, decode_challenge, proof_from_header

__all__ = [
    "DEFAULT_MAX_BITS",
    "DEFAULT_TIMEOUT_S",
    "Alphabet",
    "AtLeast",
    "AtMost",
    "Challenge",
    "Checked",
    "Decimal",
    "Expected",
    "ForkedError",
    "FreeBytes",
    "Hex",
    "InvalidInputError",
    "KernelInfo",
    "KernelUnavailableError",
    "Key",
    "Keyring",
    "Masked",
    "NoSolutionError",
    "Pbkdf2HmacSha256",
    "PowError",
    "Progress",
    "Proof",
    "Puzzle",
    "Reason",
    "Refusal",
    "Sha256",
    "Sha256Iterated",
    "Sha256d",
    "SolveTimeoutError",
    "Solver",
    "SolverClosedError",
    "TooHardError",
    "Unsigned",
    "WireError",
    "Work",
    "asolve",
    "check",
    "check_batch",
    "chosen_kernel",
    "decode_challenge",
    "hashrate",
    "issue",
    "kernels",
    "proof_from_header",
    "reason_of_code",
    "solve",
    "verify",
    "verify_batch",
    "verify_challenges",
]
