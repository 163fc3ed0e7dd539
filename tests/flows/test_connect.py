"""Connecting real accounts: service and stand-ins as processes, a browser that knows forms, and a real one."""

import asyncio
import io
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flows.beside import Place, played, serving, until
from tests.flows.chromium import PROGRAM, Chromium, chromium

SETTINGS = """
[service]
database = "sqlite:///{home}/keepstep.db"
key_file = "{home}/keepstep.key"
listen = "127.0.0.1:{port}"
[platforms.constant_contact]
base_url = "{constant_contact}/v3"
auth_url = "{constant_contact_auth}"
[platforms.virtuous]
base_url = "{virtuous}"
[customers.acme]
name = "Acme"
[customers.by-password]
name = "By password"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("connect"), SETTINGS) as there:
        yield there


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
        assert "This browser began no connection" in await other.submit(account=accounts[0], decision="allow")
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


def test_a_code_is_typed_in_elsewhere(place: Place, accounts: list[str]) -> None:
    arguments = ["connect", "constant_contact", "--customer", "acme", "--device", "--json"]
    told = io.StringIO()

    async def typed() -> None:
        where, code = re.findall(r"open (\S+)\nand type in the code (\S+)", told.getvalue())[0]
        async with aiohttp.ClientSession() as http:
            form = {"user_code": code.lower(), "account": accounts[0], "decision": "allow"}
            async with http.post(where.partition("?")[0], data=form) as answer:
                assert answer.status == 200

    with ThreadPoolExecutor(1) as thread:
        given = ["-c", str(place.home / "keepstep.toml"), *arguments]
        waiting = thread.submit(played, given, "portal\nsecret\n", told)
        until(lambda: "type in the code" in told.getvalue())
        asyncio.run(typed())
        code, output = waiting.result(60)
    assert code == 0, told.getvalue()
    assert json.loads(output)["account"] == accounts[0]


def test_a_user_signs_in_with_a_second_factor(place: Place) -> None:
    """Virtuous facts 3. The password is used once; what renews itself is stored."""
    organization = place.ports["credentials"]["virtuous"]["organization"]
    user = {"organization": organization, "username": "ana@example.org", "password": "p&ss w=rd", "otp": "123456"}
    asyncio.run(place.act("virtuous", "add_user", **user))
    asked = ("connect", "virtuous", "--customer", "by-password", "--password")
    place.keepstep(*asked, said="ana@example.org\nwrong\n", code=2)
    done = place.keepstep(*asked, said="ana@example.org\np&ss w=rd\n123456\n")
    assert done["state"] == "connected"
    stored = place.keepstep("customer", "show", "by-password")["stored"]
    assert "virtuous.refresh_token" in stored and "virtuous.password" not in stored


@pytest.mark.skipif(PROGRAM is None, reason="no chromium on this machine: apt-get install chromium")
def test_a_real_browser_connects_denies_and_is_refused_for_another_account(
    place: Place, accounts: list[str], tmp_path: Path
) -> None:
    shots = Path(os.environ.get("KEEPSTEP_SCREENSHOTS") or tmp_path)

    async def work() -> None:
        async with chromium() as page:
            assert "Nothing was connected" in await _walked(
                place, page, accounts[0], "deny", "not given", shots / "denied"
            )
            assert accounts[0] in await _walked(place, page, accounts[0], "allow", "is connected", shots / "connected")
            assert place.keepstep("customer", "show", "acme")["connections"]["constant_contact"] == "ok"
            held = [one["name"] for one in await page.cookies()]
            assert "keepstep_connect" not in held, "the session outlived its connection"
            said = await _walked(place, page, accounts[1], "allow", "another account", shots / "another")
            assert "Nothing was connected" in said
            assert place.keepstep("customer", "show", "acme")["connections"]["constant_contact"] == "ok"

    asyncio.run(asyncio.wait_for(work(), 300))


async def _walked(place: Place, page: Chromium, account: str, decision: str, ends: str, shot: Path) -> str:
    """Every page by clicks; the text of the last one."""
    begun = place.keepstep("connect", "constant_contact", "--customer", "acme", "--no-wait", said="portal\nsecret\n")
    await page.get(begun["url"])
    await page.shows("Connect Constant Contact for acme")
    await _kept(page, shot.with_name("begin"))
    await page.click("button")
    await page.shows("portal wants access")
    await _kept(page, shot.with_name("consent"))
    held = next(one for one in await page.cookies() if one["name"] == "keepstep_connect")
    assert (held["httpOnly"], held["sameSite"], held["path"]) == (True, "Lax", "/connect")
    await page.choose("select", account)
    await page.click(f"button[value={decision}]")
    text = await page.shows(ends)
    await _kept(page, shot)
    return text


async def _kept(page: Chromium, path: Path) -> None:
    """KEEPSTEP_SCREENSHOTS names a folder for whoever wants to look at the pages."""
    await asyncio.to_thread(path.with_suffix(".png").write_bytes, await page.shot())
