"""Entries through a whole turn: captured from Constant Contact, looked up, decided, submitted to Virtuous, recorded.

The vendors answer from memory at once, and waiting moves a clock of its own, so that what is measured is ours alone:
the real connectors, queue and state on the real SQLite file, synced at every commit.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keepstep import connectors, queue, worker
from keepstep.cli.console import run
from keepstep.database import migrate, open_database
from keepstep.model.customer import Route
from keepstep.ports import HttpAnswer, Wake
from keepstep.settings import PLATFORMS, Customer, Settings
from keepstep.settings import Service as ServiceSettings
from keepstep.state import submissions
from keepstep.state.vault import Secret, Vault
from keepstep.wiring.chance import SystemChance
from keepstep.wiring.service import Service

PAGE = 500
DATE = {"date": "Mon, 02 Mar 2026 14:00:00 GMT"}
START = 1_772_460_000.0


class Moved:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.0)

    async def until(self, at: float | None, _woken: Wake) -> None:
        self.at = max(self.at, at or self.at)

    def wake(self) -> Any:
        return self

    def set(self) -> None:
        """Nobody waits."""

    def spawn(self, work: Any, _name: str) -> None:
        work.close()


class Vendors:
    """Both vendors' answers, made beforehand."""

    def __init__(self, people: int) -> None:
        self.pages = [_page(first, min(first + PAGE, people), people) for first in range(0, people, PAGE)]
        self.submitted = 0

    async def __call__(
        self, _method: str, url: str, _headers: Mapping[str, str], _body: bytes = b"", _timeout: float = 30.0
    ) -> HttpAnswer:
        parts = urlsplit(url)
        if parts.path == "/v3/contacts" and "after" not in parts.query:
            number = int(parts.query.rpartition("page-")[2]) if "cursor=" in parts.query else 0
            return HttpAnswer(200, DATE, self.pages[number])
        return HttpAnswer(200, DATE, self._said(parts.path))

    def _said(self, path: str) -> bytes:
        if path.endswith("/token"):
            return b'{"access_token":"a","refresh_token":"r","expires_in":86400,"token_type":"Bearer"}'
        if path.endswith(("/Batch", "/Transaction")):
            return b""
        fixed = {
            "/v3/contacts": b'{"contacts":[],"_links":{}}',
            "/v3/account/summary": b'{"encoded_account_id":"a01bcd2345efg"}',
            "/v3/contact_lists": b'{"lists":[],"_links":{}}',
            "/api/Organization/Current": b'{"organizationUserId":1,"isEnabled":true,"organizationTimeZone":"UTC"}',
            "/api/Contact/QueryOptions": b'{"options":[{"parameter":"Email Address"}]}',
        }
        return fixed.get(path, b'{"list":[],"total":0,"id":1}')


def _page(first: int, end: int, people: int) -> bytes:
    links = {"next": {"href": f"/v3/contacts?cursor=page-{first // PAGE + 1}"}} if end < people else {}
    return json.dumps({"contacts": [_person(number) for number in range(first, end)], "_links": links}).encode()


def _person(number: int) -> dict[str, Any]:
    place = {"kind": "home", "street": f"{number} Main St", "city": "Everett", "state": "WA", "postal_code": "98201"}
    return {
        "contact_id": f"00000000-0000-4000-8000-{number:012d}",
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
        "email_address": {"address": f"p{number}@example.org", "permission_to_send": "implicit"},
        "phone_numbers": [{"kind": "mobile", "phone_number": f"202-555-{number:04d}"}],
        "street_addresses": [place],
        "list_memberships": [],
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }


async def turns(folder: Path, people: int) -> dict[str, float]:
    """Entries per second from the first page to the last recorded submission, and transactions' worth of turns."""
    url = f"sqlite:///{folder / 'turns.db'}"
    migrate(url)
    clock, chance, db = Moved(), SystemChance(), open_database(url)
    service = Service(
        settings=Settings(
            service=ServiceSettings(database=url),
            platforms=PLATFORMS,
            customers={"acme": Customer(id="acme", name="acme", route=Route(customer_id="acme"))},
        ),
        db=db,
        clock=clock,
        chance=chance,
        http=Vendors(people),
        vault=Vault({"k": b"k" * 32}, "k", chance.token),
        connectors=connectors.discover(),
    )
    secrets = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
    await service.add_customer("acme", "constant_contact", {key: Secret(value) for key, value in secrets.items()})
    await service.add_customer("acme", "virtuous", {"api_key": Secret("k")})
    began, made = time.perf_counter(), 0
    while len(await db.run(submissions.unresolved, "acme")) < people:
        if await worker.work(service, "bench") is None:
            clock.at = max(clock.at, await db.run(queue.next_claim) or clock.at + 1.0)
        made += 1
        if made > people + 1000:
            raise RuntimeError("the entries do not get through")
    spent = time.perf_counter() - began
    await db.close()
    return {"entries_per_second": people / spent, "turns": made}


def measured(folder: Path, people: int) -> dict[str, float]:
    """One repeat on a fresh database."""
    return run(turns(folder, people))
