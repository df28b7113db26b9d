# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven over its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .waiting import PATIENCE_S, wait_for

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


class Tab:
    """One page.

    Attributes:
        complaints: what the page logged, threw, or was refused by its content security policy.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def show(self, url: str) -> None:
        """Go there, and wait until all is loaded."""
        self._ask("Page.navigate", url=url)
        there = f"location.href === {json.dumps(url)} && document.readyState === 'complete'"
        self.wait_for(there)

    def wait_for(self, expression: str) -> None:
        """Returns when a JavaScript expression is true in the page, or in the one that follows."""

        def is_true() -> bool:
            try:
                return self.value(expression) is True
            except AssertionError:  # the page was left as it was asked, or is not whole yet
                return False

        wait_for(is_true, said=lambda: f"never: {expression}")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, such as ``Tab`` or ``Enter``."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **known, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **known)

    def look(self, *, width: int, height: int, scheme: str, script: bool = True) -> None:
        """Take a size in CSS pixels and a colour scheme, ``light`` or ``dark``."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self._ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self._ask("Emulation.setScriptExecutionDisabled", value=not script)

    def picture(self) -> bytes:
        """All of the page, as PNG."""
        shot = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader meets."""
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {} if self._session is None else {"sessionId": self._session}
        self._connection.send(
            json.dumps({"id": number, "method": method, "params": parameters, **session})
        )
        while True:
            message = json.loads(self._connection.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                assert "error" not in message, (method, message)
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A page in a browser of its own, whose files are in ``folder``."""
    announced = folder / "DevToolsActivePort"
    command = [str(CHROMIUM), *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(
                lambda: announced.exists() and announced.read_text().count("\n") == 1,
                process=process,
            )
            port, path = announced.read_text().split()
            with connect(
                f"ws://127.0.0.1:{port}{path}", max_size=64 << 20, open_timeout=PATIENCE_S
            ) as connection:
                yield Tab(connection)
        finally:
            process.kill()
