"""A real browser, driven over its own protocol (CDP): Debian's chromium without a window and with scripts forbidden."""

import asyncio
import base64
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=900,700",
)
_SECONDS = 90


class Chromium:
    """One page of one browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._asked = socket, 0

    async def ask(self, method: str, **params: Any) -> Any:
        """One command of the protocol; events in between are passed over."""
        self._asked += 1
        await self._socket.send_json({"id": self._asked, "method": method, "params": params})
        while True:
            said = await self._socket.receive_json(timeout=_SECONDS)
            if said.get("id") == self._asked:
                assert "error" not in said, said
                return said["result"]

    async def get(self, url: str) -> str:
        """Go there; the text of the page."""
        await self.ask("Page.navigate", url=url)
        return await self.shows("")

    async def shows(self, words: str) -> str:
        """Wait for a whole page with these words; its text."""
        text = ""
        async with asyncio.timeout(_SECONDS):
            while True:
                with contextlib.suppress(AssertionError):  # the page went away while it was asked
                    ready = await self.value("document.readyState")
                    text = await self.value("document.body ? document.body.innerText : ''")
                    if ready == "complete" and text and words in text:
                        return str(text)
                await asyncio.sleep(0.1)

    async def value(self, expression: str) -> Any:
        """What an expression comes to in the page."""
        return (await self.ask("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def click(self, selector: str) -> None:
        """As a person does it, where the thing is."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = await self.value(f"{box}.x + {box}.width / 2"), await self.value(f"{box}.y + {box}.height / 2")
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def choose(self, selector: str, value: str) -> None:
        """An option of a select."""
        await self.value(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")

    async def cookies(self) -> list[dict[str, Any]]:
        """All that the browser holds."""
        return list((await self.ask("Storage.getCookies"))["cookies"])

    async def shot(self) -> bytes:
        """The page as a picture (PNG)."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """A browser with a profile of its own for the length of a block."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as http:
                async with http.put(f"http://{await _address(process)}/json/new?about:blank") as answer:
                    where = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                async with http.ws_connect(where, max_msg_size=0) as socket:
                    page = Chromium(socket)
                    await page.ask("Page.enable")
                    await page.ask("Emulation.setScriptExecutionDisabled", value=True)
                    yield page
        finally:
            process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(_SECONDS):
        async for line in process.stderr:
            if b"DevTools listening on ws://" in line:
                return line.decode().split("ws://")[1].split("/")[0]
    raise AssertionError("the browser did not begin")
