# SPDX-License-Identifier: Apache-2.0
"""What is answered where OAuth says how refusals look (RFC 6749 sections 4.1.2.1 and 5.2)."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pypow_server.problems import Problem
from pypow_server.reply import Header, Reply, json_reply

Code: TypeAlias = Literal[
    "access_denied",
    "authorization_pending",
    "expired_token",
    "invalid_client",
    "invalid_client_metadata",
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
]

NO_STORE: Final[Header] = (b"pragma", b"no-cache")
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

    def reply(self) -> Reply:
        """The answer of an endpoint that clients ask directly."""
        headers: list[Header] = [NO_STORE]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after_s))
        if self.challenged:
            headers.append((b"www-authenticate", b'Basic realm="pypow", charset="UTF-8"'))
        return json_reply(self.status, self.members, headers=headers)


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
    return OAuthError(code, problem.detail, 401 if code == "invalid_client" else 400)
