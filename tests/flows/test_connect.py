"""Connecting real accounts: commands, service and stand-ins as processes, and a browser that knows forms."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest

SETTINGS = """
[service]
listen = "127.0.0.1:{port}"
[platforms.constant_contact]
base_url = "{constant_contact}/v3"
auth_url = "{constant_contact_auth}"
[platforms.virtuous]
base_url = "{virtuous}"
[customers.acme]
name = "Acme"
"""


class Place:
    """A folder with settings, the stand-ins and `keepstep serve` beside it."""

    def __init__(self, home: Path, port: int, ports: dict[str, Any]) -> None:
        self.home, self.port, self.ports = home, port, ports

    def keepstep(self, *arguments: str, said: str = "", code: int = 0) -> Any:
        """One command with --json."""
        done = subprocess.run(
            [sys.executable, "-m", "keepstep.cli", *arguments, "--json"],
            cwd=self.home,
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def act(self, vendor: str, name: str, **args: Any) -> Any:
        async with aiohttp.ClientSession() as http:
            body = {"vendor": vendor, "name": name, "args": args}
            async with http.post(f"{self.ports['control']}/act", json=body) as answer:
                assert answer.status == 200, await answer.text()
                return (await answer.json())["result"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = home / "ports.json"
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "keepstep_sandbox", "serve", "--ports-file", ports, "--clock", "wall"]
    )
    _until(ports.exists)
    found = json.loads(ports.read_text())
    (home / "keepstep.toml").write_text(SETTINGS.format(port=port, **found))
    subprocess.run([sys.executable, "-m", "keepstep.cli", "init", "--json"], cwd=home, check=True, capture_output=True)
    serving = subprocess.Popen([sys.executable, "-m", "keepstep.cli", "serve"], cwd=home, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _open(port))
        yield Place(home, port, found)
    finally:
        for process in (serving, sandbox):
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _until(true: Any) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not begin")


def _open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


class Browser:
    """Cookies, redirects, and the first form of a page."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.url, self.text, self.status = "", "", 0

    async def get(self, url: str) -> str:
        async with self.http.get(url) as answer:
            self.url, self.text, self.status = str(answer.url), await answer.text(), answer.status
        return self.text

    async def submit(self, **chosen: str) -> str:
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.text)
        values = {unescape(name): unescape(value) for name, value in fields} | chosen
        async with self.http.post(self.url, data=values) as answer:
            self.url, self.text, self.status = str(answer.url), await answer.text(), answer.status
        return self.text


async def connected(place: Place, browser: Browser, account: str, decision: str = "allow") -> str:
    """Walk the pages to their end; the last one."""
    begun = place.keepstep("connect", "constant_contact", "--customer", "acme", "--no-wait", said="portal\nsecret\n")
    await browser.get(begun["url"])
    assert "Connect Constant Contact for acme" in browser.text
    await browser.submit()
    assert "portal wants access" in browser.text
    return await browser.submit(account=account, decision=decision)


@pytest.fixture(scope="module")
def accounts(place: Place) -> list[str]:
    async def made() -> list[str]:
        back = [f"http://127.0.0.1:{place.port}/connect/callback"]
        await place.act("constant_contact", "register_app", client_id="portal", client_secret="secret", redirects=back)
        await place.act("constant_contact", "register_app", client_id="public", client_secret="", redirects=back)
        for name in ("their-own", "another"):
            await place.act("constant_contact", "add_account", account_id=name, client_id="old", client_secret="x")
        return ["their-own", "another"]

    return asyncio.run(made())


def walk(work: Any) -> None:
    async def done() -> None:
        browser = Browser()
        try:
            await work(browser)
        finally:
            await browser.http.close()

    asyncio.run(asyncio.wait_for(done(), 60))


def test_an_account_is_connected_in_a_browser_and_another_one_is_refused_then(
    place: Place, accounts: list[str]
) -> None:
    async def work(browser: Browser) -> None:
        assert "Nothing was connected" in await connected(place, browser, accounts[0], "deny")
        assert "is connected for acme" in await connected(place, browser, accounts[0])
        shown = place.keepstep("customer", "show", "acme")
        assert shown["connections"]["constant_contact"] == "ok"
        assert "constant_contact.refresh_token" in shown["stored"]
        assert "another account" in await connected(place, browser, accounts[1])
        assert place.keepstep("customer", "show", "acme")["connections"]["constant_contact"] == "ok"
        assert "is connected for acme" in await connected(place, browser, accounts[0])

    walk(work)


def test_what_one_browser_began_no_other_one_finishes(place: Place, accounts: list[str]) -> None:
    async def work(browser: Browser) -> None:
        begun = place.keepstep(
            "connect", "constant_contact", "--customer", "acme", "--no-wait", said="portal\nsecret\n"
        )
        await browser.get(begun["url"])
        await browser.submit()
        other = Browser()
        other.url, other.text = browser.url, browser.text
        assert "this browser began no connection" in await other.submit(account=accounts[0], decision="allow")
        await other.http.close()

    walk(work)


def test_links_that_are_over_guessed_or_nobodys_tell_nothing(place: Place, accounts: list[str]) -> None:
    async def work(browser: Browser) -> None:
        base = f"http://127.0.0.1:{place.port}/connect"
        for path in (
            "acme/constant_contact/guess",
            "nobody/constant_contact/x",
            "acme/virtuous/x",
            "acme/nothing/x",
            "callback?state=a.b.c&code=x",
            "callback",
        ):
            await browser.get(f"{base}/{path}")
            assert browser.status in (400, 404) and "Nothing was connected" in browser.text, path

    walk(work)


def test_a_key_is_checked_before_it_is_stored(place: Place) -> None:
    key = place.ports["credentials"]["virtuous"]["api_key"]
    done = place.keepstep("connect", "virtuous", "--customer", "acme", said=f"{key}\n")
    assert done["state"] == "connected"
    place.keepstep("connect", "virtuous", "--customer", "acme", said="wrong\n", code=2)
    assert "virtuous.api_key" in place.keepstep("customer", "show", "acme")["stored"]
