"""How a customer's tables are opened, and what a doctor says of them."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keepstep.connectors import discover
from keepstep.database import Inline
from keepstep.database.aside import Aside
from keepstep.desk import Desk
from keepstep.model.customer import Route
from keepstep.model.errors import Blocked
from keepstep.model.feed import Feed
from keepstep.state.labels import Label
from keepstep.state.vault import Secret, Vault
from keepstep.wiring.feeds_check import looks
from keepstep.wiring.tables import Tables
from tests.connectors.sql_table.certificates import authority
from tests.connectors.sql_table.world import opened, sqlite

CORRECT = "correct the feed's settings, then restart the service"


def test_a_table_stays_open_until_its_password_is_another_one() -> None:
    async def story() -> None:
        db = Inline()
        vault = Vault({"k": bytes(32)}, "k", bytes)
        tables = Tables(discover())
        feed = Feed(name="news", database="mysql://reader@db.example.org/shop", table="t", key="id", changed="c")
        route = Route(customer_id="acme", feeds={"news": feed})

        async def table() -> object:
            return tables.of(route, await db.run(vault.drawer, "acme"))["news"]

        first = await table()
        assert await table() is first
        await db.run(vault.put, "acme", "sql_table", "news", Secret("s3cret"), 0.0)
        second = await table()
        assert second is not first
        assert await table() is second
        assert "s3cret" not in f"{tables!r} {second!r} {vars(second)!r}"
        await db.close()

    asyncio.run(story())


def test_a_doctor_says_what_is_wrong_with_each_feed(tmp_path: Path) -> None:
    with sqlite(str(tmp_path / "shop.db")) as shop:
        shop.table("id INTEGER PRIMARY KEY, email TEXT", {"id": 1, "email": "ann@example.org"})
        good, bad = shop.feed(new_rows_only=True), shop.feed(new_rows_only=True, key="idd")
    route = Route(customer_id="acme", feeds={"bad": bad, "gone": good, "good": good})
    tables = {"bad": opened(bad), "good": opened(good), "gone": SimpleNamespace(check=refuse)}
    there = [Label(str(number), name) for number, name in enumerate(good.lists)]
    db = SimpleNamespace(run=lambda *_: asyncio.sleep(0, there))
    desk = cast(Desk, SimpleNamespace(route=route, tables=tables, customer_id="acme", db=db))

    async def look() -> list[tuple[Any, ...]]:
        return [(platform, name, *await one(desk)) for platform, name, one in looks(desk)]

    assert asyncio.run(look()) == [
        ("sql_table", "feed bad", "person", "there is no column idd; did you mean id?", CORRECT),
        ("sql_table", "feed gone", "person", "refused", "keepstep feed connect gone --customer acme"),
        ("sql_table", "feed good", "ok", "can be read", ""),
    ]


async def refuse() -> list[str]:
    raise Blocked("credential", "refused")


def test_a_thread_is_there_while_there_is_work_and_lets_go_of_everything() -> None:
    rested: list[str] = []
    over = threading.Event()

    def name() -> str:
        return threading.current_thread().name

    def rest() -> None:
        rested.append(name())
        over.set()

    async def story() -> None:
        aside = Aside(rest, idle=0.05)
        assert await aside.run(name) == "sql-aside"
        with pytest.raises(KeyError):
            await aside.run(dict[str, str]().__getitem__, "x")
        assert await asyncio.to_thread(over.wait, 10)
        assert await aside.run(lambda: "again") == "again"
        await aside.close()

    asyncio.run(asyncio.wait_for(story(), 20))
    assert set(rested) == {"sql-aside"} and len(rested) >= 2


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.database.guests.is_here", lambda host: False)
    heard: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=impostor, args=(scheme, listening, authority(tmp_path), heard))
        server.start()
        url = f"{scheme}://me@127.0.0.1:{listening.getsockname()[1]}/shop"
        feed = Feed(name="news", database=url, table="t", key="id", changed="c")
        with pytest.raises(Blocked) as blocked:
            asyncio.run(opened(feed, "s3cret").read(None, None, 1))
        server.join(10)
    assert blocked.value.reason == "tls"
    assert heard == ["refused"]


def impostor(scheme: str, listening: socket.socket, certificate: Path, heard: list[object]) -> None:
    """Speaks as a database does, up to TLS, with a certificate of its own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.parent / "key.pem")
    talking, _ = listening.accept()
    talking.settimeout(5)
    with talking:
        if scheme == "mysql":
            talking.sendall(GREETING)
            talking.recv(36)
        else:
            talking.recv(8)
            talking.sendall(b"S")
        try:
            with context.wrap_socket(talking, server_side=True) as secret:
                heard.append(secret.recv(1000))
        except OSError:
            heard.append("refused")


# MySQL's first packet: protocol 10, version, thread, salt, capabilities with TLS, utf8mb4, status, more salt, plugin.
_SAID = b"\x0a8.0.0\0" + bytes(4) + b"s" * 8 + b"\0\x00\xae\x2d\x02\0\x08\0\x15" + bytes(10) + b"s" * 12 + b"\0"
_SAID += b"mysql_native_password\0"
GREETING = len(_SAID).to_bytes(3, "little") + b"\0" + _SAID
