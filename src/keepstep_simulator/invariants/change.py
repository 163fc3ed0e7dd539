"""Time and change: I39, I40 and I41. (I37 is a pair of runs; I38 waits for an older release.)"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

HOUR = 3600.0
# What the runbook promises of a backup: opt-outs, deletions and reports were read again before anything is decided,
# each told by a word of its address (CC facts 5.4, 8), and the nightly batch has run, half an hour after midnight,
# before anybody new is sent. What is forbidden is not waited for.
READ_AGAIN = {"opt-outs": "optout_after", "deletions": "status=deleted", "reports": "/v3/emails"}
BATCH_TAKES = 1800.0
# Virtuous facts 10: what goes into the batch. A contact that is made at once is looked for first.
IMPORT = "/api/Contact/Transaction"
STOPS_WITHIN = 5.0


def restored_reads_first(story: Story) -> Found:
    """I39: after a backup is put back both sides are read again before anything is written; I5, I10 and I15, which the
    same story is checked for, then hold.

    What the product can notice of it is that its poll of opt-outs is overdue by an hour. From then on, for each such
    customer: no write before opt-outs, deletions and reports were read, and nobody new goes into the nightly batch
    before one has run.
    """
    found: list[Violation] = []
    premise = 0
    for back in story.of("RESTORE"):
        if story.count("SKEW"):
            continue  # our clock says when something is overdue
        for customer, due in _dues(story, back).items():
            begins = next((fact for fact in story.of("TX") if fact.n > back.n and fact.data["of"] == customer), None)
            if begins is None or due > begins.t - HOUR:
                continue
            premise += 1
            found += _written_too_soon(story, back, customer)
    return found, premise


def _dues(story: Story, back: Fact) -> dict[str, float]:
    """When each customer's poll of opt-outs was due, as the disk has it that was put back."""
    saved, dues = back.t - back.data["age"], dict[str, float]()
    for fact, _, verb, row in story.rows("mark"):
        if fact.t <= saved and (row["platform"], row["name"]) == (CONSTANT_CONTACT, "opted_out"):
            dues[row["customer_id"]] = row["due"] if verb != "DELETE" and row["due"] is not None else float("inf")
    return dues


def _written_too_soon(story: Story, back: Fact, customer: str) -> Iterator[Violation]:
    """Writes before everything was read again, and rows of the import before a batch."""
    night = _midnight_after(back.t, story) + BATCH_TAKES
    asked: dict[str, str] = {}
    forbidden = {fact.key for fact in story.of("RSP") if fact.data["status"] == 403 and fact.customer == customer}
    unread = {what for what, word in READ_AGAIN.items() if not _ever(story, forbidden, word)}
    for fact in story.of("OUT", "RSP", "RESTORE"):
        if fact.n <= back.n or (fact.kind != "RESTORE" and fact.customer != customer):
            continue
        if fact.kind == "RESTORE":
            return
        if fact.kind == "RSP":
            if fact.data["status"] in (200, 403) and not fact.data["fault"]:
                unread.discard(asked.get(fact.key, ""))
            continue
        if fact.data["vendor"] == CONSTANT_CONTACT:
            asked[fact.key] = next((what for what, word in READ_AGAIN.items() if word in _where(fact)), "")
        if fact.data["write"] and unread:
            yield Violation(
                "I39", fact.n, f"{customer}: {_call(fact)} before {' and '.join(sorted(unread))} were read again"
            )
        if fact.data["vendor"] == VIRTUOUS and fact.data["path"] == IMPORT and fact.t < night:
            yield Violation("I39", fact.n, f"{customer}: somebody new is sent before a batch has run")


def _ever(story: Story, calls: set[str], word: str) -> bool:
    """Whether one of these calls asked for it."""
    return any(fact.key in calls and word in _where(fact) for fact in story.of("OUT"))


def _where(fact: Fact) -> str:
    return f"{fact.data['path']}?{fact.data['query']}"


def _midnight_after(at: float, story: Story) -> float:
    """The first midnight that every zone in question has had: the organization's, or that of UTC."""
    zones = (str(story.of("PLAN")[0].data["zone"]), "UTC")
    days = [datetime.fromtimestamp(at, ZoneInfo(zone)) for zone in zones]
    nexts = [(day + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) for day in days]
    return min(one.timestamp() for one in nexts)


def _call(fact: Fact) -> str:
    return f"{fact.data['method']} {fact.data['path']}"


def stop_means_stop(story: Story) -> Found:
    """I40: of a customer who is paused, no call goes out from five seconds later on until it goes on; of one who was
    removed, nothing is left but keyed hashes of addresses that opted out, and their key."""
    found: list[Violation] = []
    paused: dict[str, float] = {}
    premise = 0
    for fact, customer, active in _turns(story):
        if customer and active:
            paused.pop(customer, None)
        elif customer and customer not in paused:
            premise += 1
            paused[customer] = fact.t
        elif fact.kind == "RESTORE":
            paused.clear()
        elif fact.kind == "OUT" and fact.t > paused.get(fact.data["of"], fact.t) + STOPS_WITHIN:
            late = fact.t - paused[fact.data["of"]]
            found.append(Violation("I40", fact.n, f"{fact.data['of']}: {_call(fact)} {late:.0f} s after the stop"))
    return [*found, *_left_over(story)], premise


def _turns(story: Story) -> list[tuple[Fact, str, bool]]:
    """In order: who was switched on or off, and everything else that counts (of nobody)."""
    switched = [(fact, row["customer_id"], verb, row["state"]) for fact, _, verb, row in story.rows("customer")]
    turned = [(fact, customer, verb != "DELETE" and state == "active") for fact, customer, verb, state in switched]
    return sorted([*turned, *((fact, "", False) for fact in story.of("OUT", "RESTORE"))], key=_number)


def _number(turn: tuple[Fact, str, bool]) -> int:
    return turn[0].n


def _left_over(story: Story) -> Iterator[Violation]:
    """Rows of customers who were removed to the end."""
    gone = {fact.customer: fact for fact in story.of("OPERATE") if fact.key == "remove"}
    gone = {name: fact for name, fact in gone.items() if fact.data["done"] == "done"}
    for table, rows in story.final.store.items():
        for row in rows:
            fact = gone.get(str(row.get("customer_id")))
            if fact is not None and not _may_stay(table, row):
                yield Violation("I40", fact.n, f"{fact.customer} was removed: a row is left in {table}")


def _may_stay(table: str, row: Row) -> bool:
    if table == "secret":
        return bool(row["field"] == "ledger_key")
    return table == "act" and row["direction"] == "out" and bool(row["address_hash"]) and not row["record_id"]


# --- I41 -------------------------------------------------------------------------------------------------------------

_OPEN = ("sent", "accepted", "unknown")
# What stands in the seal of a row of the ledger, in the words of its table; which of them are instants.
_SEALED = (
    *("customer_id", "party_id", "platform", "record_id", "address_hash", "kind", "direction"),
    *("after", "before", "at", "source", "evidence", "seen_at"),
)
_INSTANTS = frozenset({"after", "before", "at", "seen_at"})


def explained(story: Story) -> Found:
    """I41: every effect of ours can be explained, without a gap: the effect by a call, the call by a job that is sent,
    the job by its steps, each step by a decision in the history, each end of a step by its outcome in the journal; and
    the ledger of consent is one chain of seals to which rows are only added.

    What an older disk has forgotten is explained by nobody: of such a story the stored history is not asked.
    """
    book = _Book()
    for fact in story.of("TX", "OUT", "EFF", "RESTORE"):
        book.read(fact)
    lost = bool(story.count("RESTORE"))
    decided = set[tuple[str, ...]]() if lost else _decided(story.final.store.get("history", ()))
    found = [*book.found, *_chain(story)]
    if not lost:
        found += [
            Violation("I41", n, f"{place[0]}: a step {place[2]} that no decision wanted")
            for place, n in book.steps.items()
            if place not in decided
        ]
    return found, book.effects


@dataclass(slots=True)
class _Book:
    """What is needed of the log: open jobs by customer, calls, steps by what they are."""

    effects: int = 0
    jobs: dict[str, set[str]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    calls: dict[str, bool] = field(default_factory=dict)
    steps: dict[tuple[str, ...], int] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)

    def read(self, fact: Fact) -> None:
        if fact.kind == "TX":
            if fact.data["rows"]:
                self._stored(fact)
        elif fact.kind == "OUT":
            self.calls[fact.key] = bool(self.jobs.get(fact.data["of"]))
            if fact.data["write"] and not self.calls[fact.key]:
                self._say(fact, f"{_call(fact)}: no job is under way")
        elif fact.kind == "RESTORE":
            self.jobs.clear()
        elif fact.data["actor"] == "product":
            self.effects += 1
            if fact.data["call"] not in self.calls:
                self._say(fact, f"{fact.key} {fact.data['field']}: nobody's call")

    def _stored(self, fact: Fact) -> None:
        ended: list[Row] = []
        told: set[tuple[str, str]] = set()
        for table, verb, row in fact.data["rows"]:
            if table == "job":
                self._job(verb, row)
            elif table == "step" and verb == "INSERT":
                place = (row["customer_id"], row["party_id"], row["kind"], row["side"], row["target"])
                self.steps.setdefault(place, fact.n)
            elif table == "step" and verb == "DELETE" and row["job_id"]:
                ended.append(row)
            elif table == "journal" and row["party_id"]:
                told.add((row["party_id"], row["kind"]))
            elif table == "act" and verb != "INSERT":
                self._say(fact, f"{row['customer_id']}: a row of the ledger is changed")
        for row in ended:
            if (row["party_id"], "outcome") not in told and row["job_id"] in self.sent:
                self._say(fact, f"{row['customer_id']}: a step {row['kind']} ends without a word")

    def _job(self, verb: str, row: Row) -> None:
        mine = self.jobs.setdefault(row["customer_id"], set())
        if verb != "DELETE" and row["state"] in _OPEN:
            mine.add(row["id"])
            self.sent.add(row["id"])
        else:
            mine.discard(row["id"])

    def _say(self, fact: Fact, why: str) -> None:
        self.found.append(Violation("I41", fact.n, why))


def _decided(history: tuple[Row, ...]) -> set[tuple[str, ...]]:
    """Every step that a decision of the history wanted."""
    found = set[tuple[str, ...]]()
    for row in history:
        if row["kind"] == "decided" and '"steps":[]' not in row["body"]:
            for one in json.loads(row["body"])["steps"]:
                found.add((row["customer_id"], row["party_id"], one["kind"], one["side"], one["target"]))
    return found


def _chain(story: Story) -> Iterator[Violation]:
    """Where the ledger's chain is broken."""
    last = story.facts[-1].n if story.facts else 0
    heads: dict[str, str] = {}
    for row in sorted(story.final.store.get("act", ()), key=lambda one: int(one["id"])):
        customer = row["customer_id"]
        if row["record_id"]:  # what is left of who was removed proves nothing
            if row["previous"] != heads.get(customer, ""):
                yield Violation("I41", last, f"{customer}: the ledger is broken before row {row['id']}")
            elif row["seal"] != seal(row):
                yield Violation("I41", last, f"{customer}: row {row['id']} of the ledger does not fit its seal")
        heads[customer] = row["seal"]


def seal(row: Row) -> str:
    """The seal of a stored row, by what the product's documents say of it."""
    said: dict[str, Any] = {}
    for name in _SEALED:
        value = row[name]
        if name == "evidence" and value is not None:
            value = json.loads(value)
        said[name] = float(value) if name in _INSTANTS and value is not None else value
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((row["previous"] + text).encode()).hexdigest()
