"""What happened, for checkers to read; and the dice that decide what goes wrong, split by stable labels."""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

MOST_FACTS = 150_000  # ten times what the busiest week tells
OURS = ("product", "job", "batch")  # actors of what follows from the product's own calls
# An import of unknown fate is not repeated before a later batch was seen to run, or a person looks after 72 hours.
WAITING = ("submission_unknown", "submission_review")
Row = Mapping[str, Any]
T = TypeVar("T")


class Endless(BaseException):
    """Somebody works without end and without need."""


def stream(seed: int, label: str) -> random.Random:
    """An own source of chance for every label: taking one thing away leaves the others alone."""
    return random.Random(f"{seed}:{label}")


def digested(text: str) -> str:
    """A short name for something long, such as a body; or for something secret, such as a token."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Fact(NamedTuple):
    """One line of the log. `t`: true virtual time. `process`: the incarnation that did it (the newest one for what the
    world does). `customer`: whose town; of OUT, whose credential was used. Kinds, and what `key` and `data` hold:

    | kind | key | data |
    |---|---|---|
    | PLAN | | once, after the people and lists were laid, before the first BOOT. nets: {name: how} (swarm.py); cadence: {name: seconds}; policy: {name: value}; zone; customers; quiet (chaos ends, `t`); end (`t`) |
    | HEAL | | from here nothing goes wrong any more, and nobody does anything |
    | BOOT | | stored {body hash: rows}; double: another process is alive |
    | END | | stored {body hash: rows} |
    | CRASH | where | |
    | PAUSE | where | seconds: so long this process stands still, wherever it awaits something |
    | RESUME | | stood: seconds; others: numbers of the processes that live as well |
    | SKEW | | ahead: seconds that our clock is ahead of the vendors' from here on |
    | RESTORE | | age: seconds; stored {body hash: rows} of the older disk; lost: deliveries that were acknowledged since |
    | RECV | body hash | n: number of this arrival; platform; delivery: its number at the vendor, "" if forged; door: whose address it came to; tenant: whose event it is; verified: whether it is truly signed for that door (the oracle's opinion); copy: how often it came before; events: how many it holds; names: the Virtuous contacts that it tells of, each with its change stamp |
    | ACK | body hash | n: of its RECV; status; body: text of the answer |
    | TX | name of the function | rows ((table, verb, {column: value}), ...): every row that was really changed in the tables of witness.py, in order, as it is after the statement (before it for DELETE); of, fence: as in OUT. Transactions that changed nothing are not told |
    | OUT | number | vendor, method, path, query, body, write; host; token: is it the token endpoint; credential: fingerprint of what was shown (bearer, or the refresh token at the token endpoint); of: the customer whose slot the process holds or for whom an operator acts, "" for nobody; fence: of that slot, None outside |
    | RSP | of its OUT | status (None: no answer); body; date; known: whether the product learned the true fate; arrived: when the vendor's server got it, None for never; account: whose data it spoke of, as the vendor has it ("" for nobody's); granted: () or fingerprints (access, refresh) that a token answer really gave; after: the Retry-After header or ""; fault: the fault it met, "" for none |
    | EFF | record | field, before, after, actor (product, job, batch, person, staff, ...), side, call (its OUT, "" if not ours), at (when, if earlier) |
    | ACT | record | actor, side, what, data (its arguments) |
    | OPERATE | what (connect, reconnect, wrong_account, pause, resume, replay, discard, approve, adopt, remove) | done: what became of it; more by what |
    | LOG | event | line: text as written. Only where nets["logs"] is "heard" |
    | FAULT | where (number of a call, "before commit", "after commit", "door") | what |
    | TASK | name | error; at: file and line |
    | JUDGED | | report: the judge's; waiting: whose row the vendor's import still holds |

    A secret's row in TX has `print`: the fingerprint of its plain text, to be compared with credential and granted.
    """  # noqa: E501

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


Found = tuple[list[Violation], int]
Change = tuple[Fact, str, str, Row]  # the TX, the table, the verb, the row


@dataclass(frozen=True, slots=True)
class Final:
    """How everything stands at the end. store: table to its rows. audience, crm: customer to the raw contacts of
    Constant Contact and Virtuous, of the account and organization that are theirs."""

    store: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    audience: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    crm: Mapping[str, Sequence[Row]] = field(default_factory=dict)


@dataclass(slots=True)
class Story:
    """An append-only log with an index of its kinds. `final` is set at the end of a seed."""

    facts: list[Fact] = field(default_factory=list)
    final: Final = field(default_factory=Final)
    _kinds: dict[str, list[Fact]] = field(default_factory=dict)
    _merged: dict[tuple[str, ...], tuple[int, list[Fact]]] = field(default_factory=dict)
    _rows: dict[str, list[Change]] = field(default_factory=dict)
    _seen: int = -1
    _made: dict[Any, tuple[int, Any]] = field(default_factory=dict)

    def tell(self, t: float, process: int, customer: str, kind: str, key: str = "", **data: Any) -> Fact:
        """Write one fact down."""
        if len(self.facts) >= MOST_FACTS:
            raise Endless(f"{MOST_FACTS} facts: the product spins")
        fact = Fact(len(self.facts), t, process, customer, kind, key, data)
        self.facts.append(fact)
        if kind in self._kinds:
            self._kinds[kind].append(fact)
        else:
            self._kinds[kind] = [fact]
        return fact

    def end(self, kind: str, key: str = "", **data: Any) -> Fact:
        """The last fact, in place of whatever was the last one."""
        last = self.facts.pop()
        self._kinds[last.kind].pop()
        return self.tell(last.t, last.process, "", kind, key, **data)

    @property
    def digest(self) -> str:
        """Equal for equal stories; made when asked for."""
        told = hashlib.sha256()
        for fact in self.facts:
            told.update(repr(fact).encode("utf-8", "surrogatepass"))
        return told.hexdigest()[:24]

    def of(self, *kinds: str) -> Sequence[Fact]:
        """The facts of these kinds, oldest first; not to be changed."""
        if len(kinds) == 1:
            return self._kinds.get(kinds[0], ())
        size, merged = self._merged.get(kinds, (-1, []))
        if size != len(self.facts):
            parts = [self._kinds.get(kind, ()) for kind in kinds]
            merged = sorted((fact for part in parts for fact in part), key=_number)
            self._merged[kinds] = len(self.facts), merged
        return merged

    def rows(self, *tables: str) -> Sequence[Change]:
        """Every change of a row of these tables that a TX stored, oldest first; not to be changed."""
        if self._seen != len(self.facts):
            self._seen, self._rows = len(self.facts), {}
            for fact in self.of("TX"):
                for table, verb, row in fact.data["rows"]:
                    self._rows.setdefault(table, []).append((fact, table, verb, row))
        found = [one for table in tables for one in self._rows.get(table, ())]
        return found if len(tables) == 1 else sorted(found, key=_number_of_change)

    def once(self, make: Callable[["Story"], T]) -> T:
        """What several checkers make of this story, made once; not to be changed."""
        size, made = self._made.get(make, (-1, None))
        if size != len(self.facts):
            made = make(self)
            self._made[make] = len(self.facts), made
        return cast(T, made)

    def count(self, kind: str) -> int:
        """How many facts of one kind there are."""
        return len(self._kinds.get(kind, ()))


def _number(fact: Fact) -> int:
    return fact.n


def _number_of_change(change: Change) -> int:
    return change[0].n
