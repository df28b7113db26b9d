# SPDX-License-Identifier: Apache-2.0
"""The entry for uvicorn: ``uvicorn --factory pypow_server.asgi:create``, set by environment."""

import os

from pypow import InvalidInputError

from .scope import ASGIApp
from .settings import Settings


def create() -> ASGIApp:
    """The gate as ``PYPOW_*`` variables describe it.

    Raises:
        SystemExit: a setting that cannot be, told in one line.
    """
    from .app import create_app

    try:
        return create_app(Settings.from_env(os.environ))
    except InvalidInputError as error:
        raise SystemExit(f"pypow: {error}") from None
