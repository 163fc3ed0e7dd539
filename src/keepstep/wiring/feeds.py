"""Feeds as their owners see them: what each one reads, whether it can, what would come of it, and what became of it."""

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx
from sqlalchemy import bindparam, func, select

from keepstep import queue
from keepstep.model.alerts import Kind
from keepstep.model.canonical import text
from keepstep.model.customer import Route
from keepstep.model.errors import Blocked, Misconfigured, Problem, Refused, Transient
from keepstep.model.feed import Feed, Row, State
from keepstep.model.instant import Instant, format_instant
from keepstep.schema.tables import entry, step
from keepstep.state import alerts, customers, feeds, labels
from keepstep.state.vault import Secret
from keepstep.submit import known
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.ports import Table
    from keepstep.wiring.service import Service

Answer = dict[str, Any]
STATES: tuple[State, ...] = ("waiting", "sent", "done", "left_out", "parked", "dead")
# What a person can do about a row, by its reason.
NEXT = {
    "no_key": "fill the key column: without it nobody can tell this row from the next one",
    "no_email": "fill the column that `email` is mapped to, map another one, or leave such rows out by a query",
    "bad_email": "correct the address in the table; where all rows say so, map another column to `email`",
    "long_email": "an address may have 80 characters: correct it in the table",
    "no_list": "no list is meant for this row: see `lists` and `when` in the settings",
    "unreadable": "a value of this row cannot be read: look at it in the table",
    "unknown_list": "`keepstep feed check` names the list: make it at Constant Contact, or correct its name",
    "too_many_lists": "a contact can be on 50 lists: take some off, or mean fewer in the settings",
    "no_ledger_key": "nobody can tell who opted out: `keepstep customer show` names the key that is missing",
    "opted_out": "nothing: this person said no, and only they can say yes again",
    "deleted": "nothing; a later date in the column of `permission_at` brings the person back",
    "left": "nothing: this person was taken off the list since; a later `permission_at` puts them on again",
    "not_mailable": "wait until the person has confirmed, or Constant Contact lets the address go",
    "duplicate": "nothing: a newer row of the same address goes to the same lists",
    "no_feed": "nothing: the settings do not name its feed; where they do again, its next round brings the row",
    "name_cut": "a name may have 50 characters: it went cut; shorten it in the table",
    "phone_too_long": "a phone may have 25 characters: the person went without it; shorten it in the table",
    "address_too_long": "a part of the postal address is too long: it was left out; shorten it in the table",
    "value_too_long": "a custom field may have 255 characters: it was left out; shorten it in the table",
    "too_many_fields": "a contact may have 25 custom fields: the rest was left out; map fewer",
}
_LOOK = "`keepstep dead-letters list` has the vendor's answer"


# --- what is there ---------------------------------------------------------------------------------------------------


async def listed(service: "Service", customer_id: str | None) -> list[Answer]:
    """One a feed: {customer, feed, state, last, next, rows {state: count}, problem}."""
    chosen = [customer_id] if customer_id else [one.customer_id for one in await service.db.run(customers.every)]
    found: list[Answer] = []
    for one in chosen:
        await service.db.run(known_customer, one)
        rows = await service.db.run(in_status, service.settings.route(one))
        found += [{"customer": one, "feed": name, **row} for name, row in rows.items()]
    return found


def in_status(tx: Tx, route: Route) -> dict[str, Answer]:
    """Per feed of the settings, and per feed that only has rows: {state, last, next, rows, problem, read}.

    state: waiting (for its next round), reading, failing (its database does not answer), problem, blocked, or gone
    from the settings.
    """
    counted = feeds.counts(tx, route.customer_id)
    health = {one.platform: one for one in customers.connections(tx, route.customer_id)}
    names = [*route.feeds, *sorted(counted.keys() - route.feeds.keys())]
    return {name: _of_feed(tx, route, name, counted.get(name, {}), health) for name in names}


def _of_feed(tx: Tx, route: Route, name: str, counted: Any, health: dict[str, customers.Connection]) -> Answer:
    mark = feeds.mark(tx, route.customer_id, name)
    data, link = mark.data or {}, health.get(feeds.platform(name))
    blocked = link.reason if link is not None and link.health == "blocked" else None
    state = "gone" if name not in route.feeds else "blocked" if blocked else "problem" if data.get("problem") else ""
    state = state or ("failing" if data.get("tries") else "reading" if mark.cursor else "waiting")
    return {
        "state": state,
        "last": _text(data.get("finished")),
        "next": _text(data.get("meant")) if state != "gone" else None,
        "rows": {state: sum(each.values()) for state, each in counted.items()},
        "read": data.get("rows") if mark.cursor else None,
        "problem": _problem(name, route.customer_id, blocked, data),
    }


def _problem(name: str, customer_id: str, blocked: str | None, data: Mapping[str, Any]) -> list[str] | None:
    which = f"{name} --customer {customer_id}"
    if blocked:
        return [f"{_SHUT.get(blocked, blocked)}: `keepstep feed connect {which}`"]
    if data.get("tries") and not data.get("problem"):
        return [f"its database does not answer and is asked again by itself; `keepstep feed check {which}` says more"]
    found: list[str] | None = data.get("problem")
    return found


_SHUT = {
    "credential": "the database refuses its user or password",
    "not_connected": "no password of the database is kept",
    "tls": "the database does not prove who it is",
}


def _text(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


async def rows(
    service: "Service", customer_id: str, name: str, state: State | None, most: int, shown: bool
) -> list[Answer]:
    """Rows of a feed, the longest so first: {feed, row, state, reason, next, since} and, where shown, their
    key and fields."""
    await _feed(service, customer_id, name, gone=True)
    found = await service.db.run(feeds.in_state, customer_id, name, state, most)
    return [_row(one, shown) for one in found]


def _row(one: feeds.FeedRow, shown: bool) -> Answer:
    then = "; ".join(NEXT[each] for each in (one.reason or "").split(",") if each in NEXT) or None
    then = then or (_LOOK if one.state == "dead" else None)
    said = {"feed": one.feed, "row": one.row_id, "state": one.state, "reason": one.reason, "next": then}
    found = {"key": one.body.get("key"), "fields": one.body["fields"]} if shown else {}
    return said | {"since": format_instant(one.since)} | found


# --- whether it can be read ------------------------------------------------------------------------------------------


async def check(service: "Service", customer_id: str, name: str) -> Answer:
    """Connect and look: {feed, lists, state, problems, warnings, next}. state: ok, person (somebody must act), failed
    (the database does not answer). What is mended counts at once: the next round need not wait."""
    desk, feed, table = await opened(service, customer_id, name)
    lists, which = _lists(feed, await lists_there(desk)), f"{name} --customer {customer_id}"
    found = {"feed": name, "lists": lists, **await _looked(table, which)}
    found["problems"] += [one["problem"] for one in lists if one["problem"]]
    if found["state"] != "ok":
        return found
    await between_turns(service, customer_id, _works, customer_id, name, service.clock.now())
    if not found["problems"]:
        return found
    return {**found, "state": "person", "next": f"correct what is named, then `keepstep feed check {which}`"}


async def _looked(table: "Table", which: str) -> Answer:
    """{state, problems, warnings, next} of the table itself."""
    fine: Answer = {"state": "ok", "problems": [], "warnings": [], "next": None}
    try:
        problems = list(await table.check())
        return {**fine, "problems": problems, "warnings": [] if problems else list(await table.warnings())}
    except Misconfigured as problem:
        return {**fine, "problems": list(problem.problems)}
    except Blocked as problem:
        return {**fine, "state": "person", "problems": [str(problem)], "next": f"`keepstep feed connect {which}`"}
    except Transient as problem:
        then = "see whether the database is there, and open to this machine"
        return {**fine, "state": "failed", "problems": [str(problem)], "next": then}


def _works(tx: Tx, customer_id: str, name: str, now: Instant) -> None:
    """The database took the credential. A round that waited for that, or for its settings, begins."""
    place = feeds.platform(name)
    link = customers.get_connection(tx, customer_id, place)
    mark = feeds.mark(tx, customer_id, name)
    waited = (link is not None and link.health == "blocked") or bool((mark.data or {}).get("problem"))
    if link is None or link.health == "blocked":
        customers.set_connection(tx, customer_id, place, None, {})
    alerts.close(tx, customer_id, Kind.connection_blocked, place, now)
    if waited:
        _asked(tx, customer_id, name, now)


async def lists_there(desk: "Desk") -> list[labels.Label]:
    """The lists as they were read last; where none was read yet, as the account says now, where it does."""
    there = await desk.db.run(labels.every, desk.customer_id)
    if not there:
        with contextlib.suppress(Problem):
            there = [labels.Label(list_id, name) for list_id, name in await desk.audience.lists()]
    return [one for one in there if one.kind == "list" and one.state != "gone"]


async def unknown_lists(desk: "Desk", feed: Feed) -> list[str]:
    """Which lists of a feed's settings are none, or several, with the remedy."""
    return [one["problem"] for one in _lists(feed, await lists_there(desk)) if one["problem"]]


def _lists(feed: Feed, there: Sequence[labels.Label]) -> list[Answer]:
    """The lists that the settings name: {list, id, problem}."""
    names = list(dict.fromkeys([*feed.lists, *(name for one in feed.when for name in one.lists)]))
    facts = known.Facts({}, {}, {}, {}, known.spelt(there))
    return [_list(name, feed, facts, there) for name in names]


def _list(name: str, feed: Feed, facts: known.Facts, there: Sequence[labels.Label]) -> Answer:
    probe = Row(row_id="", version="", address=None, fields={}, lists=(name,))
    ids, unknown = known.meant(feeds.as_kept(feed.name, probe, None, 0.0), facts)
    return {"list": name, "id": ids[0] if ids else None, "problem": _unknown(name, there) if unknown else None}


def _unknown(name: str, there: Sequence[labels.Label]) -> str:
    if not there:
        return f"list {name!r}: the account shows no list; see `keepstep doctor`, or make one there"
    names = [one.list_name for one in there]
    same = [one.list_id for one in there if text(one.list_name).casefold() == text(name).casefold()]
    if len(same) > 1:
        return f"list {name!r}: {len(same)} lists have this name; write the id instead: {', '.join(same)}"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    meant = f" (is {' or '.join(repr(one) for one in near)} meant?)" if near else ""
    return f"list {name!r} is not at Constant Contact{meant}; make it there, or correct the name"


# --- acts ------------------------------------------------------------------------------------------------------------


async def connect(service: "Service", customer_id: str, name: str, password: Secret) -> Answer:
    """Keep the password of a feed's database, and see whether it works."""
    await _feed(service, customer_id, name)
    await service.db.run(_keep, service, customer_id, name, password, service.clock.now())
    service.forget(customer_id)
    return await check(service, customer_id, name)


def _keep(tx: Tx, service: "Service", customer_id: str, name: str, password: Secret, now: Instant) -> None:
    queue.wake(tx, customer_id, now)
    service.vault.put(tx, customer_id, feeds.PLATFORM, name, password, now)


async def run(service: "Service", customer_id: str, name: str) -> None:
    """A round is due now, also where the connection was blocked: a person says so."""
    await _feed(service, customer_id, name)
    await between_turns(service, customer_id, _run, customer_id, name, service.clock.now())


def _run(tx: Tx, customer_id: str, name: str, now: Instant) -> None:
    customers.unblock(tx, customer_id, feeds.platform(name))
    _asked(tx, customer_id, name, now)


def _asked(tx: Tx, customer_id: str, name: str, now: Instant) -> None:
    feeds.ask(tx, customer_id, name, now)
    queue.wake(tx, customer_id, now)


async def progress(service: "Service", customer_id: str, name: str) -> Answer:
    """{over, blocked, problem, failing, read, rows, held}. over: the round is in, and no row of the feed can move any
    more without a person or another day. failing: its database did not answer, a few times in a row."""
    return await service.db.run(_progress, service.settings.route(customer_id), name)


def _progress(tx: Tx, route: Route, name: str) -> Answer:
    mark = feeds.mark(tx, route.customer_id, name)
    data = mark.data or {}
    link = customers.get_connection(tx, route.customer_id, feeds.platform(name))
    blocked = link.reason if link is not None and link.health == "blocked" else None
    counted = {state: sum(each.values()) for state, each in feeds.counts(tx, route.customer_id).get(name, {}).items()}
    mine = feeds.in_queue(route.customer_id, name)
    held = {hold or "": count for hold, count in tx.execute(_HELD, mine)}
    moves = sum(held.pop(word, 0) for word in _MOVING) + tx.execute(_MARKED, mine).scalar_one()
    busy = mark.cursor is not None or data.get("asked") or data.get("tries") or counted.get("sent", 0) or moves
    failing = data.get("tries", 0) >= _FEW
    stuck = blocked or failing or (data.get("problem") and not data.get("asked"))
    said = {"read": data.get("rows") if mark.cursor else (data.get("last") or {}).get("rows"), "rows": counted}
    said |= {"blocked": blocked, "problem": None if blocked else data.get("problem"), "failing": failing}
    return {"over": bool(stuck) or not busy, **said, "held": held}


# So often in a row is no hiccup: whoever waits is told.
_FEW = 3


_HELD = (
    select(step.c.hold, func.count())
    .where(step.c.customer_id == bindparam("customer"), feeds.of_feed(step.c.party_id), step.c.job_id.is_(None))
    .group_by(step.c.hold)
)
_MARKED = (
    select(func.count())
    .select_from(entry)
    .where(entry.c.customer_id == bindparam("customer"), feeds.of_feed(entry.c.party_id))
)
# What is let go by itself, within minutes.
_MOVING = ("", "gate", "filling")


async def _feed(service: "Service", customer_id: str, name: str, gone: bool = False) -> Feed | None:
    """Raises Refused where there is no such feed; `gone`: one that only has rows will do."""
    await service.db.run(known_customer, customer_id)
    there = service.settings.route(customer_id).feeds
    if name in there:
        return there[name]
    if gone and name in await service.db.run(feeds.counts, customer_id):
        return None
    said = f"there are {', '.join(there)}" if there else "there is none"
    raise Refused(404, f"no feed {name} in the settings of {customer_id}: {said}; see customers.{customer_id}.feeds")


async def opened(service: "Service", customer_id: str, name: str) -> "tuple[Desk, Feed, Table]":
    """The customer's desk, the feed and its table, not connected yet. Raises Refused, Blocked."""
    feed = await _feed(service, customer_id, name)
    desk = await service.desk(customer_id)
    if feed is None or name not in desk.tables:
        then = f"keep it with `keepstep feed connect {name} --customer {customer_id}`"
        raise Blocked("not_connected", f"feed {name}: no password of its database is kept; {then}")
    return desk, feed, desk.tables[name]
