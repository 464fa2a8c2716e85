"""A headless Chromium and the few words of its DevTools protocol by which a test sees a page and presses its keys.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.harness import DEADLINE
from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
KEYS = {" ": "Space"}
"""Codes of keys that are not called like what they type."""

needed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


class Page:
    """A page that was loaded. `complaints` are its exceptions, and whatever its console was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._session = ""
        self._reading = asyncio.create_task(self._read())

    async def begin(self) -> None:
        """Take a tab."""
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")

    async def show(self, url: str, width: int = 1400, height: int = 900, *, dark: bool = False) -> None:
        """Load a page in a window of a size, in light or dark."""
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded.clear()
        await self._call("Page.navigate", url=url)
        async with asyncio.timeout(DEADLINE):
            await self._loaded.wait()

    async def tell(self, script: str) -> Any:
        """What an expression is in the page; a promise is waited for."""
        told = await self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true in the page, looked at with every picture that it draws."""
        again = f"({script}) ? done(true) : requestAnimationFrame(look)"
        return await self.tell(f"new Promise(done => {{ const look = () => {again}; look() }})")

    async def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = KEYS.get(key, key)
        text = {"text": key} if len(key) == 1 else {}
        await self._call("Input.dispatchKeyEvent", type="keyDown", key=key, code=code, **text)
        await self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code)

    async def click(self, x: float, y: float) -> None:
        """Click where the window has a place."""
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def picture(self) -> bytes:
        """What the window shows, as a PNG."""
        shot = await self._call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = len(self._answers) + 1
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(DEADLINE):
            answer = await self._answers[number]
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        async for wire in self._socket:
            message = json.loads(wire)
            if "id" in message:
                self._answers[message["id"]].set_result(message)
                continue
            params = message["params"]
            match message["method"]:
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(params["exceptionDetails"]))
                case "Log.entryAdded":
                    self.complaints.append(str(params["entry"]))
                case "Runtime.consoleAPICalled":
                    self.complaints.append(str(params["args"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A Chromium with an empty profile, and a page in it."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(DEADLINE):
            found = None
            while found is None:
                found = re.search(r"DevTools listening on (ws://\S+)", (await process.stderr.readline()).decode())
        draining = asyncio.create_task(process.stderr.read())
        async with connect(found[1], max_size=None, compression=None) as socket:
            page = Page(socket)
            await page.begin()
            yield page
            await page.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await draining
