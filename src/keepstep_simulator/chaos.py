"""What goes wrong in one seed, and where: faults of calls and commits, crashes at any point of either."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from keepstep_simulator.story import stream

# Before the effect: nothing was sent; the vendor refuses; the connection ends. After it: the answer is lost or useless.
BEFORE = ("unreached", "429", "500", "503", "reset_before")
AFTER = ("reset_after", "truncated", "html_after", "503_after")
MOST_IN_A_ROW = 2  # the product gives a step five tries: more faults than that are a vendor's outage, not a test of it


@dataclass(slots=True)
class Crash:
    """The process dies at the `skip`-th point that comes at or after `at`."""

    at: float
    skip: int = 0


@dataclass(slots=True)
class Chaos:
    """Draws from the seed. `points` counts every place where a crash is possible: three a call, two a commit.
    `next_calls`: what goes wrong with the next calls, whatever is drawn."""

    seed: int
    call_rate: float = 0.0
    commit_rate: float = 0.0
    kinds: tuple[str, ...] = BEFORE + AFTER
    crashes: list[Crash] = field(default_factory=list)
    next_calls: list[str] = field(default_factory=list)
    crash_at_point: int | None = None
    count_from: float = 0.0
    points: int = 0
    healed: bool = True
    _row: Counter[str] = field(default_factory=Counter)
    _calls: Random = field(init=False)
    _commits: Random = field(init=False)

    def __post_init__(self) -> None:
        self._calls, self._commits = stream(self.seed, "calls"), stream(self.seed, "commits")

    @classmethod
    def drawn(cls, seed: int, begin: float, end: float) -> "Chaos":
        """A swarm: every seed has its own rates, its own kinds of faults and its own crashes."""
        dice = stream(seed, "chaos")
        kinds = tuple(kind for kind in BEFORE + AFTER if dice.random() < 0.6) or ("reset_after",)
        crashes = [Crash(dice.uniform(begin, end), dice.randrange(60)) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
        # A crash just after the nightly batch meets confirmations and first direct writes.
        return cls(
            seed,
            call_rate=dice.choice((0.0, 0.01, 0.03, 0.08)),
            commit_rate=dice.choice((0.0, 0.0, 0.001, 0.004)),
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

    def call(self, what: str) -> str:
        """What goes wrong with this call; empty for nothing."""
        if self.next_calls and not self.healed:
            return self.next_calls.pop(0)
        if self.healed or self._calls.random() >= self.call_rate or self._row[what] >= MOST_IN_A_ROW:
            self._row[what] = 0
            return ""
        self._row[what] += 1
        return self._calls.choice(self.kinds)

    def commit(self) -> bool:
        """Whether this commit fails: asked before it and after it."""
        return not self.healed and self._commits.random() < self.commit_rate

    def dies(self, now: float) -> bool:
        """Whether the process dies here."""
        if self.healed:
            return False
        if now >= self.count_from:
            self.points += 1
            if self.crash_at_point == self.points:
                return True
        if not self.crashes or now < self.crashes[0].at:
            return False
        self.crashes[0].skip -= 1
        if self.crashes[0].skip >= 0:
            return False
        self.crashes.pop(0)
        return True
