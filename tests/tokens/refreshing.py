"""Real processes that refresh one grant through a door which knows each stage, and ends them there.

The stages of a refresh: intent durable, sent, received, durable, used (CC facts 2.4). The door stands between a process
and the vendor's stand-in. Time runs faster for the processes, so that nobody waits for the length of an intent.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError

from keepstep.database import engine_of
from keepstep.model.errors import Blocked, Problem, Transient
from keepstep.ports import OAuth
from keepstep.schema.tables import slot
from keepstep.state import customers
from keepstep.state.vault import Secret, Vault
from keepstep.tokens import Endpoint, OAuthGrant
from keepstep.wire.http import AiohttpHttp
from keepstep.wire.permits import SharedPermits
from keepstep.wiring.chance import SystemChance
from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.http import Request
from tests.safes.providing import Providing, providing
from tests.safes.spoiling import Failing, Late
from tests.tokens.forge import forge

STAGES = ("intent", "sent", "received", "durable", "used")
PLATFORM = "constant_contact"
TOKENS = "/oauth2/default/v1/token"
# After the one who died, its successor's call comes so much later in the vendor's time.
LATER = 50.0
VAULT = Vault({"k": b"k" * 32}, "k", SystemChance().token)


class FastClock:
    """now and sleep of ports.Clock; `speed` seconds pass in one."""

    def __init__(self, began: float, speed: float) -> None:
        self.began, self.speed = began, speed

    def now(self) -> float:
        return self.began + (time.time() - self.began) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


@dataclass(frozen=True)
class Course:
    """What a process is told. `go`: when its refresh begins, for those that begin together."""

    url: str
    door: str
    customer: str
    began: float
    speed: float
    go: float = 0.0
    provider: str = "database"
    aws: str | None = None
    spoil: str = ""


SPOILS: dict[str, Any] = {"late": lambda: Late(tries=2), "failing": lambda: Failing(writes=1, reads=1)}


def refreshed(course: Course) -> str:
    """A process: a token, used once; how that ended."""
    time.sleep(max(0.0, course.go - time.time()))
    spoil = SPOILS[course.spoil]() if course.spoil else None
    with providing(course.provider, course.url, course.aws, spoil) as kept:
        return asyncio.run(_used(course, kept))


async def _used(course: Course, kept: Providing) -> str:
    http = AiohttpHttp([course.door])
    try:
        said = await _patiently(_grant(course, kept, http), course, http)
        if course.provider != "database":
            await kept.go()
        return said
    finally:
        await http.close()


def _grant(course: Course, kept: Providing, http: AiohttpHttp) -> OAuthGrant:
    db, clock = kept.db, FastClock(course.began, course.speed)
    timed: Any = clock
    doors = Endpoint(
        oauth=OAuth(exchange=TOKENS),
        url=f"{course.door}/{course.customer}",
        http=http,
        key=f"{course.customer} tokens",
        permits=SharedPermits(db, timed, 1, 86_400),
    )
    who: dict[str, Any] = {"customer_id": course.customer, "platform": PLATFORM}
    return OAuthGrant(**who, endpoint=doors, db=db, vault=kept.vault, clock=timed, chance=SystemChance())


async def _patiently(grant: OAuthGrant, course: Course, http: AiohttpHttp) -> str:
    """As a turn does: what is transient is tried again."""
    for _ in range(20):
        try:
            token = await grant.bearer()
            url = f"{course.door}/{course.customer}/v3/account/summary"
            answer = await http("GET", url, {"authorization": f"Bearer {token}"})
            return f"used {answer.status}"
        except Blocked as problem:
            return problem.reason
        except Transient as trouble:
            await grant.clock.sleep(trouble.retry_after or 1.0)
        except OperationalError:  # fifty processes at one file: somebody waited longer than five seconds for it
            await grant.clock.sleep(1.0)
        except Problem as problem:
            return repr(problem)
    return "still in trouble"


@dataclass
class Trial:
    """One customer whose process is ended at a stage (None: at none), and what the door saw. `now`: the vendor's time
    for this customer, since what others do must not use up its grace."""

    customer: str
    now: float
    stage: str | None = None
    process: int | None = None
    tokens: int = 0
    wrong: list[str] = field(default_factory=list)

    def end(self) -> None:
        """kill -9."""
        while self.process is None:
            time.sleep(0.001)
        self.stage = None
        forge().kill(self.process)


class Yard:
    """A database with its tables, the vendor's stand-in, and the door between."""

    def __init__(
        self,
        url: str,
        speed: float = 300.0,
        provider: str = "database",
        aws: str | None = None,
        spoil: str = "",
        **switches: str,
    ) -> None:
        self.url, self.speed, self.began = url, speed, time.time()
        self.provider, self.aws, self.spoil = provider, aws, spoil
        self.engine: Engine = engine_of(url, threads=8)
        self.vendor = ConstantContact(switches)
        self.trials: dict[str, Trial] = {}
        self.lock = threading.Lock()
        self.server = _Listening(self)
        threading.Thread(target=self.server.serve_forever, daemon=True, name="door").start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.engine.dispose()

    def connect(self, customer: str, stage: str | None = None) -> Trial:
        """A customer whose access token has just expired."""
        made = self.vendor.add_account(customer, customer, "secret", self.began)
        trial = self.trials[customer] = Trial(customer, self.began, stage)
        kept = {"client_id": customer, "client_secret": "secret", "refresh_token": made["refresh_token"]}
        kept |= {"access_token": "expired", "expires_at": repr(self.began - 1), "refresh_at": repr(self.began - 9)}
        with self.engine.begin() as tx:
            customers.add(tx, customer, {}, self.began)
            for name, text in kept.items():
                VAULT.put(tx, customer, PLATFORM, name, Secret(text), self.began)
        if self.provider != "database":
            with providing(self.provider, self.url, self.aws) as there:
                there.away()
        return trial

    def reconnect(self, trial: Trial) -> None:
        """Its owner consents anew."""
        made = self.vendor.add_account(trial.customer, trial.customer, "secret", trial.now)
        with self.engine.begin() as tx:
            VAULT.put(tx, trial.customer, PLATFORM, "refresh_token", Secret(made["refresh_token"]), self.began)

    def start(self, trial: Trial, go: float = 0.0) -> int:
        """Another process that wants a token."""
        door = f"http://127.0.0.1:{self.server.server_address[1]}"
        where = (self.provider, self.aws, self.spoil)
        return forge().start(asdict(Course(self.url, door, trial.customer, self.began, self.speed, go, *where)))

    def play(self, customer: str, stage: str) -> tuple[Trial, str]:
        """A process that is ended at the stage, and how its successor fares."""
        trial = self.connect(customer, stage)
        trial.process = self.start(trial)
        forge().gone(trial.process)
        if trial.stage is not None:
            trial.wrong.append(f"was not ended at {stage}")
        return trial, self.go_on(trial)

    def go_on(self, trial: Trial) -> str:
        """What a process says that begins now."""
        return forge().said(self.start(trial))

    def stored(self, customer: str, name: str) -> str | None:
        with self.engine.begin() as tx:
            kept = VAULT.get(tx, customer, PLATFORM, name)
        return kept.reveal() if kept else None

    @contextmanager
    def nobody_commits(self, customer: str) -> Iterator[None]:
        """What arrives now is received and cannot become durable."""
        with self.engine.begin() as tx:
            _locked(tx, customer)
            yield

    def answered(self, trial: Trial, request: Request, step: float = 2.0) -> Any:
        """The vendor's answer, so many seconds after the one before."""
        with self.lock:
            trial.now += step
            return self.vendor.handle(request, trial.now)


def _locked(tx: Connection, customer: str) -> None:
    tx.execute(select(slot.c.fence).where(slot.c.customer_id == customer).with_for_update())


class _Door(BaseHTTPRequestHandler):
    """/{customer}/... of the vendor; ends the customer's process at its stage."""

    protocol_version = "HTTP/1.1"

    server: "_Listening"

    def do_POST(self) -> None:
        yard, (trial, request) = self.server.yard, self._asked()
        trial.tokens += 1
        if trial.stage == "intent":
            if yard.stored(trial.customer, "refresh_intent") is None:
                trial.wrong.append("sent before the intent was durable")
            self._over(trial)
        elif trial.stage == "sent":
            yard.answered(trial, request)
            self._over(trial)
        elif trial.stage == "received":
            with yard.nobody_commits(trial.customer):
                self._say(yard.answered(trial, request))
                time.sleep(0.05)
                self._over(trial)
        else:
            self._say(yard.answered(trial, request, 2.0 if trial.tokens == 1 else LATER))

    def do_GET(self) -> None:
        yard, (trial, request) = self.server.yard, self._asked()
        if yard.stored(trial.customer, "refresh_intent") is not None:
            trial.wrong.append("used before the result was durable")
        if trial.stage == "durable":
            self._over(trial)
            return
        self._say(yard.answered(trial, request))
        if trial.stage == "used":
            self._over(trial)

    def _asked(self) -> tuple[Trial, Request]:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        _, customer, rest = self.path.split("/", 2)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self.server.yard.trials[customer], Request(self.command, f"/{rest}", "", headers, body)

    def _say(self, answer: Any) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def _over(self, trial: Trial) -> None:
        trial.end()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Listening(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        super().__init__(("127.0.0.1", 0), _Door)


@contextmanager
def yard_of(url: str, speed: float = 300.0, **more: Any) -> Iterator[Yard]:
    """A yard for the length of a block."""
    yard = Yard(url, speed, **more)
    try:
        yield yard
    finally:
        yard.close()
