"""What goes wrong in one seed, and where: faults of calls and commits, crashes at any point of either."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from keepstep_simulator.script import Script
from keepstep_simulator.story import stream

# Before the effect: nothing was sent; the vendor refuses; the connection ends. After it: the answer is lost or useless.
BEFORE = ("unreached", "400", "401", "429", "500", "503", "reset_before")
AFTER = ("reset_after", "truncated", "html_after", "503_after")
# Any point; then those where something is half done: (how the point's name begins, what is done there).
HURTS = (
    ("", ""),
    ("before call", "write"),
    ("after effect", "write"),
    ("after answer", "write"),
    ("after effect", "token"),
    ("after commit", "token"),
    ("after commit", "decision"),
    ("after commit", "intent"),
)
MOST_IN_A_ROW = 2  # the product gives a step five tries: more faults than that are a vendor's outage, not a test of it


@dataclass(slots=True)
class Crash:
    """The process dies at the `skip`-th point that comes at or after `at`. `where`: how the point's name begins, and
    what is done there."""

    at: float
    skip: int = 0
    label: str = ""
    where: tuple[str, str] = ("", "")

    def strikes(self, now: float, where: str, what: str) -> bool:
        """Whether this is the point; each one that could be it is counted off."""
        if now < self.at or not where.startswith(self.where[0]) or self.where[1] not in ("", what):
            return False
        self.skip -= 1
        return self.skip < 0


def aimed(dice: Random, at: float, label: str) -> Crash:
    """A crash at any point of the many at or after a moment, or at one of the few that hurt."""
    where = dice.choice(HURTS)
    return Crash(at, dice.randrange(60 if where == HURTS[0] else 4), label, where)


@dataclass(slots=True)
class Chaos:
    """Draws from the seed. `points` counts every place where a crash is possible: three a call, two a commit.
    `mended`: whether an operator replays what was refused. `pauses`: where the process stands still, how long, and
    whether a second one is started meanwhile. `next_calls`: what goes wrong with the next calls, whatever is drawn.
    `script` may strike anything drawn out."""

    seed: int
    call_rate: float = 0.0
    commit_rate: float = 0.0
    kinds: tuple[str, ...] = BEFORE + AFTER
    crashes: list[Crash] = field(default_factory=list)
    next_calls: list[str] = field(default_factory=list)
    mended: bool = False
    pauses: list[tuple[Crash, float, bool]] = field(default_factory=list)
    branch: Callable[[int], bool] | None = None
    points: int = 0
    healed: bool = True
    script: Script = field(init=False)
    _row: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.script = Script(self.seed)

    @classmethod
    def drawn(cls, seed: int, begin: float, end: float) -> "Chaos":
        """A swarm: every seed has its own rates, its own kinds of faults and its own crashes."""
        dice = stream(seed, "chaos")
        kinds = tuple(kind for kind in BEFORE + AFTER if dice.random() < 0.6) or ("reset_after",)
        count = dice.choice((0, 1, 1, 2, 3))
        crashes = [aimed(dice, dice.uniform(begin, end), f"crash {number}") for number in range(count)]
        # A crash just after the nightly batch meets confirmations and first direct writes.
        return cls(
            seed,
            call_rate=dice.choice((0.0, 0.02, 0.06, 0.15)),
            commit_rate=dice.choice((0.0, 0.0, 0.002, 0.008)),
            kinds=kinds,
            crashes=sorted(crashes, key=lambda one: one.at),
        )

    def begin(self) -> None:
        """From now on things go wrong; before, the customers are set up."""
        self.healed = False

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.healed = True
        self.next_calls.clear()
        self.pauses.clear()

    def call(self, what: str, *, write: bool) -> str:
        """What goes wrong with this call; empty for nothing."""
        if self.next_calls and not self.healed:
            return self.next_calls.pop(0)
        if self.healed:
            self._row[what] = 0
            return ""
        label = self.script.occurrence(f"fault {what}")
        if self.script.draw(label) >= self.call_rate or self._row[what] >= MOST_IN_A_ROW:
            self._row[what] = 0
            return ""
        self._row[what] += 1  # also where it is struck out: what comes after it stays as it was
        kind = self.script.pick(f"{label} kind", self.kinds)
        # What is refused for good waits for somebody's word, and a query that is refused says nothing of the vendor.
        kind = "503" if kind == "400" and not (write and self.mended) else kind
        return kind if self.script.plays(label, call=what, fault=kind) else ""

    def commit(self, point: str, name: str) -> bool:
        """Whether this commit fails: asked before it and after it."""
        if self.healed or not self.commit_rate:
            return False
        label = self.script.occurrence(f"commit {point} {name}")
        return self.script.draw(label) < self.commit_rate and self.script.plays(label, point=point, name=name)

    def stands(self, now: float, where: str, what: str) -> tuple[float, bool] | None:
        """Whether the process stands still from here: for how long, and whether a second one is started meanwhile."""
        if not self.pauses or not self.pauses[0][0].strikes(now, where, what):
            return None
        at, seconds, double = self.pauses.pop(0)
        return (seconds, double) if self.script.plays(at.label, seconds=seconds, double=double) else None

    def dies(self, now: float, where: str = "", what: str = "") -> bool:
        """Whether the process dies here."""
        if self.healed:
            return False
        self.points += 1
        if self.branch is not None and self.branch(self.points):
            return True
        if not self.crashes or not self.crashes[0].strikes(now, where, what):
            return False
        label = self.crashes.pop(0).label
        return not label or self.script.plays(label)
