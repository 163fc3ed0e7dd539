"""A connection to the stand-in without sockets: the Http port calls `handle` directly, under a clock we move."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from keepstep.connectors.constant_contact import ConstantContact
from keepstep.model.change import Call, Lane, Step
from keepstep.model.contact import Side
from keepstep.model.errors import Blocked
from keepstep.ports import Connection, HttpAnswer
from keepstep_sandbox import constant_contact as sandbox
from keepstep_sandbox.http import Request, Response

T = TypeVar("T")
START = 1_750_000_000.0
ACCOUNT, APP, SECRET = "a-1", "app-1", "made-up"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at


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


class Permits:
    """Counts what is out."""

    def __init__(self) -> None:
        self.out, self.taken, self.stopped = list[int](), 0, list[tuple[str, float]]()

    async def take(self, key: str) -> int:
        self.taken += 1
        self.out.append(self.taken)
        return self.taken

    async def give_back(self, key: str, permit: int) -> None:
        self.out.remove(permit)

    async def stop(self, key: str, until: float) -> None:
        self.stopped.append((key, until))


class Script:
    """An Http port that gives prepared answers, or raises prepared errors, and remembers what was asked."""

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str]]()

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.asked.append((method, url))
        assert self.answers, f"nobody expected {method} {url}"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(status: int, value: Any = None, text: bytes | None = None, **headers: str) -> HttpAnswer:
    """A prepared answer; header names with underscores."""
    body = text if text is not None else json.dumps(value).encode()
    return HttpAnswer(status, {name.replace("_", "-"): each for name, each in headers.items()}, body)


def scripted(
    *answers: HttpAnswer | Exception, tokens: tuple[str, ...] = ("t1",)
) -> tuple[ConstantContact, Script, Any]:
    """A connection over prepared answers; the third value is the Connection."""
    script = Script(*answers)
    connection = connect(script, Clock(), Tokens(*tokens))
    return ConstantContact(connection), script, connection


def connect(http: Any, clock: Clock, grant: Tokens) -> Connection:
    settings = {"application_key": APP}
    return Connection("c-1", "https://api.test/v3", http, grant, Permits(), clock, None, settings)  # type: ignore[arg-type]


class World:
    """One account at the stand-in, and a connection to it."""

    def __init__(self, **switches: str) -> None:
        self.clock, self.requests = Clock(), list[Request]()
        self.vendor = sandbox.ConstantContact(switches)
        self.refresh_token = self.vendor.add_account(ACCOUNT, APP, SECRET, START)["refresh_token"]
        self.tokens = Tokens(self.token())
        self.cc = ConstantContact(connect(self, self.clock, self.tokens))

    def token(self) -> str:
        """A new access token: they last a day."""
        form = f"grant_type=refresh_token&refresh_token={self.refresh_token}&client_id={APP}&client_secret={SECRET}"
        asked = Request("POST", "/oauth2/default/v1/token", body=form.encode())
        granted = self.vendor.handle(asked, self.clock.at).json()
        self.refresh_token = granted["refresh_token"]
        return str(granted["access_token"])

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        path, _, query = url.removeprefix("https://api.test").partition("?")
        self.clock.at += 0.3  # four calls a second
        self.requests.append(Request(method, path, query, headers, body))
        answer: Response = self.vendor.handle(self.requests[-1], self.clock.at)
        return HttpAnswer(answer.status, {name.lower(): each for name, each in answer.headers.items()}, answer.body)

    def later(self, seconds: float) -> None:
        self.clock.at += seconds
        if seconds >= 3600:
            self.tokens.tokens = [self.token()]

    def person(self, **values: Any) -> str:
        return self.vendor.add_person(ACCOUNT, self.clock.at, **values)

    def new_list(self, name: str) -> str:
        return self.vendor.add_list(ACCOUNT, name, self.clock.at)

    def contact(self, contact_id: str) -> dict[str, Any]:
        return next(one for one in self.vendor.contacts(ACCOUNT) if one["contact_id"] == contact_id)

    def sent(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]


def call(kind: str, *payloads: Mapping[str, Any], vendor_id: str | None = None, sent_at: float | None = None) -> Call:
    """A call with one step for each payload."""
    steps = tuple(
        Step(
            party_id=f"p-{number}",
            side=Side.audience,
            kind=kind,
            target=f"{kind}:{number}",
            lane=Lane.changes,
            group="g",
            payload=payload,
        )
        for number, payload in enumerate(payloads)
    )
    return Call(id="j-1", side=Side.audience, kind=kind, steps=steps, vendor_id=vendor_id, sent_at=sent_at)
