# SPDX-License-Identifier: Apache-2.0
"""The authorization page in a real browser: it works when it is told to, and leads back."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from pypow_server.scope import Receive, Scope, Send
from support.browser import CHROMIUM, Tab, tab
from support.gate_process import GateProcess
from support.issuing import PKCE, VERIFIER, issuing_process, told
from support.plain_http import Response, ask
from support.serving import served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: chromium)"
)
SOLVE = "document.getElementById('solve')"
STATE = "document.getElementById('state').textContent"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"earned"})


@dataclass(frozen=True)
class Visit:
    gate: GateProcess
    page: Tab
    here: str

    def post(self, path: str, body: bytes, kind: str) -> Response:
        return ask(
            f"{self.gate.url}{path}", method="POST", headers={"Content-Type": kind}, body=body
        )

    def open(self, *, script: bool = True, scheme: str = "light", width: int = 1280) -> str:
        """Go to the page as a client would send a person there; the client's id."""
        said = b'{"redirect_uris":["%s"],"client_name":"Browser"}' % self.here.encode()
        client: str = self.post("/oauth/register", said, "application/json").json["client_id"]
        asked = urlencode(
            {
                "response_type": "code",
                "client_id": client,
                "redirect_uri": self.here,
                "code_challenge": PKCE,
                "code_challenge_method": "S256",
                "state": "x y",
            }
        )
        self.page.look(width=width, height=844, scheme=scheme, script=script)
        self.page.complaints.clear()
        self.page.show(f"{self.gate.url}/oauth/authorize?{asked}")
        return client

    def token(self, client: str) -> str:
        """What the code is worth that the browser was sent back with."""
        self.page.wait_for(f"location.href.startsWith({self.here!r})")
        sent = told(self.page.value("location.href"))
        assert (sent["state"], sent["iss"]) == ("x y", self.gate.url)
        said = {
            "grant_type": "authorization_code",
            "code": sent["code"],
            "client_id": client,
            "redirect_uri": self.here,
            "code_verifier": VERIFIER,
        }
        kind = "application/x-www-form-urlencoded"
        answer = self.post("/oauth/token", urlencode(said).encode(), kind)
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])

    def call(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return ask(f"{self.gate.url}/mcp/x", headers=headers).status


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    home = tmp_path_factory.mktemp("home")
    with (
        served(hello) as upstream,
        issuing_process(home, upstream) as gate,
        served(hello) as here,
        tab(tmp_path_factory.mktemp("browser")) as page,
    ):
        yield Visit(gate, page, f"{here}/callback")


def test_a_browser_works_for_a_code_once_it_is_told_to(visit: Visit) -> None:
    client = visit.open()
    visit.page.wait_for(f"!{SOLVE}.closest('p').hidden")
    assert visit.page.value(STATE) == ""
    visit.page.value(f"{SOLVE}.click()")
    token = visit.token(client)
    assert [visit.call(token) for _ in range(4)] == [200, 200, 200, 402]
    assert visit.page.complaints == []


def test_without_scripts_the_page_says_how_and_takes_what_comes_of_it(visit: Visit) -> None:
    visit.open(script=False)
    text = visit.page.value("document.body.textContent")
    assert "enter the nonce that it prints:" in " ".join(text.split())
    assert "pypow solve --challenge " in text
    assert visit.page.value("document.getElementById('by-hand').open")
    assert visit.page.value("document.getElementById('solving').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_is_met_by_name(visit: Visit, scheme: str, width: int) -> None:
    visit.open(scheme=scheme, width=width)
    visit.page.wait_for(f"!{SOLVE}.closest('p').hidden")
    assert visit.page.value("document.documentElement.scrollWidth") <= width
    met = visit.page.accessible()
    assert ("heading", "Earn access") in met
    assert ("button", "Let this browser work for it") in met


def test_keys_alone_reach_the_button_and_begin_the_work(visit: Visit) -> None:
    client = visit.open()
    visit.page.wait_for(f"!{SOLVE}.closest('p').hidden")
    visit.page.press("Tab")
    assert visit.page.value("document.activeElement.id") == "solve"
    visit.page.press("Enter")
    assert visit.call(visit.token(client)) == 200
