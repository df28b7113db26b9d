# SPDX-License-Identifier: Apache-2.0
"""The systemd unit, the container file and the compose file: sound, and with little to lose."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pypow_server.settings import DEFAULT_DRAIN_S, Settings

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
UNIT, CONTAINER, COMPOSE = (
    (DEPLOY / name).read_text("utf-8")
    for name in ("pypow.service", "Containerfile", "compose.yaml")
)
MOST_EXPOSED = 30
"""Tenths of what systemd-analyze calls the exposure level: 3.0."""


def analyze(folder: Path, unit: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of a unit, with a program that is there in place of ours."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    path = folder / "pypow.service"
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit))
    return subprocess.run(
        [program, *arguments, str(path)], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_has_no_complaint_about_the_unit(tmp_path: Path) -> None:
    ran = analyze(tmp_path, UNIT, "verify")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_unit_has_little_to_lose(tmp_path: Path) -> None:
    options = ("security", "--offline=yes", f"--threshold={MOST_EXPOSED}")
    assert analyze(tmp_path, UNIT, *options).returncode == 0


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("verify",), UNIT.replace("Restart=on-failure", "Restart=sometimes")),
        (
            ("security", "--offline=yes", f"--threshold={MOST_EXPOSED}"),
            UNIT[: UNIT.index("NoNewPrivileges")],
        ),
    ],
)
def test_a_unit_that_is_wrong_is_noticed(
    options: tuple[str, ...], wrong: str, tmp_path: Path
) -> None:
    ran = analyze(tmp_path, wrong, *options)
    assert ran.returncode != 0 or ran.stderr


def test_the_unit_waits_longer_than_the_gate_drains() -> None:
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(seconds) > DEFAULT_DRAIN_S


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a container file: name and rest, continued lines joined."""
    joined = re.sub(r"\\\n", " ", text)
    lines = [line.strip() for line in joined.splitlines()]
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in pairs]


def container_complaints(text: str) -> list[str]:
    """What hadolint and common sense would say of a container file."""
    found = []
    steps = instructions(text)
    last = steps[max(n for n, (name, _) in enumerate(steps) if name == "FROM") :]
    for name, rest in steps:
        if name == "FROM" and not re.search(r":[\w.-]+( AS \w+)?$", rest.replace(":latest", "")):
            found.append(f"no version: {rest}")
        if name == "ADD":
            found.append("ADD fetches and unpacks; use COPY")
        if name == "RUN" and "apt-get install" in rest and "rm -rf /var/lib/apt/lists" not in rest:
            found.append("package lists stay in the image")
        if name == "RUN" and "pip install" in rest and "--no-cache-dir" not in rest:
            found.append("pip's cache stays in the image")
        if name in ("ENTRYPOINT", "CMD") and not rest.startswith("["):
            found.append(f"{name} goes through a shell, which swallows SIGTERM")
        if name == "ENV" and re.search(r"SECRET|PASSWORD|TOKEN", rest):
            found.append("a secret in the image")
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = shlex.split(rest)
            found += [f"no {one}" for one in sources if one == "." or not (ROOT / one).exists()]
    for name, wanted in (
        ("USER", r"[1-9]\d+:[1-9]\d+"),
        ("VOLUME", r'\["/data"\]'),
        ("HEALTHCHECK", r".*readyz.*"),
        ("STOPSIGNAL", "SIGTERM"),
    ):
        if not any(one == name and re.fullmatch(wanted, rest) for one, rest in last):
            found.append(f"no {name} like {wanted}")
    return found


def settings_named(text: str) -> set[str]:
    return set(re.findall(r"\bPYPOW_[A-Z_]+\b", text))


def test_the_container_has_no_root_no_shell_and_nothing_left_over() -> None:
    assert container_complaints(CONTAINER) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("USER 10001:10001", ""),
        lambda text: text.replace("USER 10001:10001", "USER 0:0"),
        lambda text: text.replace("python:3.11-slim-bookworm AS", "python:latest AS"),
        lambda text: text.replace('CMD ["gate"]', "CMD gate"),
        lambda text: text.replace("COPY csrc /source/csrc", "COPY . /source"),
        lambda text: text.replace("&& rm -rf /var/lib/apt/lists/*", ""),
        lambda text: text.replace("--no-cache-dir ", ""),
        lambda text: re.sub(r"HEALTHCHECK.*\\\n.*\n", "", text),
    ],
)
def test_a_container_file_that_is_wrong_is_noticed(change: Callable[[str], str]) -> None:
    assert change(CONTAINER) != CONTAINER
    assert len(container_complaints(change(CONTAINER))) == 1


def compose_complaints(document: dict[str, Any]) -> list[str]:
    """Where a compose file leaves a way around the gate, or the gate more than it needs."""
    gate, app = document["services"]["gate"], document["services"]["app"]
    wanted = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "volumes": ["pypow:/data"],
    }
    found = [name for name, value in wanted.items() if gate.get(name) != value]
    if "ports" in app or any(
        not document["networks"][name].get("internal") for name in app["networks"]
    ):
        found.append("the server can be reached around the gate")
    if any(not port.startswith("127.0.0.1:") for port in gate["ports"]):
        found.append("the gate is open to the network without TLS")
    if int(gate["stop_grace_period"].rstrip("s")) <= DEFAULT_DRAIN_S:
        found.append("it is killed while it drains")
    return found


def test_the_compose_file_leaves_no_way_around_the_gate() -> None:
    document = yaml.safe_load(COMPOSE)
    assert compose_complaints(document) == []
    build = document["services"]["gate"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize(
    "change",
    [
        ("read_only: true", "read_only: false"),
        ("    networks: [guarded]\n", "    networks: [guarded]\n    ports: ['8000:8000']\n"),
        ("    internal: true", "    internal: false"),
        ("- 127.0.0.1:8402:8402", "- 8402:8402"),
        ("stop_grace_period: 40s", "stop_grace_period: 10s"),
    ],
)
def test_a_compose_file_that_is_wrong_is_noticed(change: tuple[str, str]) -> None:
    wrong = COMPOSE.replace(*change)
    assert wrong != COMPOSE
    assert len(compose_complaints(yaml.safe_load(wrong))) == 1


@pytest.mark.parametrize("text", [UNIT, CONTAINER, COMPOSE], ids=["unit", "container", "compose"])
def test_every_setting_named_there_is_one(text: str, tmp_path: Path) -> None:
    values = {
        "PYPOW_UPSTREAM": "http://app:8000",
        "PYPOW_PUBLIC_URL": "https://mcp.example.com",
        "PYPOW_STATE_DIR": "/data",
        "PYPOW_AUDIT": "/var/log/pypow/audit.log",
        "PYPOW_LOG_FORMAT": "json",
        "PYPOW_LISTEN": "0.0.0.0:8402",
        "PYPOW_ADMIN": "127.0.0.1:8403",
    }
    Settings.from_env(
        {"HOME": str(tmp_path)} | {name: values[name] for name in settings_named(text)}
    )
