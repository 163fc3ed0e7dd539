"""The product and both stand-ins in one process, without sockets: time moves only when the product waits.

Seams for faults: `faults` scripts what happens to the next calls, `wire` may put any function around both vendors, and
`deliver` hands the webhooks that are due to the real door.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from keepstep import connectors, queue, worker
from keepstep.cli.run import _door
from keepstep.database import Inline
from keepstep.model.customer import Cadence, Policy, Route
from keepstep.model.errors import Unanswered
from keepstep.ports import HttpAnswer, Wake
from keepstep.settings import PLATFORMS, Customer, Settings
from keepstep.settings import Service as ServiceSettings
from keepstep.state import dead_letters, journal, marks
from keepstep.state.vault import Secret, Vault
from keepstep.web import build
from keepstep.wiring.service import Service
from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.faults import Faults
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.virtuous import Virtuous
from keepstep_sandbox.virtuous.outbox import Delivery

START = 1_750_050_400.0  # a Sunday, 22:06 in Phoenix: the first nightly batch is near
ZONE = ZoneInfo("America/Phoenix")
CUSTOMER = "acme"
SOURCE = "Constant Contact"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
MOST_TURNS = 3000
Wire = Callable[[str, Request, Callable[[], Response]], Response]


class StillClock:
    """Time for one task: waiting moves it at once. What is spawned waits until somebody runs it."""

    def __init__(self) -> None:
        self.at = START
        self.spawned: list[Coroutine[Any, Any, None]] = []

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.0)

    def wake(self) -> Any:
        return _Bell()

    async def until(self, at: float | None, woken: Wake) -> None:
        self.at = max(self.at, at or self.at)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.spawned.append(work)


class _Bell:
    def set(self) -> None:
        """Nobody waits in another task."""


class Counted:
    """Randomness without chance."""

    def __init__(self) -> None:
        self.n = 0

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def id(self) -> str:
        self.n += 1
        return f"id{self.n:06d}"

    def token(self, size: int) -> bytes:
        self.n += 1
        return self.n.to_bytes(size, "big")


class Crossing:
    """One customer, both vendors, the product. Used as a context; `wait` and `night` let virtual time pass."""

    def __init__(
        self,
        cc: Mapping[str, str] | None = None,
        v: Mapping[str, str] | None = None,
        db: Any = None,
        customers: tuple[str, ...] = (CUSTOMER,),
        policy: Mapping[str, Any] | None = None,
        cadence: Mapping[str, float] | None = None,
        public_url: str | None = "http://127.0.0.1:9",
        crm: str = "virtuous",
    ) -> None:
        self.crm = crm
        self.public_url = public_url
        self.policy = Policy(**(policy or {}))
        self.cadence = Cadence(**(cadence or {}))
        self.clock = StillClock()
        self.chance = Counted()
        self.cc = ConstantContact(cc)
        self.v = Virtuous(v)
        self.faults = Faults()
        self.wire: Wire | None = None
        self.calls: list[Call] = []
        self.answered: list[int] = []
        self.batches = 0
        self.customers = customers
        self.refresh_tokens = {
            one: self.cc.add_account(one, "client", "secret", START)["refresh_token"] for one in customers
        }
        for one in customers:
            self.v.add_organization(one, key_of(one), START)
        self._midnight = next_midnight(START)
        self._runner = asyncio.Runner()
        self.db = db or Inline()
        self.open()

    def open(self) -> None:
        """A new process over the same database: everything that lived in memory is gone."""
        self.service = Service(
            settings=Settings(
                service=ServiceSettings(public_url=self.public_url),
                platforms=PLATFORMS,
                customers={
                    one: Customer(
                        id=one,
                        name=one,
                        route=Route(customer_id=one, crm=self.crm, policy=self.policy, cadence=self.cadence),
                    )
                    for one in self.customers
                },
            ),
            db=self.db,
            clock=self.clock,
            chance=self.chance,
            http=self.http,
            vault=Vault({"k": b"k" * 32}, "k", self.chance.token),
            connectors=connectors.discover(),
        )
        self.door = build(_door(self.service))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for left in self.clock.spawned:
            left.close()
        self._runner.close()

    def ask(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one coroutine to its end."""
        return self._runner.run(work)

    def now(self) -> float:
        return self.clock.at

    # --- the wire ---

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        parts = urlsplit(url)
        vendor = "virtuous" if "virtuous" in parts.netloc else "constant_contact"
        stand_in = self.v if vendor == "virtuous" else self.cc
        lowered = {name.lower(): value for name, value in headers.items()}
        request = Request(method, parts.path, parts.query, lowered, body)

        def handle() -> Response:
            return self.faults.meet(vendor, request, lambda: stand_in.handle(request, self.clock.at))[0]

        answer = self.wire(vendor, request, handle) if self.wire else handle()
        self.calls.append(Call(self.clock.at, vendor, request, answer))
        if answer.drop:
            raise Unanswered(f"{vendor}: no answer")
        return HttpAnswer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body)

    def made(self, method: str = "", path: str = "", vendor: str = "") -> list["Call"]:
        """The calls so far whose method is this and whose path begins so."""
        return [
            one
            for one in self.calls
            if one.request.method.startswith(method)
            and one.request.path.startswith(path)
            and one.vendor.startswith(vendor)
        ]

    def writes(self) -> list["Call"]:
        """The calls that changed a record."""
        return [one for one in self.calls if one.answer.effects]

    # --- time ---

    def connect(self) -> None:
        """Give the service all credentials and let the first import run: five minutes."""
        for one in self.customers:
            self.consent(self.refresh_tokens[one], one)
            self.key(key_of(one), one)
        self.wait(minutes=5)

    def consent(self, refresh_token: str, customer: str = CUSTOMER) -> None:
        """Store a grant of Constant Contact."""
        secrets = {"client_id": "client", "client_secret": "secret", "refresh_token": refresh_token}
        found = {name: Secret(value) for name, value in secrets.items()}
        self.ask(self.service.add_customer(customer, "constant_contact", found))

    def key(self, api_key: str, customer: str = CUSTOMER) -> None:
        """Store a key of Virtuous."""
        self.ask(self.service.add_customer(customer, "virtuous", {"api_key": Secret(api_key)}))

    def wait(self, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Let so much time pass, with everything that falls due on the way."""
        self.until(self.clock.at + minutes * MINUTE + hours * HOUR + days * DAY)

    def night(self) -> None:
        """Until ten minutes after the next nightly batch."""
        self.until(self._midnight + 10 * MINUTE)

    def until(self, at: float) -> None:
        self.ask(self._until(at))

    async def _until(self, at: float) -> None:
        turns = 0
        while self.clock.at <= at:
            self._batch()
            await self.deliver()
            if await worker.work(self.service, "me") is not None:
                turns += 1
                if turns > MOST_TURNS:
                    raise RuntimeError("the product is busy without end")
                continue
            due = [await self.service.db.run(queue.next_claim), self.v.next_due(), self._midnight]
            hook = self.cc.next_due()
            due.append(hook if hook is not None and hook > self.clock.at else None)
            ahead = min(moment for moment in due if moment is not None)
            if ahead > at:
                break
            self.clock.at = max(self.clock.at, ahead)
        self.clock.at = max(self.clock.at, at)

    def _batch(self) -> None:
        while self._midnight <= self.clock.at:
            for one in self.customers:
                self.v.run_batch(one, self._midnight)
            self._midnight = next_midnight(self._midnight)
            self.batches += 1

    # --- the door ---

    async def deliver(self) -> None:
        """Hand the webhooks that are due to the door."""
        for delivery in self.v.due_deliveries(self.clock.at):
            status = await self.post(urlsplit(delivery.url).path, delivery.headers, delivery.body)
            self._noted(delivery, status)
        for contact in self.cc.due_deliveries(self.clock.at):
            status = await self.post(urlsplit(contact.url).path, contact.headers, contact.body)
            self.answered.append(status)
            self.cc.delivered(contact, status, self.clock.at)

    def _noted(self, delivery: Delivery, status: int) -> None:
        self.answered.append(status)
        self.v.delivered(delivery, status, self.clock.at)

    async def post(self, path: str, headers: Mapping[str, str], *parts: bytes) -> int:
        """One request at the door, as a vendor or a stranger makes it; the status of the answer."""
        return await self.post_all(path, headers, iter(parts))

    async def post_all(self, path: str, headers: Mapping[str, str], parts: Iterator[bytes]) -> int:
        """The same with a body that is made while it is read."""
        sent: list[Any] = []

        async def receive() -> Any:
            part = next(parts, None)
            return {"type": "http.request", "body": part or b"", "more_body": part is not None}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in headers.items()]
        await self.door({"type": "http", "method": "POST", "path": path, "headers": raw}, receive, send)
        while self.clock.spawned:
            await self.clock.spawned.pop(0)
        return int(sent[0]["status"]) if sent else 0

    def hook(self, platform: str = "virtuous") -> tuple[str, bytes]:
        """Path of the customer's door, and the secret that signs its deliveries."""
        read = self.service.vault.get
        token = self.ask(self.service.db.run(read, CUSTOMER, platform, "door_token"))
        secret = self.ask(self.service.db.run(read, CUSTOMER, platform, "webhook_secret"))
        return f"/hooks/{platform}/{token.reveal()}", secret.reveal().encode()

    # --- what people and staff do ---

    def a_list(self, name: str, tag: bool = True) -> str:
        """A list, and the tag that staff made for it."""
        if tag:
            self.v.add_tag(CUSTOMER, f"CC: {name}", self.now())
        return self.cc.add_list(CUSTOMER, name, self.now())

    def person(self, email: str | None = "ann@example.org", first: str = "Ann", last: str = "Lee", **more: Any) -> str:
        """A contact in Constant Contact."""
        return self.cc.add_person(CUSTOMER, self.now(), first_name=first, last_name=last, email=email, **more)

    def household(self, email: str, first: str = "Ann", last: str = "Lee", **more: Any) -> int:
        """A contact that staff made in Virtuous."""
        method = {"type": "Home Email", "value": email, "isOptedIn": more.pop("opted_in", True), "isPrimary": True}
        individual = {"firstName": first, "lastName": last, "isPrimary": True, "contactMethods": [method]}
        individuals = [individual, *more.pop("others", ())]
        return self.v.add_contact(CUSTOMER, self.now(), contactIndividuals=individuals, **more)

    def opts_out(self, record: str, reason: str | None = None) -> None:
        self.cc.person_opts_out(CUSTOMER, record, self.now(), reason)

    def edits(self, record: str, **fields: Any) -> None:
        self.cc.edit(CUSTOMER, record, self.now(), **fields)

    # --- what there is at the end ---

    def there(self, record: str) -> dict[str, Any]:
        """The one unmerged Virtuous contact with our reference to this person."""
        found = self.carriers(record)
        assert len(found) == 1, f"{len(found)} contacts carry the reference"
        return found[0]

    def carriers(self, record: str) -> list[dict[str, Any]]:
        """Every unmerged Virtuous contact with our reference to this person."""
        ours = {"source": SOURCE, "id": record}
        return [one for one in self.everybody() if ours in one["contactReferences"]]

    def everybody(self) -> list[dict[str, Any]]:
        """Every unmerged Virtuous contact."""
        return [one for one in self.v.contacts(CUSTOMER) if one["mergedIntoContactId"] is None]

    def here(self, record: str) -> dict[str, Any]:
        """The person as Constant Contact has it."""
        return next(one for one in self.cc.contacts(CUSTOMER) if one["contact_id"] == record)

    def consents(self, record: str) -> list[bool]:
        """What the e-mail methods of this person's Virtuous contact say."""
        return [method["isOptedIn"] for method in emails(self.there(record))]

    def permission(self, record: str) -> str:
        return str(self.here(record)["email_address"]["permission_to_send"])

    def standing(self, record: str) -> tuple[str, str]:
        """State and reason that the product claims for a person."""
        claims = self.ask(self.service.claims(CUSTOMER))
        return next((one["state"], one["reason"]) for one in claims if one["record_id"] == record)

    def standings(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for one in self.ask(self.service.claims(CUSTOMER)):
            counts[one["state"]] = counts.get(one["state"], 0) + 1
        return counts

    def letters(self) -> list[Any]:
        """What the product gave up on."""
        return list(self.ask(self.service.db.run(dead_letters.of_customer, CUSTOMER)))

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The data of the journal's lines of one kind, oldest first."""
        rows = self.ask(self.service.db.run(journal.latest, CUSTOMER, (), 5000))
        return [row["data"] for row in reversed(rows) if row["kind"] == kind]

    def mark(self, platform: str, name: str) -> marks.Mark:
        found: marks.Mark = self.ask(self.service.db.run(marks.get, CUSTOMER, platform, name))
        return found

    def status(self) -> dict[str, Any]:
        return dict(self.ask(self.service.status(CUSTOMER))["customers"][0])


class Call:
    """One call that the product made, and what it came to."""

    def __init__(self, at: float, vendor: str, request: Request, answer: Response) -> None:
        self.at, self.vendor, self.request, self.answer = at, vendor, request, answer

    def __repr__(self) -> str:
        one = self.request
        after = self.at - START
        return f"{after:.1f} {one.method} {one.path}?{one.query} -> {self.answer.status} {len(self.answer.effects)}"


def key_of(customer: str) -> str:
    return "v_key" if customer == CUSTOMER else f"v_key_{customer}"


def next_midnight(at: float) -> float:
    local = datetime.fromtimestamp(at, ZONE) + timedelta(days=1)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def methods(contact: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The methods of one kind (email, phone) of a Virtuous contact."""
    found = [method for one in contact["contactIndividuals"] for method in one["contactMethods"] or ()]
    return [method for method in found if method["type"].lower().endswith(kind)]


def emails(contact: Mapping[str, Any]) -> list[dict[str, Any]]:
    return methods(contact, "email")


def served(body: bytes, kind: str = "application/json") -> Response:
    """A 200 with this body."""
    return Response(200, {"Content-Type": kind}, body)


def spoilt(response: Response, body: bytes) -> Response:
    """The same answer with another body."""
    return replace(response, body=body)
