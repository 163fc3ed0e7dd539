"""A round of a poll: page after page, one transaction a page, and only the last one moves the mark.

A round has a cursor, moved with every page, and a mark, moved once after the last page to the round's start in the
source's own time less the overlap; never by our clock (design section 4, polls; CC facts 5.4). In a mark's data stand
the round under way (`started`, `pages`, `size`, `tries`, `patience`) and the last one (`finished`, `every`, `trouble`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from keepstep import queue
from keepstep.desk import Desk, pause_after
from keepstep.filing import Rows
from keepstep.model.errors import Permanent, Problem, Transient
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.state import dead_letters, journal, marks
from keepstep.state.marks import Mark

OVERLAP = 600.0
# Where the vendor does not tell its time, ours counts, and nobody's clock is a day ahead.
UNDATED = 86_400.0
# Before a round begins again: a vendor that refuses its own cursors must not get the whole day's calls, and a page that
# cannot be believed once may not be believable at once again.
REFUSED_PAUSE = 60.0
# So often a page may fail at one place before it is asked for in smaller ones, and again before the next size.
FAILURES = 3
# Before a round begins again that no size helped: it may have been an outage after all.
GIVEN_UP_PAUSE = 900.0
# More rows of one page are no poison: the fault is ours, and whoever is to blame must not lose a page of people.
MOST_POISON = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Something of a platform that is read whole or since a mark, again and again.

    read: a page, of (since, cursor, size); `smaller` are the sizes to fall back to, largest first. answers: any cheap
    read, to tell a page that cannot be delivered from a vendor that delivers nothing. file: stores rows in the caller's
    transaction. every: seconds from the end of a round to the next, by the pages it took. first: what the first page
    ever brings about, given the mark that other polls begin with.
    """

    platform: str
    name: str
    read: Callable[[Instant | None, str | None, int | None], Awaitable[Page]]
    file: Callable[[Connection, Mark, Rows, Instant, Instant], None]
    every: Callable[[int], float]
    smaller: tuple[int, ...] = ()
    answers: Callable[[], Awaitable[object]] | None = None
    first: Callable[[Connection, Instant, Instant], None] | None = None


async def poll_page(desk: Desk, slot: Slot, poll: Poll) -> None:
    """Read and store one page. A cursor that the vendor no longer knows begins the round again."""
    mark = await desk.db.run(marks.get, desk.customer_id, poll.platform, poll.name)
    try:
        page = await poll.read(mark.mark, mark.cursor, (mark.data or {}).get("size"))
    except Permanent:
        if mark.cursor is None:
            raise
        size = (mark.data or {}).get("size")
        await desk.db.run(_again, desk, slot, mark, "cursor_refused", REFUSED_PAUSE, size)
    except Transient as problem:
        if not await _undeliverable(desk, slot, poll, mark, problem):
            raise
        await desk.db.run(_in_smaller_pages, desk, slot, poll, mark)
    else:
        await _stored(desk, slot, poll, mark, page)


# --- a page that cannot be delivered ---------------------------------------------------------------------------------


async def _undeliverable(desk: Desk, slot: Slot, poll: Poll, mark: Mark, problem: Transient) -> bool:
    """One broken record breaks its page for ever; but where nothing is delivered, smaller pages would only cost more.
    A limit, or a moment that the vendor named, is waited for."""
    early = _tries(mark) < int((mark.data or {}).get("patience") or FAILURES)
    if poll.answers is None or early or problem.retry_after is not None or problem.status == 202:
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
        _again(tx, desk, slot, mark, "smaller_pages", pause_after(_tries(mark)), size=smaller[0])
    else:
        _again(tx, desk, slot, mark, "round_given_up", min(poll.every(1), GIVEN_UP_PAUSE), trouble="undeliverable")


def _again(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    mark: Mark,
    why: str,
    pause: float,
    size: int | None = None,
    trouble: str | None = None,
) -> None:
    """The round from its start, a failure more in its count."""
    queue.guard(tx, slot)
    now, before = desk.clock.now(), mark.data or {}
    last = {name: before.get(name) for name in ("finished", "every")}
    data = _data(**last, size=size, trouble=trouble, patience=_tries(mark) + FAILURES) | {"tries": _tries(mark)}
    marks.put(tx, desk.customer_id, replace(mark, cursor=None, data=data, due=now + pause))
    line = {"poll": mark.name, "size": size} if size else {"poll": mark.name}
    journal.append(tx, desk.customer_id, [(now, None, why, line)])


# --- a page that was delivered ---------------------------------------------------------------------------------------


async def _stored(desk: Desk, slot: Slot, poll: Poll, mark: Mark, page: Page) -> None:
    """Store a page; a row that cannot be stored must keep neither the others nor the round from going on."""
    try:
        await desk.db.run(store_page, desk, slot, poll, mark, page, desk.clock.now())
    except (Problem, OperationalError, InterfaceError):  # no row's fault
        raise
    except Exception:
        poison = await _apart(desk, slot, poll, mark, page, 0)
        rest = replace(page, records=())
        await desk.db.run(store_page, desk, slot, poll, mark, rest, desk.clock.now(), poison)


async def _apart(desk: Desk, slot: Slot, poll: Poll, mark: Mark, page: Page, before: int) -> dict[str, str]:
    """File what can be filed, half by half, and give the record ids of what cannot, with the kind of failure.

    Raises the failure itself where there are too many of them: `before` were found already.
    """
    try:
        await desk.db.run(_filed, slot, poll, mark, page, desk.clock.now())
    except (Problem, OperationalError, InterfaceError):
        raise
    except Exception as failure:
        if not page.records or before >= MOST_POISON:
            raise
        if len(page.records) == 1:
            return {page.records[0][0]: type(failure).__name__}
    else:
        return {}
    found: dict[str, str] = {}
    half = len(page.records) // 2
    for rows in (page.records[:half], page.records[half:]):
        found |= await _apart(desk, slot, poll, mark, replace(page, records=rows), before + len(found))
    return found


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
        _bury(tx, desk, poll, record_id, failure, now)
    if page.poison:
        journal.append(tx, desk.customer_id, [(now, None, "poison", {"poll": mark.name, "rows": page.poison})])
    marks.put(tx, desk.customer_id, moved(mark, page, now, poll.every))
    if poll.first is not None and mark.mark is None and mark.cursor is None:
        poll.first(tx, (page.source_time if page.source_time is not None else now) - OVERLAP, now)


def _bury(tx: Connection, desk: Desk, poll: Poll, record_id: str, failure: str, now: Instant) -> None:
    """One letter a record, though every round meets it again; another one where the first was replayed."""
    known = dead_letters.of_customer(tx, desk.customer_id, None, limit=10_000)
    known = [one for one in known if one["kind"] == "poison" and one["state"] in ("open", "discarded")]
    if any(one["payload"].get("record_id") == record_id for one in known):
        return
    side = "audience" if poll.platform == desk.route.audience else "crm"
    payload = {"record_id": record_id, "poll": poll.name}
    why = f"cannot be stored: {failure}"
    letter = desk.chance.id()
    dead_letters.add(tx, desk.customer_id, letter, now, side=side, kind="poison", reason=why, payload=payload)
    journal.append(tx, desk.customer_id, [(now, None, "poison", {"poll": poll.name, "rows": 1, "why": failure})])


def moved(mark: Mark, page: Page, now: Instant, every: Callable[[int], float]) -> Mark:
    """The cursor moves with the page; the mark only with the last one. A cursor that repeats ends the round
    unfinished."""
    before = mark.data or {}
    running = before if mark.cursor else {}
    started = running.get("started")
    started = started if started is not None else page.source_time
    pages = int(running.get("pages") or 0) + 1
    last = {name: before.get(name) for name in ("finished", "every")}
    if page.cursor and page.cursor != mark.cursor:
        data = _data(**last, started=started, pages=pages, size=before.get("size"))
        return replace(mark, cursor=page.cursor, due=now, data=data)
    pause = every(pages)
    if page.cursor:
        return replace(mark, cursor=None, due=now + pause, data=_data(**{**last, "every": pause}))
    since = mark.mark if started is None else started - OVERLAP
    since = since if since is not None else now - UNDATED - OVERLAP
    return replace(mark, cursor=None, due=now + pause, mark=since, data=_data(finished=now, every=pause))


def _data(**values: Any) -> dict[str, Any]:
    return {"tries": 0, **{name: value for name, value in values.items() if value is not None}}
