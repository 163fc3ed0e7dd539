"""One turn: a bounded piece of one customer's work under its slot, as a list of named steps.

Three kinds of commits and no await inside any: T1 takes work, T2 stores decisions and intents, T3 records outcomes.
Polls and re-reads commit on their own before T2, under the same fence.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from keepstep import queue, telemetry
from keepstep.desk import ACCOUNT, BLOCKED_PAUSE, DELIVERIES, LONGEST_JITTER, LONGEST_PAUSE, Chore, Desk, pause_after
from keepstep.model.errors import Blocked, Permanent, Problem, Transient
from keepstep.model.instant import Instant
from keepstep.queue import Entry, Fenced, Job, Paused, Slot
from keepstep.state import customers, deliveries, journal, marks
from keepstep.state.marks import Mark
from keepstep.submit import calls, decided, load, standstill

Step = Callable[[Desk, Slot], Awaitable[object]]
PATIENT = 5  # so often a vendor is taken at its word that it will answer in a moment


async def turn(desk: Desk, slot: Slot, readers: Mapping[str, Step], chores: Sequence[Chore]) -> None:
    """Look at open calls, read deliveries, do one due chore, decide what is marked, write what is decided.

    `readers`: how each platform's deliveries are read.
    """
    try:
        if (due := await _taken(desk, slot, readers, chores)) is not None:
            await _done(desk, slot, due)
        if await desk.db.run(_rests, desk, slot):
            return
        await _guarded(desk, slot, desk.route.crm, lambda: decide(desk, slot))
        jobs = await desk.db.run(decided.form, desk, slot, desk.clock.now())
        slot = await calls.make(desk, slot, jobs)
    except Paused:
        pass  # the slot is still ours; what was not sent becomes steps again in the next turn
    except Fenced:
        return
    await desk.db.run(queue.release, slot, desk.clock.now())


async def decide(desk: Desk, slot: Slot) -> None:
    """Everything that is marked: load, decide, store."""
    entries: list[Entry] = await desk.db.run(queue.take, slot, desk.clock.now())
    if not entries:
        return
    cases = await load.cases(desk, slot, entries)
    setting = await desk.db.run(load.setting, desk, desk.clock.now())
    verdicts = decided.decide_all(cases, setting)
    await desk.db.run(decided.store, desk, slot, cases, verdicts, desk.clock.now())


async def _taken(desk: Desk, slot: Slot, readers: Mapping[str, Step], chores: Sequence[Chore]) -> Chore | None:
    """Make sure of the accounts, look at open calls, read deliveries; the chore to do then. Most turns have a chore to
    do and nothing else."""
    jobs, waiting, due = await desk.db.run(_opened, desk, slot, chores)
    while due is not None and due.name == ACCOUNT:
        await _done(desk, slot, due)
        jobs, waiting, due = await desk.db.run(_opened, desk, slot, chores)
    if not jobs and not waiting:
        return due
    for job in jobs:
        await calls.look(desk, slot, job)
    for platform, read in readers.items():
        if platform in waiting:
            await _guarded(desk, slot, platform, partial(read, desk, slot), DELIVERIES)
    return await desk.db.run(_due, desk, slot, chores)


def _opened(
    tx: Connection, desk: Desk, slot: Slot, chores: Sequence[Chore]
) -> tuple[list[Job], list[str], Chore | None]:
    """T1: calls to look at, platforms with deliveries to read, and the due chore where there is neither; before
    anything else the account, where that is due."""
    due = _due(tx, desk, slot, sorted(chores, key=lambda chore: chore.name != ACCOUNT))
    if due is not None and due.name == ACCOUNT:
        return [], [], due
    jobs = queue.unresolved(tx, slot, desk.clock.now())
    waiting = deliveries.waiting(tx, desk.customer_id)
    return jobs, waiting, None if jobs or waiting else due


def _rests(tx: Connection, desk: Desk, slot: Slot) -> bool:
    """Nothing is to be decided or sent: the turn ends here."""
    now = desk.clock.now()
    if queue.has_work(tx, slot, now):
        return False
    queue.release(tx, slot, now)
    return True


def _due(tx: Connection, desk: Desk, slot: Slot, chores: Sequence[Chore]) -> Chore | None:
    """The most urgent chore that is due; `chores` is in order of urgency. Those of a blocked connection are put off.
    One that this customer never had is due now, unless another one begins it."""
    queue.guard(tx, slot)
    now = desk.clock.now()
    blocked = {one.platform for one in customers.connections(tx, desk.customer_id) if one.health == "blocked"}
    every = standstill.noticed(tx, desk, marks.every(tx, desk.customer_id), now)
    known = {(mark.platform, mark.name): mark for mark in every}
    for chore in chores:
        if chore.first and (chore.platform, chore.name) not in known:
            known[chore.platform, chore.name] = Mark(chore.platform, chore.name, due=now)
            marks.put(tx, desk.customer_id, known[chore.platform, chore.name])
    waiting = {place: mark for place, mark in known.items() if mark.due is not None and mark.due <= now}
    due = [chore for chore in chores if (chore.platform, chore.name) in waiting]
    for chore in due:
        if chore.platform in blocked:
            marks.put(tx, desk.customer_id, replace(waiting[chore.platform, chore.name], due=now + BLOCKED_PAUSE))
    return next((chore for chore in due if chore.platform not in blocked), None)


async def _done(desk: Desk, slot: Slot, chore: Chore) -> None:
    await _guarded(desk, slot, chore.platform, partial(chore.run, desk, slot), chore.name)


async def _guarded(
    desk: Desk, slot: Slot, platform: str, work: Callable[[], Awaitable[object]], chore: str | None = None
) -> None:
    """A read that fails harms nothing: it is tried again later, and a blocked connection is marked for its owner."""
    try:
        await work()
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
    if chore == DELIVERIES:
        deliveries.set_aside(tx, desk.customer_id, platform)


def _moment(desk: Desk, now: Instant, after: float | None, tries: int, longest: float) -> Instant:
    pause = pause_after(tries, longest) if after is None or tries >= PATIENT else 0.0
    pause = max(pause, after or 0.0)
    return now + desk.chance.uniform(pause, pause + min(pause / 2, LONGEST_JITTER))
