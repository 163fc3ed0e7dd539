"""The smallest story that still breaks the same invariant: elements of the script are left out as long as it does.

Whole kinds first (most bugs need no fault, no odd switch, one customer), then by halves, at last one by one until
nothing more can go. Everything that is not kept is struck out, also what would only now be drawn, so that a story never
grows. Who plays is the caller's: the simulator, or a function in a test.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from keepstep_simulator.run import Outcome, Plan, simulate
from keepstep_simulator.script import Element
from keepstep_simulator.story import Violation

MOST_RUNS = 400
FEW_EVENTS = 10  # a story of so many can be told
# What goes first: what the fewest bugs need, and what costs the most runs one by one.
_ORDER = ("net", "policy", "switch", "order", "fault", "commit", "crash")
_LAST = ("deed", "person", "customer")
# How often the product looks says nothing about a bug, and the usual times are the dearest to play.
_FIXED = ("cadence",)


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and what broke."""

    elements: tuple[Element, ...]
    violations: tuple[Violation, ...]

    def broken(self, invariant: str) -> Violation | None:
        """The first violation of an invariant."""
        found = [one for one in self.violations if one.invariant == invariant]
        return min(found, key=lambda one: one.n, default=None)


Player = Callable[[frozenset[str] | None], Played]


@dataclass(frozen=True, slots=True)
class Minimal:
    """A story of which nothing can be left out. `only`: the labels that are kept; `struck`: how many went; `least`:
    whether every one of those left was tried alone; how often the product looks stays as it was."""

    seed: int
    invariant: str
    only: frozenset[str]
    events: tuple[Element, ...]
    setting: tuple[Element, ...]
    violation: Violation
    struck: int
    runs: int
    least: bool


@dataclass(slots=True)
class _Search:
    """What is kept so far, and what is left to spend."""

    play: Player
    invariant: str
    kept: Played
    most: int
    runs: int = 0
    tried: set[frozenset[str]] = field(default_factory=set)

    def without(self, labels: Sequence[str]) -> bool:
        """Leave these out if it breaks all the same."""
        only = frozenset(one.label for one in self.kept.elements) - frozenset(labels)
        if not labels or self.spent or only in self.tried:
            return False
        self.tried.add(only)
        self.runs += 1
        found = self.play(only)
        if found.broken(self.invariant) is None:
            return False
        self.kept = found
        return True

    @property
    def spent(self) -> bool:
        """Whether no more runs are allowed."""
        return self.runs >= self.most

    def still(self, labels: Sequence[str]) -> list[str]:
        """Those of these that are still played: what is left out takes others with it."""
        now = {one.label for one in self.kept.elements}
        return [label for label in labels if label in now]


def shrink(play: Player, seed: int, invariant: str = "", most: int = MOST_RUNS) -> Minimal:
    """The smallest story of one seed. `invariant`: the one that must break; the first one unless said. Raises
    ValueError for a seed that breaks nothing."""
    whole = play(None)
    found = min(whole.violations, key=lambda one: one.n, default=None) if not invariant else whole.broken(invariant)
    if found is None:
        raise ValueError(f"seed {seed} does not break {invariant or 'anything'}")
    search = _Search(play, found.invariant, whole, most, runs=1)
    _thin_kinds(search)
    least = _thin_singly(search)
    return _minimal(search, seed, len(whole.elements), least)


def _thin_kinds(search: _Search) -> None:
    """Everything but what people do at once; then kind by kind, by halves."""
    search.without([one.label for one in search.kept.elements if one.kind not in (*_LAST, *_FIXED)])
    search.without(_idle(search.kept))
    for kind in _kinds(search.kept):
        _halve(search, [one.label for one in search.kept.elements if one.kind == kind])
        if kind == "deed":
            search.without(_idle(search.kept))


def _kinds(played: Played) -> list[str]:
    """The kinds there are, those first that go easily; kinds that nobody has named go in between."""
    known = {kind: place for place, kind in enumerate((*_ORDER, "", *_LAST))}
    kinds = {one.kind for one in played.elements} - {*_FIXED}
    return sorted(kinds, key=lambda kind: (known.get(kind, len(_ORDER)), kind))


def _idle(played: Played) -> list[str]:
    """People who do nothing."""
    deeds = [one for one in played.elements if one.kind == "deed"]
    busy = {f"person {one.label.split()[1]} {one.what.get(name)}" for one in deeds for name in ("who", "other")}
    return [one.label for one in played.elements if one.kind == "person" and one.label not in busy]


def _halve(search: _Search, labels: list[str]) -> None:
    """Leave out as many of these as can go: all of them, then halves, quarters, and so on to single ones."""
    size = len(labels)
    while size and (left := search.still(labels)) and not search.spent:
        size = min(size, len(left))
        for chunk in _chunks(left, size):
            search.without(search.still(chunk))
        size //= 2


def _chunks(labels: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The last ones first: what comes late depends on what came early."""
    for start in range((len(labels) - 1) // size * size, -1, -size):
        yield labels[start : start + size]


def _thin_singly(search: _Search) -> bool:
    """One by one, until none can go alone; whether the runs were enough for that."""
    while not search.spent:
        before = len(search.kept.elements)
        for label in [one.label for one in reversed(search.kept.elements) if one.kind not in _FIXED]:
            if search.still([label]):
                search.without([label])
        if len(search.kept.elements) == before:
            return not search.spent
    return False


def _minimal(search: _Search, seed: int, of: int, least: bool) -> Minimal:
    elements = sorted(search.kept.elements, key=lambda one: one.at)
    broken = search.kept.broken(search.invariant)
    assert broken is not None
    return Minimal(
        seed,
        search.invariant,
        frozenset(one.label for one in elements),
        tuple(one for one in elements if one.event),
        tuple(one for one in elements if not one.event),
        broken,
        of - len(elements),
        search.runs,
        least,
    )


def player(seed: int, plan: Plan) -> Player:
    """Play a seed of the simulator."""

    def play(only: frozenset[str] | None) -> Played:
        outcome = retold(seed, plan, only)
        return Played(tuple(outcome.script.played.values()), outcome.violations)

    return play


def retold(seed: int, plan: Plan, only: frozenset[str] | None) -> Outcome:
    """A seed with nothing but these elements."""
    return simulate(seed, replace(plan, only=only))
