"""The queue: I18, and that a living process works; I19 is in waiting.py, I20 and I21 are in refusals.py."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from keepstep_simulator.invariants.refusals import disciplined, never_silent
from keepstep_simulator.invariants.waiting import ends_in_time
from keepstep_simulator.story import Change, Fact, Found, Row, Story, Violation

__all__ = ["conserved", "disciplined", "ends_in_time", "never_silent", "worker_lives"]

# What a row of these is known by.
KEYS: Mapping[str, tuple[str, ...]] = {
    "entry": ("customer_id", "party_id"),
    "step": ("id",),
    "job": ("customer_id", "id"),
    "delivery": ("id",),
    "dead_letter": ("customer_id", "id"),
}
# Where a mark may end: in the commit that stores what was decided, or that puts two parties together.
DECIDED, MERGED = "store", "merged"
GOES = {
    "delivery": {"new": ("parsed", "refused", "aside"), "aside": ("new", "parsed"), "parsed": (), "refused": ()},
    "dead_letter": {"open": ("replayed", "discarded", "closed"), "replayed": (), "discarded": (), "closed": ()},
}


# --- I18 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Store:
    """The queue's tables as the log of commits says they are. `whole`: every row of theirs is known."""

    rows: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=lambda: {table: {} for table in KEYS})
    whole: bool = True
    found: list[Violation] = field(default_factory=list)


def conserved(story: Story) -> Found:
    """I18: accepted = done + waiting + under way + dead + superseded, after every commit.

    A delivery and a dead letter never go (none is so old here), and their states go one way. A mark ends in the commit
    that stores its decision. A step that is under way ends with an outcome in the journal, or where a newer one of its
    place waits; a decided one where its party is decided anew. A job goes when it is done or was never sent, and leaves
    no step behind; no step is under way in a job that is not there. At the end the tables hold what the log has left.
    """
    store = _Store()
    premise = 0
    for fact, changes in _commits(story):
        if fact.kind == "RESTORE":
            store.rows, store.whole = {table: {} for table in KEYS}, False
            continue
        premise += 1
        gone = _applied(store, fact, changes)
        told = [row for _, table, _, row in changes if table == "journal"]
        for table, row in gone:
            if why := _unaccounted(store, fact, table, row, told):
                store.found.append(Violation("I18", fact.n, f"{table} {row.get('party_id') or row.get('id')}: {why}"))
        _whole_jobs(store, fact, changes)
    if store.whole and story.final.store:
        _as_stored(store, story)
    return store.found, premise


def _commits(story: Story) -> Iterator[tuple[Fact, list[Change]]]:
    changes = story.rows(*KEYS, "journal")
    commits = {n: list(some) for n, some in groupby(changes, lambda row: row[0].n)}
    touched = {n for n, changed in commits.items() if any(table != "journal" for _, table, _, _ in changed)}
    for n in sorted([*touched, *(fact.n for fact in story.of("RESTORE"))]):
        yield story.facts[n], commits.get(n, [])


def _applied(store: _Store, fact: Fact, changes: Sequence[Change]) -> list[tuple[str, Row]]:
    """Take a commit into account; the rows that went."""
    gone = []
    for _, table, verb, row in changes:
        if table not in KEYS:
            continue
        key = tuple(row[name] for name in KEYS[table])
        before = store.rows[table].get(key)
        if verb == "DELETE":
            store.rows[table].pop(key, None)
            gone.append((table, row))
            continue
        if before is not None and table in GOES and not _goes(table, before["state"], row["state"]):
            why = f"{table} {row['id']}: {before['state']} became {row['state']}"
            store.found.append(Violation("I18", fact.n, why))
        store.rows[table][key] = row
    return gone


def _goes(table: str, before: str, after: str) -> bool:
    return after in (before, *GOES[table][before])


def _unaccounted(store: _Store, fact: Fact, table: str, row: Row, told: Sequence[Row]) -> str:
    """Why a row must not have gone; empty where it is accounted for."""
    if table in GOES:
        return "went"
    if any(line["kind"] == MERGED for line in told):
        return ""
    if table == "entry":
        return "" if fact.key == DECIDED else f"its mark ended in {fact.key}, which decides nothing"
    if table == "job":
        return "" if row["state"] in ("done", "intent") else f"the call went while it was {row['state']}"
    ends = [line for line in told if line["kind"] == "outcome" and line["party_id"] == row["party_id"]]
    if row["job_id"] is None:
        return "" if fact.key in (DECIDED, "drop", "discard") else f"a decided step ended in {fact.key}"
    ended = any(_ended(line) for line in ends) or _superseded(store, row)
    return "" if ended else "it was under way, and has no outcome"


def _ended(line: Row) -> bool:
    return bool(json.loads(line["data"] or "{}").get("outcome") != "retry")


def _superseded(store: _Store, row: Row) -> bool:
    place = _place(row)
    return not store.whole or any(one["job_id"] is None and _place(one) == place for one in store.rows["step"].values())


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("customer_id", "party_id", "side", "target"))


def _whole_jobs(store: _Store, fact: Fact, changes: Sequence[Change]) -> None:
    """No step is left in a job that is not there, and no job without a step."""
    if not store.whole or not any(table in ("job", "step") for _, table, _, _ in changes):
        return
    jobs = set(store.rows["job"])
    carried = {(row["customer_id"], row["job_id"]) for row in store.rows["step"].values() if row["job_id"] is not None}
    for one in sorted(carried - jobs):
        store.found.append(Violation("I18", fact.n, f"steps are left in job {one[1]}, which is gone"))
    for one in sorted(jobs - carried):
        store.found.append(Violation("I18", fact.n, f"job {one[1]} has no step"))


def _as_stored(store: _Store, story: Story) -> None:
    for table, names in KEYS.items():
        there = Counter(tuple(row[name] for name in names) for row in story.final.store.get(table, ()))
        told = Counter(store.rows[table].keys())
        if there != told:
            why = f"{table}: {there.total()} rows are stored, {told.total()} are left by the log"
            store.found.append(Violation("I18", len(story.facts) - 1, why))


# --- alive -----------------------------------------------------------------------------------------------------------


def worker_lives(story: Story) -> Found:
    """alive: a living process works: none of its tasks ends by an error that nobody handles."""
    found = [Violation("alive", fact.n, f"{fact.key}: {fact.data['error']}") for fact in story.of("TASK")]
    return found, story.count("BOOT") + story.count("FAULT")
