"""The door: verified, stored, answered, and nothing more."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from keepstep.database import Inline
from keepstep.model.errors import Overloaded
from keepstep.schema.tables import delivery
from keepstep.web import Door, Sender, answers, build
from tests.wire.hands import HandChance, HandClock

SECRETS = {"acme-door": (b"acme secret", b"acme previous"), "other-door": (b"other secret",)}
BODY = b'{"event":"ContactUpdate","contact":{"id":1}}'


def signed(body: bytes = BODY, secret: bytes = b"acme secret", **headers: str) -> dict[str, str]:
    return {"x-signature": hmac.new(secret, body, hashlib.sha256).hexdigest(), **headers}


class House:
    """A door over a database in memory, and what a vendor sees of it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.db = Inline()
        self.looked_up: list[str] = []
        self.woken: list[str] = []
        self.busy = False
        self.account: str | None = None
        self.door = Door(
            lookup=self.lookup,
            signatures={"virtuous": lambda headers: [headers.get("x-signature", "")]},
            accounts={"virtuous": lambda body: json.loads(body).get("account")},
            db=self.db,
            clock=self.clock,
            chance=HandChance(),
            wake=self.wake,
        )

    async def lookup(self, platform: str, token: str) -> Sender | None:
        self.looked_up.append(token)
        if token not in SECRETS:
            return None
        return Sender(token.removesuffix("-door"), SECRETS[token], self.account)

    async def wake(self, customer_id: str) -> None:
        self.woken.append(customer_id)

    async def ask(
        self, path: str, headers: Mapping[str, str], *parts: bytes, method: str = "POST", ending: str = "whole"
    ) -> tuple[int, bytes, dict[bytes, bytes]]:
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": n + 1 < len(parts) or ending != "whole"}
            for n, part in enumerate(parts)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            if ending == "hangs up":
                return {"type": "http.disconnect"}
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await build(self.door)({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
        if not self.busy:
            await self.settle()
        return (sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])) if sent else (0, b"", {})

    async def settle(self) -> None:
        """Run what the door left for later."""
        while self.clock.spawned:
            await self.clock.spawned.pop(0)

    async def rows(self) -> list[Any]:
        return await self.db.run(lambda tx: list(tx.execute(select(delivery))))


def run(work: Callable[[House], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(work(House()), 20)

    asyncio.run(limited())


def test_a_signed_delivery_is_stored_raw_and_wakes_its_customer() -> None:
    async def work(house: House) -> None:
        headers = signed(**{"content-type": "text/plain", "cookie": "c", "authorization": "a", "x-api-key": "k"})
        status, _, _ = await house.ask("/hooks/virtuous/acme-door", headers, BODY[:10], BODY[10:])
        (row,) = await house.rows()
        assert status == 200 and house.woken == ["acme"]
        assert (row.customer_id, row.platform, row.body, row.state) == ("acme", "virtuous", BODY, "new")
        assert row.received == house.clock.at and set(row.headers) == {"content-type", "x-signature"}

    run(work)


def test_the_previous_secret_still_opens() -> None:
    async def work(house: House) -> None:
        assert (await house.ask("/hooks/virtuous/acme-door", signed(secret=b"acme previous"), BODY))[0] == 200

    run(work)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-signature": ""},
        {"x-signature": "garbage"},
        {"x-signature": "\xff"},
        signed(b"x"),
        signed(secret=b"other secret"),
    ],
)
def test_an_unsigned_or_foreign_delivery_gets_the_same_401_and_is_only_counted(headers: dict[str, str]) -> None:
    async def work(house: House) -> None:
        status, body, _ = await house.ask("/hooks/virtuous/acme-door", headers, BODY)
        assert (status, json.loads(body)) == (401, {"error": "unauthorized"})
        assert await house.rows() == [] and house.woken == [] and house.door.refused["acme", 401] == 1

    run(work)


@pytest.mark.parametrize(
    ("bound", "named", "status"),
    [("ours", "ours", 200), ("ours", None, 200), ("ours", "theirs", 401), (None, "theirs", 200)],
)
def test_a_signed_delivery_about_an_account_that_is_not_bound_here_is_refused(
    bound: str | None, named: str | None, status: int
) -> None:
    async def work(house: House) -> None:
        house.account = bound
        body = json.dumps({"account": named}).encode()
        assert (await house.ask("/hooks/virtuous/acme-door", signed(body), body))[0] == status
        assert len(await house.rows()) == (status == 200)
        assert house.door.refused["acme", 401] == (status == 401)

    run(work)


def test_an_unsigned_body_is_never_parsed() -> None:
    async def work(house: House) -> None:
        house.account = "ours"
        assert (await house.ask("/hooks/virtuous/acme-door", signed(b"x"), b"{no json"))[0] == 401

    run(work)


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/virtuous/unknown",
        "/hooks/mailchimp/acme-door",
        "/hooks/virtuous/",
        "/hooks/virtuous/acme-door/x",
        "/hooks/virtuous/acme\x00door",
        "/hooks/virtuous/" + "a" * 5000,
        "/clock",
        "/",
        "",
    ],
)
def test_every_unknown_door_gets_the_same_404(path: str) -> None:
    async def work(house: House) -> None:
        status, body, _ = await house.ask(path, signed(), BODY)
        assert (status, json.loads(body)) == (404, {"error": "not_found"})

    run(work)


def test_a_door_is_looked_up_once_a_minute_known_or_not() -> None:
    async def work(house: House) -> None:
        for token in ("acme-door", "unknown"):
            for _ in range(3):
                await house.ask(f"/hooks/virtuous/{token}", signed(), BODY)
        assert house.looked_up == ["acme-door", "unknown"]
        house.clock.at += 61
        await house.ask("/hooks/virtuous/acme-door", signed(), BODY)
        assert house.looked_up == ["acme-door", "unknown", "acme-door"]

    run(work)


@pytest.mark.parametrize("length", ["5242881", "9" * 5000, "x"])
def test_a_body_over_5_mb_is_refused_while_it_comes(length: str) -> None:
    async def work(house: House) -> None:
        megabyte = b"x" * 1024 * 1024
        status, _, headers = await house.ask(
            "/hooks/virtuous/acme-door", {"content-length": length}, *[megabyte] * 6, ending="hangs"
        )
        assert status == 413 and headers[b"connection"] == b"close"

    run(work)


def test_a_body_of_exactly_5_mb_is_taken() -> None:
    async def work(house: House) -> None:
        body = b"x" * 5 * 1024 * 1024
        assert (await house.ask("/hooks/virtuous/acme-door", signed(body), body))[0] == 200

    run(work)


def test_a_body_that_does_not_come_whole_in_time_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REQUEST_SECONDS", 0.05)

    async def work(house: House) -> None:
        assert (await house.ask("/hooks/virtuous/acme-door", signed(), BODY[:5], ending="hangs"))[0] == 408
        assert await house.rows() == []

    run(work)


def test_a_sender_that_hangs_up_is_not_answered_and_nothing_is_stored() -> None:
    async def work(house: House) -> None:
        assert (await house.ask("/hooks/virtuous/acme-door", signed(), BODY, ending="hangs up"))[0] == 0
        assert await house.rows() == []

    run(work)


@pytest.mark.parametrize("error", [Overloaded("2,000 rows wait"), OSError("disk full")])
def test_what_cannot_be_stored_is_not_accepted(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        async def append(_table: Any, _row: Any) -> None:
            raise error

        monkeypatch.setattr(house.db, "append", append)
        status, _, headers = await house.ask("/hooks/virtuous/acme-door", signed(), BODY)
        assert status == 503 and headers[b"retry-after"] == b"5" and house.woken == []

    run(work)


def test_a_failed_wake_up_does_not_lose_the_delivery() -> None:
    async def work(house: House) -> None:
        async def wake(_customer_id: str) -> None:
            raise OSError("database away")

        house.door.wake = wake
        assert (await house.ask("/hooks/virtuous/acme-door", signed(), BODY))[0] == 200
        assert len(await house.rows()) == 1

    run(work)


def test_a_burst_wakes_once_and_the_next_burst_again() -> None:
    async def work(house: House) -> None:
        house.busy = True
        for _ in range(2):
            for _ in range(5):
                assert (await house.ask("/hooks/virtuous/acme-door", signed(), BODY))[0] == 200
            await house.settle()
        assert len(await house.rows()) == 10 and house.woken == ["acme", "acme"]

    run(work)


HOSTILE = [
    b"",
    b"[" * 100_000,
    b"{" * 5,
    b"\x00",
    b"\xff\xfe",
    b'{"a":' + b"9" * 5000 + b"}",
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"NaN",
]


@pytest.mark.parametrize("body", HOSTILE)
def test_a_hostile_but_signed_body_is_stored_unread(body: bytes) -> None:
    async def work(house: House) -> None:
        assert (await house.ask("/hooks/virtuous/acme-door", signed(body), body))[0] == 200
        assert (await house.rows())[0].body == body

    run(work)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    method=st.sampled_from(["POST", "GET", "PUT", "HEAD", "BREW", ""]),
    path=st.one_of(
        st.text(max_size=40), st.builds("/hooks/virtuous/{}".format, st.sampled_from(["acme-door", "x", "é"]))
    ),
    headers=st.dictionaries(
        st.text(st.characters(max_codepoint=255), max_size=20), st.text(st.characters(max_codepoint=255)), max_size=4
    ),
    body=st.binary(max_size=200),
)
def test_no_input_is_a_5xx_and_nothing_unsigned_is_stored(
    method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    async def work(house: House) -> None:
        status, _, _ = await house.ask(path, headers, body, method=method)
        assert 200 <= status < 500 and await house.rows() == []

    run(work)


def test_health_and_ready_answer() -> None:
    async def work(house: House) -> None:
        assert (await house.ask("/health", {}, b"", method="GET"))[0] == 200
        assert (await house.ask("/ready", {}, b"", method="GET"))[0] == 200

        async def not_yet() -> bool:
            return False

        house.door.ready = not_yet
        assert (await house.ask("/ready", {}, b"", method="GET"))[0] == 503
        assert (await house.ask("/hooks/virtuous/acme-door", {}, b"", method="GET"))[0] == 405

    run(work)


def test_in_virtual_time_the_clock_is_set_from_outside_and_answers_when_idle() -> None:
    async def work(house: House) -> None:
        async def advance(now: float) -> float | None:
            house.clock.at = now
            return now + 60

        house.door.advance = advance
        status, body, _ = await house.ask("/clock", {}, b'{"now": 2000000}')
        assert (status, json.loads(body)) == (200, {"now": 2000000.0, "next_due": 2000060.0})
        for wrong in (b"", b"[]", b"{}", b'{"now":"x"}', b'{"now":1e999}', b"[" * 900):
            assert (await house.ask("/clock", {}, wrong))[0] == 400
        assert house.clock.at == 2000000

    run(work)
