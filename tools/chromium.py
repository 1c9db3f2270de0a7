"""A headless Chromium over its DevTools protocol: as much of it as tests and pictures of the playtest page need."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT_S = 30.0
# Longest wait for one answer of the browser; `until` says sooner what never came true.
MAX_WAIT_S = 600.0
_KEYS = {
    "Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowUp": (38, ""), "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""), "ArrowRight": (39, ""),
}  # fmt: skip
_MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}


def find_chromium() -> str | None:
    """The program: what CHROMIUM names, else one on the path; None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab. `chromium_page` opens it.

    Attributes:
        errors: What the page wrote to the console as errors or warnings, and what it threw.
        requests: Every address that it asked for.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._session: str | None = None

    def attach(self) -> None:
        """Open the tab and listen to it."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def resize(self, width: int, height: int, *, is_phone: bool = False, scale: float = 1) -> None:
        """Take another size, CSS pixels."""
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone
        )

    def go(self, address: str) -> None:
        """Load an address."""
        self._send("Page.navigate", url=address)
        self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})")

    def js(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it resolves to.

        Raises:
            RuntimeError: It threw.
        """
        answer = self._send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def until(self, expression: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until an expression is true.

        Raises:
            RuntimeError: It is not, in time.
        """
        look = f"() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }}"
        waiting = f"""new Promise((resolve) => {{
            const look = {look}, begun = performance.now();
            const step = () => look() ? resolve(true)
                : performance.now() - begun > {timeout_s * 1000} ? resolve(false) : setTimeout(step, 10);
            step();
        }})"""
        if not self.js(waiting):
            shown = self.js("document.body.innerText.slice(0, 1500)")
            raise RuntimeError(f"never true: {expression}\nerrors: {self.errors}\npage:\n{shown}")

    def click(self, selector: str) -> None:
        """Click an element as a script does, scrolled into sight."""
        self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            f" if (!e) throw new Error('nothing matches ' + {json.dumps(selector)});"
            " e.scrollIntoView({ block: 'nearest' }); e.click(); })()"
        )

    def focus(self, selector: str) -> None:
        """Put the keyboard's focus on an element."""
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Type where the focus is, as a paste does."""
        self._send("Input.insertText", text=text)

    def press(self, key: str, *modifiers: str) -> None:
        """Press and release a key."""
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
        fields: dict[str, Any] = {
            "key": key, "windowsVirtualKeyCode": code, "modifiers": sum(_MODIFIERS[one] for one in modifiers),
        }  # fmt: skip
        self._send("Input.dispatchKeyEvent", type="keyDown", **fields, **({"text": text} if text else {}))
        self._send("Input.dispatchKeyEvent", type="keyUp", **fields)

    def offline(self, is_offline: bool) -> None:
        """Cut the network, or give it back."""
        self._send(
            "Network.emulateNetworkConditions", offline=is_offline, latency=0, downloadThroughput=-1,
            uploadThroughput=-1,
        )  # fmt: skip

    def picture(self, path: Path) -> None:
        """Save what is shown as PNG."""
        shot = self._send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=MAX_WAIT_S))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, event: str, fields: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.errors.append(str(fields["exceptionDetails"].get("exception", fields["exceptionDetails"])))
        elif event == "Runtime.consoleAPICalled" and fields["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in fields["args"]))
        elif event == "Log.entryAdded" and fields["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{fields['entry']['text']} {fields['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            self.requests.append(fields["request"]["url"])


@contextmanager
def chromium_page(program: str) -> Iterator[Page]:
    """A tab of a browser of its own, without a profile; both are gone after the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        browser = subprocess.Popen([program, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert browser.stderr is not None
        try:
            address = next((line.split()[-1] for line in browser.stderr if "DevTools listening on" in line), None)
            if address is None:
                raise RuntimeError(f"{program} ended with {browser.wait()}")
            with connect(address, max_size=None, open_timeout=TIMEOUT_S) as socket:
                page = Page(socket)
                page.attach()
                yield page
        finally:
            browser.terminate()
            browser.wait()
            browser.stderr.close()
