# SPDX-License-Identifier: Apache-2.0
"""Where peers live: a folder of its own for each, made the first time it is asked for.

`.peers/` at the root of the tree, which git ignores and `make clean` removes. Nothing of a peer
reaches the project's own environment.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HOME = Path(__file__).parents[1] / ".peers"
PROGRAMS = Path(__file__).parent / "peer_programs"
INSTALL_S = 300.0


class UnavailableError(Exception):
    """This peer cannot be had here; the text says why."""


def python_with(*requirements: str) -> Path:
    """The interpreter of an environment that holds these requirements, or of this one for none."""
    if not requirements:
        return Path(sys.executable)

    def install(folder: Path) -> None:
        _run("venv", sys.executable, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check")
        _run("pip", *pip, "install", "--quiet", *requirements)

    name = "-".join(requirements).replace("==", "-")
    return _made(HOME / name, install) / "bin" / "python"


def node_folder() -> Path:
    """A folder with the programs for Node and the packages that package.json pins."""
    program("node")

    def install(folder: Path) -> None:
        folder.mkdir(parents=True)
        shutil.copy(PROGRAMS / "package.json", folder)
        _run("npm", program("npm"), "install", "--ignore-scripts", "--silent", cwd=folder)

    folder = _made(HOME / "node", install, PROGRAMS / "package.json")
    for each in PROGRAMS.glob("*.mjs"):
        shutil.copy(each, folder)
    return folder


def node_modules(folder: Path) -> Path:
    """The packages that the package-lock.json of a folder pins, without running their scripts."""
    program("node")
    lock = folder / "package-lock.json"

    def install(home: Path) -> None:
        home.mkdir(parents=True)
        for name in ("package.json", lock.name):
            shutil.copy(folder / name, home)
        npm = (program("npm"), "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund")
        _run("npm", *npm, cwd=home)

    return _made(HOME / f"node-{folder.name}", install, lock) / "node_modules"


def openssl_folder() -> Path:
    """A folder with openssl_loop.so."""
    source = PROGRAMS / "openssl_loop.c"

    def install(folder: Path) -> None:
        folder.mkdir(parents=True)
        flags = ("-O2", "-shared", "-fPIC", "-o", str(folder / "openssl_loop.so"))
        _run("cc", program("cc"), *flags, str(source))

    return _made(HOME / "openssl", install, source)


def program(name: str, why: str = "") -> str:
    """Where a program is.

    Raises:
        UnavailableError: nowhere on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"{name} is not on PATH{why and f'; {why}'}")
    return found


def _made(folder: Path, install: Callable[[Path], None], source: Path | None = None) -> Path:
    """The folder, installed if it is not there whole or is older than its source."""
    whole = folder / ".whole"
    fresh = whole.exists() and (source is None or source.stat().st_mtime <= whole.stat().st_mtime)
    if not fresh:
        shutil.rmtree(folder, ignore_errors=True)
        install(folder)
        whole.touch()
    return folder


def _run(tool: str, *command: str, cwd: Path | None = None) -> None:
    try:
        ran = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{tool} took longer than {INSTALL_S:.0f} s") from error
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise UnavailableError(f"{tool} failed: {said[-1] if said else 'it said nothing'}")
