"""What happened, for checkers to read; and the dice that decide what goes wrong, split by stable labels."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_FACTS = 150_000  # ten times what the busiest week tells


class Endless(BaseException):
    """Somebody works without end and without need."""


def stream(seed: int, label: str) -> random.Random:
    """An own source of chance for every label: taking one thing away leaves the others alone."""
    return random.Random(f"{seed}:{label}")


def digested(text: str) -> str:
    """A short name for something long."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the log. Kinds, and what `key` and `data` hold:

    | kind | key | data |
    |---|---|---|
    | BOOT, END | | stored {body hash: rows} |
    | CRASH | where | |
    | ACK | body hash | status |
    | TX | name of the function | rows ((table, verb, {column: value}), ...) |
    | OUT | call | vendor, method, path, query, body, write, token |
    | RSP | call | status (None: no answer), body, date; `known`: whether the product learned the true fate |
    | EFF | record | field, before, after, actor, call |
    | ACT | record | actor, side, what, data |
    | FAULT | where | what |
    | TASK | name | error |
    | JUDGED | | report: the judge's; waiting: whose row the vendor's import still holds |
    """

    n: int
    t: float
    process: int
    customer: str
    kind: str
    key: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant, at which fact, and why."""

    invariant: str
    n: int
    why: str


@dataclass(slots=True)
class Story:
    """An append-only log with a digest over everything in it."""

    facts: list[Fact] = field(default_factory=list)
    _hash: Any = field(default_factory=hashlib.sha256)

    def tell(self, t: float, process: int, customer: str, kind: str, key: str = "", **data: Any) -> Fact:
        """Write one fact down."""
        if len(self.facts) >= MOST_FACTS:
            raise Endless(f"{MOST_FACTS} facts: the product spins")
        fact = Fact(len(self.facts), t, process, customer, kind, key, data)
        self.facts.append(fact)
        shown = {**data, "body": len(data["body"])} if "body" in data else data
        self._hash.update(repr((t, process, customer, kind, key, shown)).encode("utf-8", "surrogatepass"))
        return fact

    @property
    def digest(self) -> str:
        """Equal for equal stories."""
        return str(self._hash.hexdigest())[:24]

    def of(self, *kinds: str) -> Iterator[Fact]:
        """The facts of these kinds, oldest first."""
        return (fact for fact in self.facts if fact.kind in kinds)
