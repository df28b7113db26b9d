# SPDX-License-Identifier: Apache-2.0
"""The doctor, on gates that are well and on gates that are really broken, one way at a time."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pypow.__main__ import main
from pypow.cli.doctor import report
from pypow_server.doctor import Finding, clock, fail, ok
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.stores.redis_connection import Condition, RedisConnection
from support import redis_server
from support.balancers import GATE, balancer
from support.gate_process import GateProcess, gate_process
from support.serving import served

CHEAP = ("--bits", "4")
STATE = Path(".local") / "state" / "pypow"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def speaks(method: str, result: dict[str, Any]) -> ASGIApp:
    """A server that knows one MCP method."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        document = json.loads((await receive())["body"])
        known = document["method"] == method
        body = json.dumps({"jsonrpc": "2.0", "id": 1, **({"result": result} if known else {})})
        await send({"type": "http.response.start", "status": 200 if known else 400, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})

    return app


@dataclass(frozen=True, slots=True)
class Examined:
    """What the doctor said."""

    status: int
    findings: list[dict[str, str]]

    def of(self, check: str, level: str) -> list[dict[str, str]]:
        return [f for f in self.findings if (f["check"], f["level"]) == (check, level)]

    def one(self, check: str, level: str) -> dict[str, str]:
        """The only finding of a check at this level; with a fix, unless all is well."""
        (found,) = self.of(check, level)
        assert bool(found["fix"]) == (level != "ok")
        return found


@pytest.fixture
def doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Doctor":
    for name in os.environ:
        if name.startswith("PYPOW_") or name == "XDG_STATE_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Doctor(capsys)


class Doctor:
    """Runs ``pypow doctor --json``."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *options: str) -> Examined:
        # Where nothing else is said, nobody listens at the gate's places.
        unless_given = ("--listen", "127.0.0.1:9", "--admin", "127.0.0.1:9")
        given = [
            text
            for name, value in zip(unless_given[::2], unless_given[1::2], strict=True)
            if name not in options
            for text in (name, value)
        ]
        self._capsys.readouterr()
        status = main(["doctor", "--json", *given, *options])
        printed = json.loads(self._capsys.readouterr().out)
        assert printed["ok"] == (status == 0)
        return Examined(status, printed["findings"])


def at(gate: GateProcess, *, url: str | None = None) -> list[str]:
    """Options that name a running gate, and the URL through which callers reach it."""
    found = ["--listen", urlsplit(gate.url).netloc, "--admin", urlsplit(gate.admin_url).netloc]
    return [*found, "--upstream", gate.ready["upstream"], *(["--public-url", url] if url else [])]


@contextmanager
def running(home: Path, *options: str, app: ASGIApp = hello) -> Iterator[GateProcess]:
    with served(app) as upstream, gate_process(home, upstream, *CHEAP, *options) as gate:
        yield gate


def test_a_gate_that_is_well_has_nothing_to_fix(tmp_path: Path, doctor: Doctor) -> None:
    mcp = speaks("server/discover", {"supportedVersions": ["2026-07-28"]})
    with running(tmp_path, app=mcp) as gate:
        found = doctor(*at(gate))

    assert found.status == 0
    assert {finding["level"] for finding in found.findings} == {"ok"}
    assert {finding["check"] for finding in found.findings} == {
        "keys", "store", "upstream", "public", "clock",
    }  # fmt: skip
    assert "a proof, solved in" in found.findings[-2]["found"]


def test_a_gate_that_never_ran_is_told_from_one_that_is_broken(doctor: Doctor) -> None:
    found = doctor("--upstream", "http://127.0.0.1:9")

    assert "there is no" in found.one("keys", "warn")["found"]
    assert "there is no" in found.one("store", "warn")["found"]
    assert found.one("public", "fail")["fix"].startswith("start pypow gate")
    assert found.status == 1


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / STATE / "keys.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"keys": [{"id": 3, "secret": "5a" * 32}]}))
    path.chmod(0o600)
    return path


def test_keys_are_told_by_a_fingerprint_and_not_shown(doctor: Doctor, key_file: Path) -> None:
    found = doctor().one("keys", "ok")["found"]

    assert "key 3" in found
    assert "5a5a" not in found


def test_keys_that_others_can_read_are_found(doctor: Doctor, key_file: Path) -> None:
    key_file.chmod(0o644)

    assert doctor().one("keys", "fail")["fix"] == f"run chmod 600 {key_file}"


def test_the_key_file_may_be_named(doctor: Doctor, key_file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    key_file.rename(elsewhere)
    assert "there is no" in doctor().one("keys", "warn")["found"]
    assert str(elsewhere) in doctor("--keys", str(elsewhere)).one("keys", "ok")["found"]


def test_a_key_file_that_is_none_is_found(doctor: Doctor, key_file: Path) -> None:
    key_file.write_text("{}")

    assert "restore it from a backup" in doctor().one("keys", "fail")["fix"]


def test_a_finding_is_not_cut_where_its_text_has_a_semicolon(
    doctor: Doctor, tmp_path: Path
) -> None:
    path = tmp_path / "a; b" / "ledger.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    found = doctor("--store", f"sqlite:{path}").one("store", "fail")
    assert f"{path}: file is not a database" in found["found"]
    assert "; b" not in found["fix"]

    unknown = doctor("--store", "postgres://h").one("store", "fail")
    assert unknown["fix"] == "docs/stores.md lists them"


def test_a_store_that_forgets_is_found(doctor: Doctor) -> None:
    assert "sqlite:PATH" in doctor("--store", "memory:").one("store", "warn")["fix"]


def test_a_ledger_that_is_no_database_is_found(tmp_path: Path, doctor: Doctor) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 1000)

    found = doctor("--store", f"sqlite:{tmp_path}/ledger.db").one("store", "fail")
    assert "ledger.db" in found["found"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_evicts_is_found(policy: str, tmp_path: Path, doctor: Doctor) -> None:
    with redis_server.running(tmp_path / "redis", "--maxmemory-policy", policy) as server:
        found = doctor("--store", server.url).one("store", "fail")

    assert "set it to noeviction" in found["fix"]


def test_a_redis_that_keeps_nothing_on_disk_is_found(tmp_path: Path, doctor: Doctor) -> None:
    with redis_server.running(tmp_path / "redis") as server:
        found = doctor("--store", server.url)
    with redis_server.running(tmp_path / "kept", *redis_server.DURABLE) as server:
        kept = doctor("--store", server.url)

    assert "appendonly yes" in found.one("store", "warn")["fix"]
    assert kept.of("store", "warn") == []


def test_a_redis_that_is_down_is_found(doctor: Doctor) -> None:
    found = doctor("--store", "redis://:hunter2@127.0.0.1:9").one("store", "fail")

    assert "check that it runs" in found["fix"]
    assert "hunter2" not in json.dumps(found)


def test_a_store_on_a_machine_with_another_time_is_found(
    tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = RedisConnection.condition

    def a_minute_later(connection: RedisConnection) -> Condition:
        condition = asked(connection)
        return replace(condition, now_ms=condition.now_ms + 60_000)

    monkeypatch.setattr(RedisConnection, "condition", a_minute_later)
    with redis_server.running(tmp_path / "redis", *redis_server.DURABLE) as server:
        found = doctor("--store", server.url)

    assert "the store is 60 s ahead of this machine" in found.one("clock", "fail")["found"]


def test_clocks_that_disagree_are_found_beyond_the_skew_that_is_tolerated() -> None:
    now_ms = 1_900_000_000_000
    for ahead, level in ((5.0, "ok"), (-5.0, "ok"), (6.0, "fail"), (-6.0, "fail")):
        (found,) = clock.check(now_ms, {"the proxy": ahead})
        assert found.level.value == level
    (found,) = clock.check(0, {})
    assert found.level.value == "fail"


def test_an_upstream_that_is_not_given_or_down_is_found(doctor: Doctor) -> None:
    assert "--upstream" in doctor().one("upstream", "fail")["fix"]
    assert "start it" in doctor("--upstream", "http://127.0.0.1:9").one("upstream", "fail")["fix"]


@pytest.mark.parametrize(
    ("app", "level", "text"),
    [
        (hello, "warn", "no MCP server answers at /mcp: it answers 200"),
        (speaks("initialize", {"protocolVersion": "2025-06-18"}), "ok", "2025-06-18, by a handsh"),
        (speaks("server/discover", {"supportedVersions": ["2026-07-28"]}), "ok", "MCP 2026-07-28"),
    ],
)
def test_the_upstreams_revision_of_mcp_is_told(
    app: ASGIApp, level: str, text: str, doctor: Doctor
) -> None:
    with served(app) as upstream:
        assert text in doctor("--upstream", upstream).one("upstream", level)["found"]


def test_a_public_url_that_leads_past_the_gate_is_found(doctor: Doctor) -> None:
    with served(hello) as upstream:
        found = doctor("--upstream", upstream, "--public-url", upstream).one("public", "fail")

    assert "it is not a gate's answer" in found["found"]


@pytest.mark.parametrize(
    ("challenge", "refusal"),
    [
        ("[" * 100_000, ""),
        ('{"challenge": ""}', "[" * 100_000),
        ('{"challenge": ""}', '{"offers": 1}'),
        ('{"challenge": ""}', '{"offers": [1, "challenge", {}, {"challenge": 1}]}'),
    ],
)
def test_a_server_that_answers_nonsense_ends_no_doctor(
    challenge: str, refusal: str, doctor: Doctor
) -> None:
    async def nonsense(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = (200, challenge) if "challenge" in scope["path"] else (402, refusal)
        date = (b"date", b"Mon, 99999999999999999999 Jan 2020 00:00:00 GMT")
        await send({"type": "http.response.start", "status": status, "headers": [date]})
        await send({"type": "http.response.body", "body": body.encode()})

    with served(nonsense) as url:
        found = doctor("--upstream", url, "--public-url", url, "--admin", url.partition("//")[2])
    assert not found.of("public", "ok")
    assert found.of("public", "fail") or found.of("public", "warn")


def test_gates_with_other_keys_behind_one_name_are_found(tmp_path: Path, doctor: Doctor) -> None:
    with running(tmp_path / "elsewhere") as gate:
        (tmp_path / STATE).mkdir(parents=True)
        (tmp_path / STATE / "keys.json").write_text(
            json.dumps({"keys": [{"id": 0, "secret": "5a" * 32}]})
        )
        (tmp_path / STATE / "keys.json").chmod(0o600)
        found = doctor(*at(gate)).one("public", "fail")

    assert "the same key file" in found["fix"]


def test_an_upstream_that_breaks_a_paid_call_is_found(tmp_path: Path, doctor: Doctor) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with gate_process(tmp_path, upstream, *CHEAP) as gate:
            found = doctor(*at(gate)).one("public", "fail")

    assert "answered 502 bad-gateway" in found["found"]
    assert "start the upstream" in found["fix"]


_PARTS = {
    "host": "proxy_set_header Host $http_host;",
    "real_ip": "proxy_set_header X-Real-IP $remote_addr;",
    "buffering": "proxy_buffering off;",
}


def behind_nginx(tmp_path: Path, gate: GateProcess, **changes: str) -> Any:
    """nginx on the file of docs/deploy, with these parts of it changed."""
    changed = {_PARTS[name]: text for name, text in changes.items()}
    where = {GATE: urlsplit(gate.url).netloc}
    return balancer(tmp_path / "nginx", "nginx/proxy.conf", {**where, **changed})


def test_a_gate_that_takes_its_proxy_for_every_caller_is_found(
    tmp_path: Path, doctor: Doctor
) -> None:
    with running(tmp_path) as gate, behind_nginx(tmp_path, gate) as url:
        found = doctor(*at(gate, url=url))

    assert (
        "takes every caller for the proxy at 127.0.0.1/32" in found.one("public", "warn")["found"]
    )
    assert found.status == 0


TRUSTING = ("--trusted-proxy", "127.0.0.1", "--client-header", "X-Real-IP")


def test_a_gate_that_trusts_its_proxy_and_no_caller_is_well(tmp_path: Path, doctor: Doctor) -> None:
    with running(tmp_path, *TRUSTING) as gate, behind_nginx(tmp_path, gate) as url:
        found = doctor(*at(gate, url=url))

    assert found.of("public", "warn") == found.of("public", "fail") == []
    assert any("to come from 127.0.0.2/32" in one["found"] for one in found.of("public", "ok"))


def test_a_proxy_that_lets_callers_choose_their_address_is_found(
    tmp_path: Path, doctor: Doctor
) -> None:
    change = "proxy_set_header X-Real-IP $http_x_real_ip;"
    with (
        running(tmp_path, *TRUSTING) as gate,
        behind_nginx(tmp_path, gate, real_ip=change) as url,
    ):
        found = doctor(*at(gate, url=url)).one("public", "fail")

    assert "callers choose their own address" in found["found"]


def test_a_proxy_that_changes_the_host_is_found(tmp_path: Path, doctor: Doctor) -> None:
    change = "proxy_set_header Host other.example;"
    name = ("--public-url", "http://gate.example", "--host", "127.0.0.1")
    with (
        running(tmp_path, *name) as gate,
        behind_nginx(tmp_path, gate, host=change) as url,
    ):
        found = doctor(*at(gate, url=url)).one("public", "fail")

    assert "does not know the Host" in found["found"]


def test_a_gate_that_only_observes_is_told(tmp_path: Path, doctor: Doctor) -> None:
    with running(tmp_path, "--mode", "observe") as gate:
        found = doctor(*at(gate)).one("public", "warn")

    assert "it cost nothing" in found["found"]
    assert "observe" in found["fix"]


def test_a_proxy_that_keeps_proofs_back_is_found(tmp_path: Path, doctor: Doctor) -> None:
    change = 'proxy_buffering off; proxy_set_header X-PoW-Solution "";'
    with running(tmp_path) as gate, behind_nginx(tmp_path, gate, buffering=change) as url:
        found = doctor(*at(gate, url=url)).one("public", "fail")

    assert found["fix"] == "let the proxy pass the header X-PoW-Solution on"


def test_a_proxy_that_replaces_refusals_is_found(tmp_path: Path, doctor: Doctor) -> None:
    change = "proxy_buffering off; proxy_intercept_errors on; error_page 402 /no; "
    change += "location = /no { internal; return 402; }"
    with running(tmp_path) as gate, behind_nginx(tmp_path, gate, buffering=change) as url:
        found = doctor(*at(gate, url=url)).one("public", "fail")

    assert "without its body" in found["found"]


def test_operators_read_one_line_for_each_finding_and_its_fix() -> None:
    text = report([ok("keys", "all there"), fail("store", "full", fix="make room")])

    assert text == "ok    keys      all there\nfail  store     full\n                fix: make room"


def test_every_finding_that_is_not_well_names_its_fix() -> None:
    assert Finding("keys", ok("", "").level, "x").fix == ""
    assert fail("keys", "x", fix="y").fix == "y"
