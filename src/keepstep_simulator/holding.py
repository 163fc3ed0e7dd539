"""On whose behalf the product is at work: read off the slots that it claims, task by task."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from keepstep_simulator.witness import Touched

CLAIMS = ("_begun", "_and_then", "claim")  # the product's functions that claim a slot


@dataclass(slots=True)
class Holding:
    """What one task and those that it spawned hold: the customer of the slot and its fence; or, for good, whom an
    operator acts for."""

    customer: str = ""
    fence: int | None = None
    operates: bool = False

    def follow(self, rows: Iterable[Touched], fences: dict[str, int]) -> None:
        """A transaction of this task was stored. `fences`: the newest of each slot before it; who claims raises it."""
        for table, verb, row in rows:
            if table != "slot" or verb == "DELETE":
                continue
            claimed = row["holder"] is not None and row["fence"] > fences.get(row["customer_id"], 0)
            fences[row["customer_id"]] = row["fence"]
            if claimed and not self.operates:
                self.customer, self.fence = row["customer_id"], row["fence"]
            elif row["customer_id"] == self.customer and row["holder"] is None and not self.operates:
                self.customer, self.fence = "", None


_HELD = ContextVar[Holding]("holding")


def holding() -> Holding:
    """What the task that asks holds."""
    return _HELD.get(NOBODY)


def begin(one: Holding) -> None:
    """From now on this task, and whatever it spawns, is at work for somebody."""
    _HELD.set(one)


NOBODY = Holding(operates=True)
