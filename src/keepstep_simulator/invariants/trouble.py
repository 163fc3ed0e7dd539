"""When something was wrong, for bounds that hold only where nothing is: in time, or so long after the last fault.

Wrong are: a call that failed at the vendor or on its way, a commit, a crash until the next process has its lease, a
process that stands still, a clock that jumps, an older disk, a connection that waits for its owner, a customer who is
paused. What the product decides by itself (to wait, to try later) is no trouble.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.story import Fact, Story

EVERYBODY = ""
# What a trouble leaves behind for so long: the lease of a dead process, a call of unknown fate, a pause between tries.
WAKE = 3600.0 + 60.0
_FAILED = ("FAULT", "CRASH", "BOOT", "PAUSE", "RESUME", "SKEW", "RESTORE")


class Trouble:
    """The troubled moments of one story, by customer."""

    def __init__(self, story: Story) -> None:
        self._moments: dict[str, list[float]] = defaultdict(list)
        self._spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._alive: set[int] = set()
        self._down = float("inf")
        self.end = story.facts[-1].t if story.facts else 0.0
        for fact in story.of(*_FAILED):
            self._add(fact)
        if self._down < self.end and not self._alive:
            self._spans[EVERYBODY].append((self._down, float("inf")))
        self._back = list(_put_back(story))
        self._clocks = list(_clocks(story))
        for fact in story.of("RSP"):
            if fact.data["fault"] or _refused_for_now(fact.data["status"]):
                self._moments[fact.customer].append(fact.t)
        self._waiting(story)
        for moments in self._moments.values():
            moments.sort()

    def _add(self, fact: Fact) -> None:
        whose = fact.customer if fact.kind == "FAULT" else EVERYBODY
        self._moments[whose].append(fact.t)
        if fact.kind == "PAUSE":
            self._spans[EVERYBODY].append((fact.t, fact.t + float(fact.data["seconds"])))
        elif fact.kind == "BOOT":
            if not self._alive and fact.t > self._down:
                self._spans[EVERYBODY].append((self._down, fact.t))
            self._alive.add(fact.process)
        elif fact.kind == "CRASH":
            self._alive.discard(fact.process)
            self._down = fact.t

    def _waiting(self, story: Story) -> None:
        """Whose connection is blocked, or who is paused; an older disk brings back how it was then."""
        history: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
        since: dict[tuple[str, str], float] = {}
        for fact, table, _verb, row in in_order(story, ("RESTORE",), ("connection", "customer")):
            if table:
                place = (row["customer_id"], row.get("platform", ""))
                stands = row["health"] != "ok" if table == "connection" else row["state"] != "active"
                history[place].append((fact.t, stands))
                self._stands(since, place, fact.t, stands)
            else:
                saved = fact.t - float(fact.data["age"])
                for place, states in history.items():
                    states[:] = [one for one in states if one[0] <= saved]
                    self._stands(since, place, fact.t, bool(states) and states[-1][1])
        for (customer, _), began in since.items():
            self._spans[customer].append((began, float("inf")))

    def _stands(self, since: dict[tuple[str, str], float], place: tuple[str, str], now: float, stands: bool) -> None:
        if stands:
            since.setdefault(place, now)
        elif place in since:
            self._spans[place[0]].append((since.pop(place), now))

    def last(self, customer: str, after: float, until: float) -> float | None:
        """The last troubled moment after one and up to another; None where there was none."""
        found = [_last(self._moments[whose], after, until) for whose in (customer, EVERYBODY) if whose in self._moments]
        spans = [span for whose in (customer, EVERYBODY) for span in self._spans.get(whose, ())]
        found += [min(end, until) for begin, end in spans if begin <= until and end > after]
        return max((one for one in found if one is not None), default=None)

    def shown(self, at: float) -> float:
        """When our clock shows a moment, where it is behind; the moment itself where it is not."""
        first = (max(begin, at - ahead) for begin, end, ahead in self._clocks if max(begin, at - ahead) < end)
        return max(at, next(first, at))

    def deadline(self, customer: str, since: float, bound: float, sweep: float) -> float | None:
        """Until when something of `since` must have happened: within the bound, or within a sweep after the last fault;
        None where the story ends before. What was due by a clock that was put back waits so much longer."""
        until, after = since + bound, since - WAKE
        while (last := self.last(customer, after, until)) is not None and last + sweep > until:
            until, after = last + sweep, last
            if until > self.end:
                return None
        until += sum(by for at, by in self._back if since - by - WAKE < at <= until)
        return until if until <= self.end else None


def _put_back(story: Story) -> Iterator[tuple[float, float]]:
    """When our clock was put back, and by how much."""
    ahead = 0.0
    for fact in story.of("SKEW"):
        if fact.data["ahead"] < ahead:
            yield fact.t, ahead - fact.data["ahead"]
        ahead = fact.data["ahead"]


def _clocks(story: Story) -> Iterator[tuple[float, float, float]]:
    """From when to when our clock is ahead by how much, oldest first."""
    begin, ahead = float("-inf"), 0.0
    for fact in story.of("SKEW"):
        yield begin, fact.t, ahead
        begin, ahead = fact.t, float(fact.data["ahead"])
    yield begin, float("inf"), ahead


def _refused_for_now(status: int | None) -> bool:
    return status is None or status == 429 or status >= 500


def _last(moments: Sequence[float], after: float, until: float) -> float | None:
    place = bisect_right(moments, until)
    return moments[place - 1] if place > bisect_left(moments, after) and moments[place - 1] > after else None
