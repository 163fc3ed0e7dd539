"""An SQL table of the nonprofit's own, whose rows are to become people on a list, and what happens to it in the week.

Some of its people are in the account already, most are not. Whatever is written into it is in the log of acts as well,
so that the judge knows every version of every row without asking the service.
"""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.fed import SQL
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, Person
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.week.span import HOUR, Event, Span

FEED = "members"
LIST = "Members of our database"
ABROAD = "+44 20 7946 0958"  # which an import does not take (CC facts 7.1)
LEAST = 9  # rows to which something happens, one each
FIRST = 500  # numbers of newcomers whom nobody else has
ROUND = HOUR  # what a round of the service and its import may take before the next thing happens to a person
_COLUMNS = ("email", "first_name", "last_name", "phone", "street", "city", "state", "postal_code", "country")
_SCHEMA = "id INTEGER PRIMARY KEY, {}, agreed_at TEXT, changed_at TEXT NOT NULL"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `agreed`: when its person said that they may be mailed, epoch seconds."""

    number: int
    email: str | None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    agreed: float = 0.0
    odd: str = ""


class Table:
    """The table in a SQLite file, and the list that it is for."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self._scene, self._path = scene, path
        self._entries: dict[int, Entry] = {}
        self.gone: set[int] = set()  # rows whose person went by an act
        self.list_id = scene.act(CONSTANT_CONTACT, "add_list", name=LIST)
        scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + LIST)
        columns = ", ".join(f"{name} TEXT" for name in _COLUMNS)
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(f"CREATE TABLE {FEED} ({_SCHEMA.format(columns)})")

    def write(self, entry: Entry) -> None:
        """Put a row in, or another version over it."""
        now, world = self._scene.world.now, self._scene.world
        self._entries[entry.number] = entry
        values = [entry.number, *(getattr(entry, name) for name in _COLUMNS), _text(entry.agreed), _text(now)]
        with closing(sqlite3.connect(self._path)) as file, file:
            file.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        said = {name: value for name, value in asdict(entry).items() if name in _COLUMNS and name != "email" and value}
        known: dict[str, Any] = {"email": entry.email, "values": said, "permitted": entry.agreed or None}
        world.note("staff", SQL, "row", str(entry.number), feed=FEED, lists=[self.list_id], odd=entry.odd, **known)

    def change(self, number: int, **values: Any) -> None:
        """Another version of a row."""
        self.write(replace(self._entries[number], **values))

    def drop(self, number: int) -> None:
        """Take a row out; nobody is taken off a list for that."""
        with closing(sqlite3.connect(self._path)) as file, file:
            file.execute("DELETE FROM members WHERE id = ?", (number,))

    def contact(self, number: int) -> str | None:
        """The contact with the row's address, once there is one."""
        address = fields.email(self._entries[number].email)
        for one in self._scene.world.constant_contact.contacts(ACCOUNT):
            if fields.email((one.get("email_address") or {}).get("address")) == address:
                return str(one["contact_id"])
        return None

    def on(self, number: int) -> str | None:
        """The same, once they are on the list."""
        found = self.contact(number)
        raw = self._scene.world.constant_contact.contact(ACCOUNT, found) if found else {}
        return found if self.list_id in raw.get("list_memberships", ()) else None


def entry_of(number: int, person: Person, agreed: float) -> Entry:
    """A person as the table has them: one telephone number, one address."""
    place = person.addresses[0] if person.addresses else {}
    phone = person.phones[0][1] if person.phones else None
    entry = Entry(number, person.email, person.first_name, person.last_name, phone, agreed=agreed)
    parts: dict[str, Any] = {name: place.get(name) for name in _COLUMNS[4:]}
    return replace(entry, **parts)


def lay(scene: Scene, span: Span, path: Path) -> list[Event]:
    """Make the table and plan what happens to it. Draws from a generator of its own: without a table the week is the
    same."""
    table, chance = Table(scene, path), random.Random(f"table:{scene.world.seed}")
    size = max(LEAST, len(scene.people) // 12)
    for number in range(1, size + 1):
        table.write(_newcomer(scene, number, span.begin))
    table.change(2, phone=ABROAD)
    table.change(3, email=None)
    table.change(4, email="half-an-address@", odd="bad_address")
    for place, who in enumerate(_known(scene)):
        table.write(entry_of(size + 1 + place, scene.people[who], 0.0))
    return sorted(_events(scene, span, table, chance), key=lambda event: event.at)


def _newcomer(scene: Scene, number: int, agreed: float) -> Entry:
    """Nobody else has such a number, and an import takes it."""
    entry = entry_of(number, crowd.newcomer(scene.world.seed, FIRST + number), agreed)
    return replace(entry, phone=f"212-555-{number:04}" if entry.phone else None)


def _known(scene: Scene) -> list[int]:
    """Two of the account whom nothing else happens to, and one of those who had opted out before."""
    out = [who for who, one in enumerate(scene.people) if one.email and one.permission == "unsubscribed"]
    spare = [who for who in (scene.pick(), scene.pick()) if who is not None]
    return [*spare, *out[:1]]


def _events(scene: Scene, span: Span, table: Table, chance: random.Random) -> list[Event]:
    """Rows come and change; people of it leave, opt out and are deleted, and then their row changes all the same."""
    waiting = span.begin + 2 * HOUR, max(span.waiting[1], span.quiet - 27 * HOUR) - ROUND
    # Of who leaves or is deleted only a sweep tells. Not too early: the same has to come of it however late the service
    # was because it was killed, and of somebody deleted before the other side heard of them less is there.
    late = (span.swept[0] + span.swept[1] - 3 * ROUND) / 2, span.swept[1]
    windows = {"row": span.live, "out": span.live, "leave": late, "deletion": late, "return": late}
    at = {name: chance.uniform(begin, end - 3 * ROUND) for name, (begin, end) in windows.items()}

    def later(name: str) -> float:
        return at[name] + ROUND

    def changed(number: int, word: str) -> Callable[[], bool]:
        return lambda: _did(table.change, number, last_name=f"{word}-Byhand")

    def gone(number: int, what: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: number in table.gone and what()

    def goes(number: int, act: str, **more: Any) -> Callable[[], bool]:
        return lambda: _goes(scene, table, number, act, **more)

    def agreed() -> bool:
        return _did(table.change, 8, agreed=scene.world.now)

    leaves, of = {"list_id": table.list_id}, CONSTANT_CONTACT
    rows: list[tuple[float, str, str, Callable[[], bool]]] = [
        (chance.uniform(*waiting), "row_added", SQL, lambda: _did(table.write, _newcomer(scene, 900, span.begin))),
        (chance.uniform(*waiting), "row_added", SQL, lambda: _did(table.write, _newcomer(scene, 901, span.begin))),
        (at["row"], "row_changed", SQL, changed(1, "Changed")),
        (later("row"), "row_taken_out", SQL, lambda: _did(table.drop, 9)),
        (at["leave"], "fed_person_leaves", of, goes(5, "person_leaves", **leaves)),
        (later("leave"), "row_of_who_left", SQL, gone(5, changed(5, "Left"))),
        (at["out"], "fed_person_opts_out", of, goes(6, "person_opts_out")),
        (later("out"), "row_of_opted_out", SQL, gone(6, changed(6, "Out"))),
        (at["deletion"], "fed_person_deleted", of, goes(7, "delete")),
        (later("deletion"), "row_of_deleted", SQL, gone(7, changed(7, "Gone"))),
        (at["return"], "fed_person_leaves", of, goes(8, "person_leaves", **leaves)),
        (later("return"), "row_of_who_left", SQL, gone(8, changed(8, "Left"))),
        (later("return") + ROUND, "row_permitted_anew", SQL, gone(8, agreed)),
    ]
    return [Event(when, what, side, "", run, span.live[1]) for when, what, side, run in rows]


def _goes(scene: Scene, table: Table, number: int, act: str, **more: Any) -> bool:
    """An act of, or on, a row's person, once the feed has put them on the list."""
    found = table.on(number)
    if found is None:
        return False
    scene.act(CONSTANT_CONTACT, act, contact_id=found, **more)
    table.gone.add(number)
    return True


def _did(what: Callable[..., None], *args: Any, **values: Any) -> bool:
    what(*args, **values)
    return True


def _text(at: float) -> str | None:
    """A moment as the table writes it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else None
