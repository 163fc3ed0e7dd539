"""Opt-outs in time: I6 and I7.

A bound holds where nothing goes wrong; otherwise so long after the last fault and what it left behind (trouble.py).
What the story ends before is not judged.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from keepstep_sandbox.log import VIRTUOUS
from keepstep_sandbox.world import next_midnight
from keepstep_simulator.invariants.people import ADDRESS, DELETED, IN, OURS, OUT, PERMISSION, Method, Past, moment
from keepstep_simulator.invariants.trouble import WAKE, Trouble
from keepstep_simulator.story import Fact, Found, Story, Violation

# What a turn may take on top of a cadence: others' turns, the vendors' pace, the calls themselves.
TURN = 60.0
# The first look after the organization's midnight (design section 4, consent).
FIRST_LOOK = 300.0
# Classes of bounces that mean the address is no good; V was delivered (CC facts 8).
BOUNCES = ("B", "S", "D", "F", "X", "Z")
# Which rounds see what happened at Constant Contact: opt-outs, deletions, bounces.
ROUNDS: Mapping[str, tuple[str, ...]] = {
    "opted_out": ("opted_out",),
    "deleted": ("deleted", "sweep"),
    "reports": ("reports",),
}
Record = tuple[str, str]  # customer, record


@dataclass(frozen=True, slots=True)
class OptOut:
    """Somebody may not be mailed from here on. `record`: the contact of Constant Contact by its id, or the method of
    Virtuous; `road`: by which round of the product it is seen, `crm` for staff's in Virtuous."""

    fact: Fact
    record: str
    road: str

    @property
    def customer(self) -> str:
        """Whose person."""
        return self.fact.customer


def turned(fact: Fact) -> str:
    """Whether an effect closes or opens somebody: out, in, or nothing."""
    before, after = fact.data["before"], fact.data["after"]
    if fact.data["field"] == "isOptedIn":
        return "out" if after is False else "in" if before is False and after is True else ""
    if fact.data["field"] == PERMISSION:
        return "out" if after == OUT else "in" if before == OUT and after in IN else ""
    return ""


def opt_outs(story: Story, past: Past) -> Iterator[OptOut]:
    """What people and staff did on both sides: opt-outs, complaints, deletions, bounces of the address that is mailed
    to (of one that the person has left, nothing follows). Where the account grants no reports nobody hears of those."""
    mailed: dict[str, int] = {}
    unheard = deaf(story)
    for fact in story.of("EFF", "ACT"):
        if fact.kind == "ACT":
            if fact.data["what"] == "send_campaign":
                mailed[fact.customer] = fact.n
            elif fact.data["what"] == "bounce" and fact.data["data"].get("code") in BOUNCES:
                then, now = mailed.get(fact.customer, fact.n), fact.n
                same = past.address(fact.customer, fact.key, then) == past.address(fact.customer, fact.key, now)
                if same and fact.customer not in unheard:
                    yield OptOut(fact, fact.key, "reports")
        elif fact.data["actor"] not in OURS and _ends(fact):
            kind, _, number = fact.key.partition(":")
            if fact.data["field"] == DELETED:
                yield OptOut(fact, number, "deleted")
            elif fact.data["before"] is not None:
                yield OptOut(fact, *((fact.key, "crm") if kind == "method" else (number, "opted_out")))


def deaf(story: Story) -> set[str]:
    """To whom the vendor refuses the reports (CC facts 8)."""
    asked = {fact.key for fact in story.of("OUT") if fact.data["path"].startswith(("/v3/emails", "/v3/reports"))}
    return {one.customer for one in story.of("RSP") if one.data["status"] == 403 and one.key in asked}


def _ends(fact: Fact) -> bool:
    return turned(fact) == "out" or (fact.data["field"] == DELETED and bool(fact.data["after"]))


@dataclass(slots=True)
class _Watch:
    """What the bounds of one story are made of."""

    story: Story
    past: Past
    trouble: Trouble
    cadence: Mapping[str, float]
    zone: str
    found: list[Violation] = field(default_factory=list)
    premise: int = 0

    def is_braked(self, out: OptOut) -> bool:
        """Whether somebody's word was waited for since: of what is only inferred, never of an explicit opt-out."""
        rows = self.story.rows("inferred") if out.road != "opted_out" else ()
        since = (row for fact, _, _, row in rows if fact.n > out.fact.n)
        return any(row["state"] == "held" and row["customer_id"] == out.customer for row in since)

    def until(self, customer: str, since: float, every: float) -> float | None:
        """Until when what is looked for every so often must have been done."""
        return self.trouble.deadline(customer, since, every + TURN, every + WAKE + TURN)

    def judge(self, name: str, out: OptOut, until: float, ended: float | None, what: str) -> None:
        """One opt-out against its deadline."""
        self.premise += 1
        if ended is None or ended > until:
            late = "never" if ended is None else f"{ended - until:.0f} s late"
            self.found.append(Violation(name, out.fact.n, f"{out.customer} {out.record} ({out.road}): {what} {late}"))


def _watch(story: Story) -> _Watch | None:
    plan = next(iter(story.of("PLAN")), None)
    if plan is None:
        return None
    return _Watch(story, story.once(Past), story.once(Trouble), plan.data["cadence"], plan.data["zone"])


def never_lost(story: Story) -> Found:
    """I6: every opt-out (also bounce, complaint, deletion) is out on both sides within its bound: from Virtuous, 60 s
    after the webhook where one came, else the poll's cadence + 60 s; from Constant Contact the cadence of the round
    that sees it + 60 s.

    The premise: at the opt-out both sides knew the person by our reference and address, the other side was open, and of
    a method of Virtuous the product had decided upon a reading that showed it open, and has not lost with its disk (a
    `false` of unknown origin opts nobody out). Whoever waits for the nightly batch is I7's; what the brake holds waits
    for a person.
    """
    if (watch := _watch(story)) is None:
        return [], 0
    heard, seen = _heard(story), _Seen(story)
    for out in opt_outs(story, watch.past):
        if out.road != "crm":
            _to_crm(watch, out)
        elif seen.decided(out, watch.past) and not watch.is_braked(out):
            _to_audience(watch, out, heard)
    return watch.found, watch.premise


def _to_crm(watch: _Watch, out: OptOut) -> None:
    past, n = watch.past, out.fact.n
    home, address = past.home(out.customer, out.record, n), past.address(out.customer, out.record, n)
    if home and address:
        until = watch.until(out.customer, out.fact.t, min(watch.cadence[road] for road in ROUNDS[out.road]))
        for method in past.methods(out.customer, n):
            if until is not None and method.contact == home and method.address == address and method.opted_in:
                _closes(watch, "I6", out, method, n, until)


def _closes(watch: _Watch, name: str, out: OptOut, method: Method, n: int, until: float) -> None:
    """A method of Virtuous that is to be closed; whoever came back, or has another address by then, is not judged."""
    past, record = watch.past, method.record
    other = [*past.after(out.customer, record, "value", n), *_undone(past, out)]
    closed = (moment(one) for one in past.after(out.customer, record, "isOptedIn", n) if one.data["after"] is not True)
    ended = min(closed, default=None)
    if not watch.is_braked(out) and not any(moment(one) <= min(until, ended or until) for one in other):
        watch.judge(name, out, until, ended, f"{record} is closed")


def _undone(past: Past, out: OptOut) -> list[Fact]:
    """What people and staff did later by which the person came back, was put back, or got another address."""
    changes = past.changes.get((out.customer, f"contact:{out.record}"), {})
    later = [one for name in (ADDRESS, DELETED, PERMISSION) for one in changes.get(name, ()) if one.n > out.fact.n]
    return [one for one in later if one.data["actor"] not in OURS and not _ends(one)]


# --- from Virtuous ---------------------------------------------------------------------------------------------------


def _to_audience(watch: _Watch, out: OptOut, heard: Mapping[Record, list[tuple[float, str]]]) -> None:
    """The people of this household who have that address at Constant Contact."""
    past, n = watch.past, out.fact.n
    method = past.method(out.customer, out.record, n)
    told = _told(heard.get((out.customer, method.contact), ()), out.fact.t)
    polled = watch.until(out.customer, out.fact.t, min(watch.cadence["crm_changed"], watch.cadence["crm_sweep"]))
    hooked = None if told is None else watch.until(out.customer, told, 0.0)
    until = min((one for one in (polled, hooked) if one is not None), default=None)
    for person in past.people(out.customer) if until is not None else ():
        there = past.home(out.customer, person, n) == method.contact
        if there and past.address(out.customer, person, n) == method.address and past.mailable(out.customer, person, n):
            _goes_out(watch, out, person, until or 0.0)


def _goes_out(watch: _Watch, out: OptOut, person: str, until: float) -> None:
    past, n = watch.past, out.fact.n
    changes = past.changes.get((out.customer, f"contact:{person}"), {})
    ended = min(
        (moment(one) for name in (PERMISSION, DELETED) for one in changes.get(name, ()) if one.n > n and _ends(one)),
        default=None,
    )
    other = [one for one in changes.get(ADDRESS, ()) if one.n > n]
    other += [one for one in past.after(out.customer, out.record, "isOptedIn", n) if one.data["after"]]
    if not any(moment(one) <= min(until, ended or until) for one in other):
        watch.judge("I6", out, until, ended, f"contact {person} is out")


def _heard(story: Story) -> Mapping[Record, list[tuple[float, str]]]:
    """Customer and Virtuous contact, to the deliveries that told of it and were acknowledged: when, and its stamp."""
    came = {fact.data["n"]: fact for fact in story.of("RECV") if fact.data["verified"]}
    found: dict[Record, list[tuple[float, str]]] = defaultdict(list)
    for fact in story.of("ACK"):
        one = came.get(fact.data["n"])
        if one is not None and 200 <= fact.data["status"] < 300:
            for name, stamp in one.data["names"]:
                found[one.customer, name].append((fact.t, stamp))
    return found


def _told(heard: "list[tuple[float, str]] | tuple[()]", since: float) -> float | None:
    """When the first delivery came that was made after a moment."""
    at = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return min((t for t, stamp in heard if t >= since and stamp[:19] >= at), default=None)


class _Seen:
    """What the product had decided upon: of staff's `false` it must have seen that it was open before. What it saw
    since its disk was saved is lost with an older one."""

    def __init__(self, story: Story) -> None:
        self._restored = story.of("RESTORE")
        self._read: dict[Record, list[Fact]] = defaultdict(list)
        self._party: dict[Record, list[tuple[Fact, str]]] = defaultdict(list)
        self._decided: dict[Record, list[Fact]] = defaultdict(list)
        for fact, _, _, row in story.rows("snapshot"):
            if row["platform"] == VIRTUOUS:
                self._read[row["customer_id"], row["record_id"]].append(fact)
        for fact, _, _, row in story.rows("alias"):
            if row["platform"] == VIRTUOUS:
                self._party[row["customer_id"], row["record_id"]].append((fact, row["party_id"]))
        for fact, _, verb, row in story.rows("entry"):
            if verb == "DELETE":
                self._decided[row["customer_id"], row["party_id"]].append(fact)

    def decided(self, out: OptOut, past: Past) -> bool:
        """Whether the method was seen open, and something was decided upon that."""
        n, customer = out.fact.n, out.customer
        changes = past.changes.get((customer, out.record), {}).get("isOptedIn", ())
        opened = max((one.n for one in changes if one.n < n), default=-1)
        contact = past.method(customer, out.record, n).contact
        seen = min(
            (one.n for one in self._read[customer, contact] if one.n > opened and self._known(one, n)), default=n
        )
        party = next((name for one, name in reversed(self._party[customer, contact]) if self._known(one, n)), "")
        return any(seen < one.n and self._known(one, n) for one in self._decided[customer, party])

    def _known(self, fact: Fact, n: int) -> bool:
        """Whether something that was stored is there still, just before the fact of this number."""
        since = (one for one in self._restored if fact.n < one.n < n)
        return fact.n < n and all(fact.t <= one.t - float(one.data["age"]) for one in since)


# --- I7 --------------------------------------------------------------------------------------------------------------


def paid_in_time(story: Story) -> Found:
    """I7: the opt-out of somebody whose row waits for the nightly batch is applied <= 5 min after the record appears:
    from the organization's midnight on the product looks at once and then at its cadence (design section 4, consent).
    An opt-out that is not known by then has the time that it has anyhow."""
    if (watch := _watch(story)) is None:
        return [], 0
    rows = _rows(watch.past)
    for out in opt_outs(story, watch.past):
        for customer, record in rows.get((out.customer, out.record), ()) if out.road != "crm" else ():
            appeared = next(watch.past.after(customer, record, "contactId", out.fact.n), None)
            if appeared is not None and watch.past.value(customer, record, "state", out.fact.n) is not None:
                _pays(watch, out, record, appeared)
    return watch.found, watch.premise


def _rows(past: Past) -> Mapping[Record, list[Record]]:
    """Customer and contact of Constant Contact, to the import's rows of that reference."""
    found: dict[Record, list[Record]] = defaultdict(list)
    for (customer, record), changes in past.changes.items():
        for one in changes.get("referenceId", ()) if record.startswith("submission:") else ():
            found[customer, str(one.data["after"])].append((customer, record))
    return found


def _pays(watch: _Watch, out: OptOut, record: str, appeared: Fact) -> None:
    past, customer, there = watch.past, out.customer, appeared.n + 1
    until, address = _pay_day(watch, out, record, appeared), past.address(customer, out.record, out.fact.n)
    for method in past.methods(customer, there) if until is not None else ():
        mine = method.contact == str(appeared.data["after"]) and method.address == address
        if mine and method.opted_in:
            _closes(watch, "I7", out, method, appeared.n, until or 0.0)


def _pay_day(watch: _Watch, out: OptOut, record: str, appeared: Fact) -> float | None:
    """The record appears at the batch's midnight, which may not be the organization's (Virtuous facts 10.3). The first
    look is at midnight by our own clock: one that is behind delays it by as much."""
    sent = next(iter(watch.past.changes[out.customer, record]["referenceId"]))
    midnight = next_midnight(moment(sent), watch.zone)
    came = moment(appeared)
    first = came <= midnight
    since, every = (watch.trouble.shown(midnight), FIRST_LOOK) if first else (came, watch.cadence["obligations"])
    known = watch.until(out.customer, out.fact.t, min(watch.cadence[road] for road in ROUNDS[out.road]))
    paid = watch.until(out.customer, since, max(every, FIRST_LOOK))
    return None if known is None or paid is None else max(known, paid)
