"""Headless Chromium, driven by its DevTools protocol over two pipes: no library, no port."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WAIT_S = 60.0
"""A browser that does not do one thing within so long hangs."""
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root has none; it sees our own page only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def program() -> str | None:
    """Return where Chromium is."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class BrowserError(Exception):
    """The browser did not do what it was asked for, such as in a page that has just gone."""


class Browser:
    """One browser; `Tab` is a page in it."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._buffer = b""
        self._last = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._last += 1
        wanted = self._last
        message: dict[str, Any] = {"id": wanted, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + WAIT_S
        while wanted not in self._answers:
            self._take(until, method)
        answer = self._answers.pop(wanted)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _take(self, until: float, what: str) -> None:
        ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"the browser did not answer {what} in {WAIT_S:g} s"
        content = os.read(self._read, 1 << 16)
        assert content, "the browser has ended"
        *whole, self._buffer = (self._buffer + content).split(b"\0")
        for each in whole:
            message = json.loads(each)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)


class Tab:
    """One page."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._target, self._session = target, attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show the page in a window of that size, light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of this page."""
        return self._browser.send(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go to an address and wait until it is there."""
        self.send("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page, of a promise when it is fulfilled."""
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + WAIT_S
        while not self._is(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.05)

    def _is(self, expression: str) -> bool:
        with suppress(BrowserError):  # another page comes
            return bool(self.value(expression))
        return False

    def wait_for_problem(self, text: str) -> None:
        """Wait until the console has an error with that text."""
        until = time.monotonic() + WAIT_S
        while not any(text in each for each in self.problems()):
            assert time.monotonic() < until, f"no error with {text}: {self.problems()}"
            self.value("true")
            time.sleep(0.05)

    def press_tab(self) -> None:
        """Press the tabulator key and let it go."""
        key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, **key)

    def problems(self) -> list[str]:
        """Return what the console has of errors: exceptions, refused by policy, not found."""
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(str(params["args"]))
        return found

    def addresses(self) -> list[str]:
        """Return what the page asked for."""
        return [
            str(event["params"]["request"]["url"])
            for event in self._browser.events
            if event.get("sessionId") == self._session
            and event["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the whole page, or of what its window shows."""
        params: dict[str, Any] = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            params = {"captureBeyondViewport": True, "clip": clip}
        shot = self.send("Page.captureScreenshot", **params)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """Close it."""
        self._browser.send("Target.closeTarget", targetId=self._target)


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run a browser whose files are in a folder."""
    found = program()
    assert found, "Debian's chromium is not installed"
    (their_read, write), (read, their_write) = os.pipe(), os.pipe()
    command = f'exec "$@" 3<&{their_read} 4>&{their_write}'
    process = subprocess.Popen(
        ["bash", "-c", command, "bash", found, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(their_read, their_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(their_read)
    os.close(their_write)
    try:
        yield Browser(write, read)
    finally:
        os.close(write)
        os.close(read)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
