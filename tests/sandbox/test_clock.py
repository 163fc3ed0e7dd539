"""The program on real sockets: the control door, the clock's protocol, kills in the middle of a write."""

import asyncio
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest

from keepstep_sandbox.people import ZONE
from keepstep_sandbox.serve import serve
from keepstep_sandbox.world import START, next_midnight
from tests.sandbox.service import FakeService, nothing

Scenario = Callable[["Sandbox"], Awaitable[None]]


class Sandbox:
    """A running sandbox and a client of its doors."""

    def __init__(self, urls: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self.urls, self.session = urls, session

    async def ask(self, path: str, status: int = 200, **values: Any) -> Any:
        """POST with values, GET without."""
        method = "POST" if values or path in ("/week/step", "/batch", "/release", "/reset") else "GET"
        url = self.urls["control"] + path
        async with self.session.request(method, url, json=values if method == "POST" else None) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def crm(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.urls['credentials']['virtuous']['api_key']}"}
        async with self.session.request(method, self.urls["virtuous"] + path, json=body, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def subscribe(self, service: FakeService) -> None:
        body = {"payloadUrl": f"{service.url}/hook", "contactCreate": True, "contactUpdate": True, "active": True}
        assert (await self.crm("POST", "/api/Webhook", body))[0] == 200


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Scenario], None]:
    async def main(scenario: Scenario) -> None:
        ports, stop = tmp_path / "ports.json", asyncio.Event()
        serving = asyncio.get_running_loop().create_task(serve(None, ports, 1, wall=False, stop=stop))
        for _ in range(500):
            if ports.exists():
                break
            await asyncio.sleep(0.01)
        try:
            async with aiohttp.ClientSession() as session:
                await scenario(Sandbox(json.loads(ports.read_text()), session))
        finally:
            stop.set()
            await serving

    return lambda scenario: asyncio.run(main(scenario))


async def joined(sandbox: Sandbox, period: float = 3600.0, work: Any = nothing) -> FakeService:
    service = FakeService(period, work)
    await service.start(sandbox.urls["control"], sandbox.session)
    return service


def test_time_moves_only_when_the_driver_says_so_and_stops_at_each_due_moment(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        service = await joined(sandbox, 600.0)
        assert (await sandbox.ask("/time"))["now"] == START
        reached = await sandbox.ask("/clock/advance", seconds=1800)
        assert reached == {"now": START + 1800, "arrived": True, "held": []}
        assert service.told == [START, START + 600, START + 1200, START + 1800]
        await service.stop()

    run(scenario)


def test_webhooks_of_the_batch_arrive_within_the_minute_and_the_service_works_on_them_at_once(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        service = await joined(sandbox)
        await sandbox.subscribe(service)
        rows = [{"referenceId": f"r{n}", "firstName": "Ada", "lastName": f"B{n}"} for n in range(30)]
        await sandbox.crm("POST", "/api/Contact/Batch", {"referenceSource": "Constant Contact", "contacts": rows})
        midnight = next_midnight(START, ZONE)
        await sandbox.ask("/clock/advance", to=midnight + 60)
        assert len(service.webhooks) == 30
        assert service.webhooks[0][1]["event"] == "ContactCreate"
        assert service.told.count(midnight) >= 1
        assert len({at for at in service.told if at > midnight}) < 20  # together by half seconds, not one by one
        await service.stop()

    run(scenario)


def test_a_refused_webhook_comes_again_as_the_vendor_does_it(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        service = await joined(sandbox)
        await sandbox.subscribe(service)
        service.webhook_status = 503
        await sandbox.ask("/act", vendor="virtuous", name="add_contact", args={"name": "Ada"})
        await sandbox.ask("/clock/advance", seconds=30)
        assert len(service.webhooks) == 1
        service.webhook_status = 200
        await sandbox.ask("/clock/advance", seconds=60)
        assert len(service.webhooks) == 2
        await sandbox.ask("/clock/advance", seconds=3600)
        assert len(service.webhooks) == 2
        await service.stop()

    run(scenario)


def test_a_held_write_stops_the_clock_and_its_answer_lets_it_go_on(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        contact = (await sandbox.ask("/act", vendor="virtuous", name="add_contact", args={"name": "Ada"}))["result"]
        answers: list[int] = []

        async def writes(_now: float) -> None:
            body = {"contactId": contact, "type": "General", "note": "x"}
            answers.append((await sandbox.crm("POST", "/api/ContactNote", body))[0])

        service = await joined(sandbox, 600.0, writes)
        await sandbox.ask("/faults", kind="hold_after", method="WRITE", skip=1)
        reached = await sandbox.ask("/clock/advance", seconds=1800)
        assert (reached["now"], reached["arrived"], answers) == (START + 600, False, [200])
        assert [one["path"] for one in reached["held"]] == ["/api/ContactNote"]
        assert await sandbox.ask("/release", answered=True) == {"released": 1}
        reached = await sandbox.ask("/clock/advance", to=START + 1800)
        assert (reached["now"], reached["arrived"], answers) == (START + 1800, True, [200] * 4)
        await service.stop()

    run(scenario)


def test_a_service_that_does_not_answer_the_clock_is_an_error_and_no_silence(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        service = await joined(sandbox)
        await service.stop()
        answer = await sandbox.ask("/clock/advance", status=502, seconds=10)
        assert "does not answer the clock" in answer["error"]

    run(scenario)


def test_how_long_a_service_may_work_at_one_moment_is_the_drivers_to_say(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        async def slow(_now: float) -> None:
            await asyncio.sleep(0.3)

        service = await joined(sandbox, 60.0, slow)
        answer = await sandbox.ask("/clock/advance", status=502, seconds=10, patience=0.05)
        assert "does not answer the clock" in answer["error"]
        await asyncio.sleep(0.5)
        assert (await sandbox.ask("/clock/advance", seconds=10))["arrived"]
        await service.stop()

    run(scenario)


def test_a_week_with_a_table_is_judged_by_its_rows(run: Any, tmp_path: Path) -> None:
    """A service that does nothing misses everybody, and says nothing of anybody."""

    async def scenario(sandbox: Sandbox) -> None:
        table = tmp_path / "members.db"
        await sandbox.ask("/week/start", seed=4, count=40, days=3, kills=0, table=str(table))
        found = await sandbox.ask("/judge", claims=[], feeds={"members": []})
        assert found["feeds"]["members"]["rows"] == found["feeds"]["members"]["unsaid"] == 12
        assert found["feeds"]["members"]["missing"] == 9
        with closing(sqlite3.connect(table)) as file:
            (rows,) = file.execute("SELECT count(*) FROM members WHERE email IS NOT NULL").fetchone()
        assert rows == 11

    run(scenario)


@pytest.mark.parametrize("told", ["[]", "{}", '{"next_due": "soon"}', '{"next_due": NaN}', "no json"])
def test_an_answer_to_the_clock_that_makes_no_sense_is_an_error(run: Any, told: str) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        async def odd(_request: Any) -> Any:
            return aiohttp.web.Response(text=told, content_type="application/json")

        runner = aiohttp.web.ServerRunner(aiohttp.web.Server(odd))
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        await sandbox.ask("/clock/join", address=f"http://127.0.0.1:{runner.addresses[0][1]}/clock")
        await sandbox.ask("/clock/advance", status=502, seconds=10)
        await runner.cleanup()

    run(scenario)


def test_a_whole_week_runs_through_the_door_with_kills_and_ends_in_a_report(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        begun = await sandbox.ask("/week/start", seed=4, count=40, days=3, kills=2)
        contact = (await sandbox.ask("/act", vendor="virtuous", name="add_contact", args={"name": "Ada"}))["result"]
        assert (begun["people"], begun["kills"], begun["planted"]) == (40, 2, {"several_matches": 1, "name_differs": 1})

        async def writes(_now: float) -> None:
            with suppress(aiohttp.ClientError):
                await sandbox.crm("POST", "/api/ContactNote", {"contactId": contact, "type": "General", "note": "x"})

        service = await joined(sandbox, 900.0, writes)
        asks, notes = [], []
        while True:
            step = await sandbox.ask("/week/step")
            notes.append(step["note"])
            if step["ask"]:
                asks.append(step["ask"])
                await service.stop()
                before = (await sandbox.ask("/time"))["now"]
                stepping = asyncio.get_running_loop().create_task(sandbox.ask("/week/step"))
                await asyncio.sleep(0.05)
                assert (await sandbox.ask("/time"))["now"] == before  # no time passes without the service
                service = await joined(sandbox, 900.0, writes)
                step = await stepping
            if step["done"]:
                break
        assert [one["when"] for one in asks] == ["write took effect", "between calls"]
        assert asks[0]["write"]["path"] == "/api/ContactNote"
        assert len(notes) > 60
        found = await sandbox.ask("/judge", claims=[], dead_letters=2)
        assert found["lost"] == found["people"] == 43
        assert found["dead_letters"] == 2
        assert found["events"]["kill"] == 2
        assert found["echo_writes"] > 90  # a service that writes a note every quarter of an hour, quiet or not
        assert found["seconds"] > 0
        await service.stop()

    run(scenario)


def test_a_connection_reset_after_the_effect_is_a_reset_to_the_client(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        contact = (await sandbox.ask("/act", vendor="virtuous", name="add_contact", args={"name": "Ada"}))["result"]
        await sandbox.ask("/faults", kind="reset_after", vendor="virtuous", method="WRITE")
        with pytest.raises(aiohttp.ClientError):
            await sandbox.crm("POST", "/api/ContactNote", {"contactId": contact, "type": "General", "note": "x"})
        assert (await sandbox.crm("GET", f"/api/ContactNote/ByContact/{contact}"))[1]["total"] == 1

    run(scenario)


def test_the_door_refuses_nonsense_with_a_reason_and_never_fails(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        assert "no act" in (await sandbox.ask("/act", 400, vendor="virtuous", name="handle"))["error"]
        assert "no vendor" in (await sandbox.ask("/act", 400, vendor="acme", name="x"))["error"]
        assert "loopback" in (await sandbox.ask("/clock/join", 400, address="http://example.org/clock"))["error"]
        assert "no fault" in (await sandbox.ask("/faults", 400, kind="flood"))["error"]
        assert "no week" in (await sandbox.ask("/week/step", 400))["error"]
        assert "3 days" in (await sandbox.ask("/week/start", 400, days=1))["error"]
        for raw in (b"{", b"[]", b"\xff"):
            async with sandbox.session.post(sandbox.urls["control"] + "/act", data=raw) as answer:
                assert answer.status == 400
        await sandbox.ask("/nowhere", 404)

    run(scenario)


def test_load_act_received_state_batch_and_reset_do_what_they_say(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        person = {"first_name": "Ada", "last_name": "Byron", "email": "ada@example.org", "committees": ["News, Weekly"]}
        (number,) = (await sandbox.ask("/load", people=[person]))["contacts"]
        acted = await sandbox.ask(
            "/act", vendor="constant_contact", name="person_opts_out", args={"contact_id": number}
        )
        assert acted["changed"] > 0
        await sandbox.crm("GET", "/api/Organization/Current")
        received = (await sandbox.ask("/received"))["received"]
        assert [(one["method"], one["path"], one["status"]) for one in received] == [
            ("GET", "/api/Organization/Current", 200)
        ]
        before = await sandbox.ask("/state")
        assert (await sandbox.ask("/batch"))["summary"]["waiting"] == 0
        assert await sandbox.ask("/state") == before
        fresh = await sandbox.ask("/reset", seed=2)
        assert fresh["now"] == START
        assert (await sandbox.ask("/received"))["received"] == []
        assert await sandbox.ask("/state") != before

    run(scenario)


def test_a_body_as_large_as_an_import_passes_the_shell(run: Any) -> None:
    async def scenario(sandbox: Sandbox) -> None:
        row = {"referenceId": "r", "firstName": "Ada", "lastName": "B" * 3_000_000}
        body = io.BytesIO(json.dumps({"referenceSource": "X", "contacts": [row]}).encode())
        headers = {"Authorization": "Bearer sandbox-virtuous-key", "Content-Type": "application/json"}
        url = sandbox.urls["virtuous"] + "/api/Contact/Batch"
        async with sandbox.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 200

    run(scenario)
