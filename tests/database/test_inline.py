"""The simulator's database: faults around every commit, and a disk that can be copied."""

import asyncio
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, func, insert, select

from keepstep.database import Inline
from keepstep.schema.tables import journal


class Crash(Exception):
    pass


def note(tx: Connection) -> None:
    tx.execute(insert(journal), {"customer_id": "c", "at": 1.0, "kind": "x"})


def count(tx: Connection) -> int:
    return tx.execute(select(func.count()).select_from(journal)).scalar_one()


def answer(work: Any) -> Any:
    return asyncio.run(work)


@pytest.mark.parametrize(("point", "stored"), [("before", 0), ("after", 1)])
def test_a_fault_before_a_commit_stores_nothing_and_one_after_it_stores_all(point: str, stored: int) -> None:
    def at(where: Literal["before", "after"], name: str) -> None:
        if (where, name) == (point, "note"):
            raise Crash

    database = Inline(at)
    with pytest.raises(Crash):
        answer(database.run(note))
    assert answer(database.beside().run(count)) == stored


def test_the_hook_sees_every_commit_once_on_each_side() -> None:
    seen: list[tuple[str, str]] = []
    database = Inline(lambda point, name: seen.append((point, name)))
    answer(database.run(note))
    answer(database.append(journal, {"customer_id": "c", "at": 1.0, "kind": "x"}))
    assert seen == [("before", "note"), ("after", "note"), ("before", "append"), ("after", "append")]


def test_an_older_disk_can_be_put_back() -> None:
    database = Inline()
    answer(database.run(note))
    disk = database.dump()
    answer(database.run(note))
    database.load(disk)
    assert answer(database.run(count)) == 1
    answer(database.run(note))
    assert answer(database.run(count)) == 2


def test_processes_share_a_disk_and_other_disks_are_apart() -> None:
    database = Inline()
    answer(database.run(note))
    assert answer(database.beside().run(count)) == 1
    assert answer(Inline().run(count)) == 0


def test_equal_stories_leave_equal_disks() -> None:
    one, two = Inline(), Inline()
    for database in (one, two):
        answer(database.run(note))
    assert one.dump() == two.dump()
