"""Which road showed which change of a CRM record first, for a month; and what of it answers our own writes."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from keepstep.database import canonical_json, portions, upsert
from keepstep.model.instant import Instant
from keepstep.model.roads import Sighting, Source
from keepstep.schema.oversight import sighting
from keepstep.schema.tables import submission
from keepstep.state import journal, parties

KEPT = 30 * 86_400.0
# Our clock and the vendor's differ, and an outcome is written down a while after its call.
BEFORE, AFTER = 120.0, 30.0
# One record as it was shown: id, stamp, the webhook's word or what a poll takes it for.
Seen = tuple[str, str, str | None]

_MINE = (sighting.c.customer_id == bindparam("customer"), sighting.c.platform == bindparam("of"))
_KNOWN = select(sighting.c.record_id, sighting.c.stamp).where(
    *_MINE, sighting.c.record_id.in_(bindparam("some", expanding=True))
)
_SINCE = select(sighting).where(*_MINE, sighting.c.at >= bindparam("since"))
_SENT = (
    select(submission.c.party_id, func.min(submission.c.since))
    .where(submission.c.customer_id == bindparam("customer"), submission.c.since >= bindparam("moment"))
    .group_by(submission.c.party_id)
)
_HEARD = select(sighting.c.at).where(*_MINE, sighting.c.source == "hook").order_by(sighting.c.at.desc()).limit(1)
# How often polls showed something since the last webhook came, or since `began`, is asked after each of their rounds.
_POLLED = sighting.alias("polled")
_UNHEARD = select(func.count()).where(
    _POLLED.c.customer_id == bindparam("customer"),
    _POLLED.c.platform == bindparam("of"),
    _POLLED.c.at > bindparam("began"),
    _POLLED.c.at > func.coalesce(_HEARD.scalar_subquery(), bindparam("began")),
    _POLLED.c.source != "hook",
)
_HEARING = select(_HEARD.scalar_subquery(), _UNHEARD.scalar_subquery())


def stamp_of(changed_at: Instant | None, raw: object) -> str:
    """A record's own change stamp as text, to the millisecond; where it has none, a hash of its body."""
    if changed_at is not None:
        return f"{changed_at:.3f}"
    return "#" + hashlib.sha256(canonical_json(raw).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def see(
    tx: Connection,
    customer_id: str,
    platform: str,
    source: Source,
    seen: Iterable[Seen],
    at: Instant,
    news: Collection[str] = (),
) -> None:
    """Write down what a source shows; what it showed before stays as it was then.

    A poll shows what changed long ago as well: of that, only what is in `news` (record ids) or was told otherwise is
    kept, else every sweep would be a row a record.
    """
    rows = list(seen)
    doubtful = [row[0] for row in rows if source != "hook" and not recent(row[1], at) and row[0] not in news]
    known, doubted = _known(tx, customer_id, platform, doubtful), set(doubtful)
    key = {"customer_id": customer_id, "platform": platform, "source": source, "at": at}
    kept = [row for row in rows if row[0] not in doubted or row[:2] in known]
    upsert(tx, sighting, [key | {"record_id": one, "stamp": stamp, "event": event} for one, stamp, event in kept])


def recent(stamp: str, at: Instant) -> bool:
    """Does the stamp itself say that this is a change of late?"""
    return not stamp.startswith("#") and float(stamp) > at - KEPT


def _known(tx: Connection, customer_id: str, platform: str, ids: Sequence[str]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for some in portions(ids):
        rows = tx.execute(_KNOWN, {"customer": customer_id, "of": platform, "some": some})
        found |= {(row.record_id, row.stamp) for row in rows}
    return found


def heard(tx: Connection, customer_id: str, platform: str) -> Instant | None:
    """When a webhook about a record came last."""
    at: Instant | None = tx.execute(_HEARD, {"customer": customer_id, "of": platform}).scalar()
    return at


def hearing(tx: Connection, customer_id: str, platform: str, began: Instant) -> tuple[Instant | None, int]:
    """When a webhook about a record came last, and how much polls showed since then, or since `began` where that is
    later, whoever told of it."""
    heard, unheard = tx.execute(_HEARING, {"customer": customer_id, "of": platform, "began": began}).one()
    return heard, unheard


def since(tx: Connection, customer_id: str, platform: str, at: Instant) -> list[Sighting]:
    """Everything that was shown since a moment, and made since then; what answers our own writes says so."""
    found = tx.execute(_SINCE, {"customer": customer_id, "of": platform, "since": at})
    rows = [row for row in found if row.stamp.startswith("#") or float(row.stamp) >= at]
    ours = _ours(tx, customer_id, platform, at, [(row.record_id, row.stamp, row.at) for row in rows])
    return [_sighting(row, (row.record_id, row.stamp) in ours) for row in rows]


def _sighting(row: Any, ours: bool) -> Sighting:
    return Sighting(record_id=row.record_id, stamp=row.stamp, source=row.source, at=row.at, event=row.event, ours=ours)


# --- our own echoes --------------------------------------------------------------------------------------------------


def _ours(
    tx: Connection, customer_id: str, platform: str, at: Instant, seen: Sequence[tuple[str, str, Instant]]
) -> set[tuple[str, str]]:
    """The changes that answer our writes. Nothing in a record names its last author (Virtuous facts 14): a change at
    the moment of our own write is taken for its echo, and so is the first one after a person was sent to an import."""
    moments: dict[tuple[str, str], Instant] = {}
    for record_id, stamp, shown in sorted(seen, key=lambda one: one[2]):
        moments.setdefault((record_id, stamp), shown if stamp.startswith("#") else float(stamp))
    homes = parties.party_of(tx, customer_id, platform, sorted({record_id for record_id, _ in moments}))
    written, sent = _written(tx, customer_id, at), _sent(tx, customer_id, at)
    found: set[tuple[str, str]] = set()
    imported: set[str] = set()
    for key, moment in sorted(moments.items(), key=lambda one: (one[1], one[0])):
        home = homes.get(key[0], "")
        if home in sent and home not in imported and moment >= sent[home] - BEFORE:
            imported.add(home)
            found.add(key)
        elif any(-BEFORE <= moment - done <= AFTER for done in written.get(home, ())):
            found.add(key)
    return found


def _written(tx: Connection, customer_id: str, at: Instant) -> Mapping[str, list[Instant]]:
    """Party to the moments at which writes of ours ended that may have changed something."""
    found: dict[str, list[Instant]] = {}
    for line in journal.since(tx, customer_id, "outcome", at - BEFORE, side="crm"):
        if line["data"].get("outcome") in ("done", "unknown") and line["party_id"] is not None:
            found.setdefault(line["party_id"], []).append(line["at"])
    return found


def _sent(tx: Connection, customer_id: str, at: Instant) -> Mapping[str, Instant]:
    """Party to the moment at which one of it was first sent to be created."""
    return {row[0]: row[1] for row in tx.execute(_SENT, {"customer": customer_id, "moment": at})}
