"""One turn: a bounded piece of one customer's work under its slot, as a list of named steps.

Three kinds of commits and no await inside any: T1 takes work, T2 stores decisions and intents, T3 records outcomes.
Polls and re-reads commit on their own before T2, under the same fence.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import (
    ACCOUNT,
    BLOCKED_PAUSE,
    DELIVERIES,
    DOUBTFUL,
    LEASE,
    LONGEST_JITTER,
    LONGEST_PAUSE,
    Chore,
    Desk,
    Left,
    Marks,
    pause_after,
)
from keepstep.model.alerts import Kind
from keepstep.model.errors import Blocked, Permanent, Problem, Transient
from keepstep.model.feed import is_row
from keepstep.model.instant import Instant
from keepstep.queue import Entry, Fenced, Job, Paused, Slot
from keepstep.state import customers, deliveries, journal, marks
from keepstep.state.alerts import raise_alert
from keepstep.state.marks import Mark
from keepstep.submit import calls, decided, load, standstill
from keepstep.submit import rows as fed

T = TypeVar("T")
Step = Callable[[Desk, Slot], Awaitable[object]]
Then = Callable[[Connection], object] | None
_RESTS = "rests"
# Rows of feeds that are decided in a turn: a second's work, where so many parties would take a minute.
ROWS = 2000
PATIENT = 5  # so often a vendor is taken at its word that it will answer in a moment
# So often a read fails in a row before somebody is told: for about an hour, with short pauses and with long ones.
LOUD, LOUD_SLOW = 60, 12


@dataclass(frozen=True, slots=True)
class Due:
    """A chore that is due, and the marks of all chores as they were read with it."""

    chore: Chore
    marks: Marks


@dataclass(frozen=True, slots=True)
class Opened:
    """What a turn begins with: calls to look at, platforms with deliveries to read, and where there is neither, or
    before either, the chore that is due. `unsure`: when it is asked again where a new credential leads; till then
    nothing is read or written."""

    jobs: Sequence[Job] = ()
    waiting: Sequence[str] = ()
    due: Due | None = None
    unsure: Instant | None = None


async def turn(
    desk: Desk,
    slot: Slot,
    readers: Mapping[str, Step],
    chores: Sequence[Chore],
    found: Opened | None = None,
    then: Callable[[Connection], T] | None = None,
) -> T | None:
    """Look at open calls, read deliveries, do one due chore, decide what is marked, write what is decided.

    `readers`: how each platform's deliveries are read. `found`: what `opened` found in the transaction that claimed the
    slot. `then`: what to do in the transaction that frees it; what that gives comes back.
    """
    desk.lease.until = slot.lease_until
    try:
        found = await _sure(desk, slot, chores, found)
        if found.unsure is not None:
            await desk.db.run(queue.renew, slot, desk.clock.now(), max(found.unsure - desk.clock.now(), 1.0))
            return None
        due = await _taken(desk, slot, readers, chores, found)
        left = await _done_last(desk, slot, due, then) if due is not None else None
        if left is None:
            left = await _left(desk, slot, _rest, then)
        if left.away:
            return cast("T | None", left.following)
        asked = desk.route.audience if desk.route.alone else desk.route.crm
        await _guarded(desk, slot, asked, lambda: decide(desk, slot))
        jobs = await desk.db.run(decided.form, desk, slot, desk.clock.now())
        slot = await calls.make(desk, slot, jobs)
    except Paused:
        pass  # the slot is still ours; what was not sent becomes steps again in the next turn
    except Fenced:
        return None
    finally:
        desk.lease.until = None
    return cast("T | None", (await _left(desk, slot, _release, then)).following)


async def _left(desk: Desk, slot: Slot, end: Callable[[Connection, Desk, Slot, Then], Left], then: Then) -> Left:
    """What is wrong with whoever comes next must not keep this one's slot; what is wrong with the database is
    everybody's."""
    try:
        return await desk.db.run(end, desk, slot, then)
    except (Fenced, *DOUBTFUL):
        raise
    except Exception:
        return await desk.db.run(end, desk, slot, None)


def _rest(tx: Connection, desk: Desk, slot: Slot, then: Then) -> Left:
    """Where nothing is to be decided or sent, the turn ends here."""
    if not queue.rest(tx, slot, desk.clock.now()):
        return Left(away=False)
    return Left(away=True, following=then(tx) if then is not None else None)


def _release(tx: Connection, desk: Desk, slot: Slot, then: Then) -> Left:
    queue.release(tx, slot, desk.clock.now())
    return Left(away=True, following=then(tx) if then is not None else None)


async def decide(desk: Desk, slot: Slot) -> None:
    """Everything that is marked: parties first, then rows of feeds, which nobody's consent waits for."""
    entries: list[Entry] = await desk.db.run(queue.take, slot, desk.clock.now())
    if parties := [one for one in entries if not is_row(one.party_id)]:
        await _decide_parties(desk, slot, parties)
    if len(parties) < len(entries):
        more = await desk.db.run(queue.take, slot, desk.clock.now(), ROWS)
        await fed.decide_rows(desk, slot, [one for one in more if is_row(one.party_id)])


async def _decide_parties(desk: Desk, slot: Slot, entries: Sequence[Entry]) -> None:
    """Load, decide, store."""
    cases = await load.cases(desk, slot, entries)
    setting = await desk.db.run(load.setting, desk, desk.clock.now())
    verdicts = decided.decide_all(cases, setting)
    await desk.db.run(decided.store, desk, slot, cases, verdicts, desk.clock.now())


async def _sure(desk: Desk, slot: Slot, chores: Sequence[Chore], found: Opened | None) -> Opened:
    """Make sure of the accounts; what there is to do then."""
    if found is None:
        found = await desk.db.run(opened, desk, slot, chores)
    while found.due is not None and found.due.chore.name == ACCOUNT:
        await _done(desk, slot, found.due)
        found = await desk.db.run(opened, desk, slot, chores)
    return found


async def _taken(
    desk: Desk, slot: Slot, readers: Mapping[str, Step], chores: Sequence[Chore], found: Opened
) -> Due | None:
    """Look at open calls, read deliveries; the chore to do then. Most turns have a chore to do and nothing else."""
    if not found.jobs and not found.waiting:
        return found.due
    until = desk.clock.now() + calls.TURN
    for job in found.jobs:  # whoever is left is looked at first in the next turn; meanwhile consent waits for nobody
        if desk.clock.now() <= until:
            await calls.look(desk, slot, job)
    for platform, read in readers.items():
        if platform in found.waiting:
            await _guarded(desk, slot, platform, partial(read, desk, slot), DELIVERIES)
    return await desk.db.run(_due, desk, slot, chores)


def opened(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    chores: Sequence[Chore],
    known: Sequence[customers.Connection] | None = None,
) -> Opened:
    """T1: calls to look at, platforms with deliveries to read, and the due chore where there is neither; before
    anything else the account, where that is due. `known`: the connections, where this transaction has read them."""
    queue.guard(tx, slot)
    known = customers.connections(tx, desk.customer_id) if known is None else known
    due, every = _marked(tx, desk, sorted(chores, key=lambda chore: chore.name != ACCOUNT), known)
    if due is not None and due.chore.name == ACCOUNT:
        return Opened(due=due)
    if (again := _unsure(chores, every, known)) is not None:
        return Opened(unsure=again)
    if queue.quiet(tx, slot):
        return Opened(due=due)
    jobs = queue.unresolved(tx, slot, desk.clock.now())
    waiting = deliveries.waiting(tx, desk.customer_id)
    return Opened(jobs, waiting, None if jobs or waiting else due)


def _unsure(chores: Sequence[Chore], every: Marks, known: Sequence[customers.Connection]) -> Instant | None:
    """When a connection asks again to which account it leads that never learned it since its credential is there."""
    asks = [one.platform for one in chores if one.name == ACCOUNT]
    open_ones = {one.platform for one in known if one.health != "blocked"}
    marked = [every.get((platform, ACCOUNT)) for platform in asks if platform in open_ones]
    return max((one.due for one in marked if one and one.due and not (one.data or {}).get("finished")), default=None)


def _due(tx: Connection, desk: Desk, slot: Slot, chores: Sequence[Chore]) -> Due | None:
    queue.guard(tx, slot)
    return _marked(tx, desk, chores, customers.connections(tx, desk.customer_id))[0]


def _marked(
    tx: Connection, desk: Desk, chores: Sequence[Chore], known: Sequence[customers.Connection]
) -> tuple[Due | None, Marks]:
    """The most urgent chore that is due, and all marks; `chores` is in order of urgency. Those of a blocked connection
    are put off. One that this customer never had is due now, unless another one begins it."""
    now = desk.clock.now()
    blocked = {one.platform for one in known if one.health == "blocked"}
    every = standstill.noticed(tx, desk, marks.every(tx, desk.customer_id), now)
    marked = {(mark.platform, mark.name): mark for mark in every}
    for chore in chores:
        if chore.first and (chore.platform, chore.name) not in marked:
            marked[chore.platform, chore.name] = Mark(chore.platform, chore.name, due=now)
            marks.put(tx, desk.customer_id, marked[chore.platform, chore.name])
    marked |= _of_others(tx, desk, chores, marked, now)
    waiting = {place: mark for place, mark in marked.items() if mark.due is not None and mark.due <= now}
    due = [chore for chore in chores if (chore.platform, chore.name) in waiting]
    for chore in due:
        if chore.platform in blocked:
            marks.put(tx, desk.customer_id, replace(waiting[chore.platform, chore.name], due=now + BLOCKED_PAUSE))
    free = next((chore for chore in due if chore.platform not in blocked), None)
    return None if free is None else Due(free, marked), marked


def _of_others(
    tx: Connection, desk: Desk, chores: Sequence[Chore], known: Mapping[tuple[str, str], Mark], now: Instant
) -> dict[tuple[str, str], Mark]:
    """What the settings have no chore for any more rests, or the slot would be due for ever; once there is one again,
    it is due."""
    mine = {(chore.platform, chore.name) for chore in chores}
    gone = [place for place, mark in known.items() if place not in mine and mark.due is not None and mark.due <= now]
    back = [place for place, mark in known.items() if place in mine and _RESTS in (mark.data or {})]
    changed = {
        place: replace(known[place], due=None, data={**(known[place].data or {}), _RESTS: True}) for place in gone
    }
    for place in back:
        data = {name: value for name, value in (known[place].data or {}).items() if name != _RESTS}
        changed[place] = replace(known[place], due=now, data=data)
    for one in changed.values():
        marks.put(tx, desk.customer_id, one)
    return changed


async def _done_last(desk: Desk, slot: Slot, due: Due, then: Then) -> Left | None:
    """Do a chore with whose last transaction the turn may end; None where it was not asked to, or where nobody knows
    whether it did: then the slot, if it is still nobody else's, is ours anew."""
    asked: list[Slot] = []

    def leave(tx: Connection) -> Left:
        asked.append(slot)
        return _rest(tx, desk, slot, then)

    left = await _done(desk, slot, due, leave)
    if left is None and asked:
        await desk.db.run(queue.renew, slot, desk.clock.now(), LEASE)
    return left


async def _done(desk: Desk, slot: Slot, due: Due, leave: Callable[[Connection], Left] | None = None) -> Left | None:
    """Do a chore; what Desk.last gave."""
    chore, desk = due.chore, replace(desk, marks=due.marks, leave=leave)
    left = await _guarded(desk, slot, chore.platform, partial(chore.run, desk, slot), chore.name)
    return left if isinstance(left, Left) else None


async def _guarded(
    desk: Desk, slot: Slot, platform: str, work: Callable[[], Awaitable[object]], chore: str | None = None
) -> object:
    """A read that fails harms nothing: it is tried again later, and a blocked connection is marked for its owner. What
    the work gives, None where it failed."""
    try:
        return await work()
    except Fenced:
        raise
    except Blocked as problem:
        await desk.db.run(_block, desk, slot, platform, problem, chore)
    except Problem as problem:
        after = problem.retry_after if isinstance(problem, Transient) else None
        # What is refused is not asked for every minute: somebody must change something first.
        longest = BLOCKED_PAUSE if isinstance(problem, Permanent) else LONGEST_PAUSE
        await desk.db.run(_later, desk, slot, platform, chore, after, str(problem), longest)
    except Exception as failure:  # a bug in one piece of work must not keep the customer's others from their turn
        telemetry.note(telemetry.Process.failed, source=chore or "reading", **telemetry.trouble_of(failure))
        await desk.db.run(_later, desk, slot, platform, chore, None, type(failure).__name__, BLOCKED_PAUSE)
    return None


def _block(tx: Connection, desk: Desk, slot: Slot, platform: str, problem: Blocked, chore: str | None) -> None:
    queue.guard(tx, slot)
    calls.block(tx, desk, problem.platform or platform, problem.reason)
    _later(tx, desk, slot, platform, chore, BLOCKED_PAUSE, problem.reason)


def _later(
    tx: Connection,
    desk: Desk,
    slot: Slot,
    platform: str,
    chore: str | None,
    after: float | None,
    why: str,
    longest: float = LONGEST_PAUSE,
) -> None:
    """Again after what the vendor said, else, or where that did not help a few times, after a pause that doubles to the
    longest."""
    queue.guard(tx, slot)
    now = desk.clock.now()
    line = {"platform": platform, "chore": chore or "reading", "why": why}
    journal.append(tx, desk.customer_id, [(now, None, "read_failed", line)])
    if chore is None:
        for entry in queue.take(tx, slot, now):
            queue.defer(tx, slot, entry, _moment(desk, now, after, entry.tries, longest), now)
        return
    mark = marks.get(tx, desk.customer_id, platform, chore)
    data = dict(mark.data or {})
    tries = int(data.get("tries") or 0)
    changed = replace(mark, due=_moment(desk, now, after, tries, longest), data=data | {"tries": tries + 1})
    marks.put(tx, desk.customer_id, changed)
    if tries + 1 >= (LOUD if longest == LONGEST_PAUSE else LOUD_SLOW):
        said = {"platform": platform, "chore": chore, "tries": tries + 1}
        raise_alert(tx, desk.customer_id, Kind.reading_fails, f"{platform}.{chore}", said, now)
    if chore == DELIVERIES:
        deliveries.set_aside(tx, desk.customer_id, platform)


def _moment(desk: Desk, now: Instant, after: float | None, tries: int, longest: float) -> Instant:
    pause = pause_after(tries, longest) if after is None or tries >= PATIENT else 0.0
    pause = max(pause, after or 0.0)
    return now + desk.chance.uniform(pause, pause + min(pause / 2, LONGEST_JITTER))
