"""I22 and I24-I26: whatever happens is read, nothing newer is overtaken, and what is read is believed within limits.
I23 is in rounds.py."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.invariants.rounds import SWEEPS, Move, Place, Reading, Side, polled
from keepstep_simulator.story import Fact, Found, Story, Violation

PEOPLE = ("person", "staff")
TWICE = 2
DAY = 86_400.0
# What a poll must find: names and an address move a contact's change stamp, an opt-out has a date of its own, and
# whoever is deleted has a status of their own (CC facts 5.4). The rest may move nothing and is for the sweep.
FOUND_BY = {
    "first_name": "changed",
    "last_name": "changed",
    "email_address.address": "changed",
    "deleted_at": "deleted",
    "email_address.permission_to_send": "opted_out",
}


# --- I22 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Unseen:
    """A change that no reading has shown yet, and how many rounds of its poll began and ended since."""

    n: int
    record: str
    place: Place
    rounds: int = 0


@dataclass(slots=True)
class _Watch:
    """What waits to be seen, by customer and side, and with which request each round began."""

    unseen: dict[Side, list[_Unseen]] = field(default_factory=dict)
    began: dict[Place, int] = field(default_factory=dict)


def seen_in_two_polls(story: Story) -> Found:
    """I22: a change at Constant Contact is stored after at most two whole rounds of the poll that must find it,
    whatever else reads besides."""
    watch, found, premise = _Watch(), list[Violation](), 0
    polls, changes = polled(story), [fact for fact in story.of("EFF") if _is_to_find(fact)]
    lines: list[Fact | Move | Reading] = [*changes, *polls.readings, *polls.moves]
    for one in sorted(lines, key=_number):  # the readings of a commit before its moves
        if isinstance(one, Reading):
            _observed(one, watch)
        elif isinstance(one, Fact):
            premise += _happened(one, watch)
        else:
            found += [Violation("I22", one.n, why) for why in _rounds(one, watch)]
    return found, premise


def _number(one: Fact | Move | Reading) -> int:
    return one.n


def _is_to_find(fact: Fact) -> bool:
    return fact.data["side"] == CONSTANT_CONTACT and fact.data["field"] in FOUND_BY


def _happened(fact: Fact, watch: _Watch) -> bool:
    """Whether this is a change that a poll must find. One that is taken back before anybody looked need not be seen."""
    record, name, after = fact.key.partition(":")[2], fact.data["field"], fact.data["after"]
    unseen = watch.unseen.setdefault((fact.customer, CONSTANT_CONTACT), [])
    if FOUND_BY[name] in ("deleted", "opted_out"):
        unseen[:] = [one for one in unseen if one.record != record or one.place[2] not in ("deleted", "opted_out")]
    asked = after not in (None, "") and fact.data["actor"] in PEOPLE
    if not asked or (FOUND_BY[name] == "opted_out" and after != "unsubscribed"):
        return False
    unseen.append(_Unseen(fact.n, record, (fact.customer, CONSTANT_CONTACT, FOUND_BY[name])))
    return True


def _observed(one: Reading, watch: _Watch) -> None:
    """A stored reading shows what had happened when its request was made."""
    if unseen := watch.unseen.get(one.side):
        unseen[:] = [change for change in unseen if change.record != one.record or change.n > one.asked]


def _rounds(move: Move, watch: _Watch) -> Iterator[str]:
    """What the end of this round should have shown, or one before it."""
    if move.page is not None and move.page.first:
        watch.began[move.place] = move.page.n
    for one in watch.unseen.get(move.place[:2], ()) if move.ends and move.known else ():
        if one.place == move.place and one.n < watch.began.get(move.place, -1):
            one.rounds += 1
            if one.rounds == TWICE:
                yield f"{one.record}: changed at {one.n}, not seen by {TWICE} rounds of {one.place[2]}"


# --- I24 -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Load:
    """Who is there, since which fact, what changed last when, what each sweep under way has stored, and since when."""

    changed: dict[tuple[Side, str], int] = field(default_factory=dict)
    there: dict[Side, dict[str, int]] = field(default_factory=dict)
    stored: dict[Place, set[str]] = field(default_factory=dict)
    began: dict[Place, int] = field(default_factory=dict)


def loads_everybody(story: Story) -> Found:
    """I24: a whole sweep stores everybody who was there when it began; one that was cut short goes on from its cursor;
    and no stored reading gives way to one of an older version. Whoever changed while it was under way may have moved to
    a page that was read before, for the order of pages is not told (CC facts 1): the poll of changes finds them, and
    I22 says so. The premise: sweeps that came to their end."""
    load, found, premise = _Load(), list[Violation](), 0
    sweeps = [move for move in polled(story).moves if move.place[2] in SWEEPS and move.known]
    people: list[Fact | Move | Reading] = [fact for fact in story.of("ACT") if fact.data["what"] == "add_person"]
    labels = [fact for fact in story.of("EFF") if fact.data["side"] == VIRTUOUS and _moves_in(fact)]
    changes = [fact for fact in story.of("EFF") if _moves_its_page(fact)]
    for one in sorted([*people, *labels, *changes, *sweeps], key=_number):
        if isinstance(one, Move):
            premise += one.ends
            found += [Violation("I24", one.n, f"{'.'.join(one.place)}: {why}") for why in _swept(one, load)]
        elif isinstance(one, Fact) and _moves_its_page(one):
            load.changed[(one.customer, CONSTANT_CONTACT), one.key.partition(":")[2]] = one.n
        elif isinstance(one, Fact):
            _came(one, load)
    return [*found, *_overtaken(story)], premise


def _moves_its_page(fact: Fact) -> bool:
    """May it move a contact to another page? Virtuous is walked in the order of ids, which never change."""
    return fact.kind == "EFF" and fact.data["side"] == CONSTANT_CONTACT and fact.key.startswith("contact:")


def _moves_in(fact: Fact) -> bool:
    return fact.key.startswith("reference:") or fact.data["field"] in ("mergedIntoContactId", "isArchived")


def _came(fact: Fact, load: _Load) -> None:
    """Contacts of Constant Contact from the act that made them; those of Virtuous from the reference on, while nobody
    merges them away."""
    if fact.kind == "ACT":
        load.there.setdefault((fact.customer, CONSTANT_CONTACT), {})[fact.key] = fact.n
        return
    ours, (kind, _, record) = load.there.setdefault((fact.customer, VIRTUOUS), {}), fact.key.partition(":")
    if kind == "contact" and fact.data["after"]:
        ours.pop(record, None)
    if kind == "reference" and record.startswith(fields.REFERENCE_SOURCE):
        ours.pop(str(fact.data["before"]), None)
        if fact.data["after"] is not None:
            ours[str(fact.data["after"])] = fact.n


def _swept(move: Move, load: _Load) -> Iterator[str]:
    page = move.page
    if page is not None and page.first:
        if move.before[1] is not None and move.after[1] is not None:
            yield "began again although its cursor was stored"
        load.stored[move.place], load.began[move.place] = set(), page.n
    load.stored.setdefault(move.place, set()).update(move.stored)
    if move.ends and (began := load.began.get(move.place)) is not None:
        there, loaded = load.there.get(move.place[:2], {}), load.stored[move.place]
        missing = [
            one
            for one, n in there.items()
            if n < began and one not in loaded and load.changed.get((move.place[:2], one), -1) < began
        ]
        if missing:
            yield f"{len(missing)} who were there are not loaded, such as {missing[0]}"


def _overtaken(story: Story) -> Iterator[Violation]:
    stamps: dict[tuple[Side, str], str] = {}
    restored = [fact.n for fact in story.of("RESTORE")]
    for one in polled(story).readings:
        if restored and one.n > restored[0]:
            del restored[0]
            stamps.clear()
        before = stamps.get((one.side, one.record), "")
        if one.stamp and one.stamp != before:
            stamps[one.side, one.record] = one.stamp
            if before and _instant(before) > _instant(one.stamp):
                yield Violation("I24", one.n, f"{one.record}: {one.stamp} was stored over {before}")


@lru_cache(maxsize=4096)
def _instant(text: str) -> float:
    """Whole seconds: not every answer tells more (CC facts 1, dates)."""
    return float(int(datetime.fromisoformat(text).timestamp()))


# --- I25 -------------------------------------------------------------------------------------------------------------

OWN = ("person_opts_out", "campaign_opt_out", "complain")
CAUSES = ("delete", "bounce", "staff_opts")
LABELS = ("tags", "list_memberships", "taggings")
FLOOR, SHARE = 20, 0.05
# Counted is when a step is let go, and a call may need hours after that: what is certainly within one day.
SPAN = DAY - 6 * 3600.0


@dataclass(slots=True)
class _Brake:
    """Who has which address; by address, who opted out by an own act, and since when there is a cause to infer it from.
    By customer, what was inferred and went out, and when a person approved last."""

    emails: Mapping[tuple[str, str], str]
    own: set[tuple[str, str]] = field(default_factory=set)
    causes: dict[tuple[str, str], float] = field(default_factory=dict)
    gone: dict[str, dict[str, float]] = field(default_factory=dict)
    approved: dict[str, float] = field(default_factory=dict)


def braked(story: Story) -> Found:
    """I25: what is only inferred (a removal, and an opt-out after a deletion, a bounce or a no of the CRM's) goes out
    max(20, 5 %) times a day; the rest waits until a person approves it, an opt-out for a day. What somebody asked for
    is never counted.

    The premise: as much went out as may, or something is held. Where our clock jumps, a day is not a day.
    """
    if story.count("SKEW"):
        return [], 0
    brake, limits = _Brake(_addresses(story)), _limits(story)
    found, premise = list[Violation](), sum(row["state"] == "held" for _, _, _, row in story.rows("inferred"))
    for fact in story.of("ACT", "EFF", "OPERATE", "RESTORE"):
        if fact.kind == "EFF":
            limit = limits[fact.customer]
            if (count := _went(fact, brake)) >= limit:
                premise += 1
            if count > limit:
                found.append(Violation("I25", fact.n, f"{fact.key}: {count} inferred in a day that lets {limit} pass"))
        elif fact.kind == "ACT":
            _caused(fact, brake)
        elif fact.kind == "RESTORE":
            brake.gone.clear()
        elif fact.key == "approve":
            brake.approved[fact.customer] = fact.t
    return found, premise


def _limits(story: Story) -> Mapping[str, int]:
    """What may go out in a day, by customer."""
    plan = next(iter(story.of("PLAN")), None)
    policy: Mapping[str, Any] = plan.data["policy"] if plan is not None else {}
    floor, share = policy.get("brake_floor", FLOOR), policy.get("brake_share", SHARE)
    people = Counter(fact.customer for fact in story.of("ACT") if fact.data["what"] == "add_person")
    return defaultdict(lambda: int(floor), {who: max(floor, round(share * count)) for who, count in people.items()})


def _addresses(story: Story) -> dict[tuple[str, str], str]:
    """Of contacts and methods, by customer: the address at the end. Who moved meanwhile is not counted."""
    found: dict[tuple[str, str], str] = {}
    for customer, contacts in story.final.audience.items():
        for raw in contacts:
            found[customer, str(raw["contact_id"])] = fields.email((raw.get("email_address") or {}).get("address"))
    for customer, contacts in story.final.crm.items():
        methods = (one for raw in contacts for who in raw["contactIndividuals"] for one in who["contactMethods"] or ())
        found |= {(customer, str(one["id"])): fields.email(one["value"]) for one in methods if fields.is_email(one)}
    return found


def _caused(fact: Fact, brake: _Brake) -> None:
    what, address = fact.data["what"], brake.emails.get((fact.customer, fact.key), "")
    if address and what in OWN:
        brake.own.add((fact.customer, address))
    elif address and what in CAUSES and not fact.data["data"].get("opted_in"):
        brake.causes.setdefault((fact.customer, address), fact.t)


def _went(fact: Fact, brake: _Brake) -> int:
    """How much inferred has gone out within a day, where this is more of it; 0 where it is not, or was let go."""
    what = _inferred(fact, brake)
    if not what or fact.t - brake.approved.get(fact.customer, -DAY) < DAY:
        return 0
    gone = brake.gone.setdefault(fact.customer, {})
    if fact.t - gone.get(what, -DAY) >= DAY:  # what is tried again is counted once
        gone[what] = fact.t
    return sum(t > fact.t - SPAN for t in gone.values())


def _inferred(fact: Fact, brake: _Brake) -> str:
    """What of ours rests on inference alone, by what it says; an opt-out that has waited for a day goes by itself."""
    name, before, after = fact.data["field"], fact.data["before"], fact.data["after"]
    if fact.data["actor"] not in ("product", "job"):
        return ""
    if name in LABELS and (less := set(before or ()) - set(after or ())):
        return f"{fact.key} {name} {sorted(map(str, less))}"
    out = name.endswith("permission_to_send") and bool(before) and after == "unsubscribed"
    address = brake.emails.get((fact.customer, fact.key.partition(":")[2]), "")
    caused = brake.causes.get((fact.customer, address))
    if not (out or (name == "isOptedIn" and before is True and after is False)) or caused is None:
        return ""
    return "" if (fact.customer, address) in brake.own or fact.t - caused >= DAY else f"{fact.key} {name}"


# --- I26 -------------------------------------------------------------------------------------------------------------


def bound_account(story: Story) -> Found:
    """I26: a connection is bound to the account that it led to first; when it leads elsewhere nothing is written."""
    bound: dict[tuple[str, str], str] = {}
    calls: dict[str, Fact] = {}
    found, premise = list[Violation](), 0
    for fact in story.of("OUT", "RSP", "OPERATE"):
        if fact.kind == "OPERATE":
            premise += fact.key == "wrong_account"
        elif fact.kind == "OUT":
            calls[fact.key] = fact
        elif account := fact.data["account"]:  # whose account it was is known where the call arrived
            call = calls[fact.key]
            first = bound.setdefault((call.customer, call.data["vendor"]), account)
            if call.data["write"] and account != first:
                found.append(Violation("I26", call.n, f"{call.data['path']}: written to {account}, bound to {first}"))
    return found, premise
