"""What a feed would do, without doing it: rows are read and decided, and nothing is kept."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.model.feed import Feed, Row, party_id
from keepstep.model.feed_decide import IMPORT, IMPORT_ONE, Verdict, decide
from keepstep.model.instant import Instant
from keepstep.state import feeds, labels, marks
from keepstep.submit import known
from keepstep.wiring.feeds import NEXT, lists_there, opened

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Answer = dict[str, Any]
PAGE, SAMPLE = 1000, 5
# Rows that one import carries at most; its bytes may make it more of them (CC facts 7.1).
ROWS = 40_000


@dataclass(slots=True)
class Tally:
    """What was found so far."""

    lists_there: Sequence[labels.Label]
    read: int = 0
    whole: bool = False
    news: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    lists: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    addresses: set[str] = field(default_factory=set)
    sample: list[Answer] = field(default_factory=list)


async def preview(
    service: "Service", customer_id: str, name: str, most: int | None, shown: bool, told: Callable[[int], None]
) -> Answer:
    """Read up to `most` rows (None: all) from the start of the table. `shown`: the sample has personal data.

    {feed, rows, whole, new, changed, unchanged, import, one_by_one, nothing, left_out, parked, next, same_address,
    lists, not_sent, calls, everybody_read, sample}. everybody_read: was the audience side read, so that it is known who
    opted out?
    """
    desk, feed, table = await opened(service, customer_id, name)
    tally, cursor = Tally(lists_there=await lists_there(desk)), None
    while not tally.whole and (most is None or tally.read < most):
        page = await table.read(None, cursor, PAGE if most is None else min(PAGE, most - tally.read))
        await service.db.run(_seen, desk, feed, tally, page.rows, shown, service.clock.now())
        tally.read, cursor, tally.whole = tally.read + len(page.rows), page.cursor, page.cursor is None
        told(tally.read)
    cost = service.connectors[desk.route.audience].cost
    sweep = await service.db.run(marks.get, customer_id, desk.route.audience, "sweep")
    calls = None if cost is None else _calls(cost, tally.ways)
    return {"feed": name, **_said(tally), "calls": calls, "everybody_read": sweep.mark is not None}


def _seen(tx: Tx, desk: "Desk", feed: Feed, tally: Tally, rows: Sequence[Row], shown: bool, now: Instant) -> None:
    """One page, decided as if it were filed."""
    new, other = feeds.changed(tx, desk.customer_id, feed, rows)
    tally.news.update(new=len(new), changed=len(other), unchanged=len(rows) - len(new) - len(other))
    before = feeds.load(tx, desk.customer_id, [party_id(feed.name, row.row_id) for row in other])
    kept = [feeds.as_kept(feed.name, row, before.get(party_id(feed.name, row.row_id)), now) for row in (*new, *other)]
    facts = replace(known.gather(tx, desk, kept), lists=known.spelt(tally.lists_there))
    names = {one.list_id: one.list_name for one in tally.lists_there}
    for row, one in zip((*new, *other), kept, strict=True):
        verdict = decide(row, known.known(one, facts), feed.existing, feed.phone_region)
        _count(tally, row, verdict, names)
        if len(tally.sample) < SAMPLE:
            tally.sample.append(_sampled(row, verdict, names, shown))


def _count(tally: Tally, row: Row, verdict: Verdict, names: dict[str, str]) -> None:
    if verdict.way is None:
        tally.ends[verdict.state, verdict.reason or ""] += 1
        return
    tally.ways[verdict.way] += 1
    tally.lists.update(names.get(one, one) for one in verdict.lists)
    tally.notes.update(verdict.notes)
    tally.ends["same", ""] += row.address in tally.addresses
    tally.addresses.add(row.address or "")


def _sampled(row: Row, verdict: Verdict, names: dict[str, str], shown: bool) -> Answer:
    lists = [names.get(one, one) for one in verdict.lists]
    said = {"row": row.row_id, "becomes": verdict.way or verdict.state, "reason": verdict.reason, "lists": lists}
    return said | ({"key": row.key, "fields": dict(row.fields)} if shown else {})


def _said(tally: Tally) -> Answer:
    ends = {
        state: {reason: count for (ended, reason), count in sorted(tally.ends.items()) if ended == state}
        for state in ("left_out", "parked")
    }
    return {
        "rows": tally.read,
        "whole": tally.whole,
        **{name: tally.news[name] for name in ("new", "changed", "unchanged")},
        "import": tally.ways[IMPORT],
        "one_by_one": tally.ways[IMPORT_ONE],
        "nothing": tally.ends["done", ""],
        **ends,
        "next": {reason: NEXT[reason] for each in ends.values() for reason in each if reason in NEXT},
        "same_address": tally.ends["same", ""],
        "lists": dict(sorted(tally.lists.items())),
        "not_sent": dict(sorted(tally.notes.items())),
        "sample": tally.sample,
    }


def _calls(cost: Callable[[str, int], int], ways: Counter[str]) -> int:
    """Calls at least: an import is cut by its bytes too."""
    imports = -(-ways[IMPORT] // ROWS)
    one_by_one = cost(IMPORT_ONE, ways[IMPORT_ONE]) if ways[IMPORT_ONE] else 0
    return imports * cost(IMPORT, ROWS) + one_by_one
