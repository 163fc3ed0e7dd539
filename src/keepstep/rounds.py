"""A round of a poll: page after page, one transaction a page, and only the last one moves the mark.

A round has a cursor, moved with every page, and a mark, moved once after the last page to the round's start in the
source's own time less the overlap; never by our clock (design section 4, polls; CC facts 5.4). In a mark's data stand
the round under way (`started`, `pages`, `size`, `tries`, `patience`, `restarts`, `behind`) and the last one
(`finished`, `every`, `trouble`).
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import exc as sql

from keepstep import queue
from keepstep.desk import Desk, Left, pause_after
from keepstep.filing import Rows
from keepstep.model.errors import NotGranted, Permanent, Problem, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.state import dead_letters, journal, marks
from keepstep.state.marks import Mark

OVERLAP = 600.0
# Where the vendor does not tell its time, ours counts, and nobody's clock is a day ahead.
UNDATED = 86_400.0
# Before a round begins again, doubling to the longest: a vendor that refuses its own cursors must not get the whole
# day's calls, and a page that cannot be believed once may not be believable at once again.
REFUSED_PAUSE, LONGEST_AGAIN = 60.0, 3600.0
# So often a page may fail at one place before it is asked for in smaller ones, and again before the next size.
FAILURES = 3
# The same for a round that no size helped: it may have been an outage after all.
GIVEN_UP_PAUSE = 900.0
# More rows of one page are no poison: the fault is ours, and whoever is to blame must not lose a page of people.
MOST_POISON = 20
LEADS_BACK = "leads_back"


File = Callable[[Connection, Rows, Instant], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Something of a platform that is read whole or since a mark, again and again.

    read: a page, of (since, cursor, size); `smaller` are the sizes to fall back to, largest first. answers: any cheap
    read, to tell a page that cannot be delivered from a vendor that delivers nothing. file: stores rows in the caller's
    transaction. every: seconds from the end of a round to the next, by the calls it took; carried: what so many calls
    take of it before a round may begin again that did not come to its end. first: what the first page of a round brings
    about, given the mark that other polls may begin with; ended: what the last one does. remark: what its trouble is
    said to be though it works.
    """

    platform: str
    name: str
    read: Callable[[Instant | None, str | None, int | None], Awaitable[Page]]
    file: Callable[[Connection, Mark, Rows, Instant, Instant], None]
    every: Callable[[int], float]
    carried: Callable[[int], float] = lambda _calls: 0.0
    smaller: tuple[int, ...] = ()
    answers: Callable[[], Awaitable[object]] | None = None
    first: Callable[[Connection, Instant, Instant], None] | None = None
    ended: Callable[[Connection, Instant], None] | None = None
    remark: str | None = None


async def poll_page(desk: Desk, slot: Slot, poll: Poll) -> Left | None:
    """Read and store one page. A cursor that the vendor no longer knows begins the round again. See Desk.last."""
    mark = await desk.mark(poll.platform, poll.name)
    try:
        page = await poll.read(mark.mark, mark.cursor, (mark.data or {}).get("size"))
    except NotGranted:
        raise
    except Permanent:
        if mark.cursor is None:
            raise
        size = (mark.data or {}).get("size")
        await desk.db.run(_again, desk, slot, poll, mark, "cursor_refused", REFUSED_PAUSE, size)
    except Transient as problem:
        if not await _undeliverable(desk, slot, poll, mark, problem):
            raise
        await desk.db.run(_in_smaller_pages, desk, slot, poll, mark)
    else:
        return await _stored(desk, slot, poll, mark, page)
    return None


# --- a page that cannot be delivered ---------------------------------------------------------------------------------


async def _undeliverable(desk: Desk, slot: Slot, poll: Poll, mark: Mark, problem: Transient) -> bool:
    """One broken record breaks its page for ever; but where nothing is delivered, smaller pages would only cost more.
    A limit, or a moment that the vendor named, is waited for."""
    early = _tries(mark) < int((mark.data or {}).get("patience") or FAILURES)
    if poll.answers is None or early or problem.retry_after is not None or problem.status in (202, 429):
        return False
    try:
        await poll.answers()
    except Transient:
        await desk.db.run(_out, desk, slot, mark)
        return False
    except Problem:
        return True
    return True


def _tries(mark: Mark) -> int:
    """Which failure in a row this is."""
    return int((mark.data or {}).get("tries") or 0) + 1


def _out(tx: Connection, desk: Desk, slot: Slot, mark: Mark) -> None:
    """The vendor is out: to ask whether it still is must not double our calls."""
    queue.guard(tx, slot)
    marks.put(tx, desk.customer_id, replace(mark, data={**(mark.data or {}), "patience": 2 * _tries(mark)}))


def _in_smaller_pages(tx: Connection, desk: Desk, slot: Slot, poll: Poll, mark: Mark) -> None:
    """The round begins again, since a cursor holds the size that it began with (CC facts 1, paging). Where no size
    helps, it is given up for a while, and its mark stays."""
    asked = (mark.data or {}).get("size")
    smaller = [size for size in poll.smaller if asked is None or size < asked]
    if smaller:
        _again(tx, desk, slot, poll, mark, "smaller_pages", pause_after(_tries(mark)), size=smaller[0])
    else:
        _again(tx, desk, slot, poll, mark, "round_given_up", GIVEN_UP_PAUSE, trouble="undeliverable")


def _again(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    poll: Poll,
    mark: Mark,
    why: str,
    pause: float,
    size: int | None = None,
    trouble: str | None = None,
) -> None:
    """The round from its start, a failure more in its count. What it has cost in vain counts as if it had not been."""
    queue.guard(tx, slot)
    now, before = desk.clock.now(), mark.data or {}
    restarts, smaller = int(before.get("restarts") or 0), why == "smaller_pages"
    pause = pause if smaller else min(pause * 2.0 ** min(restarts, 12), LONGEST_AGAIN)
    pause = max(pause, poll.carried(int(before.get("pages") or 0)))
    kept = {name: before.get(name) for name in ("finished", "every")}
    kept |= {"restarts": restarts + (not smaller), "size": size, "trouble": trouble}
    data = _data(**kept, patience=_tries(mark) + FAILURES) | {"tries": _tries(mark)}
    marks.put(tx, desk.customer_id, replace(mark, cursor=None, data=data, due=now + pause))
    line = {"poll": mark.name, "size": size} if size else {"poll": mark.name}
    journal.append(tx, desk.customer_id, [(now, None, why, line)])


# --- a page that was delivered ---------------------------------------------------------------------------------------


async def _stored(desk: Desk, slot: Slot, poll: Poll, mark: Mark, page: Page) -> Left | None:
    """Store a page; a row that cannot be stored must keep neither the others nor the round from going on."""
    page = _dated(page, desk.clock.now())
    try:
        return await desk.last(store_page, desk, slot, poll, mark, page, desk.clock.now())
    except Exception as failure:
        if not rows_fault(failure):
            raise

        def file(tx: Connection, rows: Rows, now: Instant) -> None:
            poll.file(tx, mark, rows, page.source_time if page.source_time is not None else now, now)

        poison = await _apart(desk, slot, file, page.records, 0)
        rest = replace(page, records=())
        return await desk.last(store_page, desk, slot, poll, mark, rest, desk.clock.now(), poison)


def _dated(page: Page, now: Instant) -> Page:
    """A date from the future would take the mark there, over everything until then."""
    at = page.source_time
    return page if at is None or at <= now + UNDATED else replace(page, source_time=None)


def rows_fault(failure: Exception) -> bool:
    """Whether a row can be to blame; a database in trouble is nobody's poison."""
    if isinstance(failure, Problem | sql.TimeoutError | OSError | MemoryError):
        return False
    return not isinstance(failure, sql.DBAPIError) or isinstance(failure, _BY_A_VALUE)


_BY_A_VALUE = (sql.DataError, sql.IntegrityError, sql.ProgrammingError, sql.NotSupportedError)


async def keep(desk: Desk, slot: Slot, whose: tuple[str, str], file: File, rows: Rows) -> None:
    """File rows that no round brought; one that cannot be filed stands alone. `whose`: platform and chore."""
    poison = await _apart(desk, slot, file, rows, 0) if rows else None
    if poison:
        await desk.db.run(_buried, desk, slot, whose, poison, desk.clock.now())


async def _apart(desk: Desk, slot: Slot, file: File, rows: Rows, before: int) -> dict[str, str]:
    """File what can be filed, half by half, and give the record ids of what cannot, with the kind of failure.

    Raises the failure itself where there are too many of them: `before` were found already.
    """
    try:
        await desk.db.run(_fenced, slot, file, rows, desk.clock.now())
    except Exception as failure:
        if not rows_fault(failure) or not rows or before >= MOST_POISON:
            raise
        if len(rows) == 1:
            return {rows[0][0]: type(failure).__name__}
    else:
        return {}
    found: dict[str, str] = {}
    half = len(rows) // 2
    for some in (rows[:half], rows[half:]):
        found |= await _apart(desk, slot, file, some, before + len(found))
    return found


def _fenced(tx: Connection, slot: Slot, file: File, rows: Rows, now: Instant) -> None:
    queue.guard(tx, slot)
    file(tx, rows, now)


def _filed(tx: Connection, slot: Slot, poll: Poll, mark: Mark, page: Page, now: Instant) -> None:
    queue.guard(tx, slot)
    poll.file(tx, mark, page.records, page.source_time if page.source_time is not None else now, now)


def store_page(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    poll: Poll,
    mark: Mark,
    page: Page,
    now: Instant,
    poison: Mapping[str, str] | None = None,
) -> None:
    """Readings, entries and the cursor in one transaction. `poison`: record id to the failure, of rows left out."""
    _filed(tx, slot, poll, mark, page, now)
    for record_id, failure in (poison or {}).items():
        _bury(tx, desk, (poll.platform, poll.name), record_id, failure, now)
    if page.poison:
        journal.append(tx, desk.customer_id, [(now, None, "poison", {"poll": mark.name, "rows": page.poison})])
    after = _remarked(moved(mark, page, now, poll.every), poll)
    marks.put(tx, desk.customer_id, after)
    if poll.ended is not None and after.cursor is None:
        poll.ended(tx, now)
    if poll.first is not None and mark.cursor is None:
        began = _began(page, now)
        poll.first(tx, (began if began is not None else now) - OVERLAP, now)


def _remarked(after: Mark, poll: Poll) -> Mark:
    return after if poll.remark is None else replace(after, data={"trouble": poll.remark, **(after.data or {})})


def _buried(
    tx: Connection, desk: Desk, slot: Slot, whose: tuple[str, str], poison: Mapping[str, str], now: Instant
) -> None:
    queue.guard(tx, slot)
    for record_id, failure in poison.items():
        _bury(tx, desk, whose, record_id, failure, now)


def _bury(tx: Connection, desk: Desk, whose: tuple[str, str], record_id: str, failure: str, now: Instant) -> None:
    """One letter a record, though every round meets it again; one more where the last was replayed or closed and it
    meets us still."""
    platform, name = whose
    known = dead_letters.of_kind(tx, desk.customer_id, "poison")
    same = [one for one in known if one["payload"].get("record_id") == record_id]
    if any(one["state"] in ("open", "discarded") for one in same):
        return
    side = "audience" if platform == desk.route.audience else "crm"
    payload = {"record_id": record_id, "poll": name}
    why = f"cannot be stored: {failure}"
    letter = desk.chance.id()
    dead_letters.add(tx, desk.customer_id, letter, now, side=side, kind="poison", reason=why, payload=payload)
    journal.append(tx, desk.customer_id, [(now, None, "poison", {"poll": name, "rows": 1, "why": failure})])


def moved(mark: Mark, page: Page, now: Instant, every: Callable[[int], float]) -> Mark:
    """The cursor moves with the page; the mark only with the last one. Cursors that go round in a circle end the round
    unfinished."""
    before = mark.data or {}
    running = before if mark.cursor else {}
    started = running.get("started")
    started = started if started is not None else _began(page, now)
    pages = int(running.get("pages") or 0) + page.calls
    last = {name: before.get(name) for name in ("finished", "every")}
    pause = every(pages)
    if page.cursor and (page.cursor == mark.cursor or _known(page.cursor) in (running.get("behind") or ())):
        return replace(
            mark, cursor=None, due=now + pause, data=_data(**{**last, "every": pause, "trouble": LEADS_BACK})
        )
    if page.cursor:
        kept = {name: before.get(name) for name in ("size", "restarts")}
        data = _data(**last, **kept, started=started, pages=pages, behind=_behind(running, page.cursor, pages))
        return replace(mark, cursor=page.cursor, due=now, data=data)
    since = mark.mark if started is None else started - OVERLAP
    since = since if since is not None else now - UNDATED - OVERLAP
    return replace(mark, cursor=None, due=now + pause, mark=since, data=_data(finished=now, every=pause))


def _began(page: Page, now: Instant) -> Instant | None:
    """In the source's time. So far ahead of ours that the overlap does not make up for it, it may be wrong, and the
    mark would jump over what happens until then."""
    at = page.source_time
    return at if at is None or at <= now + OVERLAP else now


def _behind(running: Mapping[str, Any], cursor: str, pages: int) -> list[Any]:
    """One cursor of this round to meet again, and at which page it was: a later one each time that the pages double,
    so that every circle is found (Brent), whatever its length, with one cursor kept."""
    kept: list[Any] = list(running.get("behind") or ())
    return [_known(cursor), pages] if not kept or pages >= 2 * kept[1] else kept


def _known(cursor: str) -> str:
    return hashlib.sha256(cursor.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _data(**values: Any) -> dict[str, Any]:
    return {"tries": 0, **{name: value for name, value in values.items() if value is not None}}
