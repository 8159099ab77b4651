"""Drives a headless Chromium over its debugging pipe: open a page, evaluate, click, resize, take a picture."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ANSWER_TIMEOUT_S = 30
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --hide-scrollbars "
    "--mute-audio --remote-debugging-pipe"
).split()


def chromium() -> str | None:
    """Path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One Chromium with one page. Use as a context manager; the process ends with it."""

    def __init__(self, *extra_flags: str) -> None:
        program = chromium()
        if program is None:
            raise FileNotFoundError("chromium")
        self._profile = tempfile.mkdtemp(prefix="hallseal-browser-")
        command_read, self._write_fd = os.pipe()
        self._read_fd, answer_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to 4: NUL-terminated JSON.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{command_read} 4>&{answer_write}', "chromium", program, *_FLAGS,
             *extra_flags, "--user-data-dir=" + self._profile, "about:blank"],
            pass_fds=(command_read, answer_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        self._number = 0
        self._buffer = b""
        self._origin = ""
        self.console: list[str] = []  # errors and warnings that the page has caused
        self._session = self._attach()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write_fd)
        os.close(self._read_fd)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to `url`; returns at once, wait for content with `wait`."""
        self._origin = "/".join(url.split("/")[:3])
        self._call("Page.navigate", url=url)

    def resize(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Set viewport (CSS pixels) and colour scheme."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        """Value (JSON) of a JavaScript expression. Raises RuntimeError when it throws."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"].get("exception", answer["exceptionDetails"])))
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Visible text of the first match; empty when there is none."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click the first match."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def wait(self, until: Callable[[], Any], timeout_s: float = 15) -> Any:
        """The first true value of `until()`. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = until()
            if value:
                return value
            time.sleep(0.05)
        raise TimeoutError("the page did not become what was waited for")

    def picture(self, path: Path, whole_page: bool = False) -> None:
        """Write a PNG of the viewport, or of the whole page."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _attach(self) -> str:
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        session = str(self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"])
        self._session = session
        for domain in ("Page", "Runtime", "Log"):
            self._call(domain + ".enable")
        return session

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(str(answer["error"]))
                return answer["result"]
            self._note(answer)
        raise TimeoutError(method)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            if entry["level"] in ("error", "warning") and not self._is_of_the_page_before(entry.get("url", "")):
                self.console.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.console.append("exception: " + json.dumps(event["params"]["exceptionDetails"])[:500])

    def _is_of_the_page_before(self, url: str) -> bool:
        """True for what an earlier page on another port of this machine was still loading when its server went."""
        return url.startswith(("http://127.0.0.1:", "https://127.0.0.1:")) and not url.startswith(self._origin + "/")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read_fd, 1 << 16)
            if not piece:
                raise ConnectionError("chromium has ended")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]
