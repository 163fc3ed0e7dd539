"""A week as it runs: events when they fall due, checkpoints for a progress line, kills that the driver carries out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from keepstep_sandbox.faults import WRITE, Fault
from keepstep_sandbox.people import ZONE, Person
from keepstep_sandbox.week import ground, table
from keepstep_sandbox.week.plan import plan
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.week.span import HOUR, Event, Span
from keepstep_sandbox.world import World

AGAIN = HOUR / 2  # an event whose record does not exist yet
MOST_PATIENT = 2 * HOUR  # a kill that waits for a write which never comes
_MODES = (
    "hold_after",
    "",
    "hold_before",
)  # kill in the middle of a write that took effect, between calls, of one that did not


@dataclass(slots=True)
class Kill:
    """One kill of the service's process. With `mode` it waits for a write to be held, at most until `deadline`."""

    at: float
    mode: str
    deadline: float = 0.0
    skip: int = 0
    fault: Fault | None = None
    done: bool = False


class Week:
    """One week over one world. `kills`: how many, or one {"write": n, "effect": bool} each for exactly the n-th write.

    In process: `next_due` and `run_due` beside the world's own. Through the control door: `begin_step`, then advance to
    `until()` and report with `reached` while not `checkpoint()`, then `told()`. `tags_prefix`: what the service's route
    puts before the tags of contacts; empty where it leaves them at home. `fields_to_audience`: what it writes back.
    `rows`: a file for the SQL table of a feed, if there is to be one.
    """

    def __init__(
        self,
        world: World,
        people: Sequence[Person],
        days: int,
        kills: int | Sequence[Mapping[str, Any]],
        tags_prefix: str = "",
        fields_to_audience: Sequence[str] = (),
        rows: Path | None = None,
    ) -> None:
        self.world, self.days = world, days
        self.span = Span.of(world.now, days)
        world.note("week", "", "route", tags_prefix=tags_prefix, fields_to_audience=list(fields_to_audience))
        self.scene = Scene(world, people, tags_prefix)
        ground.lay(self.scene)
        self.events: list[Event] = plan(self.scene, self.span)
        if rows is not None:
            self.events = sorted([*self.events, *table.lay(self.scene, self.span, rows)], key=lambda one: one.at)
        self.kills = _kills(kills, self.span)
        self.ask: dict[str, Any] | None = None
        self.skipped: Counter[str] = Counter()
        self._quiet = False
        self._target = world.now
        self._arm_due()
        planned = sorted({event.what for event in self.events} | ({"kill"} if self.kills else set()))
        world.note("week", "", "week", seed=world.seed, days=days, people=len(people), planned=planned)

    # in process

    def next_due(self) -> float | None:
        """The next event, quiet or armed kill; None when the week has no more of its own."""
        dues = [event.at for event in self.events[:1]]
        dues += [kill.at for kill in self.kills if kill.mode and kill.fault is None and not kill.done]
        return min([*dues, *([] if self._quiet else [self.span.quiet])], default=None)

    def run_due(self) -> None:
        """Let everything happen that falls due by now."""
        now = self.world.now
        self._arm_due()
        while self.events and self.events[0].at <= now:
            self._run(self.events.pop(0))
        if now >= self.span.quiet and not self._quiet:
            self._quiet = True
            self.world.faults.clear()
            self.world.note("week", "", "quiet")

    @property
    def done(self) -> bool:
        """Whether the last quiet night is over."""
        return self.world.now >= self.span.end

    def _run(self, event: Event) -> None:
        if event.run():
            self.world.note("week", event.side, "event", event.record, what=event.what)
        elif self.world.now + AGAIN <= event.until:
            event.at = self.world.now + AGAIN
            self.events.append(event)
            self.events.sort(key=lambda one: one.at)
        else:
            self.skipped[event.what] += 1

    def _arm_due(self) -> None:
        for kill in self.kills:
            if kill.mode and kill.fault is None and not kill.done and kill.at <= self.world.now:
                kill.fault = Fault(kill.mode, method=WRITE, skip=kill.skip)
                self.world.faults.armed.append(kill.fault)

    # through the control door

    def begin_step(self) -> None:
        """The driver asks for the next checkpoint."""
        self.ask = None
        self._target = min(self.span.end, (self.world.now // HOUR + 1) * HOUR)

    def checkpoint(self) -> bool:
        """Whether there is something to answer."""
        return self.ask is not None or self.world.now >= self._target

    def until(self) -> float:
        """Where to advance to: the hour, or a kill between calls before it."""
        dues = [kill.at if not kill.mode else kill.deadline for kill in self.kills if not kill.done]
        return min([self._target, *(due for due in dues if due > self.world.now)])

    def reached(self, held: bool) -> None:
        """The clock stopped: a write is held, or the moment came."""
        for kill in self.kills:
            if not kill.done and (self._taken(kill) if held else self._overdue(kill)):
                self._kill(kill, held)
                return

    def told(self) -> dict[str, Any]:
        """The answer of one step."""
        at = datetime.fromtimestamp(self.world.now, ZoneInfo(ZONE))
        day = min(self.days, 1 + sum(midnight <= self.world.now for midnight in self.span.midnights))
        counts = self.counts()
        return {
            "now": self.world.now,
            "day": day,
            "of": self.days,
            "events_so_far": sum(counts.values()),
            "done": self.done,
            "ask": self.ask,
            "note": f"day {day} of {self.days}, {at:%a %H:%M}, {sum(counts.values())} events"
            + (", quiet" if self._quiet else ""),
        }

    def described(self) -> dict[str, Any]:
        """What is planned, for the driver's first line."""
        return {
            "days": self.days,
            "planned_events": len(self.events),
            "kills": len(self.kills),
            "quiet_from": self.span.quiet,
            "until": self.span.end,
            "planted": dict(Counter(self.scene.planted.values())),
        }

    def counts(self) -> Counter[str]:
        """Events so far, by kind."""
        return Counter(str(act.data["what"]) for act in self.world.log.of("event"))

    def _taken(self, kill: Kill) -> bool:
        return kill.fault is not None and kill.fault not in self.world.faults.armed

    def _overdue(self, kill: Kill) -> bool:
        return self.world.now >= (kill.at if not kill.mode else kill.deadline)

    def _kill(self, kill: Kill, held: bool) -> None:
        kill.done = True
        if kill.fault is not None and kill.fault in self.world.faults.armed:
            self.world.faults.armed.remove(kill.fault)
        place = next(iter(self.world.held.values()), None) if held else None
        where = {"vendor": place.vendor, "method": place.method, "path": place.path} if place else None
        self.ask = {
            "kill": "kill -9 the service and start it again",
            "when": "between calls"
            if place is None
            else "write took effect"
            if kill.mode == "hold_after"
            else "no effect",
            "write": where,
        }
        self.world.note("fault", "", "kill", "", when=self.ask["when"], write=where)
        self.world.note("week", "", "event", "", what="kill")


def _kills(wanted: int | Sequence[Mapping[str, Any]], span: Span) -> list[Kill]:
    """Kills spread from the bulk import to the last events, in turn in the middle of a write and between calls."""
    if not isinstance(wanted, int):
        rows = sorted(wanted, key=lambda row: int(row["write"]))
        modes = ["hold_after" if row.get("effect", True) else "hold_before" for row in rows]
        # An earlier kill's write is not counted by the later ones: it never gets as far as them.
        skips = [int(row["write"]) - 1 - place for place, row in enumerate(rows)]
        return [Kill(span.begin, mode, span.quiet, skip) for mode, skip in zip(modes, skips, strict=True)]
    begin, end = span.begin + 120, span.live[1]
    ats = [begin + (end - begin) * place / max(1, wanted) for place in range(wanted)]
    if wanted > 1:
        ats[1] = span.midnights[0] + 1.0  # the wave of confirmations and first direct writes
    return [Kill(at, _MODES[n % 3], at + MOST_PATIENT) for n, at in enumerate(sorted(ats))]
