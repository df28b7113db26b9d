# SPDX-License-Identifier: Apache-2.0
"""`pypow gate --check`: what a file means, and what a call would cost, without serving."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pypow.__main__ import main
from pypow_server.explain import cost
from pypow_server.settings import Settings
from pypow_server.toml_document import schema
from support.gated import Bench

FILE = """
[work]
profile = "python"
max_p99 = "1m"
lifetime = "60s"

[[price]]
match = "tools/call search_*"
work = "250ms"
free = "60/60s"
pass = "20 calls / 5m"

[[price]]
match = "tools/call beta"
bits = 20
mode = "observe"

[[allow]]
match = "GET /open"

[[allow]]
network = "10.0.0.0/8"

[[deny]]
match = "tools/call admin_*"

[trust]
proxies = ["192.0.2.1"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "pypow.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def check(file: Path, *options: str) -> int:
    return main(["gate", "--config", str(file), "--check", *options])


def checked(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert check(file, "--json", *options) == 0
    return json.loads(capsys.readouterr().out)


def test_every_price_is_told_in_bits_hashes_and_time(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search, beta, default = checked(file, capsys)["prices"]
    assert (search["entry"], beta["entry"], default["entry"]) == (
        "tools/call search_*", "tools/call beta", "default",
    )  # fmt: skip
    assert search["seconds"] == pytest.approx(0.25, rel=0.001)
    assert search["hashes"] == pytest.approx(0.25 * 0.78e6, rel=0.001)
    assert (search["free"], search["sells"]) == ([60, 60_000], [20, 300])
    assert (beta["bits"], beta["observe"], beta["sells"]) == (20, True, None)
    assert (default["bits"], default["observe"]) == (16, False)


@pytest.mark.parametrize(
    ("request_", "entry", "priced"),
    [
        ("tools/call search_web", "tools/call search_*", True),
        ("tools/call other", "default", True),
        ("POST /v1/items", "default", True),
        ("tools/list", "free", False),
        ("GET /open", "allow", False),
        ("tools/call admin_drop", "deny", False),
        ("GET /.well-known/x", "free", False),
        ("GET /mcp", "free", False),
        ("OPTIONS /v1/items", "free", False),
        ("WEBSOCKET /mcp", "none", False),
        ("WEBSOCKET /chat", "default", True),
        ("GET /a//b", "deny", False),
    ],
)
def test_a_request_is_told_its_entry_and_price(
    request_: str, entry: str, priced: bool, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(file, capsys, "--request", request_)["request"]
    assert (found["entry"], found["price"] is not None) == (entry, priced)


@pytest.mark.parametrize(
    "request_",
    [
        "tools/call search_web", "tools/call other", "tools/call admin_drop", "tools/list",
        "notifications/x", "resources/read file:///a/../b", "GET /open", "GET /OPEN", "GET /open/",
        "POST /v1/items", "GET /mcp", "DELETE /mcp", "PUT /mcp", "OPTIONS /x", "GET /a//b",
        "GET /.well-known/x", "POST /.well-known/x", "HEAD /x",
    ],
)  # fmt: skip
def test_what_is_explained_is_what_the_gate_decides(request_: str, file: Path) -> None:
    settings = Settings.from_env({"HOME": str(file.parent)}, {"config": str(file)})
    bench = Bench(policy=settings.policy)
    method, _, name = request_.partition(" ")
    if "/" not in method:
        bench.send(method, name)
    else:
        key = {"tools/call": "name", "resources/read": "uri"}.get(method)
        identity = None if method.startswith("notifications/") else 1
        bench.post_mcp(method, {key: name} if key else {}, id=identity)
    (decision,) = bench.decisions
    assert cost(settings, request_).entry == decision.entry


@pytest.mark.parametrize("row", ["POST /mcp", "POST *"])
def test_mcp_calls_are_denied_with_the_post_that_carries_them(
    row: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f'{file.read_text()}\n[[deny]]\nmatch="{row}"\n')
    found = checked(file, capsys, "--request", "tools/call search_web")["request"]
    assert found["entry"] == "deny"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ("tools/call search_web", "17.57 bits, 195 k hashes, 250 ms (tools/call search_*)"),
        ("tools/list", "tools/list: is free"),
        ("GET /open", "GET /open: is let in for nothing"),
        ("tools/call admin_drop", "tools/call admin_drop: is not let in"),
    ],
)
def test_people_read_a_table(
    request_: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(file, "--request", request_) == 0
    printed = capsys.readouterr().out
    assert told in printed
    assert "20 calls / 300s" in printed
    assert "tools/call beta (observed)" in printed
    assert "times are a python's: 780 k hashes a second (measured, 2026-07:" in printed


@pytest.mark.parametrize(
    ("added", "warning"),
    [
        (
            '[[price]]\nmatch="tools/call search_a*"\nbits=8',
            '"tools/call search_a*" is never reached',
        ),
        ('[[price]]\nmatch="POST /mcp"\nbits=8', '"POST /mcp" is about no MCP call'),
        ('[[allow]]\nmatch="POST /MCP/"', '"POST /MCP/" is about no MCP call'),
        ('[[price]]\nmatch="slow"\nbits=24', "comes too late"),
        ('[gate]\nmode="observe"', "nothing is kept out"),
        ('[[price]]\nmatch="*"\nbits=8', '"*" prices what MCP clients need to connect'),
        ('[gate]\nadmin="0.0.0.0:8403"', "operators' side listens on 0.0.0.0:8403"),
        ('[[allow]]\nnetwork="0.0.0.0/0"', "lets everybody in for nothing"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(
    added: str, warning: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(file, capsys)["warnings"] == []
    file.write_text(f"{FILE}\n{added}\n", encoding="utf-8")
    (told,) = checked(file, capsys)["warnings"]
    assert warning in told


REST = """
[[price]]
match = "POST /v1/items"
bits = 20

[[price]]
match = "DELETE /v1/items/5*"
bits = 20
"""


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        (FILE, []),
        (
            REST,
            ['"POST /v1/items" costs more than "POST /v1/items.json"', "GET and DELETE of /mcp"],
        ),
        ("[gate]\nmcp_paths = []\n" + REST, ['"POST /v1/items" costs more']),
        ('[gate]\nmcp_paths = ["/mcp"]\n[[price]]\nmatch = "POST /x*"\nbits = 20\n', []),
        ('[gate]\nmcp_paths = []\n[[price]]\nmatch = "POST /x"\nbits = 8\n', []),
        (
            '[gate]\nmcp_paths = []\n[[price]]\nmatch = "DELETE /x"\nbits = 20\n',
            ['"DELETE /x" costs more than "DELETE /x.json"', "a form with _method=DELETE"],
        ),
    ],
)
def test_what_frameworks_route_alike_is_a_hint(
    text: str, hints: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text, encoding="utf-8")
    told = checked(file, capsys)
    assert told["warnings"] == []
    assert len(told["hints"]) == len(hints)
    assert all(hint in found for hint, found in zip(hints, told["hints"], strict=True))
    check(file)
    assert capsys.readouterr().out.count("\nhint: ") == len(hints)


def test_a_private_network_is_let_in_with_a_warning_while_no_proxy_is_trusted(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(FILE.partition("[trust]")[0], encoding="utf-8")
    (told,) = checked(file, capsys)["warnings"]
    assert "10.0.0.0/8 lets everybody in who comes through a proxy there" in told


def test_an_option_is_part_of_what_is_explained(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(file, capsys, "--bits", "20")["prices"][-1]["bits"] == 20


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--check", "--request", "5"], 'expected a resource like "tools/call search"'),
        (["--request", "GET /x"], "--request: expected --check with it"),
        (["--check", "--config", "absent.toml"], "absent.toml: No such file"),
    ],
)
def test_wrong_use_is_one_line(
    options: list[str], complaint: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", "--upstream", "http://x", *options]) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1


def test_a_check_makes_nothing(file: Path) -> None:
    assert check(file) == 0
    assert list(file.parent.iterdir()) == [file]


def test_the_schema_is_printed_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


@pytest.mark.parametrize(
    ("pricing", "costs"),
    [
        ("", None),
        ('[pricing]\nquota = "60/60s"\n', [16, 16.25, 26]),
        ('free = "60/60s"\n', [0, 16.25, 26]),
        ('free = "60/60s"\n[pricing]\nmax_overdraft = 5\n', [0, 16.25, None]),
    ],
)
def test_what_a_burst_costs_is_told(
    pricing: str,
    costs: list[float | None] | None,
    file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file.write_text(f"[default]\nbits = 16\n{pricing}", encoding="utf-8")
    burst = checked(file, capsys, "--request", "GET /x")["request"]["burst"]
    told = [(one["number"], one["bits"]) for one in burst]
    assert told == list(zip((1, 61, 100), costs or [], strict=False))
    check(file, "--request", "GET /x")
    assert ("of a burst" in capsys.readouterr().out) == (costs is not None)


def test_a_quota_and_a_capacity_are_told_in_words(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[pricing]\nquota = "90/30s"\ncapacity = "90/m"\n', encoding="utf-8")
    assert check(file) == 0
    told = capsys.readouterr().out
    assert "each network may make 90 calls of the default price in 30.0 s; past that, " in told
    assert (
        "prices rise by 1 bit for every 6 calls\nthe upstream serves 1.5 of these a second; "
        in told
    )
    found = checked(file, capsys)
    assert (found["quota"], found["capacity_per_s"]) == ([90, 30_000], 1.5)
    file.write_text('[pricing]\nquota = "3/1h"\n', encoding="utf-8")
    check(file)
    told = capsys.readouterr().out
    assert "prices rise by 1 bit for each call\n" in told
    assert "serves" not in told


@pytest.mark.parametrize(
    ("capacity", "said"),
    [("64", "64/s"), ("500000", "500000/s"), ("2.5", "150/m"), ("500001", None), ("0.01", None)],
)
def test_what_the_advice_names_is_what_a_policy_file_takes(
    capacity: str, said: str | None, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advise", "--bits", "16", "--capacity", capacity, "--burst", "90"]) == 0
    told = re.findall(r'(quota|capacity) = "([^"]+)"', capsys.readouterr().out)
    assert told == [("quota", "90/60s"), *([("capacity", said)] if said else [])]
    rows = "".join(f'{name} = "{text}"\n' for name, text in told)
    file.write_text(f"[pricing]\n{rows}", encoding="utf-8")
    found = checked(file, capsys)
    assert found["quota"] == [90, 60_000]
    assert found["capacity_per_s"] == (float(capacity) if said else None)


def test_a_price_that_has_all_others_wait_is_warned_of(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = '[default]\nbits = 16\n[[price]]\nmatch = "GET /dear"\nbits = 20\n[pricing]\n'
    file.write_text(f'{dear}quota = "60/60s"\ncapacity = "7/s"\n', encoding="utf-8")
    assert '"GET /dear" takes all turns of 2.29 s' in " ".join(checked(file, capsys)["warnings"])
    file.write_text(f'{dear}quota = "60/60s"\ncapacity = "8/s"\n', encoding="utf-8")
    assert "turns" not in " ".join(checked(file, capsys)["warnings"])


def test_replicas_of_a_shared_store_are_warned_of(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("[pricing]\nreplicas = 3\n", encoding="utf-8")
    assert "no store" not in " ".join(checked(file, capsys)["warnings"])
    file.write_text(
        '[pricing]\nreplicas = 3\n[store]\nurl = "redis://127.0.0.1"\n', encoding="utf-8"
    )
    assert "each call counts 3 times" in " ".join(checked(file, capsys)["warnings"])


def test_what_follows_the_callers_speed_is_told(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(file, capsys)["calibrated"] is None
    said = FILE.replace("[work]", '[default]\nwork = "299ms"\n[work]\ncalibrate = "500ms"')
    file.write_text(said, encoding="utf-8")
    assert checked(file, capsys)["calibrated"] == {
        "entries": ["tools/call search_*", "default"],
        "target_ms": 500,
        "most_bits": 2.0,
        "most_bits_a_day": 0.25,
    }
    assert check(file) == 0
    assert (
        "calibrated: tools/call search_*, default; these move by 0.25 bits a day, and 2 in all, "
        "until 99 of 100 solves of the default price by the slow tenth of known callers take less "
        "than 500 ms"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("work", "warned"), [("74ms", True), ("76ms", False), ("1190ms", False), ("1210ms", True)]
)
def test_a_default_price_from_which_calibration_cannot_get_there_is_warned_of(
    work: str, warned: bool, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f'[default]\nwork = "{work}"\n[work]\ncalibrate = "500ms"\n', encoding="utf-8")
    warnings = checked(file, capsys)["warnings"]
    assert any("bits away" in text and 'work = "299ms" is near' in text for text in warnings) == (
        warned
    )


SOLD = """
[l402]
wallet = "development:"
invoices = "7/30s"
invoice_bits = 12
expires = "5m"
grace = "2m"
max_sats = 77

[[price]]
match = "GET /dear"
bits = 20
sats = 50

[default]
bits = 16
"""


def test_what_is_sold_for_sats_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SOLD, encoding="utf-8")
    found = checked(file, capsys, "--request", "GET /dear")
    assert [price["sats"] for price in found["prices"]] == [50, None]
    assert found["request"]["price"]["sats"] == 50
    assert found["warnings"] == []
    assert found["sold"] == {
        "wallet": "development:", "network": "regtest", "expiry_s": 300, "grace_s": 120,
        "max_sats": 77, "invoices": [7, 30_000], "invoice_bits": 12, "strict": False,
    }  # fmt: skip
    assert check(file, "--request", "GET /dear") == 0
    told = capsys.readouterr().out
    head, dear, default = (line.split() for line in told.splitlines()[:3])
    assert (head[-1], dear[-1], default[-1]) == ("sats", "50", "-")
    assert " or 50 sats (GET /dear)" in told
    assert "(regtest) to development:; an invoice can be paid for 5 min 0 s and is honoured" in told
    assert "each network gets 7 invoices in 30.0 s without work, and past that one for 12 b" in told
    assert "to 77 at most" in told
    assert "the wallet is asked" not in told
    file.write_text(SOLD.replace('"7/30s"', '"none"\nstrict = true'), encoding="utf-8")
    check(file)
    told = capsys.readouterr().out
    assert "each network gets no invoice without work" in told
    assert "the wallet is asked before a payment admits the first time" in told


def test_a_wallet_for_which_nothing_is_sold_is_warned_of(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(SOLD.replace("sats = 50\n", ""), encoding="utf-8")
    assert "nothing is sold for them" in " ".join(checked(file, capsys)["warnings"])


def test_where_there_is_no_wallet_nothing_is_said_of_sats(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(file, capsys)["sold"] is None
    assert check(file) == 0
    assert "sats" not in capsys.readouterr().out
