# SPDX-License-Identifier: Apache-2.0
"""The page on which a person works for a device, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from pypow_server.scope import Receive, Scope, Send
from support.browser import CHROMIUM, Tab, tab
from support.gate_process import GateProcess
from support.issuing import FORM, issuing_process
from support.plain_http import Response, ask
from support.serving import served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: chromium)"
)
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SOLVE = "document.getElementById('solve')"
HEADING = "document.querySelector('h1')?.textContent"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"earned"})


@dataclass(frozen=True)
class Device:
    """Shows a code, and waits."""

    gate: GateProcess
    page: Tab

    def post(self, path: str, said: dict[str, str]) -> Response:
        headers = {"Content-Type": FORM.decode()}
        body = urlencode(said).encode()
        return ask(f"{self.gate.url}{path}", method="POST", headers=headers, body=body)

    def begin(self) -> dict[str, Any]:
        told: dict[str, Any] = self.post(
            "/oauth/device_authorization", {"client_id": "television"}
        ).json
        self.page.look(width=1280, height=844, scheme="light", script=True)
        self.page.complaints.clear()
        return told

    def status(self, told: dict[str, Any]) -> int:
        """Of a call with the token that it gets."""
        said = {
            "grant_type": DEVICE_CODE,
            "client_id": "television",
            "device_code": told["device_code"],
        }
        answer = self.post("/oauth/token", said)
        assert answer.status == 200, answer.body
        headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
        return ask(f"{self.gate.url}/mcp/x", headers=headers).status

    def work(self) -> None:
        self.page.wait_for(f"{SOLVE} && !{SOLVE}.closest('p').hidden")
        self.page.value(f"{SOLVE}.click()")
        self.page.wait_for(f"{HEADING} === 'Done'")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    home = tmp_path_factory.mktemp("home")
    with (
        served(hello) as upstream,
        issuing_process(home, upstream) as gate,
        tab(tmp_path_factory.mktemp("browser")) as page,
    ):
        yield Device(gate, page)


def test_a_person_types_the_code_and_lets_the_browser_work(device: Device) -> None:
    told = device.begin()
    device.page.show(told["verification_uri"])
    device.page.value(f"document.querySelector('input').value = '{told['user_code'].lower()}'")
    device.page.value("document.querySelector('button').click()")
    device.work()
    assert device.status(told) == 200
    assert device.page.complaints == []


def test_a_person_who_followed_a_link_is_shown_the_code_to_compare(device: Device) -> None:
    told = device.begin()
    device.page.show(told["verification_uri_complete"])
    device.page.wait_for(f"{SOLVE} && !{SOLVE}.closest('p').hidden")
    assert device.page.value("document.querySelector('strong').textContent") == told["user_code"]
    device.work()
    assert device.status(told) == 200


@pytest.mark.parametrize("width", [390, 1280])
def test_its_pages_fit_and_are_met_by_name(device: Device, width: int) -> None:
    told = device.begin()
    device.page.look(width=width, height=844, scheme="dark", script=True)
    for path, met in (
        ("verification_uri", ("button", "Go on")),
        ("verification_uri_complete", ("button", "Let this browser work for it")),
    ):
        device.page.show(told[path])
        device.page.wait_for(f"{HEADING} === 'Let a device in'")
        assert device.page.value("document.documentElement.scrollWidth") <= width
        assert met in device.page.accessible()
