# SPDX-License-Identifier: Apache-2.0
"""Settings read again while the gate runs: all of the new ones, or all of the old ones."""

import dataclasses
import logging
from collections.abc import Callable

from pypow.errors import InvalidInputError

from .explain import explain
from .setting_sources import option
from .settings import LIVE, Settings

_LOG = logging.getLogger("pypow_server.reload")


def warn(settings: Settings) -> None:
    """Log what is probably not meant, as `pypow gate --check` tells it."""
    for warning in explain(settings).warnings:
        _LOG.warning("%s", warning)


class Reload:
    """Reads settings and keys again each time it is called, and hands them to the gate."""

    def __init__(
        self,
        read: Callable[[], Settings],
        apply: Callable[[Settings], None],
        *,
        asked: Settings,
        serving: Settings,
    ) -> None:
        """Know what the gate began with.

        Args:
            read: the settings, from wherever they came the first time.
            apply: has the gate serve by them; raises and changes nothing where it cannot.
            asked: what was read at the start.
            serving: the same with the addresses that were really bound.
        """
        self._read = read
        self._apply = apply
        self._asked = asked
        self._serving = serving

    def __call__(self) -> None:
        """Read and apply; log what came of it. Never raises: the gate goes on as it was."""
        try:
            read = self._read()
            fixed = [field.name for field in dataclasses.fields(Settings) if field.name not in LIVE]
            kept = {name: getattr(self._asked, name) for name in fixed}
            asked = self._asked.origins
            origins = {**read.origins, **{name: asked[name] for name in fixed if name in asked}}
            settings = dataclasses.replace(read, **kept, origins=origins).bound_to(
                listen=self._serving.listen, admin=self._serving.admin
            )
            self._apply(settings)
        except InvalidInputError as error:
            _LOG.error("nothing was reloaded: %s", error)
        except Exception:  # noqa: BLE001 - the gate must go on as it was
            _LOG.exception("nothing was reloaded")
        else:
            changed = [name for name in fixed if getattr(read, name) != kept[name]]
            for name in changed:
                _LOG.warning("%s was changed and takes a restart", option(name))
            warn(read)
            _LOG.info("settings and keys were reloaded")
