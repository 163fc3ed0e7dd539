"""What becomes of a refusal: I20 and I21."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.invariants.trouble import WAKE, Trouble
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

HOUR, DAY = 3600.0, 86_400.0
FINAL = (400, 403, 422)
# So often the same call may fail within an hour: five fast tries, then pauses that double from a minute to a quarter of
# an hour, and once more where the decision was made anew meanwhile (design section 4, errors).
MOST = 12
# So many turns may end between a 401 and the one more try.
MOST_TURNS = 2
OPTING = ("opt_out", "set_consent")
ALERT_WITHIN = 300.0
# What tells of a consent step that is refused: itself, or the connection that refuses everything.
ALERTS = ("optout_refused", "connection_blocked", "dead_letters")

Same = tuple[str, str, str, str, str]  # customer, vendor, method, path, query and body
Place = tuple[str, str, int]  # customer, vendor, process
VENDORS = {"audience": CONSTANT_CONTACT, "crm": VIRTUOUS}


# --- I20 -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A write that was refused for good. `wrote`: how much had been written there by then."""

    at: float
    status: int
    wrote: int
    parties: frozenset[str]


@dataclass(slots=True)
class _Calls:
    """What was refused to whom, and until when nobody may call. `unauthorized`: the turns of the 401s in a row. `job`:
    what is being sent for a customer."""

    asked: dict[str, Fact] = field(default_factory=dict)
    until: dict[Any, tuple[float, str]] = field(default_factory=dict)
    refused: dict[Same, _Refusal] = field(default_factory=dict)
    tries: dict[Same, list[float]] = field(default_factory=lambda: defaultdict(list))
    unauthorized: dict[Place, list[int | None]] = field(default_factory=lambda: defaultdict(list))
    void: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    wrote: Counter[tuple[str, str]] = field(default_factory=Counter)
    blocked: set[tuple[str, str]] = field(default_factory=set)
    job: dict[str, str] = field(default_factory=dict)
    parties: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    premise: int = 0


def disciplined(story: Story) -> Found:
    """I20: 400, 403 and 422 are not sent again within the hour that an opt-out waits; 401 is answered by one more try,
    then the connection waits for its owner, and what was refused with 401 is not shown again; whoever is told to come
    later does not come earlier: `throttled` and Retry-After for that call (all of Virtuous, whose hour is one),
    `quota_exceeded` for the key until midnight UTC; no write is tried more than twelve times an hour.

    A commit that fails may be the one that remembers a refusal: then it may be asked for once more. A turn may end
    before there was a new token for the one more try: then the next turn has its own. A refused write may be sent again
    once something else was written to that vendor meanwhile: then it is another one. And a person may have the dead
    letter that it became tried again: what was refused of that party may be sent once more, and nobody else's.
    """
    calls, found = _Calls(), list[Violation]()
    kinds, tables = ("OUT", "RSP", "RESTORE", "FAULT"), ("connection", "job", "step", "dead_letter")
    for fact, table, _verb, row in in_order(story, kinds, tables):
        if table:
            _stored(calls, fact, table, row)
        elif fact.kind in ("RESTORE", "FAULT"):
            _disturbed(calls, fact)
        elif fact.kind == "RSP":
            _answered(calls, fact)
        else:
            calls.asked[fact.key] = fact
            if not fact.data["token"] and (why := _too_soon(calls, fact)):
                found.append(Violation("I20", fact.n, f"{fact.data['method']} {fact.data['path']}: {why}"))
    return found, calls.premise


def _stored(calls: _Calls, fact: Fact, table: str, row: Row) -> None:
    """Take a row into account."""
    customer = row["customer_id"]
    if table == "connection":
        place = (customer, row["platform"])
        (calls.blocked.add if row["reason"] == "unauthorized" else calls.blocked.discard)(place)
        _forget(calls)
    elif table == "job":
        calls.job[customer] = row["id"]
    elif table == "step":
        if row["job_id"] is not None:
            calls.parties[customer, row["job_id"]].add(row["party_id"])
    elif row["state"] == "replayed" and fact.data["fence"] is None:  # by no turn, hence by a person
        _freed(calls, row)


def _freed(calls: _Calls, letter: Row) -> None:
    """What was refused of this party may be sent once more."""
    place = (letter["customer_id"], VENDORS[letter["side"]])
    for same, refusal in list(calls.refused.items()):
        if same[:2] == place and letter["party_id"] in refusal.parties:
            del calls.refused[same]


def _disturbed(calls: _Calls, fact: Fact) -> None:
    if fact.kind == "RESTORE":
        calls.blocked.clear()
    if fact.kind == "RESTORE" or "commit" in fact.key:
        _forget(calls)


def _forget(calls: _Calls) -> None:
    """The next 401 is the first one."""
    calls.unauthorized.clear()
    calls.void.clear()


def _same(fact: Fact) -> Same:
    data = fact.data
    return (fact.customer, data["vendor"], data["method"], data["path"], f"{data['query']} {data['body']}")


def _answered(calls: _Calls, fact: Fact) -> None:
    """Take an answer into account."""
    asked, status = calls.asked[fact.key], fact.data["status"]
    same, vendor = _same(asked), asked.data["vendor"]
    if asked.data["token"]:
        return
    _unauthorized(calls, fact, asked)
    if status is not None and 200 <= status < 300 and not fact.data["fault"]:
        calls.wrote[fact.customer, vendor] += asked.data["write"]
        calls.tries.pop(same, None)
        return
    calls.premise += 1
    if status == 429:
        _later(calls, fact, asked)
    if asked.data["write"]:
        calls.tries[same].append(fact.t)
        if status in FINAL:
            wrote = calls.wrote[fact.customer, vendor]
            calls.refused[same] = _Refusal(fact.t, status, wrote, _parties(calls, fact.customer))


def _unauthorized(calls: _Calls, fact: Fact, asked: Fact) -> None:
    place = (fact.customer, asked.data["vendor"], fact.process)
    if fact.data["status"] == 401:
        calls.unauthorized[place].append(asked.data["fence"])
        calls.void[place].add(asked.data["credential"])
    else:
        calls.unauthorized.pop(place, None)


def _parties(calls: _Calls, customer: str) -> frozenset[str]:
    """Whose steps are being sent for this customer."""
    return frozenset(calls.parties[customer, calls.job.get(customer, "")])


def _later(calls: _Calls, fact: Fact, asked: Fact) -> None:
    vendor, pause = asked.data["vendor"], float(fact.data["after"] or 0.0)
    if vendor == VIRTUOUS:
        calls.until[fact.customer, vendor, fact.process] = (fact.t + (pause or 60.0), "the hour is refused")
    elif "quota_exceeded" in fact.data["body"]:
        calls.until[fact.customer, vendor] = (fact.t + (pause or DAY - fact.t % DAY), "the day is used up")
    else:
        calls.until[_same(asked), fact.process] = (fact.t + (pause or 1.0), "it was throttled")


def _too_soon(calls: _Calls, fact: Fact) -> str:
    """Why this call must not be made now; empty where it may."""
    same, vendor = _same(fact), fact.data["vendor"]
    for key in ((same, fact.process), (fact.customer, vendor), (fact.customer, vendor, fact.process)):
        until, why = calls.until.get(key, (0.0, ""))
        if fact.t < until - 1e-6:
            return f"{until - fact.t:.1f} s too early: {why}"
    if (fact.customer, vendor) in calls.blocked and fact.data["fence"] is not None:
        return "it was refused as unauthorized, and its owner was not here since"
    if why := _not_let_in(calls, fact):
        return why
    refusal = calls.refused.get(same)
    if refusal and fact.t - refusal.at < HOUR and refusal.wrote == calls.wrote[fact.customer, vendor]:
        return f"refused for good ({refusal.status}) {fact.t - refusal.at:.0f} s ago"
    late = [one for one in calls.tries.get(same, ()) if fact.t - one < HOUR]
    return f"failed {len(late)} times within the hour" if len(late) > MOST else ""


def _not_let_in(calls: _Calls, fact: Fact) -> str:
    place = (fact.customer, fact.data["vendor"], fact.process)
    turns = calls.unauthorized[place]
    if len(turns) > MOST_TURNS or len(turns) != len(set(turns)):
        return "two calls in a row were unauthorized"
    shown = fact.data["credential"] in calls.void[place]
    return "what it shows was refused as unauthorized before" if shown else ""


# --- I21 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Opting:
    """Which opt-outs are under way, what was refused of them, and what was told."""

    jobs: dict[str, tuple[str, str]] = field(default_factory=dict)
    urgent: set[str] = field(default_factory=set)
    sent: dict[str, Fact] = field(default_factory=dict)
    refused: list[tuple[Fact, Fact]] = field(default_factory=list)
    again: dict[tuple[str, str], list[Fact]] = field(default_factory=lambda: defaultdict(list))
    told: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))


def never_silent(story: Story) -> Found:
    """I21: dead letters are complete and replayable: what was to be written, why it was given up, and the last answer,
    or whose decision failed. An opt-out is never one of them (but for somebody who is not there any more): when it is
    refused, somebody is told within 5 minutes, and it is tried again within the hour.

    The premise: dead letters, and opt-outs that were refused.
    """
    letters = story.final.store.get("dead_letter", ())
    end = len(story.facts) - 1
    found = [Violation("I21", end, f"dead letter {row['id']}: {why}") for row in letters if (why := _incomplete(row))]
    found += _buried(story)
    opting = _opting(story)
    trouble = story.once(Trouble)
    for asked, answer in opting.refused:
        found += _silent(trouble, opting, asked, answer)
    return found, len(letters) + len(opting.refused)


def _incomplete(row: Row) -> str:
    """What a dead letter lacks."""
    if not row["reason"]:
        return "no cause"
    if row["kind"] in ("decide", "poison"):
        return "" if row["party_id"] or row["payload"] else "nobody knows whose"
    missing = [name for name in ("party_id", "payload", "answer") if row[name] is None]
    return f"no {missing[0]}" if missing else ""


def _buried(story: Story) -> Iterator[Violation]:
    """Opt-outs that were given up."""
    dropped: dict[tuple[int, str, str], int] = {}
    for fact, _, verb, row in story.rows("step"):
        if verb == "DELETE":
            dropped[fact.n, str(row["party_id"]), str(row["kind"])] = row["lane"]
    for fact, _, verb, row in story.rows("dead_letter"):
        consent = row["kind"] in OPTING and dropped.get((fact.n, str(row["party_id"]), str(row["kind"]))) == 0
        if verb == "INSERT" and consent and not (row["side"] == "audience" and "not there" in row["reason"]):
            yield Violation("I21", fact.n, f"an opt-out became a dead letter: {row['reason']}")


def _opting(story: Story) -> _Opting:
    opting = _Opting()
    for fact, table, verb, row in in_order(story, ("OUT", "RSP"), ("step", "job", "alert")):
        if table == "step":
            if row["lane"] == 0 and row["job_id"] is not None and row["kind"] in OPTING:
                opting.urgent.add(row["job_id"])
        elif table == "job":
            opting.jobs[row["customer_id"]] = (row["id"], row["state"])
        elif table == "alert":
            if verb != "DELETE" and row["kind"] in ALERTS:
                opting.told[row["customer_id"]].append(fact)
        elif fact.kind == "OUT":
            job, state = opting.jobs.get(fact.customer, ("", ""))
            if fact.data["write"] and state == "sent" and job in opting.urgent:
                opting.sent[fact.key] = fact
                opting.again[fact.customer, fact.data["path"]].append(fact)
        elif fact.key in opting.sent and fact.data["status"] in FINAL:
            opting.refused.append((opting.sent[fact.key], fact))
    return opting


def _silent(trouble: Trouble, opting: _Opting, asked: Fact, answer: Fact) -> Iterator[Violation]:
    """What is wrong with what followed a refused opt-out; who is told at once is told in the same moment."""
    customer, path = asked.customer, asked.data["path"]
    for what, bound, followed in (
        ("nobody was told", ALERT_WITHIN, opting.told[customer]),
        ("it is not tried again", WAKE + ALERT_WITHIN, opting.again[customer, path]),
    ):
        until = trouble.deadline(customer, answer.t + 1e-3, bound, WAKE + bound)
        if until is not None and not any(one.n > answer.n and one.t <= until for one in followed):
            yield Violation("I21", answer.n, f"{path}: the opt-out was refused ({answer.data['status']}), and {what}")
