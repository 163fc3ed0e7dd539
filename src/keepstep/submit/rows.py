"""Rows of feeds in the queue: decided in bulk, held until a job is full, looked at once more before it is made.

`known.py` says what is known of their addresses, `model/feed_decide.py` what becomes of each; `imported.py` records how
their steps ended.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy import exists as sql_exists

from keepstep import queue
from keepstep.desk import Desk
from keepstep.model.canonical import fingerprint
from keepstep.model.change import Lane, Step
from keepstep.model.contact import Side
from keepstep.model.feed import Row
from keepstep.model.feed_decide import DUPLICATE, IMPORT, KINDS, LEFT, NO_FEED, UNKNOWN_LIST, Verdict, decide
from keepstep.model.instant import Instant
from keepstep.queue import Entry, Job, Scale, Slot
from keepstep.schema.feeds import feed_row
from keepstep.schema.tables import act, entry, step
from keepstep.state import feeds, journal, labels, marks, parties
from keepstep.state.feeds import FeedRow, Settled
from keepstep.submit import known, strangers
from keepstep.submit.holds import GATE

# Steps of a round that is still read, so that jobs are full; no longer than this, and no more than one job of them.
FILLING, PATIENCE, ENOUGH = "filling", 600.0, 40_000
# Another job is about the same address: so long it may take.
BUSY = 30.0
# Until the audience side was read once, and while somebody of it waits to be looked at.
NOT_READ = 30.0
# Addresses that the CRM is asked for in a turn.
ASKED = 200
# Of all rows of one import; the connector's own limits are in its `weight` and in what it refuses.
ROWS, BYTES = 40_000, 3_500_000 - 4096

_FILLING = (step.c.customer_id == bindparam("customer"), step.c.job_id.is_(None), step.c.hold == FILLING)
_HELD = select(func.count(), func.min(step.c.since)).where(*_FILLING, feeds.of_feed(step.c.party_id))
_FULL = update(step).where(*_FILLING, feeds.of_feed(step.c.party_id)).values(hold=GATE)
_UNDECIDED = select(
    sql_exists().where(
        entry.c.customer_id == bindparam("customer"),
        entry.c.lane == int(Lane.bulk),
        feeds.of_feed(entry.c.party_id),
        entry.c.due <= bindparam("now"),
    )
)
_OUT_SINCE = (
    select(act.c.address_hash)
    .where(act.c.customer_id == bindparam("customer"), act.c.seen_at >= bindparam("since"), act.c.direction == "out")
    .distinct()
)
# Of the rows of one job: those that were marked since, and those of whose address another row is in another job. One
# statement a job: what is under way is read once for it, and not once for each portion.
_MINE, _OTHER = step.alias("mine"), feed_row.alias("other")
_OF_JOB = (_MINE.c.customer_id == bindparam("customer"), _MINE.c.job_id == bindparam("job"))
_MARKED = (
    select(_MINE.c.party_id)
    .join(entry, (entry.c.customer_id == _MINE.c.customer_id) & (entry.c.party_id == _MINE.c.party_id))
    .where(*_OF_JOB)
)
# Person by person, or a database without statistics compares every row of the job with every one that is under way.
_ABOUT_IT = select(_MINE.c.party_id).where(
    *_OF_JOB,
    sql_exists().where(
        feed_row.c.customer_id == _MINE.c.customer_id,
        feed_row.c.party_id == _MINE.c.party_id,
        _OTHER.c.customer_id == feed_row.c.customer_id,
        _OTHER.c.address == feed_row.c.address,
        _OTHER.c.party_id != _MINE.c.party_id,
        sql_exists().where(
            step.c.customer_id == _OTHER.c.customer_id,
            step.c.party_id == _OTHER.c.party_id,
            step.c.job_id != bindparam("job"),
        ),
    ),
)


async def decide_rows(desk: Desk, slot: Slot, entries: Sequence[Entry]) -> None:
    """Decide these rows; where the CRM must be asked about people whom only it has, as many as one call carries."""
    now = desk.clock.now()
    some, unheard = (entries, []) if desk.route.alone else await desk.db.run(_unheard, desk, entries, now)
    found = await desk.crm.find(unheard) if unheard else ()
    shut = [one for _, raw in found for one in known.shut(desk.crm.snapshot(raw, now))]
    await desk.db.run(store, desk, slot, some, shut, desk.clock.now())


def _unheard(tx: Connection, desk: Desk, entries: Sequence[Entry], now: Instant) -> tuple[list[Entry], list[str]]:
    """Rows to be decided now, and those of their addresses that nobody has in the CRM as far as we keep it: an opt-out
    of somebody there whom nobody linked is kept nowhere, and no import may go over it."""
    if not _may_be_decided(tx, desk, now):
        return list(entries), []
    loaded = feeds.load(tx, desk.customer_id, [one.party_id for one in entries])
    of_row = {key: [one for one in known.addresses(row) if one] for key, row in loaded.items()}
    held = parties.holders(tx, desk.customer_id, "email", sorted({one for some in of_row.values() for one in some}))
    there = {one for one, rows in held.items() if any(platform == desk.route.crm for _, platform, _ in rows)}
    taken: list[Entry] = []
    asked: dict[str, None] = {}
    for one in entries:
        new = [address for address in of_row.get(one.party_id, ()) if address not in there]
        if len({*asked, *new}) > ASKED and asked:
            break
        asked |= dict.fromkeys(new)
        taken.append(one)
    return taken, list(asked)


def store(
    tx: Connection, desk: Desk, slot: Slot, entries: Sequence[Entry], shut: Collection[str], now: Instant
) -> None:
    """Decide these rows, in one transaction: their steps, states and journal. shut: addresses that are opted out in
    the CRM by somebody whom nobody linked."""
    queue.guard(tx, slot)
    if not _may_be_decided(tx, desk, now):
        for one in entries:
            queue.defer(tx, slot, one, now + NOT_READ, now)
        return
    loaded = feeds.load(tx, desk.customer_id, [one.party_id for one in entries])
    flying = _flying(tx, desk.customer_id, list(loaded))
    rows = [row for key, row in loaded.items() if row.feed in desk.route.feeds and key not in flying]
    others = [row for key, row in loaded.items() if row.feed not in desk.route.feeds and key not in flying]
    facts = known.gather(tx, desk, rows, shut)
    pairs = [(row, _decided(desk, row, facts)) for row in rows]
    gone = [one.party_id for one in entries if one.party_id not in flying]
    wanted = dict.fromkeys(gone, ()) | {row.party_id: _steps(row, verdict) for row, verdict in pairs}
    queue.replace_all_steps(tx, slot, wanted, now)
    feeds.set_states(tx, desk.customer_id, [_settled(*pair, now) for pair in pairs if _is_news(*pair)], now)
    feeds.set_states(tx, desk.customer_id, [_homeless(row) for row in others], now)
    _others_again(tx, desk, pairs, facts, now)
    queue.forget(tx, slot, entries)
    journal.append(tx, desk.customer_id, _lines(pairs, facts, now))


def _may_be_decided(tx: Connection, desk: Desk, now: Instant) -> bool:
    """Was everybody of the audience side read and looked at? Until then somebody who is there could look new."""
    if not desk.route.alone:
        return strangers.may_be_decided(tx, desk, now)
    if marks.get(tx, desk.customer_id, desk.route.audience, "sweep").mark is None:
        return False
    return strangers.all_looked_at(tx, desk, now)


def _flying(tx: Connection, customer_id: str, parties: Sequence[str]) -> set[str]:
    """Rows that a job carries: how that ends marks them again where they have changed since."""
    return {one.party_id for one in queue.steps_of(tx, customer_id, parties) if one.job_id is not None}


def _decided(desk: Desk, row: FeedRow, facts: known.Facts) -> Verdict:
    feed = desk.route.feeds[row.feed]
    one = Row(
        row_id=row.row_id,
        version=row.version,
        address=row.address,
        fields=row.body["fields"],
        lists=tuple(row.body["lists"]),
        permission_at=row.permission_at,
        problem=row.body.get("problem"),
    )
    return decide(one, known.known(row, facts), feed.existing, feed.phone_region)


def _steps(row: FeedRow, verdict: Verdict) -> list[Step]:
    if verdict.way is None:
        return []
    fields, place = verdict.fields, verdict.fields.get("address")
    payload = {
        "feed": row.feed,
        "row": row.row_id,
        "version": row.version,
        "email": row.body["fields"]["email"],
        **{name: fields[name] for name in ("first_name", "last_name", "phone", "custom") if name in fields},
        **({"address": {"kind": "home", **place}} if place else {}),
        "list_ids": list(verdict.lists),
        "kept": list(verdict.kept),
        **({"before": before} if (before := known.addresses(row)[1:]) else {}),
        "revive": verdict.revive,
        **({"permission_at": row.permission_at} if verdict.revive else {}),
        **({"notes": list(verdict.notes)} if verdict.notes else {}),
        **({} if verdict.since is None else {"since": verdict.since}),
    }
    group = f"{row.feed}:{fingerprint(list(verdict.lists))}" if verdict.way == IMPORT else row.party_id
    return [
        Step(
            party_id=row.party_id,
            side=Side.audience,
            kind=verdict.way,
            target="row",
            lane=Lane.bulk,
            group=group,
            payload=payload,
            member=row.row_id,
            hold=FILLING if verdict.way == IMPORT else GATE,
        )
    ]


def _homeless(row: FeedRow) -> Settled:
    """Where the settings name its feed again it is decided anew; what became of it before stands."""
    waits = row.state in ("waiting", "parked")
    state, reason = ("left_out", NO_FEED) if waits else (row.state, row.reason)
    return Settled(party_id=row.party_id, version=row.version, state=state, reason=reason)


def _is_news(row: FeedRow, verdict: Verdict) -> bool:
    noted = [one for one in verdict.left if row.lists.get(one, {}).get("state") != LEFT]
    return bool(noted) or (row.state, row.reason) != (verdict.state, verdict.reason)


def _settled(row: FeedRow, verdict: Verdict, now: Instant) -> Settled:
    """Who left a list is noted as of now: a permission must be newer than that to lift it."""
    noted = [one for one in verdict.left if row.lists.get(one, {}).get("state") != LEFT]
    left = {one: {"version": row.version, "at": now, "state": LEFT, "address": row.address} for one in noted}
    lists = {**row.lists, **left} if left else None
    return Settled(party_id=row.party_id, version=row.version, state=verdict.state, reason=verdict.reason, lists=lists)


def _others_again(
    tx: Connection, desk: Desk, pairs: Sequence[tuple[FeedRow, Verdict]], facts: known.Facts, now: Instant
) -> None:
    """A row that goes nowhere stands in the way of no other one of its address; one that goes takes the lists of those
    that wait and are older."""
    stuck = [row for row, verdict in pairs if verdict.state in known.NOWHERE and row.state not in known.NOWHERE]
    others = [one for row in stuck for one in facts.rows.get(row.address or "", ()) if one.reason == DUPLICATE]
    going = [row for row, verdict in pairs if verdict.way is not None]
    mine = {row.party_id for row, _ in pairs}
    others += [one for row in going for one in known.older(row, facts) if one.party_id not in mine]
    queue.put(tx, desk.customer_id, [(one.party_id, Lane.bulk, now) for one in others], now)


def _lines(pairs: Sequence[tuple[FeedRow, Verdict]], facts: known.Facts, now: Instant) -> list[journal.Line]:
    """What was decided, counted: rows are many, and what became of each stands beside it."""
    counts = Counter((row.feed, verdict.state, verdict.reason) for row, verdict in pairs if _is_news(row, verdict))
    lines: list[journal.Line] = [
        (now, None, "rows_decided", {"feed": feed, "state": state, "reason": reason, "rows": rows})
        for (feed, state, reason), rows in counts.items()
    ]
    unknown: dict[str, list[str]] = {}
    for row, verdict in pairs:
        if verdict.reason == UNKNOWN_LIST and _is_news(row, verdict):
            unknown.setdefault(row.feed, []).extend(known.meant(row, facts)[1])
    for feed, names in unknown.items():
        lines.append((now, None, UNKNOWN_LIST, {"feed": feed, "lists": list(dict.fromkeys(names))}))
    return lines


# --- before jobs are formed ------------------------------------------------------------------------------------------


def scales(desk: Desk) -> Mapping[str, Scale]:
    """What the rows of one import may weigh."""
    return {IMPORT: Scale(BYTES, lambda row: desk.audience.weight(row.as_step()))}


def fill(tx: Connection, desk: Desk, slot: Slot, now: Instant) -> None:
    """Let rows go on to the gate once all of their round are decided, or there are enough, or they waited for long."""
    queue.guard(tx, slot)
    for feed in desk.route.feeds:
        of_it = feeds.in_queue(desk.customer_id, feed)
        held, since = tx.execute(_HELD, of_it).one()
        if held and (held >= ENOUGH or now - since > PATIENCE or not _comes_more(tx, desk, feed, of_it, now)):
            tx.execute(_FULL, of_it)


def _comes_more(tx: Connection, desk: Desk, feed: str, of_it: Mapping[str, Any], now: Instant) -> bool:
    undecided = tx.execute(_UNDECIDED, {**of_it, "now": now}).scalar_one()
    return bool(undecided) or feeds.reading(tx, desk.customer_id, feed)


def checked(tx: Connection, desk: Desk, slot: Slot, jobs: Sequence[Job], now: Instant) -> list[Job]:
    """The jobs without rows that must be decided anew: those that were marked since, those whose address the ledger
    shut since, and those whose address another job is about, since jobs end in any order (CC facts 7.2)."""
    queue.guard(tx, slot)
    found = []
    for one in jobs:
        again = _overtaken(tx, desk, one, now) if one.kind in KINDS else {}
        if again:
            queue.take_out(tx, slot, one.id, [row.id for row in one.steps if row.party_id in again], FILLING, now)
            queue.put(tx, desk.customer_id, [(party, Lane.bulk, due) for party, due in sorted(again.items())], now)
        rest = tuple(row for row in one.steps if row.party_id not in again)
        found += [replace(one, steps=rest)] if rest else []
    return found


def _overtaken(tx: Connection, desk: Desk, job: Job, now: Instant) -> dict[str, Instant]:
    """Party ids to when they are looked at again. A feed that the settings do not name any more sends nothing, and
    nothing goes to a list that is gone: one such list refuses a whole job."""
    found = {row.party_id: now for row in job.steps if row.payload["feed"] not in desk.route.feeds}
    of_job = {"customer": desk.customer_id, "job": job.id}
    found |= dict.fromkeys(tx.execute(_ABOUT_IT, of_job).scalars(), now + BUSY)
    found |= dict.fromkeys(tx.execute(_MARKED, of_job).scalars(), now)
    there = {one.list_id for one in labels.every(tx, desk.customer_id) if one.kind == "list" and one.state != "gone"}
    found |= {row.party_id: now for row in job.steps if not there.issuperset(row.payload["list_ids"])}
    since = min(row.since for row in job.steps)
    shut = set(tx.execute(_OUT_SINCE, {"customer": desk.customer_id, "since": since}).scalars())
    if shut:
        about = {row.party_id: (row.payload["email"], *row.payload.get("before", ())) for row in job.steps}
        found |= {party: now for party, some in about.items() if any(desk.hashed(one) in shut for one in some)}
    return found
