"""Reconciliation: its log, to which rows are added and never changed; ranges of parties that were found the same; and
what it asks of other tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Text, and_, cast, delete, exists, func, insert, select

from keepstep.database import portions, replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.oversight import bucket, reconciliation, sighting
from keepstep.schema.tables import alias, entry, history, journal, party, snapshot, step, submission
from keepstep.state.history import READING

Row = dict[str, Any]
# So many records stand in one row.
RECORDS = 100


def log(
    tx: Connection,
    customer_id: str,
    run: str,
    category: str,
    resolution: str,
    records: Sequence[str],
    details: Mapping[str, Any] | None,
    now: Instant,
) -> None:
    """Add what became of these records."""
    same = {"customer_id": customer_id, "run": run, "at": now, "category": category, "resolution": resolution}
    rows = [
        {**same, "records": list(records[at : at + RECORDS]), "details": dict(details) if details else None}
        for at in range(0, len(records), RECORDS)
    ]
    if rows:
        tx.execute(insert(reconciliation), rows)


def since(tx: Connection, customer_id: str, at: Instant) -> list[Row]:
    """The log's rows since a moment, oldest first."""
    mine = (reconciliation.c.customer_id == customer_id, reconciliation.c.at >= at)
    rows = tx.execute(select(reconciliation).where(*mine).order_by(reconciliation.c.id)).mappings()
    return [dict(row) for row in rows]


# --- ranges ----------------------------------------------------------------------------------------------------------


def range_after(tx: Connection, customer_id: str, after: str) -> Row | None:
    """What is remembered of the range that begins after this party id: upto ("" for the end), fingerprint, tally."""
    mine = (bucket.c.customer_id == customer_id, bucket.c.after == after)
    row = tx.execute(select(bucket.c.upto, bucket.c.fingerprint, bucket.c.tally).where(*mine)).mappings().first()
    return None if row is None else dict(row)


def remember_range(
    tx: Connection, customer_id: str, after: str, upto: str, fingerprint: str, tally: Mapping[str, int], now: Instant
) -> None:
    """This range was compared and is the same; ranges that began inside it are no more."""
    inside = [bucket.c.customer_id == customer_id, bucket.c.after > after]
    tx.execute(delete(bucket).where(*inside, *([bucket.c.after < upto] if upto else [])))
    row = {"upto": upto, "fingerprint": fingerprint, "tally": dict(tally), "at": now}
    upsert(tx, bucket, [{"customer_id": customer_id, "after": after, **row}], replacing(*row))


def parties_in(tx: Connection, customer_id: str, after: str, upto: str, limit: int) -> dict[str, str]:
    """Party id to its document, as the text that is stored, for the parties after `after` and up to `upto`."""
    mine = [party.c.customer_id == customer_id, party.c.party_id > after]
    page = select(party.c.party_id, cast(party.c.doc, Text).label("doc")).order_by(party.c.party_id).limit(limit)
    return {
        row.party_id: row.doc for row in tx.execute(page.where(*mine, *([party.c.party_id <= upto] if upto else [])))
    }


def readings_of(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, list[list[str]]]:
    """Party id to the stored readings of its records, as [platform, record id, text]; in order."""
    found: dict[str, list[list[str]]] = {}
    same = and_(
        snapshot.c.customer_id == alias.c.customer_id,
        snapshot.c.platform == alias.c.platform,
        snapshot.c.record_id == alias.c.record_id,
    )
    columns = (alias.c.party_id, alias.c.platform, alias.c.record_id, cast(snapshot.c.body, Text).label("body"))
    for some in portions(party_ids):
        mine = select(*columns).join(snapshot, same)
        mine = mine.where(alias.c.customer_id == customer_id, alias.c.party_id.in_(some))
        for row in tx.execute(mine):
            found.setdefault(row.party_id, []).append([row.platform, row.record_id, row.body])
    return {party_id: sorted(rows) for party_id, rows in found.items()}


# --- what explains a difference --------------------------------------------------------------------------------------


def waiting(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> set[str]:
    """Those of these parties for which something waits: a mark, or a step, sent or not."""
    found: set[str] = set()
    for some in portions(party_ids):
        for table in (entry, step):
            mine = select(table.c.party_id).where(table.c.customer_id == customer_id, table.c.party_id.in_(some))
            found.update(tx.execute(mine).scalars())
    return found


def conflicts_of(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Party id to the conflicts that were told, as (record id, field)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for some in portions(party_ids):
        mine = (journal.c.customer_id == customer_id, journal.c.party_id.in_(some), journal.c.kind == "conflict")
        for row in tx.execute(select(journal.c.party_id, journal.c.data).where(*mine)):
            said = row.data or {}
            found.setdefault(row.party_id, set()).add((str(said.get("record")), str(said.get("field"))))
    return found


def swept_only(tx: Connection, customer_id: str, since: Instant, until: Instant, limit: int = 1000) -> list[Row]:
    """Changes that a sweep showed in this time and neither a webhook nor a poll ever did: platform, record_id, stamp,
    at."""
    other = sighting.alias()
    same = [
        getattr(other.c, name) == getattr(sighting.c, name)
        for name in ("customer_id", "platform", "record_id", "stamp")
    ]
    told = exists().where(*same, other.c.source.in_(("hook", "poll")))
    mine = (sighting.c.customer_id == customer_id, sighting.c.source == "sweep", ~told)
    page = select(sighting.c.platform, sighting.c.record_id, sighting.c.stamp, sighting.c.at)
    page = page.where(*mine, sighting.c.at > since, sighting.c.at <= until).order_by(sighting.c.at).limit(limit)
    return [dict(row) for row in tx.execute(page).mappings()]


def standing_counts(tx: Connection, customer_id: str, platform: str) -> dict[str, int]:
    """How many records of a platform have each standing."""
    mine = (alias.c.customer_id == customer_id, alias.c.platform == platform)
    rows = tx.execute(select(alias.c.standing, func.count().label("n")).where(*mine).group_by(alias.c.standing))
    return {row.standing: row.n for row in rows}


def latencies(tx: Connection, customer_id: str, at: Instant, limit: int = 5000) -> list[float]:
    """Of the newest writes done since a moment, the seconds from the last reading before that said something new of the
    party, in order."""
    mine = (journal.c.customer_id == customer_id, journal.c.kind == "outcome", journal.c.at >= at)
    read = select(func.max(history.c.at)).where(
        history.c.customer_id == customer_id,
        history.c.party_id == journal.c.party_id,
        history.c.kind == READING,
        history.c.at <= journal.c.at,
    )
    page = select(journal.c.at, journal.c.data, read.scalar_subquery().label("read")).where(*mine)
    rows = tx.execute(page.order_by(journal.c.id.desc()).limit(limit))
    done = [row for row in rows if row.read is not None and (row.data or {}).get("outcome") == "done"]
    return sorted(row.at - row.read for row in done)


def confirmed_late(tx: Connection, customer_id: str, after: float, since: Instant) -> list[str]:
    """Record ids that were submitted since a moment and were found in the CRM more than `after` seconds later."""
    told = (journal.c.customer_id == submission.c.customer_id, journal.c.party_id == submission.c.party_id)
    columns = (submission.c.record_id, submission.c.since, journal.c.at, journal.c.data)
    mine = (submission.c.customer_id == customer_id, submission.c.state == "resolved", submission.c.since >= since)
    said = (journal.c.kind == "standing", journal.c.at >= submission.c.since)
    first: dict[str, bool] = {}
    page = select(*columns).join(journal, and_(*told)).where(*mine, *said).order_by(journal.c.id)
    for row in tx.execute(page):
        line = row.data or {}
        if line.get("record") == row.record_id and line.get("standing") != "pending":
            first.setdefault(row.record_id, row.at > row.since + after)
    return sorted(record_id for record_id, late in first.items() if late)


def documents(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[str, str]:
    """Party id to its document as text, of these parties."""
    found: dict[str, str] = {}
    for some in portions(party_ids):
        mine = select(party.c.party_id, cast(party.c.doc, Text).label("doc"))
        mine = mine.where(party.c.customer_id == customer_id, party.c.party_id.in_(some))
        found.update((row.party_id, row.doc) for row in tx.execute(mine))
    return found
