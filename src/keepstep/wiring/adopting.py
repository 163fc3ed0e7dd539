"""A database that was copied, moved or restored: a person says that this is the one that goes on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model.alerts import Kind
from keepstep.state import alerts, customers, installation, journal, marks
from keepstep.wiring.between import between_turns

if TYPE_CHECKING:
    from keepstep.model.instant import Instant
    from keepstep.wiring.service import Service

Row = dict[str, Any]


async def adopt(service: "Service") -> list[Row]:
    """Every connection belongs to this database from now on: [{customer, platform, was_copied}]."""
    rows: list[Row] = []
    for one in await service.db.run(customers.every):
        rows += await between_turns(service, one.customer_id, _adopted, one.customer_id, service.clock.now())
    return rows


def _adopted(tx: Tx, customer_id: str, now: "Instant") -> list[Row]:
    rows: list[Row] = []
    for one in customers.connections(tx, customer_id):
        copied = not installation.belongs(tx, customer_id, one.platform)
        installation.claim(tx, customer_id, one.platform)
        if one.reason == installation.COPIED:
            customers.unblock(tx, customer_id, one.platform)
            alerts.close(tx, customer_id, Kind.connection_blocked, one.platform, now)
            queue.let_go(tx, customer_id, "blocked", now)
            _read_again(tx, customer_id, one.platform, now)
        rows.append({"customer": customer_id, "platform": one.platform, "was_copied": copied})
    if any(row["was_copied"] for row in rows):
        journal.append(tx, customer_id, [(now, None, "adopted", {})])
    return rows


def _read_again(tx: Tx, customer_id: str, platform: str, now: "Instant") -> None:
    for mark in marks.every(tx, customer_id):
        if mark.platform == platform and mark.due is not None and mark.due > now:
            marks.put(tx, customer_id, replace(mark, due=now))
