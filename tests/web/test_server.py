"""The server on a real socket: F21."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keepstep.web import answers, build, listening, server
from tests.web.test_door import BODY, House, signed

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(work: Callable[[House, Callable[[], Awaitable[Client]]], Awaitable[None]]) -> None:
    async def served() -> None:
        house = House()
        async with listening(build(house.door), "127.0.0.1", 0) as port:
            await work(house, lambda: asyncio.open_connection("127.0.0.1", port))
        await house.settle()

    asyncio.run(asyncio.wait_for(served(), 20))


async def answer(client: Client) -> bytes:
    """Everything until the server closes."""
    reader, writer = client
    try:
        return await reader.read()
    finally:
        writer.close()


def head(path: str, headers: dict[str, str], length: int) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Length: {length}",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_delivery_over_a_socket_is_stored_before_it_is_answered() -> None:
    async def work(house: House, connect: Any) -> None:
        client = await connect()
        client[1].write(head("/hooks/virtuous/acme-door", signed(connection="close"), len(BODY)) + BODY)
        assert (await answer(client)).startswith(b"HTTP/1.1 200 ")
        assert len(await house.rows()) == 1

    run(work)


@pytest.mark.parametrize("start", [b"", b"POST /hooks", b"POST /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_do_not_come_are_not_waited_for(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.1)

    async def work(_house: House, connect: Any) -> None:
        client = await connect()
        client[1].write(start)
        assert await answer(client) == b""

    run(work)


def test_headers_of_a_second_request_are_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(server, "_KEEP_ALIVE_SECONDS", 60)

    async def work(_house: House, connect: Any) -> None:
        client = await connect()
        client[1].write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nX-Slow: ")
        assert (await answer(client)).count(b"HTTP/1.1 ") == 1

    run(work)


def test_a_slow_body_gets_408_and_an_honest_sender_beside_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REQUEST_SECONDS", 0.3)

    async def work(house: House, connect: Any) -> None:
        slow, honest = await connect(), await connect()
        slow[1].write(head("/hooks/virtuous/acme-door", signed(), 100) + b"x")
        honest[1].write(head("/hooks/virtuous/acme-door", signed(connection="close"), len(BODY)) + BODY)
        assert (await answer(honest)).startswith(b"HTTP/1.1 200 ")
        assert (await answer(slow)).startswith(b"HTTP/1.1 408 ")

    run(work)


def test_endless_headers_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 60)

    async def work(_house: House, connect: Any) -> None:
        client = await connect()
        client[1].write(b"GET /health HTTP/1.1\r\n")
        try:
            for n in range(200):
                client[1].write(f"X-{n}: {'x' * 4000}\r\n".encode())
                await client[1].drain()
                await asyncio.sleep(0)
            assert not (await answer(client)).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            client[1].close()

    run(work)


def test_a_taken_port_is_an_error_that_can_be_told() -> None:
    async def work(house: House, connect: Any) -> None:
        client = await connect()
        port = client[1].get_extra_info("peername")[1]
        client[1].close()
        with pytest.raises(OSError):
            async with listening(build(house.door), "127.0.0.1", port):
                pass

    run(work)
