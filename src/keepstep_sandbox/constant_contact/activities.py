"""Bulk activities: queued, started, finished by time alone; kept 10 days (CC facts 7.2)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keepstep_sandbox.constant_contact import paging
from keepstep_sandbox.constant_contact.dates import DAY, seconds, stamp
from keepstep_sandbox.constant_contact.refusals import Refusal, invalid, missing
from keepstep_sandbox.http import Request, Response, answer
from keepstep_sandbox.switches import Switches

PATH = "/v3/activities"
KEPT = 10 * DAY
QUEUED = 1_000
STATES = ("initialized", "processing", "completed", "cancelled", "failed", "timed_out")
VARIED = (30.0, 600.0, 45.0, 900.0, 120.0)  # CC facts 7.2: jobs take 30 s to 15 min or more
Item = TypeVar("Item")


@dataclass(slots=True)
class Tally:
    """What a job counts while it works; there is no outcome per contact (CC facts 6.2).

    unlucky: every second job of an account, beginning with the first; what the switches say goes wrong with these only,
    for a vendor whose every job failed would be a vendor without jobs. halved: the job breaks off half way.
    """

    unlucky: bool
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    halved: bool = False

    def add(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def error(self, message: str) -> None:
        self.add("error_count")
        self.errors.append(message)

    def share(self, items: list[Item]) -> list[Item]:
        """What the job gets to of these: all of them, or the first half."""
        return items[: len(items) // 2] if self.halved else items


Work = Callable[[float, Tally], None]


@dataclass(slots=True, eq=False)
class Activity:
    """One job. `work` runs at `due`; before that nothing of it is visible."""

    activity_id: str
    kind: str
    created: float
    due: float
    end: str
    work: Work
    tally: Tally
    done: bool = False

    @property
    def started(self) -> float:
        return self.created + (self.due - self.created) / 4

    def run(self) -> None:
        """Do the job's work; of one that did not complete nothing, or the first half where it can be halved."""
        if self.end == "completed" or self.tally.halved:
            self.work(self.due, self.tally)

    def state(self, now: float) -> str:
        """initialized, processing, then the end that was chosen when it was posted."""
        if self.done:
            return self.end
        return "processing" if now >= self.started else "initialized"


class Activities:
    """The jobs of one account."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._kept: dict[str, Activity] = {}
        self._waiting: list[Activity] = []
        self._posted = 0

    def post(self, activity_id: str, kind: str, work: Work, counts: dict[str, int], now: float) -> Activity:
        """Queue a job. Raises Refusal (429) above 1,000 queued ones."""
        if len(self._waiting) >= QUEUED:
            raise Refusal(429, "too_many_requests", "You exceeded 1,000 queued activities for this user account.")
        tally = Tally(self._posted % 2 == 0, {"error_count": 0, **counts})
        end = self._switches["activity_end"] if tally.unlucky else "completed"
        tally.halved = self._switches["activity_stops"] == "half_way" and end != "completed"
        made = Activity(activity_id, kind, now, now + self._duration(tally.unlucky), end, work, tally)
        self._posted += 1
        self._kept[activity_id] = made
        self._waiting.append(made)
        return made

    def _duration(self, unlucky: bool) -> float:
        said = self._switches["activity_duration"]
        lasts = VARIED[self._posted % len(VARIED)] if said == "varied" else float(said)
        return lasts * (3 if self._switches["activity_order"] == "out_of_order" and unlucky else 1)

    @property
    def posted(self) -> list[Activity]:
        """Every job, oldest first."""
        return list(self._kept.values())

    def next_due(self) -> float | None:
        """When the next job ends."""
        return min([one.due for one in self._waiting]) if self._waiting else None

    def take_due(self, now: float) -> list[Activity]:
        """Jobs due by now, in order of their end; they count as done."""
        if not self._waiting:
            return []
        due = sorted((one for one in self._waiting if one.due <= now), key=lambda one: one.due)
        self._waiting = [one for one in self._waiting if one.due > now]
        for one in due:
            one.done = True
        return due

    def get(self, _request: Request, now: float, activity_id: str) -> Response:
        """One job; 404 ten days after its end."""
        found = self._kept.get(activity_id)
        if found is None or self._gone(found, now):
            raise missing()
        return answer(200, self.view(found, now))

    def find(self, request: Request, now: float) -> Response:
        """A page of jobs, newest first."""
        query = paging.read(request, self._switches, 50, 500)
        state = query.params.get("state")
        if state not in (None, "time_out", *STATES):
            raise invalid("state holds an unknown value.")
        wanted = "timed_out" if state == "time_out" else state
        rows = [
            one
            for one in reversed(self._kept.values())
            if not self._gone(one, now) and wanted in (None, one.state(now))
        ]
        begin, end = paging.window(len(rows), query, self._switches)
        page = {"activities": [self.view(one, now) for one in rows[begin:end]]}
        return answer(200, page | paging.links(PATH, query, end < len(rows), self._switches))

    def view(self, one: Activity, now: float) -> dict[str, Any]:
        """A job as a JSON object."""
        state = one.state(now)
        spelled = self._switches["timed_out_spelling"] if state == "timed_out" else state
        shown: dict[str, Any] = {"activity_id": one.activity_id, "state": spelled}
        moments = {"created_at": one.created, "updated_at": one.due if one.done else one.created}
        if state != "initialized":
            moments["started_at"] = one.started
        if one.done:
            moments["completed_at"] = one.due
        shown |= {name: stamp(seconds(at), self._switches["date_dialect"], name) for name, at in moments.items()}
        whole = 100 if self._switches["activity_percent"] == "100" else 75  # CC facts 7.2: may be less at the end
        shown["percent_done"] = whole if one.done else 50 if state == "processing" else 1
        # Of a tag's deletion they are objects, elsewhere texts (CC facts 6.3).
        objects = one.kind == "tag_delete"
        shown["activity_errors"] = [{"message": text} if objects else text for text in one.tally.errors]
        shown["status"] = dict(one.tally.counts)
        return shown | {"_links": {"self": {"href": f"{PATH}/{one.activity_id}"}}}

    def _gone(self, one: Activity, now: float) -> bool:
        return one.done and now >= one.due + KEPT
