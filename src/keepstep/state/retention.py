"""What is forgotten by age: a piece of at most 200 rows a transaction, found by an index.

Never in here: the consent ledger, reports of bounces and opt-outs, and whatever keeps somebody from being mailed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, or_, select, tuple_
from sqlalchemy import Table as SqlTable

from keepstep.model.instant import Instant
from keepstep.schema.oversight import reconciliation, sighting
from keepstep.schema.tables import dead_letter, delivery, history, journal
from keepstep.state.history import READING
from keepstep.state.journal import CAME

MOST = 200
DECIDED = "decided"
# Without these nobody's past could be found under its present name, and what explains a difference would be none.
LASTING = (*CAME, "conflict")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a walk by age has come: past the row with this moment and number."""

    at: Instant = float("-inf")
    number: int = 0


# (customer id, older than, where the walk is) -> where it goes on, None where it is over.
Piece = Callable[[Connection, str, Instant, Place], Place | None]


def old_deliveries(customer_id: str, before: Instant) -> Select[tuple[str]]:
    """Those that were read. One that was not read yet is work, however old it is."""
    mine = (delivery.c.customer_id == customer_id, delivery.c.received < before)
    return select(delivery.c.id).where(*mine, delivery.c.state.in_(("parsed", "refused"))).limit(MOST)


def deliveries(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
    """Raw webhooks."""
    return _gone(tx, delivery, customer_id, list(tx.execute(old_deliveries(customer_id, before)).scalars()), place)


def old_letters(customer_id: str, before: Instant) -> Select[tuple[str]]:
    """Those that were resolved: an open one has no such moment."""
    mine = (dead_letter.c.customer_id == customer_id, dead_letter.c.resolved < before)
    return select(dead_letter.c.id).where(*mine).limit(MOST)


def letters(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
    """Dead letters."""
    return _gone(tx, dead_letter, customer_id, list(tx.execute(old_letters(customer_id, before)).scalars()), place)


def oldest_reconciled(customer_id: str) -> Select[tuple[int, Instant]]:
    """The log is in the order of time: whatever is old is in front."""
    mine = select(reconciliation.c.id, reconciliation.c.at).where(reconciliation.c.customer_id == customer_id)
    return mine.order_by(reconciliation.c.id).limit(MOST)


def reconciled(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
    """The reconciliation log."""
    found = [row.id for row in tx.execute(oldest_reconciled(customer_id)) if row.at < before]
    return _gone(tx, reconciliation, customer_id, found, place)


def old_sightings(customer_id: str, platform: str, before: Instant) -> Select[tuple[str, str, str, str]]:
    """What a road of this platform showed."""
    mine = (sighting.c.customer_id == customer_id, sighting.c.platform == platform, sighting.c.at < before)
    return select(sighting.c.platform, sighting.c.record_id, sighting.c.stamp, sighting.c.source).where(*mine)


def sightings_of(platform: str) -> Piece:
    """Which road showed which change of a platform's records."""

    def piece(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
        found = [tuple(row) for row in tx.execute(old_sightings(customer_id, platform, before).limit(MOST))]
        keys = tuple_(sighting.c.platform, sighting.c.record_id, sighting.c.stamp, sighting.c.source)
        tx.execute(delete(sighting).where(sighting.c.customer_id == customer_id, keys.in_(found)))
        return place if len(found) == MOST else None

    return piece


def old_lines(customer_id: str, before: Instant, place: Place) -> Select[tuple[int, Instant, str]]:
    """Lines of the journal, oldest first, from where the walk is."""
    return _walk(journal, select(journal.c.id, journal.c.at, journal.c.kind), customer_id, before, place)


def lines(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
    """The journal, but for what says who became whom, and what explains a difference."""
    rows = tx.execute(old_lines(customer_id, before, place)).all()
    _gone(tx, journal, customer_id, [row.id for row in rows if row.kind not in LASTING], place)
    return Place(rows[-1].at, rows[-1].id) if len(rows) == MOST else None


def old_past(customer_id: str, before: Instant, place: Place) -> Select[tuple[int, Instant, bool]]:
    """Rows of the history, oldest first, and whether a later one says the same thing as it was at `before`."""
    later = history.alias()
    same_reading = and_(
        history.c.kind == READING,
        later.c.kind == READING,
        later.c.platform == history.c.platform,
        later.c.record_id == history.c.record_id,
    )
    after = and_(
        later.c.customer_id == history.c.customer_id,
        later.c.party_id == history.c.party_id,
        later.c.id > history.c.id,
        later.c.at < before,
    )
    told = exists().where(after, or_(same_reading, and_(history.c.kind != READING, later.c.kind == DECIDED)))
    page = select(history.c.id, history.c.at, told.label("told"))
    return _walk(history, page, customer_id, before, place)


def past(tx: Connection, customer_id: str, before: Instant, place: Place) -> Place | None:
    """The history: what was so at `before` stays, so that every moment since can be told."""
    rows = tx.execute(old_past(customer_id, before, place)).all()
    _gone(tx, history, customer_id, [row.id for row in rows if row.told], place)
    return Place(rows[-1].at, rows[-1].id) if len(rows) == MOST else None


def _walk(table: SqlTable, page: Select[Any], customer_id: str, before: Instant, place: Place) -> Select[Any]:
    beyond = or_(table.c.at > place.at, and_(table.c.at == place.at, table.c.id > place.number))
    mine = (table.c.customer_id == customer_id, table.c.at < before, table.c.at >= place.at, beyond)
    return page.where(*mine).order_by(table.c.at, table.c.id).limit(MOST)


def _gone(tx: Connection, table: SqlTable, customer_id: str, ids: Sequence[Any], place: Place) -> Place | None:
    tx.execute(delete(table).where(table.c.customer_id == customer_id, table.c.id.in_(ids)))
    return place if len(ids) == MOST else None
