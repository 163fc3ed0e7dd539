"""One door on loopback, in a process of its own: `python -m bench.door grouped|each|none FOLDER`.

It prints its port and serves until its standard input ends.

grouped: as the service does it, rows that wait are committed together. each: one transaction a delivery, the usual way.
none: the same server and the same verification, and nothing is stored.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Table, insert

from bench.load import PATH, SECRET, SIGNATURE
from keepstep.cli.console import run
from keepstep.database import Database, migrate, open_database
from keepstep.web import Door, Sender, build, listening
from keepstep.wiring.chance import SystemChance
from keepstep.wiring.clock import SystemClock

KINDS = ("grouped", "each", "none")


class Each:
    """The database port whose append is a transaction of its own."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def append(self, table: Table, row: Mapping[str, Any]) -> None:
        await self.db.run(_add, table, row)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


def _add(tx: Connection, table: Table, row: Mapping[str, Any]) -> None:
    tx.execute(insert(table), dict(row))


class Nothing:
    """The database port that keeps nothing."""

    async def append(self, _table: Table, _row: Mapping[str, Any]) -> None:
        return None


async def _serve(kind: str, folder: Path) -> None:
    url = f"sqlite:///{folder / 'bench.db'}"
    migrate(url)
    db = open_database(url)
    stores: dict[str, Any] = {"grouped": db, "each": Each(db), "none": Nothing()}
    platform, token = PATH.split("/")[2:]

    async def lookup(asked: str, path: str) -> Sender | None:
        return Sender("acme", (SECRET,)) if (asked, path) == (platform, token) else None

    async def wake(_customer: str) -> None:
        """The worker is another process here."""

    door = Door(
        lookup=lookup,
        signatures={platform: lambda headers: [headers.get(SIGNATURE, "")]},
        db=stores[kind],
        clock=SystemClock(),
        chance=SystemChance(),
        wake=wake,
    )
    async with listening(build(door), "127.0.0.1", 0) as port:
        print(port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await db.close()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    run(_serve(sys.argv[1], Path(sys.argv[2])))
