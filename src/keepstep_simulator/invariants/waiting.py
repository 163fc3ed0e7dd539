"""How long things wait in the queue: I19."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.invariants.trouble import WAKE, Trouble
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

KEYS: Mapping[str, tuple[str, ...]] = {
    "delivery": ("id",),
    "entry": ("customer_id", "party_id"),
    "step": ("id",),
    "job": ("customer_id", "id"),
}
# So long after it is due something is taken in hand, where nothing is wrong: the turns of everybody who is due at that
# moment, at the vendors' pace. A step goes at that pace itself (Virtuous facts 4: a call in three seconds once the
# bucket is empty).
BOUNDS: Mapping[str, float] = {"delivery": 60.0, "entry": 60.0, "step": 600.0, "job": 60.0}
LOOKED_AT = ("sent", "unknown", "accepted")


@dataclass(frozen=True, slots=True)
class _Item:
    """Something that waits from `due` on, by the clock of whoever wrote it down."""

    due: float
    since: Fact
    row: Row


def ends_in_time(story: Story) -> Found:
    """I19: every item ends within its bound, so that a poisoned one delays others by one slot of a retry at most: a
    delivery is read, a mark looked at, a step that nothing holds sent, a call of open end looked at, within so long
    after it is due; where something went wrong meanwhile, so long after the last fault and what it left behind. What
    still waits at the end is judged as if it ended there.
    """
    trouble, clock = story.once(Trouble), (0.0, 0.0)
    waiting: dict[tuple[str, tuple[Any, ...]], _Item] = {}
    found: list[Violation] = []
    premise = 0
    for fact, table, verb, row in in_order(story, ("SKEW", "RESTORE", "END"), tuple(KEYS)):
        if fact.kind == "SKEW":
            clock = (float(fact.data["ahead"]), fact.t)
        elif fact.kind == "RESTORE":
            waiting.clear()
        elif table:
            key = (table, tuple(row[name] for name in KEYS[table]))
            due, item = None if verb == "DELETE" else _due(table, row), waiting.get(key)
            if item is None or item.due != due:
                premise += item is not None
                found += _judged(trouble, key[0], item, fact, clock) if item is not None else ()
                waiting.pop(key, None)
                if due is not None:
                    waiting[key] = _Item(due, fact, row)
    for (table, _), item in waiting.items():
        found += _judged(trouble, table, item, story.facts[-1], clock)
    return found, premise


def _judged(trouble: Trouble, table: str, item: _Item, now: Fact, clock: tuple[float, float]) -> Iterator[Violation]:
    """Whether an item that ends now is too late. `clock`: by how much ours is ahead, and since when."""
    ahead, set_at = clock
    since, bound = max(item.due - ahead, item.since.t, set_at), BOUNDS[table]
    if now.t - since > bound:
        customer = str(item.row["customer_id"])
        until = trouble.deadline(customer, since, bound, WAKE + bound)
        if until is not None and now.t > until:
            name = item.row.get("party_id") or item.row["id"]
            why = f"{customer}: {table} {name} is taken in hand {now.t - until:.0f} s too late"
            yield Violation("I19", now.n, why)


def _due(table: str, row: Row) -> float | None:
    """When somebody should take a row in hand; None for never, or not yet."""
    if table == "delivery":
        return float(row["received"]) if row["state"] == "new" else None
    if table == "entry":
        return float(row["due"])
    if table == "step":
        return float(row["due"]) if row["job_id"] is None and row["hold"] is None else None
    return float(row["look_at"]) if row["state"] in LOOKED_AT and row["look_at"] is not None else None
