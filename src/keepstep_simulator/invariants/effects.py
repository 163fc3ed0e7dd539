"""I15-I17: what is written is written once, meant before it is sent, and by nobody else at the same time."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

OURS = ("product", "job", "batch")
# Which rows only the holder of a customer's slot writes.
CALL_SECONDS = 30.0
FENCED = ("job", "step", "snapshot", "submission")


# --- I15 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Made:
    """What was written: on which contacts each reference is, by fact what each change was written last, when somebody
    else changed anything, and whose each record is."""

    carriers: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    written: dict[tuple[str, ...], int] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)


def made_once(story: Story) -> Found:
    """I15: at most one effective write for each change and target, and at most one record made for each source record:
    no reference on two contacts, and no value written twice that nobody changed in between."""
    made, found, premise = _Made(), list[Violation](), 0
    for fact in story.of("EFF", "ACT", "JUDGED"):
        if fact.kind == "JUDGED":
            doubles = (line for line in fact.data["report"]["details"] if line["key"] == "duplicates")
            found += [Violation("I15", fact.n, f"{line['record']}: {line['reason']}") for line in doubles]
        elif fact.kind == "ACT":
            made.disturbed[fact.customer] = fact.n
        else:
            premise += fact.data["actor"] in OURS
            found += [Violation("I15", fact.n, f"{fact.key} {why}") for why in _doubled(fact, made)]
    return found, premise


def _doubled(fact: Fact, made: _Made) -> Iterator[str]:
    actor = fact.data["actor"]
    if actor not in ("product", "job"):
        made.disturbed[fact.customer] = fact.n
    if fact.key.startswith("reference:") and _carried(made, fact) > 1 and actor in OURS:
        yield "was put on a second contact"
    if actor == "product":
        change = _change(fact, made)
        if made.disturbed.get(fact.customer, -1) < made.written.get(change, -1):
            yield f"{fact.data['field']}: the same change again"
        made.written[change] = fact.n


def _carried(made: _Made, fact: Fact) -> int:
    """On how many contacts a reference is that was put on one just now. Whoever moves it takes it off the other."""
    now = made.carriers.setdefault((fact.customer, fact.key), set())
    now.discard(fact.data["before"])
    if fact.data["after"] is None:
        return 0
    now.add(fact.data["after"])
    return len(now)


def _change(fact: Fact, made: _Made) -> tuple[str, ...]:
    """What was changed; a record that was made is known by its owner and what it says, for its id is new each time."""
    kind, name = fact.key.partition(":")[0], fact.data["field"]
    if name in ("contactIndividualId", "contactId"):
        made.owners[fact.customer, fact.key] = repr(fact.data["after"])
    is_new = fact.data["before"] is None and (kind, name) in (("method", "value"), ("note", "note"))
    place = f"{kind} of {made.owners.get((fact.customer, fact.key))}" if is_new else fact.key
    return fact.customer, place, name, repr(fact.data["after"])


# --- I16 -------------------------------------------------------------------------------------------------------------


Key = tuple[str, ...]


@dataclass(slots=True)
class _Meant:
    """Calls under way. `intents`: of a customer, job to who sent it, None where anybody may finish it. `unknown`: of a
    customer and vendor, what was written and not answered, and whether somebody has looked since."""

    intents: dict[str, dict[str, int | None]] = field(default_factory=dict)
    asked: dict[str, Fact] = field(default_factory=dict)
    unknown: dict[tuple[str, str], dict[Key, bool]] = field(default_factory=dict)
    sent: dict[Key, float] = field(default_factory=dict)

    def restore(self, saved: float) -> None:
        """An older disk knows no intent, and nothing of what was sent since it was saved (what it waits for, I39)."""
        self.intents.clear()
        for waiting in self.unknown.values():
            for key in [key for key in waiting if self.sent[key] > saved]:
                del waiting[key]


def intent_before_write(story: Story) -> Found:
    """I16: an intent is committed before each write, by the process that makes it; a write of unknown fate is read back
    before it is sent again."""
    meant, found, premise = _Meant(), list[Violation](), 0
    for fact, table, verb, row in in_order(story, ("OUT", "RSP", "RESTORE"), ("job",)):
        if table:
            _intend(fact, verb, row, meant)
        elif fact.kind == "RSP":
            _answered(fact, meant)
        elif fact.kind == "RESTORE":
            meant.restore(fact.t - fact.data.get("age", 0.0))
        else:
            meant.asked[fact.key] = fact
            if fact.data["write"]:
                premise += 1
                found += [Violation("I16", fact.n, why) for why in _hasty(fact, meant)]
    return found, premise


def _intend(fact: Fact, verb: str, row: Row, meant: _Meant) -> None:
    """One of unknown fate is still an intent: its look may finish what was half done, such as an address that is off
    its method and not on the new one yet. Whoever finds it may do so, also another process."""
    mine = meant.intents.setdefault(row["customer_id"], {})
    if verb == "DELETE" or row["state"] not in ("sent", "unknown"):
        mine.pop(row["id"], None)
    else:
        mine[row["id"]] = fact.process if row["state"] == "sent" else None


def _hasty(fact: Fact, meant: _Meant) -> Iterator[str]:
    where = f"{fact.data['method']} {fact.data['path']}"
    if not {None, fact.process}.intersection(meant.intents.get(fact.customer, {}).values()):
        yield f"{where}: no intent is committed"
    waiting = meant.unknown.setdefault((fact.customer, fact.data["vendor"]), {})
    for key in _writes(fact):
        if waiting.get(key) is False:
            yield f"{where}: sent again without a look"
        waiting[key], meant.sent[key] = False, fact.t


def _answered(fact: Fact, meant: _Meant) -> None:
    """Whose fate is known need not be looked at; a read that was answered is a look at whatever it names."""
    asked = meant.asked.pop(fact.key, None)
    if asked is None:
        return
    waiting = meant.unknown.get((fact.customer, asked.data["vendor"]), {})
    if asked.data["write"]:
        for key in _writes(asked) if fact.data["known"] and waiting else ():
            waiting.pop(key, None)
    elif waiting and fact.data["status"] in (200, 404):
        texts = (asked.data["path"], asked.data.get("query", ""), asked.data.get("body", ""), fact.data["body"])
        for key in [key for key, looked in waiting.items() if not looked and _named(key[-1], texts)]:
            waiting[key] = True


def _named(name: str, texts: tuple[str, ...]) -> bool:
    """Whether a name stands there as a word of its own; most texts do not hold it at all."""
    word = None
    for text in texts:
        if name in text:
            word = word or re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
            if word.search(text):
                return True
    return False


def _writes(fact: Fact) -> Iterator[Key]:
    """What a write writes, one key for each thing that must not be written twice; the last part names it in a read."""
    text = fact.data.get("body", "")
    place = (fact.data["method"], fact.data["path"])
    body = _object(text)
    rows = [row.get("referenceId") for row in body.get("contacts", ()) if isinstance(row, dict)]
    source = body.get("source")
    members = source.get("contact_ids", ()) if isinstance(source, dict) else ()
    named = [*rows, *members] or [body.get("contactId") or body.get("referenceId") or body.get("contactIndividualId")]
    for name in named:
        yield *place, text if len(named) == 1 else "", str(name or fact.data["path"].rpartition("/")[2])


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- I17 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    """Who holds a slot, by the newest fence, and until when by our own clock, as that stood then."""

    fence: int
    until: float
    clock: float


@dataclass(slots=True)
class _Slots:
    """Slots by customer, the writes under way by call, and how far our clock is ahead."""

    held: dict[str, _Held] = field(default_factory=dict)
    flying: dict[str, Fact] = field(default_factory=dict)
    clock: float = 0.0


def never_overlapping(story: Story) -> Found:
    """I17: writes for one customer never overlap in time; each claim of a slot has a higher fence than all before, and
    whoever lost the slot neither commits what only its holder may, nor begins to send, nor holds it beyond its lease
    without renewing it."""
    slots, found, premise = _Slots(), list[Violation](), 0
    for fact, table, verb, row in in_order(story, ("OUT", "RSP", "SKEW", "RESTORE"), ("slot", *FENCED)):
        if table:
            whys = _claimed(verb, row, slots) if table == "slot" else _stale(fact, row["customer_id"], slots)
            found += [Violation("I17", fact.n, f"{fact.key}: {why}") for why in whys]
        elif fact.kind == "RSP":
            slots.flying.pop(fact.key, None)
        elif fact.kind == "RESTORE":
            slots.held.clear()
        elif fact.kind == "SKEW":
            slots.clock = float(fact.data["ahead"])
        elif fact.data["write"]:
            premise += 1
            found += [Violation("I17", fact.n, f"{fact.data['path']}: {why}") for why in _sent(fact, slots)]
    return found, premise


def _stale(fact: Fact, customer: str, slots: _Slots) -> tuple[str, ...]:
    """Who commits what only the holder may, under a fence that is not the newest. An operator has none."""
    held, fence = slots.held.get(customer), fact.data["fence"]
    if held is None or fence is None or fact.data["of"] != customer or fence == held.fence:
        return ()
    return (f"stored under fence {fence} of {customer}, the newest is {held.fence}",)


def _claimed(verb: str, row: Row, slots: _Slots) -> Iterator[str]:
    customer, fence, until = row["customer_id"], row["fence"], row["lease_until"]
    held = slots.held.get(customer)
    if verb == "DELETE":
        slots.held.pop(customer, None)
    elif held is None or fence > held.fence:
        slots.held[customer] = _Held(fence, until, slots.clock)
    elif fence < held.fence:
        yield f"fence {fence} of {customer} after {held.fence}"
    else:
        held.until, held.clock = until, slots.clock


def _sent(fact: Fact, slots: _Slots) -> Iterator[str]:
    customer = fact.customer
    held = slots.held.get(customer)
    others = [one for one in slots.flying.values() if one.customer == customer and _open(one, fact)]
    if others:
        yield f"while process {others[0].process} still writes {others[0].data['path']}"
    slots.flying[fact.key] = fact
    if held is None or fact.data["fence"] is None:
        return
    if fact.data["fence"] != held.fence:
        yield f"sent under fence {fact.data['fence']}, the newest is {held.fence}"
    elif held.clock == slots.clock and (over := fact.t + slots.clock - held.until) > 0:
        yield f"sent {over:.0f} s after the lease ended"


def _open(one: Fact, now: Fact) -> bool:
    """Whether a write of another process that has no answer may still be under way: a call ends with its timeout."""
    return one.process != now.process and now.t - one.t < CALL_SECONDS
