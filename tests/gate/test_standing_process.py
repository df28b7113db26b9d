# SPDX-License-Identifier: Apache-2.0
"""A caller that keeps its standing token, at gates of their own process."""

import json
from dataclasses import replace
from pathlib import Path

from pypow_server import keyfile, standing
from pypow_server.standing import StandingToken, decode
from support.counting_upstream import counting_upstream
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution, solve

QUOTA = '[pricing]\nquota = "60/60s"\n[default]\nbits = 4\n'


class Caller:
    """Pays what it is asked, and sends the token back that it was given last."""

    def __init__(self, gate: GateProcess, token: str | None = None) -> None:
        self._url = gate.url
        self.token = token

    def quoted(self) -> float:
        """What a call costs, in bits."""
        headers = {"X-PoW-Accept": "puzzles=16", **self._held()}
        return float(ask(f"{self._url}/x", headers=headers).json["offers"][0]["bits"])

    def call(self) -> None:
        """One call that is paid for."""
        offer = ask(f"{self._url}/x", headers=self._held()).json["offers"][0]
        answer = ask(f"{self._url}/x", headers={**solution(offer), **self._held()})
        assert answer.status == 200
        self.token = answer.headers.get("X-PoW-Standing", self.token)

    def _held(self) -> dict[str, str]:
        return {} if self.token is None else {"X-PoW-Standing": self.token}


def test_who_was_known_stays_known_when_the_store_forgets(tmp_path: Path) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(QUOTA)
    options = ["--config", str(config), "--store", "memory:"]
    with counting_upstream() as upstream:
        with gate_process(tmp_path, upstream.url, *options) as gate:
            newcomer = Caller(gate)
            newcomer.call()
            assert newcomer.token is not None
            token = _back_then(decode(newcomer.token), tmp_path, minutes=9)
            caller = Caller(gate, token)
            caller.call()
            assert caller.token is not None
            assert (decode(caller.token).minutes, decode(token).minutes) == (10, 9)
        # Another process, whose store knows nobody; there the neighbours are busy.
        with gate_process(tmp_path, upstream.url, *options) as gate:
            neighbour = Caller(gate)
            for _ in range(8):
                neighbour.token = None
                neighbour.call()
            neighbour.token = None
            returned = Caller(gate, caller.token)
            assert (neighbour.quoted(), returned.quoted()) == (5.25, 4)
            returned.call()
            figures = ask(f"{gate.admin_url}/metrics").body.decode()
    counted = 'pypow_standing_tokens_total{event="%s"} %s'
    for event, count in (("issued", "8.0"), ("good", "3.0")):
        assert counted % (event, count) in figures


def test_a_browser_gets_its_token_in_a_cookie_and_nowhere_else(tmp_path: Path) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(QUOTA)
    with (
        counting_upstream() as upstream,
        gate_process(tmp_path, upstream.url, "--config", str(config)) as gate,
    ):
        published = ask(f"{gate.url}/api/challenge").json
        proof = json.dumps({"challenge": published["challenge"], "nonce": solve(published)})
        bought = ask(f"{gate.url}/api/verify?cookie=1", method="POST", body=proof.encode())
        by_pass, kept = (one.partition("; ") for one in bought.headers.get_all("Set-Cookie", []))
    assert (bought.status, bought.headers["X-PoW-Standing"]) == (200, None)
    assert by_pass[0].startswith("pypow_pass=pyp_")
    assert decode(kept[0].removeprefix("pypow_standing=")).minutes == 1
    assert kept[2] == "HttpOnly; Max-Age=2592000; Path=/; SameSite=lax"


def _back_then(token: StandingToken, home: Path, *, minutes: int) -> str:
    """What the caller would hold, had it come for so many minutes until a while ago."""
    key = keyfile.load(home / ".local/state/pypow/keys.json").signing
    earlier_ms = token.first_ms - 3_600_000
    older = replace(
        token, first_ms=earlier_ms, minutes=minutes - 1, last_minute=earlier_ms // 60_000
    )
    return standing.renew(key, older, now_ms=earlier_ms + 60_000).text
