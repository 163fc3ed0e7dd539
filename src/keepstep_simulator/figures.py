"""What seeds came to, small enough to be sent between processes, kept in a file and added up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from keepstep_simulator.holding import CLAIMS
from keepstep_simulator.run import Outcome, Plan
from keepstep_simulator.story import Story

# What is published as a median of seeds.
MEASURES = ("customers", "people", "days", "calls", "crashes", "faults", "turns", "facts")
# What a seed tried, by what its story tells: the actor and the act, or the fault.
_PEOPLE = {"person": "acts of people", "staff": "acts of staff"}
_OUT = {"person_opts_out", "campaign_opt_out", "complain", "staff_opts", "delete", "bounce"}
_WHOLE = ("seeds", "seconds", "broken", "twice", "unlike", "lost", "paired")
_COUNTERS = ("premises", "seen", "tried", "marks")
_LOST = {"reset_after", "truncated", "html_after", "503_after"}


@dataclass(frozen=True, slots=True)
class Part:
    """What some of the seeds are made of. `mute`: the invariants that cannot be decided in them."""

    plan: Plan = field(default_factory=Plan)
    mute: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seed:
    """One seed. `seconds`: processor time. `digest`: where two runs are to be compared. `paired`: whether pairs of runs
    were played as well (twins.py)."""

    seed: int
    seconds: float
    measures: dict[str, float]
    premises: dict[str, int]
    tried: dict[str, int]
    violations: tuple[tuple[str, int, str], ...] = ()
    marks: tuple[str, ...] = ()
    digest: str = ""
    paired: bool = False

    @property
    def broken(self) -> tuple[str, ...]:
        """The invariants that broke."""
        return tuple(sorted({invariant for invariant, _, _ in self.violations}))


def of_outcome(outcome: Outcome, seconds: float, part: Part, digest: bool = False) -> Seed:
    """A seed that was played."""
    return Seed(
        outcome.seed,
        seconds,
        _measures(outcome),
        {name: count for name, count in outcome.premises.items() if name not in part.mute},
        dict(tried(outcome.story) + Counter(["seeds on PostgreSQL"] * bool(part.plan.server))),
        tuple((one.invariant, one.n, one.why) for one in outcome.violations if one.invariant not in part.mute),
        tuple(sorted(outcome.marks)),
        outcome.digest if digest else "",
    )


def _measures(outcome: Outcome) -> dict[str, float]:
    story = outcome.story
    return {
        "customers": len(story.final.audience),
        "people": sum(map(len, story.final.audience.values())),
        "days": outcome.virtual_days,
        "calls": outcome.calls,
        "crashes": outcome.crashes,
        "faults": outcome.faults,
        "turns": sum(fact.key in CLAIMS for fact in story.of("TX")),
        "facts": len(story.facts),
    }


def tried(story: Story) -> Counter[str]:
    """What was tried in a story, in words for people."""
    found: Counter[str] = Counter()
    laid = next((fact.n for fact in story.of("PLAN")), -1)
    for fact in story.of("ACT"):
        if fact.n > laid and (who := _PEOPLE.get(fact.data["actor"])) is not None:
            found[who] += 1
            found["opt-outs, bounces, deletions"] += fact.data["what"] in _OUT
    for fact in story.of("FAULT"):
        found["answers lost" if fact.data["what"] in _LOST else "other faults"] += 1
    for fact in story.of("RECV"):
        found["webhooks"] += 1
        found["webhooks that came again"] += fact.data.get("copy", 0) > 0
        found["forged webhooks"] += not fact.data.get("verified", True)
    for kind, words in (("CRASH", "crashes"), ("PAUSE", "long stops"), ("RESTORE", "older disks restored")):
        found[words] += story.count(kind)
    return +found


@dataclass(slots=True)
class Sum:
    """Seeds added up. `values`: measure to value to how many seeds. `seen`: invariant to how many seeds it had
    something to check in. `marks`: mark to how many seeds. `twice`: how many were played twice; `unlike`: those of them
    that differed. `lost`: those of which nobody knows what they came to. `paired`: how many were also played as pairs.
    """

    seeds: int = 0
    seconds: float = 0.0
    values: dict[str, Counter[float]] = field(default_factory=dict)
    premises: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[tuple[str, int, str]]] = field(default_factory=dict)
    twice: int = 0
    unlike: list[int] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    paired: int = 0

    def add(self, one: Seed) -> None:
        """One more seed."""
        self.seeds += 1
        self.paired += one.paired
        self.seconds += one.seconds
        for name, value in one.measures.items():
            self.values.setdefault(name, Counter())[value] += 1
        self.premises.update(one.premises)
        self.seen.update(name for name, count in one.premises.items() if count)
        self.tried.update(one.tried)
        self.marks.update(one.marks)
        if one.violations:
            self.broken[one.seed] = list(one.violations)

    def merge(self, other: "Sum") -> None:
        """All of another sum."""
        self.seeds += other.seeds
        self.paired += other.paired
        self.seconds += other.seconds
        for name, counts in other.values.items():
            self.values.setdefault(name, Counter()).update(counts)
        for mine, theirs in zip(self._counters(), other._counters(), strict=True):
            mine.update(theirs)
        self.broken |= other.broken
        self.twice += other.twice
        self.unlike += other.unlike
        self.lost |= other.lost

    def _counters(self) -> tuple[Counter[str], ...]:
        return self.premises, self.seen, self.tried, self.marks

    @property
    def clean(self) -> bool:
        """Whether nothing broke, nothing was lost, and what was played twice was equal."""
        return not (self.broken or self.unlike or self.lost)

    def medians(self) -> dict[str, float]:
        """Of each measure."""
        return {name: median(self.values.get(name, Counter({0.0: 1})).elements()) for name in MEASURES}

    def dumped(self) -> dict[str, Any]:
        """For a file."""
        whole = {name: getattr(self, name) for name in _WHOLE}
        counted = {name: dict(counter) for name, counter in zip(_COUNTERS, self._counters(), strict=True)}
        return {**whole, **counted, "values": {name: sorted(counts.items()) for name, counts in self.values.items()}}

    @classmethod
    def loaded(cls, said: Mapping[str, Any]) -> "Sum":
        """From a file."""
        values = {name: Counter(dict(map(tuple, pairs))) for name, pairs in said["values"].items()}
        found = cls(said["seeds"], said["seconds"], values, twice=said["twice"], paired=said["paired"])
        found.unlike = list(said["unlike"])
        for counter, name in zip(found._counters(), _COUNTERS, strict=True):
            counter.update(said[name])
        found.broken = {int(seed): [_violation(one) for one in broken] for seed, broken in said["broken"].items()}
        found.lost = {int(seed): str(why) for seed, why in said["lost"].items()}
        return found


def _violation(said: Sequence[Any]) -> tuple[str, int, str]:
    invariant, n, why = said
    return str(invariant), int(n), str(why)
