"""Canaries: a thousand secrets and a thousand people whom nothing else could spell, a run in which much goes wrong, and
a scanner that finds them in plain, base64, hex and URL form."""

import base64
import contextlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError

import keepstep.wiring
from keepstep import cli, telemetry, worker
from keepstep.database import Inline, engine_of
from keepstep.model.errors import Problem
from keepstep.schema import tables
from keepstep.state import vault
from keepstep.state.vault import Secret
from keepstep.submit import load
from keepstep.wiring import alerts
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, START, Counted, Crossing
from tests.flows.ears import ears

REFUSING = (400, 401, 403, 404, 409, 422)
CC, V = "constant_contact", "virtuous"
# Where the secrets of one customer lie. The first of them are used; the service made none of the others useless.
PLACES = (
    *((CC, name) for name in ("client_id", "client_secret", "refresh_token", "previous_refresh_token")),
    *((V, name) for name in ("api_key", "webhook_secret", "webhook_secret_previous")),
    ("keepstep", "alert_url"),
    ("sql_table", "donors"),
    ("sql_table", "visitors"),
)


@dataclass(frozen=True)
class Size:
    """How many customers, how many of them served (the others rest), people, and people at the audience side."""

    customers: int = 100
    served: int = 8
    people: int = 1000
    here: int = 150


def secret(number: int) -> str:
    return f"Zqsecret{number:04d}kept"


@dataclass(frozen=True)
class Person:
    """Somebody of whom every value is a canary."""

    number: int

    @property
    def first(self) -> str:
        return f"Zqfirst{self.number:04d}"

    @property
    def last(self) -> str:
        return f"Zqlast{self.number:04d}"

    @property
    def email(self) -> str:
        return f"zqmail{self.number:04d}@example.org"

    @property
    def phone(self) -> str:
        return f"425719{self.number:04d}"

    @property
    def street(self) -> str:
        return f"{self.number} Zqstreet{self.number:04d} Ave"


# --- the scanner -----------------------------------------------------------------------------------------------------

_PEOPLE = re.compile(rb"(?i)zq(?:first|last|mail|street)\d{4}|425\D{0,4}719\D{0,3}\d{4}")
_SECRETS = re.compile(rb"(?i)zqsecret")


def _spellings(stem: str) -> list[bytes]:
    """A text inside longer ones, in base64 at each of its three places, and in hex."""
    found = [stem.encode().hex().encode(), stem.encode().hex().upper().encode(), quote(f"\N{SNOWMAN}{stem}").encode()]
    for before in range(3):
        whole = base64.b64encode(bytes(before) + stem.encode()).decode()
        found.append(whole[(0, 2, 3)[before] : len(whole) // 4 * 4 - 4].encode())
    return found


_SPELT = {
    "secret": [one for stem in ("Zqsecret", "zqsecret") for one in _spellings(stem)],
    "person": [one for stem in ("Zqfirst", "Zqlast", "zqmail", "Zqstreet") for one in _spellings(stem)],
}


@dataclass
class Evidence:
    """Everything that left the service, by class; `tokens` are the secrets that vendors made."""

    said: dict[str, list[bytes]] = field(default_factory=dict)
    tokens: set[bytes] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, where: str, what: str | bytes) -> None:
        self.said.setdefault(where, []).append(what if isinstance(what, bytes) else what.encode("utf-8", "replace"))

    def secrets(self, where: str) -> list[bytes]:
        """The secrets in a class, with a few letters around."""
        exact = [_around(text, text.index(one)) for text in self.said[where] for one in self.tokens if one in text]
        return exact + self._found(where, _SECRETS, "secret")

    def people(self, where: str) -> list[bytes]:
        """The people in a class."""
        return self._found(where, _PEOPLE, "person")

    def _found(self, where: str, plain: re.Pattern[bytes], kind: str) -> list[bytes]:
        found = []
        for text in self.said[where]:
            found += [_around(text, hit.start()) for hit in plain.finditer(text)]
            found += [_around(text, text.index(one)) for one in _SPELT[kind] if one in text]
        return found


def _around(text: bytes, at: int) -> bytes:
    return text[max(0, at - 80) : at + 40]


WHOLE = Size()

# --- a hostile run ---------------------------------------------------------------------------------------------------


class Marked(Counted):
    """What the service makes as a secret of its own is a canary as well; nonces are none."""

    def token(self, size: int) -> bytes:
        self.n += 1
        return f"Zqsecret-ours{self.n:07d}".encode().ljust(size, b"-") if size >= 32 else self.n.to_bytes(size, "big")


def _unsynced(connection: Any, _record: object) -> None:
    """Nobody pulls the plug here."""
    connection.execute("PRAGMA synchronous = OFF")


class Hostile(Crossing):
    """Both vendors quote in their refusals whatever they were sent, credentials and all."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keepstep.db"
        engine = engine_of(f"sqlite:///{self.file}")
        event.listen(engine, "connect", _unsynced)
        tables.metadata.create_all(engine)
        super().__init__(cc={"access_token_lifetime": "short"}, db=Inline(disk=engine))
        self.chance = Marked()
        self.open()
        self.refused = 0
        self.wire = self.quoting

    def quoting(self, vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        writes = vendor == V and request.method == "PUT" and b"Broken" in request.body
        answer = Response(400, {"Content-Type": "application/json"}, b"{}") if writes else handle()
        if answer.status not in REFUSING:
            return answer
        self.refused += 1
        heads = {name: value for name, value in request.headers.items() if name != "content-length"}
        echo = f"{request.method} {request.path}?{request.query} {heads} {request.body.decode('utf-8', 'replace')}"
        try:
            said = json.loads(answer.body or b"{}")
        except ValueError:
            said = {}
        if isinstance(said, list):
            said = [{**one, "error_message": echo} for one in said]
        else:
            said |= {"message": echo, "detail": echo, "title": echo, "error_description": echo, "errors": [echo]}
            if vendor == V and not isinstance(said.get("error"), str):
                said["error"] = {"code": "INVALID", "message": echo, "details": [{"field": echo, "message": echo}]}
        return replace(answer, body=json.dumps(said).encode())


More = Callable[[Hostile, Evidence, Path], None]


def lived(folder: Path, hands: pytest.MonkeyPatch, size: Size = WHOLE, more: Iterable[More] = ()) -> Evidence:
    """The run; what it said, by class. more: what else is collected while it stands."""
    found = Evidence()
    with ears() as there, Hostile(folder) as x, logged() as log:
        telemetry.setup("json", x.clock.now, log)
        people, records = town(x, size)
        moved_in(x, size, there.url(secret(0)))
        x.night()
        telemetry.setup("text", x.clock.now, log)
        trouble(x, people, records, hands)
        x.wait(hours=3)
        x.ask(alerts.once(x.service))
        logging.getLogger("vendor.library").error("could not send %s as %s", people[1].email, secret(1))
        collected(x, found)
        found.counts = {"refused": x.refused, "letters": len(x.letters()), "told": len(there.heard)}
        found.counts |= {"standing": sum(x.standings().values())}
        asked(x, found, hands, records, people)
        for one in more:
            one(x, found, folder)
        reprs(x, found)
        found.add("log", log.getvalue())
        for one in there.heard:
            found.add("messages", json.dumps({**one, "path": ""}))
        x.db._disk.dispose()
        for file in folder.glob("keepstep.db*"):
            found.add("database file", file.read_bytes())
    return found


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """The process' log, which is as it was before after that."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield io.StringIO()
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


def town(x: Crossing, size: Size) -> tuple[list[Person], list[str]]:
    """Some people at the audience side, on a list; the others in the CRM only."""
    news = x.a_list("Newsletter")
    people, records = [Person(n) for n in range(size.people)], []
    for one in people[: size.here]:
        place = {"kind": "home", "street": one.street, "city": "Everett", "state": "WA", "postal_code": "98201"}
        phones = [{"kind": "mobile", "number": f"+1{one.phone}"}] if one.number % 2 else []
        more = {"addresses": [place], "phones": phones, "lists": [news]}
        records.append(x.person(one.email, one.first, one.last, **more))
    for one in people[size.here :]:
        x.household(one.email, one.first, one.last)
    return people, records


def moved_in(x: Crossing, size: Size, url: str) -> None:
    """Customers with ten secrets each; the first one's are the right ones."""
    keep = x.service.vault.put
    for number in range(size.customers):
        customer = CUSTOMER if number == 0 else f"c{number:02d}"
        given = {place: secret(number * len(PLACES) + n) for n, place in enumerate(PLACES)}
        if number == 0:
            given[CC, "refresh_token"] = x.cc.add_account(
                CUSTOMER, given[CC, "client_id"], given[CC, "client_secret"], START
            )["refresh_token"]
            x.v.add_organization(CUSTOMER, given[V, "api_key"], START)
        given["keepstep", "alert_url"] = url
        for platform, names in ((CC, ("client_id", "client_secret", "refresh_token")), (V, ("api_key",))):
            kept = {name: Secret(given[platform, name]) for name in names}
            x.ask(x.service.add_customer(customer, platform, kept))
        for (platform, name), text in given.items():
            x.ask(x.service.db.run(keep, customer, platform, name, Secret(text), x.now()))
        if number >= size.served:
            x.ask(x.service.pause(customer))


def trouble(x: Hostile, people: list[Person], records: list[str], hands: pytest.MonkeyPatch) -> None:
    """Refused writes, questions, bad deliveries, exceptions that quote a person and a secret."""
    for number in range(0, 24, 2):
        x.edits(records[number], last_name=f"{people[number].last}Broken")
    for number in range(24, 50):
        x.cc.delete(CUSTOMER, records[number], x.now())
    for number in range(50, 55):
        x.opts_out(records[number], f"I, {people[number].first}, had enough")
    x.household(people[56].email, people[57].first, people[58].last)
    path, _ = x.hook()
    for body in (json.dumps({"who": people[3].email, "key": secret(3)}).encode(), b"\xff{" + people[4].email.encode()):
        x.ask(x.post(path, {"X-Virtuous-Signature": secret(5)}, body))
        x.ask(x.post(f"{path}Zqsecret", {"X-Virtuous-Signature": "x"}, body))
    x.faults.arm("html", vendor=V, path="/api", count=3)
    x.faults.arm("truncated", vendor=CC, path="/v3/contacts", count=3)
    x.faults.arm("reset_after", vendor=V, method="WRITE", count=2)
    _raising(hands, load, "cases", ValueError(f"{people[5].first} {people[5].phone} {secret(6)}"), 3)
    statement = "INSERT INTO snapshot VALUES (:email, :key)"
    error = IntegrityError(statement, {"email": people[6].email, "key": secret(7)}, Exception(people[7].street))
    _raising(hands, worker, "_turn", error, 3)
    x.wait(hours=2)


def _raising(hands: pytest.MonkeyPatch, module: Any, name: str, error: Exception, times: int) -> None:
    """The next so many calls of an async function end so."""
    whole, left = getattr(module, name), iter(range(times))

    async def spoilt(*given: Any, **more: Any) -> Any:
        if next(left, None) is not None:
            raise error
        return await whole(*given, **more)

    hands.setattr(module, name, spoilt)


# --- what is collected -----------------------------------------------------------------------------------------------


def collected(x: Hostile, found: Evidence) -> None:
    """The tables, column by column, and the tokens that vendors handed out."""
    for table in tables.metadata.sorted_tables:
        for row in x.ask(x.db.run(lambda tx, table=table: list(tx.execute(select(table)).mappings()))):
            for column, value in row.items():
                text = value if isinstance(value, bytes) else json.dumps(value, default=str, ensure_ascii=False)
                found.add(f"{table.name}.{column}", text)
    for call in x.calls:
        if "oauth" in call.request.path and call.answer.status == 200:
            said = json.loads(call.answer.body)
            found.tokens |= {str(said[name]).encode() for name in ("access_token", "refresh_token") if said.get(name)}


# What a person types to look; `{record}` and `{letter}` are ids. The second ones promise to show personal data.
DOORS = "customer show c01"
IMPERSONAL = """
status|status --people --customer acme|status --customer acme|timeline --customer acme {record}|customer list|doctor
doctor --customer acme|dead-letters list --customer acme|parked list --customer acme|brake show --customer acme
consent --certificate --customer acme|reconcile --customer acme|parity --customer acme|alerts list --all
alerts list --customer acme|partner events|feed list|undo list --customer acme|vault status|nonsense Zq
timeline --customer nobody x|dead-letters show --customer acme nothing|plan --customer acme
"""
PERSONAL = """
timeline --customer acme {record} --at 2025-06-17T00:00:00Z|dead-letters show --customer acme {letter}
consent --customer acme {email}|conflicts --customer acme|parked overwritten --customer acme|explain {record}
"""


def asked(x: Hostile, found: Evidence, hands: pytest.MonkeyPatch, records: list[str], people: list[Person]) -> None:
    """Every command that shows something, for people and for scripts."""

    @contextlib.asynccontextmanager
    async def opened(_settings: object) -> AsyncIterator[Any]:
        yield x.service

    hands.setattr(keepstep.wiring, "open_service", opened)
    hands.setattr(telemetry, "setup", lambda *_: None)
    letter = next((one["id"] for one in x.letters()), "none")
    ids = {"record": records[0], "letter": letter, "email": people[50].email}
    for where, commands in (("commands", IMPERSONAL), ("personal commands", PERSONAL), ("doors", DOORS)):
        for line in commands.strip().replace("\n", "|").split("|"):
            for more in ([], ["--json"]):
                found.add(where, shown([*(word.format(**ids) for word in line.split()), *more]))
    hands.setattr("sys.stdin", io.StringIO(f"{secret(8)}={people[8].email}\n"))
    found.add("commands", shown(["customer", "add", "c99"]))
    hands.setattr("sys.stdin", io.StringIO(f"{secret(9)}\n"))
    found.add("commands", shown(["alerts", "set"]))


def shown(arguments: list[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(arguments)
    return f"$ {' '.join(arguments)}\n{said.getvalue()}\n{code}\n"


def reprs(x: Hostile, found: Evidence) -> None:
    """How the things that hold secrets look in a debugger, in a message and in an error."""
    desk = x.ask(x.service.desk(CUSTOMER))
    kept: Secret = x.ask(x.service.db.run(x.service.vault.get, CUSTOMER, V, "api_key"))
    things: list[Any] = [x.service.settings, x.service.vault, kept, desk.hook_secret, desk.ledger_key, vault.Vault]
    things += [{"key": kept}, [kept], x.service._grant(CUSTOMER, CC, x.service.http)]
    for one in things:
        found.add("reprs", f"{one!r} {one!s} {one}")
    for problem in problems(x):
        found.add("errors", f"{problem!r} {problem!s} {problem.args}")


def problems(x: Hostile) -> Iterable[Problem]:
    """What calls end with where the vendor quotes everything back."""
    for number in range(1, 4):
        desk = x.ask(x.service.desk(f"c{number:02d}"))
        for call in (desk.audience.account, desk.crm.account, desk.crm.tags, desk.audience.lists):
            try:
                x.ask(call())
            except Problem as problem:
                yield problem
