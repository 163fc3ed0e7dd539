"""Fair shares: I28. What two customers have is little; a million entries of one are a matter of the benchmark."""

from dataclasses import dataclass, field

from keepstep_simulator.story import Fact, Found, Row, Story, Violation

Entries = dict[str, tuple[int, float, int]]  # party to lane, due, and the fact that said so last


@dataclass(slots=True)
class _Shares:
    """Who waits for a turn, and what waits in it, as it is stored."""

    wakes: dict[str, tuple[float, float]] = field(default_factory=dict)  # of slots that are free: since, not before
    active: dict[str, bool] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    begun: dict[str, tuple[float, int]] = field(default_factory=dict)  # when, and by which fact, a turn was claimed
    entries: dict[str, Entries] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)
    premise: int = 0
    ahead: float = 0.0

    def slot(self, fact: Fact, row: Row) -> None:
        """A slot is put, claimed or freed."""
        mine, now = row["customer_id"], fact.t + self.ahead
        if row["holder"] is None and row["wake"] is not None:
            self.wakes[mine] = row["wake"], row["lease_until"]  # after a failure nobody may have it for a while
        elif row["holder"] is None:
            self.wakes.pop(mine, None)
        elif self.fences.get(mine, 0) < row["fence"]:
            self._claimed(fact, mine, row["wake"], now)
        self.fences[mine] = row["fence"]

    def _claimed(self, fact: Fact, mine: str, own: float | None, now: float) -> None:
        """Nobody else was free and had been due for longer. `own`: what a claim leaves as it is."""
        self.wakes.pop(mine, None)
        rest = {name: at for name, (at, until) in self.wakes.items() if max(at, until) <= now and self.active.get(name)}
        self.premise += bool(rest)
        until = now if own is None else min(now, own)
        for name, at in rest.items():
            if at < until:
                late = f"{name} has been due for {now - at:.0f} s, and {mine} is served"
                self.found.append(Violation("I28", fact.n, late))
        self.begun[mine] = fact.t + self.ahead, fact.n

    def entry(self, fact: Fact, verb: str, row: Row) -> None:
        """A party is marked, put off or done with."""
        mine = self.entries.setdefault(row["customer_id"], {})
        if verb == "DELETE":
            mine.pop(row["party_id"], None)
        else:
            mine[row["party_id"]] = row["lane"], row["due"], fact.n

    def decided(self, fact: Fact, lanes: dict[str, int]) -> None:
        """After a decision nothing more urgent is left that was due when the turn began. `lanes`: the least urgent one
        of a customer that was done with."""
        for mine, lane in lanes.items():
            at, since = self.begun.get(mine, (0.0, fact.n))
            for party, (other, due, n) in self.entries.get(mine, {}).items():
                if other < lane and due <= at and n < since:
                    left = f"{mine}: an entry of lane {lane} is decided, {party} of lane {other} is left"
                    self.found.append(Violation("I28", fact.n, left))


def fair(story: Story) -> Found:
    """I28: of the customers that are due the one that has waited longest is served, and of a customer's entries the
    most urgent lane first."""
    shares = _Shares()
    for fact in story.of("TX", "RESTORE", "SKEW"):
        if fact.kind == "SKEW":
            shares.ahead = fact.data["ahead"]
        elif fact.kind == "RESTORE":
            shares = _Shares(active=shares.active, found=shares.found, premise=shares.premise, ahead=shares.ahead)
        else:
            _follow(shares, fact)
    return shares.found, shares.premise


def _follow(shares: _Shares, fact: Fact) -> None:
    done: dict[str, int] = {}
    for table, verb, row in fact.data["rows"]:
        if table == "customer":
            shares.active[row["customer_id"]] = row["state"] == "active"
        elif table == "slot":
            shares.slot(fact, row)
        elif table == "entry":
            if verb == "DELETE":
                done[row["customer_id"]] = max(row["lane"], done.get(row["customer_id"], 0))
            shares.entry(fact, verb, row)
    shares.decided(fact, done)
