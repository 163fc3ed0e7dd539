"""Keeping Constant Contact's grant alive (CC facts 2.3, 2.4)."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from keepstep.database import Inline
from keepstep.model.errors import Blocked, Problem, Transient, Unanswered
from keepstep.ports import HttpAnswer, OAuth
from keepstep.state import customers
from keepstep.state.vault import Secret, Vault
from keepstep.tokens import EitherGrant, Endpoint, KeyGrant, OAuthGrant, start_over
from keepstep.wire.permits import SharedPermits
from tests.wire.hands import HandChance, HandClock

Answer = HttpAnswer | Exception


class Vendor:
    """A token endpoint: rotating grants like Constant Contact's, or answers that a test puts first."""

    def __init__(self, clock: HandClock, *first: Answer, rotating: bool = True, life: Any = 28800) -> None:
        self.clock, self.first, self.rotating, self.life = clock, list(first), rotating, life
        self.valid = "refresh-0"
        self.issued = 0
        self.seen: list[tuple[str, str, Mapping[str, str]]] = []
        self.times: list[float] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.seen.append((url, body.decode(), headers))
        self.times.append(self.clock.now())
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.first:
            answer = self.first.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if parse_qs(body.decode())["refresh_token"] != [self.valid]:
            return said(400, error="invalid_grant")
        self.issued += 1
        if self.rotating:
            self.valid = f"refresh-{self.issued}"
        return said(200, access_token=f"access-{self.issued}", refresh_token=self.valid, expires_in=self.life)


def said(status: int, **value: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(value).encode())


class World:
    """One customer with stored credentials; `grant()` makes another process' grant over the same store."""

    def __init__(self, *first: Answer, **vendor: Any) -> None:
        self.clock = HandClock()
        self.chance = HandChance()
        self.vendor = Vendor(self.clock, *first, **vendor)
        self.vault = Vault({"k": b"k" * 32}, "k", self.chance.token)
        self.db = Inline()

    @property
    def endpoint(self) -> Endpoint:
        """As every process has its own, over the one database."""
        permits = SharedPermits(self.db, self.clock, 1, 86_400)
        oauth = OAuth(exchange="/oauth2/default/v1/token")
        return Endpoint(oauth=oauth, url="https://auth.example.org/", http=self.vendor, key="k tokens", permits=permits)

    def grant(self, **changes: Any) -> OAuthGrant:
        given: dict[str, Any] = {
            "customer_id": "acme",
            "platform": "constant_contact",
            "endpoint": self.endpoint,
            "db": self.db,
            "vault": self.vault,
            "clock": self.clock,
            "chance": self.chance,
        }
        return OAuthGrant(**given | changes)

    async def store(self, **values: str) -> None:
        def put(tx: Any) -> None:
            for name, text in values.items():
                self.vault.put(tx, "acme", "constant_contact", name, Secret(text), 0.0)

        await self.db.run(put)

    async def stored(self, name: str) -> str | None:
        found = await self.db.run(self.vault.get, "acme", "constant_contact", name)
        return found.reveal() if found else None


class Waiting:
    """An endpoint whose turn comes as a test says."""

    def __init__(self, endpoint: Endpoint, turn: Any) -> None:
        self.oauth, self.send, self.turn = endpoint.oauth, endpoint.send, turn


def run(work: Callable[[World], Awaitable[None]], *first: Answer, **vendor: Any) -> None:
    async def prepared() -> None:
        world = World(*first, **vendor)
        await world.store(client_id="id", client_secret="sec:ret", refresh_token="refresh-0")
        await work(world)

    asyncio.run(asyncio.wait_for(prepared(), 20))


async def trouble(work: Awaitable[str]) -> Problem:
    try:
        await work
    except Problem as problem:
        return problem
    raise AssertionError("no problem was raised")


def test_the_first_token_comes_from_a_refresh_with_basic_auth_and_a_form_body() -> None:
    async def work(world: World) -> None:
        assert await world.grant().bearer() == "access-1"
        url, body, headers = world.vendor.seen[0]
        assert url == "https://auth.example.org/oauth2/default/v1/token"
        assert parse_qs(body) == {"grant_type": ["refresh_token"], "refresh_token": ["refresh-0"]}
        assert headers["authorization"] == "Basic " + base64.b64encode(b"id:sec:ret").decode()
        assert headers["content-type"] == "application/x-www-form-urlencoded"

    run(work)


def test_a_token_is_kept_for_other_calls_and_other_processes() -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        assert [await grant.bearer(), await grant.bearer(), await world.grant().bearer()] == ["access-1"] * 3
        assert world.vendor.issued == 1

    run(work)


def test_what_another_process_has_connected_is_used_from_the_next_turn_on() -> None:
    async def work(world: World) -> None:
        own = {"db": world.db, "vault": world.vault, "clock": world.clock}
        grant, key = world.grant(), KeyGrant(customer_id="acme", platform="constant_contact", **own)
        await world.store(api_key="key-1")
        assert [await grant.bearer(), await key.bearer()] == ["access-1", "key-1"]
        await world.store(access_token="theirs", api_key="key-2")
        for one in (grant, key):
            await world.db.run(lambda tx, one=one: one.look(tx, world.vault.drawer(tx, "acme"), ()))
        assert [await grant.bearer(), await key.bearer()] == ["theirs", "key-2"]

    run(work)


def test_what_another_process_saw_refused_waits_for_its_owner() -> None:
    async def work(world: World) -> None:
        grant, mine = (
            world.grant(),
            customers.Connection("acme", "constant_contact", "a", "blocked", "unauthorized", {}),
        )

        async def looked(*known: customers.Connection) -> None:
            await world.db.run(lambda tx: grant.look(tx, world.vault.drawer(tx, "acme"), known))

        await looked(mine)
        problem = await trouble(grant.bearer())
        assert isinstance(problem, Blocked) and problem.reason == "unauthorized"
        await looked(replace(mine, health="ok", reason=None), replace(mine, platform="virtuous"))
        assert await grant.bearer() == "access-1"

    run(work)


@pytest.mark.parametrize("life", [3600, "3600", 3600.0])
def test_a_token_is_refreshed_300_seconds_before_its_end_however_the_lifetime_is_written(life: Any) -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        await grant.bearer()
        world.clock.at += 3600 - 301
        assert await grant.bearer() == "access-1"
        world.clock.at += 2
        assert await grant.bearer() == "access-2"

    run(work, life=life)


def jwt(**claims: Any) -> str:
    return "h." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".s"


def test_without_expires_in_the_tokens_own_exp_counts() -> None:
    async def work(world: World) -> None:
        world.vendor.first = [said(200, access_token=jwt(exp=world.clock.at + 1000), refresh_token="refresh-0")]
        grant = world.grant()
        await grant.bearer()
        world.clock.at += 800
        assert await grant.bearer() == "access-1"

    run(work)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", jwt(exp="soon"), jwt(exp=True), "a.é.c"])
def test_a_token_that_names_no_end_is_used_until_it_is_refused(token: str) -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        assert await grant.bearer() == token
        world.clock.at += 86400
        assert await grant.bearer() == token
        assert await grant.bearer(refused=token) == "access-1"

    run(work, said(200, access_token=token))


def test_a_refused_token_is_replaced_once_for_all_who_were_refused() -> None:
    async def work(world: World) -> None:
        grant, other = world.grant(), world.grant()
        refused = await grant.bearer()
        await other.bearer()
        assert await grant.bearer(refused) == "access-2"
        assert await other.bearer(refused) == "access-2"
        assert world.vendor.issued == 2

    run(work)


def test_a_refused_token_is_not_given_again_where_no_new_one_came() -> None:
    """By a clock that was put back since it lives on; a call with it would only be refused again."""

    async def work(world: World) -> None:
        grant = world.grant()
        refused = await grant.bearer()
        world.vendor.first = [said(503), said(503)]
        assert isinstance(await trouble(grant.bearer(refused)), Transient)
        grant.forget()
        assert isinstance(await trouble(grant.bearer()), Transient)
        assert await grant.bearer() == "access-2"
        assert refused not in repr(grant)

    run(work)


def test_many_callers_at_once_make_one_refresh() -> None:
    """In one process by its lock, over processes by the intent in the store."""

    async def work(world: World) -> None:
        grants = [world.grant() for _ in range(3)]
        tokens = await asyncio.gather(*(grant.bearer() for grant in grants for _ in range(3)))
        assert set(tokens) == {"access-1"} and len(world.vendor.seen) == 1

    run(work)


def test_the_intent_is_durable_before_the_call_and_gone_after() -> None:
    async def work(world: World) -> None:
        during: list[str | None] = []

        async def look() -> None:
            during.append(await world.stored("refresh_intent"))

        world.vendor.meanwhile = look
        await world.grant().bearer()
        assert during[0] is not None and await world.stored("refresh_intent") is None

    run(work)


def test_the_new_grant_is_durable_before_the_token_is_used_and_the_old_one_is_kept_until_the_new_one_worked() -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        await grant.bearer()
        assert [await world.stored(n) for n in ("refresh_token", "previous_refresh_token")] == [
            "refresh-1",
            "refresh-0",
        ]
        await grant.bearer(refused="access-1")
        assert [await world.stored(n) for n in ("refresh_token", "previous_refresh_token")] == [
            "refresh-2",
            "refresh-1",
        ]

    run(work)


def test_a_failed_commit_does_not_lose_the_grant() -> None:
    """The vendor has voided the old refresh token by then."""

    async def work(world: World) -> None:
        full = [True]

        def disk(point: str, name: str) -> None:
            if point == "before" and name == "_keep" and full:
                full.pop()
                raise OSError("disk full")

        grant = world.grant(db=world.db.beside(disk))
        with pytest.raises(OSError):
            await grant.bearer()
        assert await grant.bearer() == "access-1"
        assert await world.stored("refresh_token") == "refresh-1" and len(world.vendor.seen) == 1

    run(work)


def test_a_process_that_died_while_refreshing_is_succeeded() -> None:
    async def work(world: World) -> None:
        await world.store(refresh_intent=f"{world.clock.at!r} dead")
        began = world.clock.at
        assert await world.grant().bearer() == "access-1"
        assert 40 <= world.clock.at - began <= 60

    run(work)


def test_a_wait_for_the_applications_turn_never_outlives_the_intent() -> None:
    """Others refresh first, one a second; meanwhile the intent ages, and another process takes it for dead."""

    async def work(world: World) -> None:
        slow, other = world.grant(), world.grant()
        asked: list[str] = []

        @contextlib.asynccontextmanager
        async def long_queue() -> AsyncIterator[None]:
            world.clock.at += 46
            asked.append(await other.bearer())
            yield

        slow.endpoint = Waiting(world.endpoint, long_queue)
        assert await slow.bearer() == "access-1" and asked == ["access-1"]
        assert len(world.vendor.seen) == 1

    run(work)


def test_an_intent_counts_from_the_moment_of_sending() -> None:
    async def work(world: World) -> None:
        announced = world.clock.at

        @contextlib.asynccontextmanager
        async def short_queue() -> AsyncIterator[None]:
            world.clock.at += 40
            yield

        async def look() -> None:
            kept = await world.stored("refresh_intent")
            assert kept is not None and float(kept.split()[0]) == announced + 40

        world.vendor.meanwhile = look
        grant = world.grant()
        grant.endpoint = Waiting(world.endpoint, short_queue)
        assert await grant.bearer() == "access-1"

    run(work)


def test_a_turn_that_cannot_be_given_back_loses_nothing() -> None:
    async def work(world: World) -> None:
        def disk(point: str, name: str) -> None:
            if point == "before" and name == "give_back":
                raise OSError("disk full")

        endpoint = replace(world.endpoint, permits=SharedPermits(world.db.beside(disk), world.clock, 1, 86_400))
        assert await world.grant(endpoint=endpoint).bearer() == "access-1"
        assert await world.stored("refresh_token") == "refresh-1"

    run(work)


def test_the_value_before_is_tried_where_the_new_one_never_worked() -> None:
    """The vendor's own rotation may have failed behind its answer."""

    async def work(world: World) -> None:
        await world.store(refresh_token="never-known", previous_refresh_token="refresh-0")
        assert await world.grant().bearer() == "access-1"
        tried = [parse_qs(body)["refresh_token"][0] for _, body, _ in world.vendor.seen]
        assert tried == ["never-known", "refresh-0"]
        assert await world.stored("refresh_token") == "refresh-1"

    run(work)


class Fixed:
    """A key or a grant that answers one thing."""

    def __init__(self, answer: str | Blocked) -> None:
        self.answer = answer

    async def bearer(self, refused: str | None = None) -> str:
        if isinstance(self.answer, Blocked):
            raise self.answer
        return self.answer


def test_a_key_goes_before_a_grant_and_its_refusal_is_final() -> None:
    async def work() -> None:
        missing, void = Blocked("not_connected", ""), Blocked("unauthorized", "")
        assert await EitherGrant(Fixed("key"), Fixed("grant")).bearer() == "key"
        assert await EitherGrant(Fixed(missing), Fixed("grant")).bearer() == "grant"
        problem = await trouble(EitherGrant(Fixed(void), Fixed("grant")).bearer())
        assert isinstance(problem, Blocked) and problem.reason == "unauthorized"
        assert isinstance(await trouble(EitherGrant(Fixed(missing), Fixed(missing)).bearer()), Blocked)

    asyncio.run(work())


def test_while_another_process_refreshes_early_the_living_token_is_used() -> None:
    async def work(world: World) -> None:
        await world.grant().bearer()
        world.clock.at += 28800 - 100
        await world.store(refresh_intent=f"{world.clock.at!r} other")
        assert await world.grant().bearer() == "access-1"
        assert len(world.vendor.seen) == 1

    run(work)


def test_invalid_grant_reads_the_store_again_and_uses_what_a_person_stored_meanwhile() -> None:
    async def work(world: World) -> None:
        world.vendor.valid = "reconnected"

        async def reconnect() -> None:
            await world.store(refresh_token="reconnected")

        world.vendor.meanwhile = reconnect
        assert await world.grant().bearer() == "access-1"
        assert [parse_qs(body)["refresh_token"] for _, body, _ in world.vendor.seen] == [["refresh-0"], ["reconnected"]]

    run(work)


def test_a_late_answer_does_not_overwrite_a_new_connection() -> None:
    async def work(world: World) -> None:
        world.vendor.first = [said(200, access_token="stale", refresh_token="stale-refresh", expires_in=100)]
        world.vendor.valid = "reconnected"

        async def reconnect() -> None:
            await world.store(refresh_token="reconnected")

        world.vendor.meanwhile = reconnect
        assert await world.grant().bearer() == "access-1"

    run(work)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said(400, error="invalid_grant"), "reauthorize"),
        (said(401, error="invalid_client"), "client_refused"),
        (said(400, error="unauthorized_client"), "client_refused"),
        (said(400, error="invalid_request"), "refused"),
        (HttpAnswer(403, {}, b"<html>"), "refused"),
    ],
)
def test_a_final_no_blocks_the_connection_after_one_call(answer: HttpAnswer, reason: str) -> None:
    async def work(world: World) -> None:
        problem = await trouble(world.grant().bearer())
        assert isinstance(problem, Blocked) and problem.reason == reason
        assert len(world.vendor.seen) == 1 and await world.stored("refresh_intent") is None

    run(work, answer)


@pytest.mark.parametrize(
    "answer",
    [
        Transient("not reached"),
        Unanswered("no answer"),
        HttpAnswer(500, {}, b""),
        HttpAnswer(503, {}, b"<html>"),
        HttpAnswer(302, {}, b""),
        HttpAnswer(429, {"retry-after": "7"}, b""),
        HttpAnswer(200, {}, b"not json"),
        HttpAnswer(200, {}, b'{"access_token": 5}'),
        HttpAnswer(200, {}, b"[" * 100_000),
    ],
)
def test_trouble_is_transient_and_a_later_call_tries_with_the_old_value(answer: Answer) -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        problem = await trouble(grant.bearer())
        assert isinstance(problem, Transient)
        assert await grant.bearer() == "access-1"

    run(work, answer)


def test_an_answer_lost_in_rotating_mode_ends_in_reauthorize() -> None:
    """The vendor rotated, we never saw the new value: only the person can help."""

    async def work(world: World) -> None:
        world.vendor.valid = "rotated-but-lost"
        grant = world.grant()
        assert isinstance(await trouble(grant.bearer()), Unanswered)
        problem = await trouble(grant.bearer())
        assert isinstance(problem, Blocked) and problem.reason == "reauthorize"

    run(work, Unanswered("no answer"))


def test_trouble_with_an_early_refresh_leaves_the_living_token_in_use_without_hammering() -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        await grant.bearer()
        world.clock.at += 28800 - 200
        world.vendor.first = [HttpAnswer(503, {}, b"")]
        assert [await grant.bearer(), await grant.bearer()] == ["access-1", "access-1"]
        assert len(world.vendor.seen) == 2
        world.clock.at += 31
        assert await grant.bearer() == "access-2"

    run(work)


def test_long_lived_mode_keeps_its_refresh_token() -> None:
    async def work(world: World) -> None:
        grant = world.grant()
        await grant.bearer()
        assert await grant.bearer(refused="access-1") == "access-2"
        assert (
            await world.stored("refresh_token") == "refresh-0" and await world.stored("previous_refresh_token") is None
        )

    run(work, rotating=False)


def test_the_token_endpoint_sees_at_most_one_call_a_second_over_all_processes() -> None:
    async def work(world: World) -> None:
        grants = [world.grant() for _ in range(4)]
        for grant in grants:
            await grant.bearer(refused=f"access-{world.vendor.issued}" if world.vendor.issued else None)
        gaps = [late - early for early, late in zip(world.vendor.times, world.vendor.times[1:], strict=False)]
        assert len(gaps) == 3 and min(gaps) >= 1.0

    run(work)


def test_nothing_stored_is_not_connected() -> None:
    async def work() -> None:
        world = World()
        for fields in ({}, {"refresh_token": "refresh-0"}):
            await world.store(**fields)
            problem = await trouble(world.grant().bearer())
            assert isinstance(problem, Blocked) and problem.reason == "not_connected"
        assert world.vendor.seen == []

    asyncio.run(work())


def test_no_problem_quotes_a_credential() -> None:
    async def work(world: World) -> None:
        for answer in (said(400, error="invalid_grant", error_description="refresh-0"), said(401, error="sec:ret")):
            world.vendor.first = [answer]
            problem = await trouble(world.grant().bearer())
            assert not [each for each in ("refresh-0", "sec:ret") if each in f"{problem!r}"]

    run(work)


def test_a_key_is_handed_out_until_it_is_refused_and_a_new_one_is_found() -> None:
    async def work() -> None:
        world = World()
        grant = KeyGrant(
            customer_id="acme", platform="constant_contact", db=world.db, vault=world.vault, clock=world.clock
        )
        problem = await trouble(grant.bearer())
        assert isinstance(problem, Blocked) and problem.reason == "not_connected"
        await world.store(api_key="key-1")
        assert await grant.bearer() == "key-1"
        problem = await trouble(grant.bearer(refused="key-1"))
        assert isinstance(problem, Blocked) and problem.reason == "unauthorized"
        await world.store(api_key="key-2")
        assert await grant.bearer(refused="key-1") == "key-2"

    asyncio.run(work())


def test_nobody_calls_with_a_refused_key_before_its_owner_was_there() -> None:
    """Not this process, and not the next one; the very same key is good again once somebody says so."""

    async def work() -> None:
        world = World()
        place = ("acme", "constant_contact")
        grants = [
            KeyGrant(customer_id=place[0], platform=place[1], db=world.db, vault=world.vault, clock=world.clock)
            for _ in range(2)
        ]
        await world.db.run(customers.set_connection, *place, None, {})
        await world.store(api_key="key-1")
        assert await grants[0].bearer() == "key-1"
        assert isinstance(await trouble(grants[0].bearer(refused="key-1")), Blocked)
        await world.db.run(customers.block, *place, "unauthorized")
        for grant in grants:
            problem = await trouble(grant.bearer())
            assert isinstance(problem, Blocked) and problem.reason == "unauthorized"
        await world.db.run(customers.unblock, *place)
        assert [await grant.bearer() for grant in grants] == ["key-1"] * 2

    asyncio.run(work())


def test_after_starting_over_nothing_of_the_old_grant_is_used() -> None:
    async def work(world: World) -> None:
        await world.grant().bearer()
        await world.store(refresh_token="reconnected")
        world.vendor.valid = "reconnected"
        await world.db.run(start_over, world.vault, "acme", "constant_contact")
        assert await world.grant().bearer() == "access-2"

    run(work)
