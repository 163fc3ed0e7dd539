"""The HTTP port against a real server on loopback."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from keepstep.model.errors import Misconfigured, Transient, Unanswered
from keepstep.ports import HttpAnswer
from keepstep.wire.http import AiohttpHttp

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Left: 1\r\nx-left: 2\r\n\r\nok"


async def exchange(
    serve: Serve, use: Callable[[AiohttpHttp, str], Awaitable[HttpAnswer]]
) -> tuple[HttpAnswer, list[bytes]]:
    """One server that reads request heads and lets `serve` answer; the answer and every head it saw."""
    heads: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                await serve(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    http = AiohttpHttp([url + "/v3"], most_answer=1_000)
    try:
        return await use(http, url), heads
    finally:
        await http.close()
        server.close()
        await server.wait_closed()


def run(serve: Serve, use: Callable[[AiohttpHttp, str], Awaitable[HttpAnswer]]) -> tuple[HttpAnswer, list[bytes]]:
    return asyncio.run(asyncio.wait_for(exchange(serve, use), 20))


async def fine(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def hang_up(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_an_answer_has_lower_case_headers_and_the_whole_body() -> None:
    answer, _ = run(fine, lambda http, url: http("GET", url + "/v3/contacts", {}))
    assert (answer.status, answer.body, answer.headers["x-left"]) == (200, b"ok", "1, 2")


def test_a_quoted_url_goes_out_as_it_is() -> None:
    """CC facts 1: a + must stay %2B."""
    _, heads = run(fine, lambda http, url: http("GET", url + "/v3/contacts?email=a%2Bb%40example.org", {}))
    assert b"GET /v3/contacts?email=a%2Bb%40example.org HTTP/1.1" in heads[0]


def test_redirects_are_answers() -> None:
    async def moved(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    answer, heads = run(moved, lambda http, url: http("GET", url, {}))
    assert answer.status == 302 and len(heads) == 1


def test_a_refused_connection_is_transient_and_was_not_sent() -> None:
    async def closed() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await server.wait_closed()
        http = AiohttpHttp([url])
        with pytest.raises(Transient) as caught:
            await http("POST", url, {}, b"{}")
        assert not isinstance(caught.value, Unanswered)
        await http.close()

    asyncio.run(closed())


def test_a_reset_after_sending_is_unanswered() -> None:
    with pytest.raises(Unanswered):
        run(hang_up, lambda http, url: http("POST", url, {}, b"{}"))


def test_a_put_on_a_broken_kept_connection_is_not_repeated() -> None:
    """aiohttp would send it again by itself; whether it took effect is for the caller to find out."""
    puts: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"GET"):
            writer.write(OK)
        else:
            puts.append(head)
            writer.close()

    async def use(http: AiohttpHttp, url: str) -> HttpAnswer:
        await http("GET", url, {})
        return await http("PUT", url, {}, b"{}")

    with pytest.raises(Unanswered):
        run(serve, use)
    assert len(puts) == 1


def test_a_late_answer_is_unanswered() -> None:
    async def late(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    with pytest.raises(Unanswered):
        run(late, lambda http, url: http("POST", url, {}, b"{}", 3.0))


def test_an_endless_answer_is_cut_off() -> None:
    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2_000)

    with pytest.raises(Unanswered, match="larger"):
        run(endless, lambda http, url: http("GET", url, {}))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "https://127.0.0.1/", "http://example.org/", "file:///etc/passwd", "/v3", "http://[", ""],
)
def test_no_host_but_the_settings_hosts_is_called(url: str) -> None:
    async def use(http: AiohttpHttp, _base: str) -> HttpAnswer:
        return await http("GET", url, {"authorization": "Bearer canary"})

    with pytest.raises(Misconfigured) as caught:
        run(fine, use)
    assert "canary" not in str(caught.value)


def test_a_credential_with_a_line_break_is_not_sent_and_not_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        run(fine, lambda http, url: http("GET", url, {"authorization": "Bearer canary\r\nx: y"}))
    assert "canary" not in str(caught.value)
