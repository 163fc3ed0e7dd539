"""A round of a feed: page after page of a customer's table, one transaction a page.

The cursor moves with every page; where the next round begins (`high`, the table's own word) is kept once the last page
is in. A round meets rows again that the one before has met, and a row that says nothing new marks nobody. In the mark's
data stand the schedule's next moment (`meant`, of the `schedule` it was worked out from), `high`, how many rows were
`parked` when somebody was told, a hash of the `lists`, the round under way (`began`, `rows`, `changed`), the last one
(`finished`, `last`), whether somebody `asked` for one, and the `problem`s that keep it from going on. The mark itself
is the moment at which the last whole round began.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.database import canonical_json
from keepstep.desk import Desk
from keepstep.feeds.schedule import following
from keepstep.model.alerts import Kind
from keepstep.model.change import Lane
from keepstep.model.errors import Blocked, Misconfigured, Permanent
from keepstep.model.feed import Feed, Row, party_id
from keepstep.model.feed_decide import NO_FEED
from keepstep.model.instant import Instant
from keepstep.ports import RowPage, Table
from keepstep.queue import Slot
from keepstep.rounds import keep, rows_fault
from keepstep.state import alerts, customers, feeds, journal, labels, marks
from keepstep.state.marks import Mark

# A page is one transaction; a turn reads pages for so long, or so many where no time passes.
PAGE, PIECE, MOST_PAGES = 1000, 2.0, 10
# So often what keeps a round from going on is looked at again, and a schedule that was changed is noticed.
HOUR = 3600.0
# Why the connection of a feed without its password is blocked.
NOT_CONNECTED = "not_connected"
# What a new or renamed list may settle.
OF_LISTS = ("unknown_list",)
# What only the round under way has, and why a round begins though its time has not come.
_RUNNING, _URGENT = ("began", "rows", "changed"), ("asked", "problem", "tries")


async def read_on(desk: Desk, slot: Slot, name: str) -> None:
    """A bounded piece of a feed's round; nothing where its schedule does not want one. Raises Transient, Blocked."""
    feed = desk.route.feeds[name]
    mark = await desk.db.run(_opened, desk, slot, feed, desk.clock.now())
    if mark is None:
        return
    table = desk.tables.get(name)
    if table is None:
        raise Blocked(NOT_CONNECTED, f"{name}: its database has no password here; `keepstep feed connect {name}`")
    try:
        await _piece(desk, slot, feed, table, mark)
    except Blocked as problem:
        problem.platform = feeds.platform(name)
        raise
    except Misconfigured as problem:
        await desk.db.run(_withheld, desk, slot, feed, problem.problems, desk.clock.now())


async def _piece(desk: Desk, slot: Slot, feed: Feed, table: Table, mark: Mark) -> None:
    if mark.cursor is None and (problems := await table.check()):
        raise Misconfigured(tuple(problems))
    until = desk.clock.now() + PIECE
    for _ in range(MOST_PAGES):
        mark = await _page(desk, slot, feed, table, mark)
        if mark.cursor is None or desk.clock.now() >= until:
            return


# --- whether there is to be a round ----------------------------------------------------------------------------------


def _opened(tx: Connection, desk: Desk, slot: Slot, feed: Feed, now: Instant) -> Mark | None:
    """The round to go on with or to begin; None where it is not time yet."""
    queue.guard(tx, slot)
    if customers.get_connection(tx, desk.customer_id, feeds.platform(feed.name)) is None:
        customers.set_connection(tx, desk.customer_id, feeds.platform(feed.name), None, {})
    mark = _told(tx, desk, feed, feeds.mark(tx, desk.customer_id, feed.name), now)
    if mark.cursor is not None:
        return mark
    known, schedule = mark.data or {}, f"{feed.schedule} {feed.zone}"
    meant = known.get("meant") if known.get("schedule") == schedule else None
    data = {**known, "schedule": schedule, "meant": following(feed, None, now) if meant is None else meant}
    if data["meant"] <= now or any(known.get(why) for why in _URGENT):
        return _begun(tx, desk, feed, replace(mark, data=data), now)
    marks.put(tx, desk.customer_id, replace(mark, due=min(data["meant"], now + HOUR), data=data))
    return None


def _told(tx: Connection, desk: Desk, feed: Feed, mark: Mark, now: Instant) -> Mark:
    """Where other rows than before wait for a person, somebody is told; they are decided long after they were read."""
    data, parked = mark.data or {}, feeds.parked(tx, desk.customer_id, feed.name)
    if parked == data.get("parked", 0):
        return mark
    if parked:
        alerts.raise_alert(tx, desk.customer_id, Kind.feed_rows_parked, feed.name, {"count": parked}, now)
    else:
        alerts.close(tx, desk.customer_id, Kind.feed_rows_parked, feed.name, now)
    told = replace(mark, data={**data, "parked": parked})
    marks.put(tx, desk.customer_id, told)
    return told


def _begun(tx: Connection, desk: Desk, feed: Feed, mark: Mark, now: Instant) -> Mark:
    """A round from its start. Where the lists are others than at the last one, rows that waited for one may have it;
    rows that were decided while the settings did not name their feed are marked again."""
    known, lists = mark.data or {}, _lists(tx, desk.customer_id)
    again = feeds.with_reason(tx, desk.customer_id, feed.name, (NO_FEED,))
    if known.get("lists", lists) != lists:
        again += feeds.with_reason(tx, desk.customer_id, feed.name, OF_LISTS)
    queue.put(tx, desk.customer_id, [(party, Lane.bulk, now) for party in again], now)
    return replace(mark, data={**known, "began": None, "rows": 0, "changed": 0, "lists": lists})


def _lists(tx: Connection, customer_id: str) -> str:
    """The audience side's lists, as one word."""
    known = [(one.list_id, one.list_name, one.state) for one in labels.every(tx, customer_id) if one.kind == "list"]
    return hashlib.sha256(canonical_json(known).encode()).hexdigest()[:16]


def _withheld(tx: Connection, desk: Desk, slot: Slot, feed: Feed, problems: Sequence[str], now: Instant) -> None:
    """No round as the settings are; it is tried again each hour, or when somebody says so."""
    queue.guard(tx, slot)
    mark = feeds.mark(tx, desk.customer_id, feed.name)
    known = mark.data or {}
    if known.get("problem") != list(problems):
        said = {"feed": feed.name, "problem": list(problems)}
        journal.append(tx, desk.customer_id, [(now, None, "feed_problem", said)])
    count = {"problems": len(problems)}
    alerts.raise_alert(tx, desk.customer_id, Kind.feed_check_failed, feed.name, count, now)
    data = {name: each for name, each in known.items() if name not in ("tries", "asked")}
    marks.put(tx, desk.customer_id, replace(mark, due=now + HOUR, data={**data, "problem": list(problems)}))


# --- a page ----------------------------------------------------------------------------------------------------------


async def _page(desk: Desk, slot: Slot, feed: Feed, table: Table, mark: Mark) -> Mark:
    """Read and store one page. A cursor that the table no longer knows begins the round again."""
    try:
        page = await table.read((mark.data or {}).get("high"), mark.cursor, PAGE)
    except Permanent:
        if mark.cursor is None:
            raise
        return await desk.db.run(_again, desk, slot, mark, desk.clock.now())
    try:
        return await desk.db.run(_stored, desk, slot, feed, mark, page, page.rows, desk.clock.now())
    except Exception as failure:  # a row that cannot be stored must keep neither the others nor the round from going on
        if not rows_fault(failure):
            raise
        rows = [(row.row_id, row) for row in page.rows]
        place = (feeds.platform(feed.name), feeds.CHORE)
        await keep(desk, slot, place, lambda tx, some, now: _filed(tx, desk, feed, some, now), rows)
        return await desk.db.run(_stored, desk, slot, feed, mark, page, (), desk.clock.now())


def _filed(tx: Connection, desk: Desk, feed: Feed, rows: Sequence[tuple[str, Row]], now: Instant) -> None:
    _marked(tx, desk, feed, [row for _, row in rows], now)


def _marked(tx: Connection, desk: Desk, feed: Feed, rows: Sequence[Row], now: Instant) -> int:
    """Keep rows, and mark those that say something new; how many."""
    news = feeds.file(tx, desk.customer_id, feed, rows, now)
    queue.put(tx, desk.customer_id, [(party_id(feed.name, row), Lane.bulk, now) for row in news], now)
    return len(news)


def _stored(
    tx: Connection, desk: Desk, slot: Slot, feed: Feed, mark: Mark, page: RowPage, rows: Sequence[Row], now: Instant
) -> Mark:
    """Rows, entries and the cursor in one transaction."""
    queue.guard(tx, slot)
    after = moved(feed, mark, page, _marked(tx, desk, feed, rows, now), now)
    marks.put(tx, desk.customer_id, after)
    if (mark.data or {}).get("problem"):
        alerts.close(tx, desk.customer_id, Kind.feed_check_failed, feed.name, now)
    if after.cursor is None:
        said = {"feed": feed.name, **(after.data or {})["last"]}
        journal.append(tx, desk.customer_id, [(now, None, "feed_read", said)] if said["changed"] else [])
    return after


def moved(feed: Feed, mark: Mark, page: RowPage, changed: int, now: Instant) -> Mark:
    """The cursor moves with the page, and where the next round begins only with the last one. A cursor that leads back
    to itself ends the round, and the next one begins where this one did."""
    before: Mapping[str, Any] = mark.data or {}
    began = before.get("began") or (page.source_time if page.source_time is not None else now)
    counted = {"rows": before.get("rows", 0) + len(page.rows), "changed": before.get("changed", 0) + changed}
    if page.cursor is not None and page.cursor != mark.cursor:
        data = {name: each for name, each in before.items() if name not in ("tries", "problem")}
        return replace(mark, cursor=page.cursor, due=now, data={**data, **counted, "began": began})
    meant = following(feed, before.get("meant"), now)
    data = {name: before.get(name) for name in ("schedule", "lists", "high", "parked")}
    data |= {"meant": meant, "finished": now, "last": counted}
    after = replace(mark, cursor=None, due=min(meant, now + HOUR), data=data)
    if page.cursor is not None:
        return replace(after, data={**data, "trouble": "leads_back"})
    return replace(after, mark=began, data={**data, "high": page.high})


def _again(tx: Connection, desk: Desk, slot: Slot, mark: Mark, now: Instant) -> Mark:
    """The round from its start, after a while: what it read so far is kept, and says nothing new then."""
    queue.guard(tx, slot)
    data = {name: each for name, each in (mark.data or {}).items() if name not in _RUNNING}
    after = replace(mark, cursor=None, due=now + HOUR, data={**data, "asked": True, "trouble": "cursor_refused"})
    marks.put(tx, desk.customer_id, after)
    journal.append(tx, desk.customer_id, [(now, None, "cursor_refused", {"poll": mark.platform})])
    return after
