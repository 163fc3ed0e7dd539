"""The queue raced by real processes: producers that hold their transaction open, workers that are killed and stopped
in the middle.

A record is a number that only grows. Producers raise it and put an entry; workers bring it to a vendor, a file behind
a lock that takes a
call only before its deadline, the end of the lease. Every commit of a worker leaves a numbered row with its fence,
written while the slot is locked.
Judged from what is left: no commit and no call of an older fence after one of a newer, no number called twice, none
left behind.
"""

import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, Text, func, insert, select, update

from keepstep import queue
from keepstep.database import engine_of, upsert
from keepstep.model.change import Lane, Step
from keepstep.model.contact import Side
from keepstep.queue import Entry, Job, Slot, entries, slots
from keepstep.schema.tables import entry, job, metadata, step
from keepstep.state import customers, parties

CUSTOMERS = [f"c{n}" for n in range(3)]
PARTIES = [f"p{n}" for n in range(8)]
LEASE = 0.4

_own = MetaData()
record = Table(
    "race_record",
    _own,
    Column("customer", Text, primary_key=True),
    Column("party", Text, primary_key=True),
    Column("n", Integer),
)
commit = Table(
    "race_commit",
    _own,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("customer", Text),
    Column("fence", Integer),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Course:
    """What a process is told. `planted` names a protocol error: no_fence, entry_first."""

    url: str
    folder: Path
    planted: str = ""

    @property
    def over(self) -> bool:
        return (self.folder / "over").exists()

    def tell(self, kind: str, text: str = "") -> None:
        """A line about a process, for the judge."""
        with (self.folder / "events").open("a") as file:
            file.write(json.dumps([kind, text]) + "\n")


@dataclass
class Verdict:
    """What happened, and what should not have."""

    changes: int = 0
    calls: int = 0
    kills: int = 0
    stops: int = 0
    fenced: int = 0
    overlaps: int = 0
    stale: int = 0
    doubled: int = 0
    stranded: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        return bool(self.overlaps or self.stale or self.doubled or self.stranded or self.errors)


class Vendor:
    """Takes calls in one order and remembers them; a call after its deadline never arrives."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "vendor"

    @contextmanager
    def _alone(self) -> Iterator[int]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def call(self, customer: str, party: str, n: int, fence: int, deadline: float) -> bool:
        with self._alone() as file:
            if time.time() >= deadline:
                return False
            os.write(file, (json.dumps([customer, party, n, fence]) + "\n").encode())
            return True

    def calls(self) -> list[tuple[str, str, int, int]]:
        with self._alone():
            return [tuple(json.loads(line)) for line in self._path.read_text().splitlines()]

    def has(self, customer: str, party: str, n: int) -> bool:
        return any(line[:3] == (customer, party, n) for line in self.calls())


def produce(course: Course, seed: int) -> None:
    """Raise records, a few a transaction, until the race is over."""
    chance = random.Random(seed)
    engine = engine_of(course.url)
    while not course.over:
        customer = chance.choice(CUSTOMERS)
        chosen = chance.sample(PARTIES, chance.randint(1, 3))
        with _watched(course), engine.begin() as tx:
            (_put_entry_first if course.planted == "entry_first" else queue.put)(
                tx, customer, [(party, chance.randint(0, 3), time.time()) for party in chosen], time.time()
            )
            mine = (record.c.customer == customer, record.c.party.in_(chosen))
            tx.execute(update(record).where(*mine).values(n=record.c.n + 1))
            time.sleep(chance.uniform(0, 0.004))
        time.sleep(chance.uniform(0, 0.004))


def _put_entry_first(tx: Connection, customer: str, items: list[tuple[str, int, float]], now: float) -> None:
    """Planted: the lock order of `put` turned round."""
    rows = [
        {"customer_id": customer, "party_id": p, "lane": lane, "due": due, "arrived": now} for p, lane, due in items
    ]
    upsert(tx, entry, rows, entries._again)
    time.sleep(0.002)
    queue.wake(tx, customer, min(due for _, _, due in items))


def work(course: Course, name: str) -> None:
    """Turns until the race is over and nothing is due."""
    if course.planted == "no_fence":
        # Planted: a worker that never looks whether the slot is still its own.
        slots.guard.__code__ = (lambda tx, held: None).__code__
    engine = engine_of(course.url)
    worker = Worker(course, engine, name)
    while not (course.folder / "drained").exists():
        with _watched(course):
            worker.turn()


@contextmanager
def _watched(course: Course) -> Iterator[None]:
    try:
        yield
    except queue.Fenced:
        course.tell("fenced")
    except Exception as error:
        course.tell("error", f"{type(error).__name__}: {error}"[:300])


class Worker:
    """One turn after another, as the service does them: T1, look, T2, calls, T3."""

    def __init__(self, course: Course, engine: Engine, name: str) -> None:
        self._course = course
        self._engine = engine
        self._name = name
        self._vendor = Vendor(course.folder)
        self._ids = (f"{name}-{n}" for n in count())
        self._chance = random.Random(name)

    def turn(self) -> None:
        with self._engine.begin() as tx:
            held = queue.claim(tx, self._name, time.time(), LEASE)
            if held is not None:
                looks = queue.unresolved(tx, held, time.time(), 0.0)
                taken = queue.take(tx, held, time.time(), 4)
                self._numbered(tx, held)
        if held is None:
            time.sleep(0.003)
            return
        found = [(item, self._arrived(held, item)) for item in looks]
        jobs = self._decide(held, found, taken)
        self._finish(held, jobs, self._call(held, jobs))

    def _arrived(self, held: Slot, item: Job) -> bool:
        return all(self._vendor.has(held.customer_id, row.party_id, row.payload["n"]) for row in item.steps)

    def _decide(self, held: Slot, found: list[tuple[Job, bool]], taken: list[Entry]) -> list[Job]:
        names = [item.party_id for item in taken]
        with self._engine.begin() as tx:
            queue.guard(tx, held)
            for item, arrived in found:
                self._settle(tx, held, item, arrived)
            seen = parties.load(tx, held.customer_id, names)
            wanted = select(record.c.party, record.c.n).where(
                record.c.customer == held.customer_id, record.c.party.in_(names)
            )
            steps = {party: [_step(party, n)] if seen[party]["n"] != n else [] for party, n in tx.execute(wanted)}
            queue.replace_all_steps(tx, held, steps, time.time())
            queue.forget(tx, held, taken)
            jobs = queue.form(tx, held, time.time(), lambda side, kind: 1, lambda: next(self._ids))
            self._numbered(tx, held)
        return jobs

    def _call(self, held: Slot, jobs: Iterable[Job]) -> dict[str, bool]:
        outcomes: dict[str, bool] = {}
        deadline = float("inf") if self._course.planted == "no_fence" else held.lease_until
        for item in jobs:
            if time.time() >= deadline:
                break
            with self._engine.begin() as tx:
                queue.send(tx, held, item.id, time.time())
                self._numbered(tx, held)
            time.sleep(self._chance.uniform(0, 0.003))
            (row,) = item.steps
            outcomes[item.id] = self._vendor.call(
                held.customer_id, row.party_id, row.payload["n"], held.fence, deadline
            )
        return outcomes

    def _finish(self, held: Slot, jobs: list[Job], outcomes: dict[str, bool]) -> None:
        with self._engine.begin() as tx:
            queue.guard(tx, held)
            for item in jobs:
                if item.id in outcomes and self._chance.random() < 0.2:
                    queue.settle(tx, held, item.id, "accepted", time.time(), look_at=time.time() + 0.02)
                elif item.id in outcomes:
                    self._settle(tx, held, item, outcomes[item.id])
            queue.give_back(tx, held, [item.id for item in jobs if item.id not in outcomes])
            self._release(tx, held)
            self._numbered(tx, held)

    def _release(self, tx: Connection, held: Slot) -> None:
        queue.release(tx, held, time.time())

    def _settle(self, tx: Connection, held: Slot, item: Job, arrived: bool) -> None:
        (row,) = item.steps
        if arrived:
            parties.save(tx, held.customer_id, {row.party_id: {"n": row.payload["n"]}})
            queue.settle(tx, held, item.id, "done", time.time(), done=[row.id])
        else:
            queue.settle(tx, held, item.id, "done", time.time(), again={row.id: time.time()})

    def _numbered(self, tx: Connection, held: Slot) -> None:
        tx.execute(insert(commit), {"customer": held.customer_id, "fence": held.fence})


def _step(party: str, n: int) -> Step:
    return Step(party_id=party, side=Side.crm, kind="set", target="n", lane=Lane.changes, group="", payload={"n": n})


class Race:
    """Starts the processes, troubles them, waits for them and judges."""

    def __init__(self, course: Course, seed: int = 1, *, producers: int = 3, workers: int = 3) -> None:
        self._course = course
        self._chance = random.Random(seed)
        self._engine = engine_of(course.url)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite", "psycopg"]
        )
        self._names = count()
        self._counts = (producers, workers)
        self._producers: list[ForkServerProcess] = []
        self._workers: list[ForkServerProcess] = []
        self.verdict = Verdict()

    def run(self, seconds: float, until: Callable[[Verdict], bool] = lambda verdict: False) -> Verdict:
        """Race for so long, or until what is looked for has been seen, then let the workers finish."""
        self._lay_out()
        try:
            self._producers = [self._producer() for _ in range(self._counts[0])]
            self._workers = [self._worker() for _ in range(self._counts[1])]
            end = time.monotonic() + seconds
            while time.monotonic() < end and not until(self._judged()):
                self._trouble()
            (self._course.folder / "over").touch()
            self._join(self._producers)
            self._drain()
            (self._course.folder / "drained").touch()
            self._join(self._workers)
            self._count_stranded()
            return self._judged()
        finally:
            for process in (*self._producers, *self._workers):
                process.kill()
                process.join()
            self._engine.dispose()

    def _lay_out(self) -> None:
        metadata.create_all(self._engine)
        _own.create_all(self._engine)
        with self._engine.begin() as tx:
            for customer in CUSTOMERS:
                customers.add(tx, customer, {}, time.time())
                parties.save(tx, customer, {party: {"n": 0} for party in PARTIES})
                tx.execute(insert(record), [{"customer": customer, "party": party, "n": 0} for party in PARTIES])

    def _producer(self) -> ForkServerProcess:
        return self._start(produce, next(self._names))

    def _worker(self) -> ForkServerProcess:
        return self._start(work, f"w{next(self._names)}")

    def _start(self, target: Callable[..., None], name: object) -> ForkServerProcess:
        process = self._context.Process(target=target, args=(self._course, name), daemon=True)
        process.start()
        return process

    def _trouble(self) -> None:
        """Kill a worker or a producer, or stop a worker for longer than its lease."""
        time.sleep(self._chance.uniform(0.05, 0.3))
        kind = self._chance.choice(["kill worker", "kill producer", "stop worker", "stop worker"])
        if kind == "stop worker":
            victim = self._chance.choice(self._workers)
            os.kill(victim.pid or 0, signal.SIGSTOP)
            time.sleep(LEASE * 1.5)
            os.kill(victim.pid or 0, signal.SIGCONT)
            self.verdict.stops += 1
            return
        crowd, new = (self._workers, self._worker) if kind == "kill worker" else (self._producers, self._producer)
        place = self._chance.randrange(len(crowd))
        crowd[place].kill()
        crowd[place].join()
        crowd[place] = new()
        self.verdict.kills += 1

    def _join(self, processes: list[ForkServerProcess]) -> None:
        for process in processes:
            process.join(30)

    def _drain(self) -> None:
        """Wait until nothing is left, or nothing moves any more."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 10 * LEASE:
            with self._engine.begin() as tx:
                left = sum(
                    tx.execute(select(func.count()).select_from(table)).scalar_one() for table in (entry, step, job)
                )
                moved = tx.execute(select(func.max(commit.c.seq))).scalar() or 0
            if left == 0:
                return
            if moved != last:
                last, since = moved, time.monotonic()
            time.sleep(0.02)

    def _count_stranded(self) -> None:
        newest: dict[tuple[str, str], int] = {}
        for customer, party, n, _ in Vendor(self._course.folder).calls():
            newest[customer, party] = max(n, newest.get((customer, party), 0))
        with self._engine.begin() as tx:
            for customer, party, n in tx.execute(select(record)):
                self.verdict.changes += n
                self.verdict.stranded += newest.get((customer, party), 0) != n

    def _judged(self) -> Verdict:
        calls = Vendor(self._course.folder).calls()
        with self._engine.begin() as tx:
            commits = [
                tuple(row) for row in tx.execute(select(commit.c.customer, commit.c.fence).order_by(commit.c.seq))
            ]
        events = self._events()
        self.verdict.calls = len(calls)
        self.verdict.overlaps = _backwards((customer, fence) for customer, _, _, fence in calls)
        self.verdict.stale = _backwards(commits)
        self.verdict.doubled = len(calls) - len({line[:3] for line in calls})
        self.verdict.fenced = sum(kind == "fenced" for kind, _ in events)
        self.verdict.errors = [text for kind, text in events if kind == "error"]
        return self.verdict

    def _events(self) -> list[list[Any]]:
        path = self._course.folder / "events"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _backwards(order: Iterable[tuple[Any, ...]]) -> int:
    """How often an older fence of a customer comes after a newer one."""
    newest: dict[str, int] = {}
    wrong = 0
    for customer, fence in order:
        wrong += fence < newest.get(customer, 0)
        newest[customer] = max(fence, newest.get(customer, 0))
    return wrong
