"""① Source event capture: the polls of the audience side. One page a call, one transaction a page.

A round has a cursor, moved with every page, and a mark, moved once after the last page to the round's start in the
source's own time less the overlap; never by our clock (design section 4, polls; CC facts 5.4).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from keepstep import queue
from keepstep.desk import Chore, Desk, asking
from keepstep.model.change import Lane
from keepstep.model.contact import Consent
from keepstep.model.errors import Permanent
from keepstep.model.instant import Instant
from keepstep.ports import Page
from keepstep.queue import Slot
from keepstep.state import journal, labels, marks, parties, readings
from keepstep.state.labels import Label
from keepstep.state.marks import Mark

OVERLAP = 600.0
# Before a round begins again: a vendor that refuses its own cursors must not get the whole day's calls.
REFUSED_PAUSE = 60.0


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What capture wants done, most urgent first."""
    platform = desk.route.audience
    polls = tuple(
        Chore(platform, poll, partial(poll_page, poll=poll), first=poll == "sweep")
        for poll in ("opted_out", "changed", "sweep")
    )
    return (Chore(platform, "lists", read_labels), *polls)


async def poll_page(desk: Desk, slot: Slot, poll: str) -> None:
    """Read and store one page of a poll. A cursor that the vendor no longer knows restarts the round."""
    mark = await desk.db.run(marks.get, desk.customer_id, desk.route.audience, poll)
    try:
        page = await desk.audience.changes(poll, mark.mark, mark.cursor)
    except Permanent:
        if mark.cursor is None:
            raise
        await desk.db.run(_restart, desk, slot, mark)
        return
    await desk.db.run(store_page, desk, slot, mark, page, desk.clock.now())


def _restart(tx: Connection, desk: Desk, slot: Slot, mark: Mark) -> None:
    queue.guard(tx, slot)
    marks.put(
        tx,
        desk.customer_id,
        replace(mark, cursor=None, data=_data(mark, started=None, tries=1), due=desk.clock.now() + REFUSED_PAUSE),
    )
    journal.append(tx, desk.customer_id, [(desk.clock.now(), None, "cursor_refused", {"poll": mark.name})])


def store_page(tx: Connection, desk: Desk, slot: Slot, mark: Mark, page: Page, now: Instant) -> None:
    """Snapshots, entries and the cursor in one transaction."""
    queue.guard(tx, slot)
    read_at = page.source_time if page.source_time is not None else now
    changed = readings.file_audience(tx, desk.shelf, page.records, read_at, now, desk.chance.id)
    raws = dict(page.records)
    items = [(home, _lane(desk, mark, raws[record_id], read_at), now) for record_id, home in changed.items()]
    queue.put(tx, desk.customer_id, items, now)
    if page.poison:
        journal.append(tx, desk.customer_id, [(now, None, "poison", {"poll": mark.name, "rows": page.poison})])
    marks.put(tx, desk.customer_id, _moved(desk, mark, page, now))
    if mark.name == "sweep" and mark.mark is None and mark.cursor is None:
        _begin_polls(tx, desk, read_at - OVERLAP, now)


def _begin_polls(tx: Connection, desk: Desk, since: Instant, now: Instant) -> None:
    """The polls begin where the first sweep began: what changes while it runs is theirs."""
    for poll in ("opted_out", "changed"):
        due = now + float(getattr(desk.route.cadence, poll))
        marks.put(tx, desk.customer_id, Mark(desk.route.audience, poll, mark=since, due=due))


def _lane(desk: Desk, mark: Mark, raw: Mapping[str, Any], read_at: Instant) -> Lane:
    if desk.audience.snapshot(raw, read_at).consent is Consent.opted_out and mark.mark is not None:
        return Lane.consent
    if mark.name != "sweep":
        return Lane.changes
    return Lane.bulk if mark.mark is None else Lane.sweep


def _moved(desk: Desk, mark: Mark, page: Page, now: Instant) -> Mark:
    """The cursor moves with the page; the mark only with the last one. A cursor that repeats ends the round
    unfinished."""
    started = (mark.data or {}).get("started") if mark.cursor else None
    started = started if started is not None else page.source_time
    if page.cursor and page.cursor != mark.cursor:
        return replace(mark, cursor=page.cursor, due=now, data=_data(mark, started=started))
    due = now + float(getattr(desk.route.cadence, mark.name))
    if page.cursor:
        return replace(mark, cursor=None, due=due, data=_data(mark, started=None))
    moved = started - OVERLAP if started is not None else mark.mark
    return replace(mark, cursor=None, due=due, mark=moved, data=_data(mark, started=None, finished=now))


def _data(mark: Mark, **changes: Any) -> dict[str, Any]:
    return {**(mark.data or {}), "tries": 0, **changes}


async def read_labels(desk: Desk, slot: Slot) -> None:
    """Read lists and tags, and bind each list to its tag by id."""
    lists = await desk.audience.lists()
    with asking(desk.route.crm):
        tags = await desk.crm.tags()
    await desk.db.run(store_labels, desk, slot, lists, tags, desk.clock.now())


def store_labels(tx: Connection, desk: Desk, slot: Slot, lists: Any, tags: Any, now: Instant) -> None:
    """Store the bindings; where one became usable, everybody is looked at again."""
    queue.guard(tx, slot)
    known = {label.list_id: label for label in labels.every(tx, desk.customer_id)}
    bound = bind(known, dict(lists), dict(tags), desk.route.policy.tag_prefix)
    labels.put(tx, desk.customer_id, bound)
    if any(label != known.get(label.list_id) for label in bound):
        everybody = _all_parties(tx, desk.customer_id)
        queue.put(tx, desk.customer_id, [(party_id, Lane.sweep, now) for party_id in everybody], now)
    mark = marks.get(tx, desk.customer_id, desk.route.audience, "lists")
    due = now + desk.route.cadence.lists
    marks.put(tx, desk.customer_id, replace(mark, mark=now, due=due, data=_data(mark, finished=now)))


def _all_parties(tx: Connection, customer_id: str) -> list[str]:
    found: list[str] = []
    while page := parties.ids(tx, customer_id, found[-1] if found else ""):
        found += page
    return found


def bind(known: Mapping[str, Label], lists: Mapping[str, str], tags: Mapping[str, str], prefix: str) -> list[Label]:
    """Each list with its tag. Ids are the link: a renamed list keeps its tag, a renamed or vanished tag pauses the
    label, so that it cannot look like everybody losing it. A name that two tags share is nobody's."""
    by_name: dict[str, list[str]] = {}
    for tag_id, name in tags.items():
        by_name.setdefault(name, []).append(tag_id)
    bound = []
    for list_id, name in lists.items():
        old = known.get(list_id)
        tag_name = old.tag_name if old and old.tag_name else f"{prefix}{name.strip()}"
        bound.append(_bound(old, list_id, name, tag_name, by_name.get(tag_name, []), tags))
    gone = [label for key, label in known.items() if key not in lists]
    return bound + [replace(label, state="gone", reason="list_gone") for label in gone]


def _bound(
    old: Label | None, list_id: str, name: str, tag_name: str, found: list[str], tags: Mapping[str, str]
) -> Label:
    label = Label(list_id, name, old.tag_id if old else None, tag_name)
    if label.tag_id is not None:
        present = tags.get(label.tag_id)
        reason = "tag_gone" if present is None else None if present == tag_name else "tag_renamed"
        return replace(label, state="paused" if reason else "live", reason=reason)
    if len(found) > 1:
        return replace(label, state="paused", reason="tag_name_shared")
    return replace(label, tag_id=found[0] if found else None, reason=None if found else "tag_missing")
