"""A connection to the stand-in without sockets: the Http port calls `handle`, under a clock that sleeping moves."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from keepstep.connectors.virtuous import CONNECTOR
from keepstep.connectors.virtuous.destination import Destination
from keepstep.model.change import Call, Lane, Outcome, Step
from keepstep.model.contact import Side
from keepstep.model.errors import Blocked
from keepstep.ports import Connection, HttpAnswer
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.virtuous import Virtuous

T = TypeVar("T")
START = 1_750_000_000.0
ORGANIZATION, KEY, ROOT = "hope", "made-up-key", "https://api.test"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Clock:
    """Moves when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.at, self.slept = START, list[float]()

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class Tokens:
    """A grant that hands out its tokens in order, the next one when one was refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens, self.refused = list(tokens), list[str]()

    async def bearer(self, refused: str | None = None) -> str:
        if refused is not None:
            self.refused.append(refused)
            self.tokens = [token for token in self.tokens if token != refused]
        if not self.tokens:
            raise Blocked("unauthorized", "no token left")
        return self.tokens[0]


class Script:
    """An Http port that gives prepared answers, or raises prepared errors, and remembers what was asked."""

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, bytes]]()

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.asked.append((method, url.removeprefix(ROOT), body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(status: int, value: Any = None, text: bytes | None = None, **headers: str) -> HttpAnswer:
    """A prepared answer; header names with underscores; without a value the body is empty."""
    body = text if text is not None else b"" if value is None else json.dumps(value).encode()
    return HttpAnswer(status, {name.replace("_", "-"): each for name, each in headers.items()}, body)


def connect(
    http: Any, clock: Clock, grant: Tokens, memory: dict[str, Any] | None = None, **settings: Any
) -> Destination:
    found = CONNECTOR.open_crm
    assert found is not None
    kept = {} if memory is None else memory
    crm = found(Connection("c-1", ROOT, http, grant, None, clock, None, settings, kept))  # type: ignore[arg-type]
    assert isinstance(crm, Destination)
    return crm


def scripted(*answers: HttpAnswer | Exception, tokens: tuple[str, ...] = ("t1",)) -> tuple[Destination, Script]:
    """A connection over prepared answers."""
    script = Script(*answers)
    return connect(script, Clock(), Tokens(*tokens)), script


class World:
    """One organization at the stand-in, and a connection to it."""

    def __init__(self, settings: Mapping[str, Any] | None = None, **switches: str) -> None:
        self.clock, self.requests, self.faults = Clock(), list[Request](), list[Exception | Response]()
        self.vendor = Virtuous({name.replace("_", "-"): value for name, value in switches.items()})
        self.vendor.add_organization(ORGANIZATION, KEY, START)
        self.crm = connect(self, self.clock, Tokens(KEY), **(settings or {}))

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        path, _, query = url.removeprefix(ROOT).partition("?")
        request = Request(method, path, query, {name.lower(): each for name, each in headers.items()}, body)
        self.requests.append(request)
        self.clock.at += 0.1
        answer = self.vendor.handle(request, self.clock.at)
        if self.faults and method != "GET":
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            answer = fault
        return HttpAnswer(answer.status, {name.lower(): each for name, each in answer.headers.items()}, answer.body)

    def add(self, first: str = "Ada", last: str = "Lee", email: str | None = "ada@example.org", **raw: Any) -> int:
        """A household of one person, opted in."""
        methods = [{"type": "Home Email", "value": email, "isOptedIn": True, "isPrimary": True}] if email else []
        person = {"firstName": first, "lastName": last, "isPrimary": True, "contactMethods": methods}
        return self.vendor.add_contact(ORGANIZATION, self.clock.at, **{"contactIndividuals": [person], **raw})

    def contact(self, number: int | str) -> dict[str, Any]:
        return next(one for one in self.vendor.contacts(ORGANIZATION) if one["id"] == int(number))

    def person(self, number: int | str) -> dict[str, Any]:
        found: dict[str, Any] = self.contact(number)["contactIndividuals"][0]
        return found

    def method(self, number: int | str, at: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.person(number)["contactMethods"][at]
        return found

    def sent(self, method: str, path: str = "") -> list[Request]:
        return [request for request in self.requests if request.method == method and request.path.startswith(path)]

    def write(self, kind: str, *payloads: Mapping[str, Any]) -> list[Outcome]:
        return list(run(self.crm.write(call(kind, *payloads))))

    def look(self, kind: str, *payloads: Mapping[str, Any]) -> list[Outcome]:
        return list(run(self.crm.look(call(kind, *payloads))))


def call(kind: str, *payloads: Mapping[str, Any]) -> Call:
    """A call with one step for each payload."""
    steps = tuple(
        Step(
            party_id=f"p-{number}",
            side=Side.crm,
            kind=kind,
            target=f"{kind}:{number}",
            lane=Lane.changes,
            group=kind,
            payload=payload,
        )
        for number, payload in enumerate(payloads)
    )
    return Call(id="j-1", side=Side.crm, kind=kind, steps=steps)
