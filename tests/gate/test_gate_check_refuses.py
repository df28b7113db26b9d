# SPDX-License-Identifier: Apache-2.0
"""`pypow gate --check` refuses what no gate would start with, and tells of tokens given out."""

import json
import sys
from pathlib import Path

import pytest

from pypow import InvalidInputError
from pypow.__main__ import main
from pypow_server.app import create_app
from pypow_server.settings import Settings

HEAD = '[gate]\nupstream = "http://127.0.0.1:1"\n'
PUBLIC = f'{HEAD}public_url = "https://mcp.example.com"\n'
SERVER = "[oauth]\nserver = true\n"
WORKLOADS = (
    f"{PUBLIC}{SERVER}client_documents = true\n"
    '[[oauth.workload]]\nplatform = "github-actions"\n'
    'claims = { repository = "acme/*" }\nscope = "tools:search"\n'
    '[[price]]\nmatch = "tools/call search"\nscope = "tools:search"\n'
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "pypow.toml"


def selling(wallet: str) -> str:
    return f'[l402]\nwallet = "{wallet}"\n[default]\nsats = 4\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD + selling("purse:"), "expected a wallet of"),
        (HEAD + selling("lnd:http://node.example.com"), "a credential is not sent unencrypted"),
        (HEAD + selling("phoenixd:http://u:hunter2@127.0.0.1:9740"), "credentials go into"),
        (HEAD + selling("nwc:nostr+walletconnect://k?secret=hunter2"), "expected nwc: alone"),
        (PUBLIC + selling("development:"), "expected a wallet with money for the public URL"),
        (
            f'{HEAD}[store]\nurl = "memory:"\n{selling("phoenixd:http://127.0.0.1:1")}',
            "expected a store that outlives the gate",
        ),
        (
            f'{HEAD}public_url = "http://mcp.example.com"\n{SERVER}',
            "expected an https:// public URL where tokens are given out",
        ),
    ],
)
def test_what_no_gate_would_start_with_is_refused_in_one_line_without_secrets(
    text: str, complaint: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text, encoding="utf-8")
    assert main(["gate", "--config", str(file), "--check"]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.count("\n") == 1
    assert "hunter2" not in told.out + told.err


def test_a_gate_that_cannot_make_invoices_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "coincurve", None)
    file.write_text(HEAD + selling("development:"), encoding="utf-8")
    assert main(["gate", "--config", str(file), "--check"]) == 2
    assert "pip install 'pypow-engine[l402]'" in capsys.readouterr().err
    settings = Settings.from_env({"HOME": str(file.parent), "PYPOW_CONFIG": str(file)}, {})
    with pytest.raises(InvalidInputError, match=r"pip install 'pypow-engine\[l402\]'"):
        create_app(settings)


def test_a_wallet_needs_no_credential_to_be_explained(file: Path) -> None:
    file.write_text(HEAD + selling("phoenixd:http://127.0.0.1:9740"), encoding="utf-8")
    assert main(["gate", "--config", str(file), "--check"]) == 0


def test_tokens_that_are_given_out_are_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(WORKLOADS, encoding="utf-8")
    assert main(["gate", "--config", str(file), "--check"]) == 0
    told = capsys.readouterr().out
    assert "access tokens are given out for work at https://mcp.example.com/oauth/token\n" in told
    assert "clients there may be https URLs" in told
    assert "jobs of github-actions get tokens there for nothing: tools:search\n" in told
    assert "from ;" not in told
    assert main(["gate", "--config", str(file), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["given_out"] == {
        "endpoint": "https://mcp.example.com/oauth/token",
        "workloads": [["github-actions", ["tools:search"]]],
        "fetches_clients": True,
    }
