# SPDX-License-Identifier: Apache-2.0
"""Where a setting is said: by option, variable or file, and what each of these is called."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pypow.errors import InvalidInputError

DEFAULT: Final = "default"
"""The origin of what nobody said."""

_OTHER_VARIABLES: Final = {
    "PYPOW_KERNEL",
    "PYPOW_WALLET_CREDENTIAL",
    "PYPOW_WALLET_CREDENTIAL_FILE",
    "PYPOW_WALLET_CA_FILE",
}
"""What the engine and wallets read."""

_MAX_TEXT: Final = 1000

_OPTIONS: Final = {
    "mcp_paths": "--mcp-path",
    "lifetime_s": "--lifetime",
    "drain_s": "--drain",
    "hosts": "--host",
    "admin_hosts": "--admin-host",
    "trusted_proxies": "--trusted-proxy",
}


def option(name: str) -> str:
    """The command-line option of a field.

    >>> option("mcp_paths")
    '--mcp-path'
    """
    return _OPTIONS.get(name, "--" + name.replace("_", "-"))


def variable(name: str) -> str:
    """The environment variable of a field.

    >>> variable("public_url")
    'PYPOW_PUBLIC_URL'
    """
    return f"PYPOW_{name.upper()}"


@dataclass(frozen=True, slots=True)
class Said:
    """A setting as an operator wrote it.

    Attributes:
        text: what was written.
        origin: what to call the place: an option, a variable, or a file with line and key.
    """

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings may be said, nearest first.

    Attributes:
        explicit: a command line's texts by field name; None is "not given".
        environment: such as ``os.environ``.
        file: texts by table and key, each with where it stands.
    """

    environment: Mapping[str, str]
    explicit: Mapping[str, str | None]
    file: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def said(self, name: str, *, key: str | None = None) -> Said | None:
        """What is said of a field; None for nothing.

        Args:
            name: of the field.
            key: its table and key in the file; None where no file says it.

        Raises:
            InvalidInputError: the text is too long to be one.
        """
        if (explicit := self.explicit.get(name)) is not None:
            found = Said(explicit, option(name))
        elif (text := self.environment.get(variable(name))) is not None:
            found = Said(text, variable(name))
        elif key is not None and key in self.file:
            found = Said(*self.file[key])
        else:
            return None
        if len(found.text) > _MAX_TEXT:
            raise InvalidInputError(
                f"{found.origin}: expected at most {_MAX_TEXT} characters, got {len(found.text)}"
            )
        return found


def refuse_unknown(environment: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse a ``PYPOW_*`` variable that sets no field.

    Raises:
        InvalidInputError: there is one; the text has the nearest right name.
    """
    known = {variable(name) for name in names} | _OTHER_VARIABLES
    for name in sorted(environment):
        if name.startswith("PYPOW_") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise InvalidInputError(
                f"{name} is not a setting; did you mean {nearest}? Correct or unset it"
            )


def default_state_dir(environment: Mapping[str, str]) -> Path:
    """Where keys and ledger lie unless anything else is said (XDG Base Directory Specification).

    Raises:
        InvalidInputError: neither variable says where the home is.
    """
    base = environment.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    if base.startswith("/"):
        return Path(base) / "pypow"
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise InvalidInputError("expected HOME or XDG_STATE_HOME to be set; or give --state-dir")
    return Path(home) / ".local" / "state" / "pypow"
