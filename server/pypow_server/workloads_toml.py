# SPDX-License-Identifier: Apache-2.0
"""Workloads as ``pypow.toml`` says them: ``[[oauth.workload]]``."""

from pypow.errors import InvalidInputError

from .fixable import FixableError
from .oauth_toml import scopes_of
from .token_sales import WorkloadRow
from .toml_document import WorkloadTable


def workload_of(table: WorkloadTable) -> WorkloadRow:
    """Workloads that get tokens here.

    Raises:
        InvalidInputError: they cannot be let in so; the text has the fix.
    """
    row = WorkloadRow(
        platform=table.platform,
        claims=tuple(sorted(table.claims.items())),
        scopes=scopes_of(table.scope),
        issuer=table.issuer,
        jwks_uri=table.jwks_uri,
        near=bool(table.private_network),
    )
    try:
        row.trusted()
    except FixableError as error:
        raise InvalidInputError(str(error)) from None
    return row
