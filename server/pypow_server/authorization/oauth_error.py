# SPDX-License-Identifier: Apache-2.0
"""What is answered where OAuth says how refusals look (RFC 6749 sections 4.1.2.1 and 5.2)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pypow_server import problems
from pypow_server.api_decisions import Asked
from pypow_server.problems import Problem
from pypow_server.reply import Header, Reply, json_reply

Code: TypeAlias = Literal[
    "access_denied",
    "authorization_pending",
    "expired_token",
    "invalid_client",
    "invalid_client_metadata",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_redirect_uri",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "use_dpop_nonce",
]

_OF_KEYS: Final[Mapping[str, Code]] = {
    "invalid-dpop-proof": "invalid_dpop_proof",
    "use-dpop-nonce": "use_dpop_nonce",
}
"""What is wrong with the proof of a key, by the name of its problem (RFC 9449 section 5)."""

NO_STORE: Final[Header] = (b"pragma", b"no-cache")
_PROBLEMS: Final[Mapping[Code, Callable[[str], Problem]]] = {
    "access_denied": problems.expired,
    "invalid_client": problems.invalid_token,
    "invalid_dpop_proof": problems.invalid_dpop_proof,
    "invalid_grant": problems.invalid_token,
    "temporarily_unavailable": problems.issuer_unavailable,
}
"""What the gate would have called it; all else is a request that is wrong."""

_WAITING: Final[frozenset[Code]] = frozenset({"authorization_pending", "slow_down"})
"""What decides nothing."""

_UNSAID: Final = re.compile(r"[^ !#-\[\]-~]")


@dataclass(frozen=True, slots=True)
class OAuthError:
    """Why nothing is given.

    Attributes:
        code: of the standards.
        detail: one sentence: what was expected, what came, what to do; no secret.
        status: HTTP status code.
        retry_after_s: when the same request may do; None where it never will.
        challenged: whether the client used HTTP Basic, and hears so.
    """

    code: Code
    detail: str
    status: int = 400
    retry_after_s: int | None = None
    challenged: bool = False

    @property
    def members(self) -> dict[str, str]:
        """The two members, or parameters, that say it."""
        # No quotes and no backslashes: RFC 6749 lets none stand in a description.
        return {"error": self.code, "error_description": _UNSAID.sub("'", self.detail)}

    def reply(self, *more: Header) -> Reply:
        """The answer of an endpoint that clients ask directly, with these headers besides."""
        headers: list[Header] = [NO_STORE, *more]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after_s))
        if self.challenged:
            headers.append((b"www-authenticate", b'Basic realm="pypow", charset="UTF-8"'))
        return json_reply(self.status, self.members, headers=headers)


def note(error: OAuthError, asked: Asked) -> None:
    """Have a refusal told as the gate's are, unless the problem behind it is known already."""
    if asked.problem is None and error.code not in _WAITING:
        problem = _PROBLEMS.get(error.code, problems.bad_request)(error.detail)
        asked.problem = replace(problem, status=error.status, retry_after_s=error.retry_after_s)


def of_problem(problem: Problem, code: Code) -> OAuthError:
    """The same problem, as OAuth's clients hear it.

    Args:
        problem: what the gate found.
        code: what that means here, where it is the credential's fault.
    """
    if problem.status >= 500 or problem.status == 429:
        return OAuthError(
            "temporarily_unavailable", problem.detail, 503, retry_after_s=problem.retry_after_s or 1
        )
    code = _OF_KEYS.get(problem.name, code)
    return OAuthError(code, problem.detail, 401 if code == "invalid_client" else 400)
