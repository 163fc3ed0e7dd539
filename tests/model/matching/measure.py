"""Precision and recall over the corpus, in all and by family."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.model.matching.corpus import Case, cases


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of some cases.

    linked: of them to the right individual, and to a wrong one. created: of them nobody who was there, and somebody
    who was (a duplicate). asked: parked or waiting, of them people who are there. there: how many really are.
    """

    cases: int
    linked: int
    wrong: int
    created: int
    duplicates: int
    asked: int
    there: int

    @property
    def link_precision(self) -> float:
        return _share(self.linked, self.linked + self.wrong)

    @property
    def link_recall(self) -> float:
        return _share(self.linked, self.there)

    @property
    def creation_precision(self) -> float:
        return _share(self.created, self.created + self.duplicates)

    @property
    def creation_recall(self) -> float:
        return _share(self.created, self.cases - self.there)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def tally(some: Iterable[Case]) -> Tally:
    """Count what the matcher does against what is true."""
    found = [(case.truth, *case.found()) for case in some]
    return Tally(
        cases=len(found),
        linked=sum(verb == "link" and to == truth for truth, verb, to in found),
        wrong=sum(verb == "link" and to != truth for truth, verb, to in found),
        created=sum(verb == "create" and truth is None for truth, verb, _ in found),
        duplicates=sum(verb == "create" and truth is not None for truth, verb, _ in found),
        asked=sum(verb in ("park", "wait") for _, verb, _ in found),
        there=sum(truth is not None for truth, _, _ in found),
    )


def by_family() -> dict[str, Tally]:
    """One tally a family, in the corpus's order."""
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.family, []).append(case)
    return {name: tally(some) for name, some in found.items()}


def whole() -> Tally:
    """All of it."""
    return tally(cases())
