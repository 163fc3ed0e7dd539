"""Consent: I5, I8 and I9; I6 and I7, which are about time, are in promptly.py. Decided on what really changed (EFF,
final records) and on what was sent (OUT), never on what the product believes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.judge.fields import is_email
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.invariants.people import ADDRESS, DELETED, IN, OURS, OUT, PERMISSION, Past, address
from keepstep_simulator.invariants.promptly import OptOut, deaf, never_lost, opt_outs, paid_in_time, turned
from keepstep_simulator.story import Fact, Found, Story, Violation

__all__ = ["follows_the_address", "never_lost", "never_undone", "one_lane", "paid_in_time"]


def never_undone(story: Story) -> Found:
    """I5: nothing of ours takes an address from out to in without the person's own later opt-in.

    An opt-out that falls between our reading of the record and the answer of our write is a race that no client can
    exclude: it must be repaired, which I10 sees. One by a mailing stands in the reports of the mailings whatever we
    write (CC facts 8): where these may be read it must be out again at the end.
    """
    reads: dict[tuple[str, str], int] = {}
    out_since: dict[tuple[str, str], int] = {}
    back: dict[tuple[str, str], int] = {}
    paths: dict[str, str] = {}
    found: list[Violation] = []
    premise = 0
    for fact in story.of("OUT", "ACT", "EFF"):
        if fact.kind == "OUT":
            paths[fact.key] = fact.data["path"]
            if not fact.data["write"]:
                reads[fact.customer, fact.data["path"]] = fact.n
        elif fact.kind == "ACT":
            if fact.data["what"] == "person_opts_in":
                back[fact.customer, fact.key] = fact.n
        elif way := turned(fact):
            place = (fact.customer, fact.key)
            if way == "out":
                # What we close ourselves was asked for earlier, on the other side: any return may have come since.
                out_since[place] = fact.n if fact.data["actor"] not in OURS else -1
                premise += 1
            elif fact.data["actor"] in OURS and place in out_since and not _may_return(fact, back, out_since[place]):
                read = reads.get((fact.customer, paths.get(fact.data["call"], "")), fact.n)
                if out_since[place] < read:
                    found.append(Violation("I5", fact.n, f"{fact.key} was taken back in by {fact.data['actor']}"))
    return [*found, *_left_in(story, {one.n for one in found})], premise


def _left_in(story: Story, known: set[int]) -> Iterator[Violation]:
    """Whom a race took back in though the person had followed a mail's link, and who is in to the end. `known`: what is
    no race."""
    mailed: set[tuple[str, str]] = set()
    raced: dict[tuple[str, str], Fact] = {}
    for fact in story.of("ACT", "EFF"):
        place = (fact.customer, f"contact:{fact.key}" if fact.kind == "ACT" else fact.key)
        if fact.kind == "EFF":
            way = turned(fact)
            if way == "in" and fact.data["actor"] in OURS and place in mailed:
                raced[place] = fact
            elif way:
                raced.pop(place, None)
        elif fact.data["what"] == "campaign_opt_out":
            mailed.add(place)
        elif fact.data["what"] == "person_opts_in":
            mailed.discard(place)
    unheard = deaf(story)
    for (customer, record), fact in raced.items():
        if customer not in unheard and fact.n not in known:
            yield Violation("I5", fact.n, f"{record} was taken back in, and stayed in")


def _may_return(fact: Fact, back: dict[tuple[str, str], int], out_since: int) -> bool:
    """Whether the person came back after this opt-out. At Virtuous the person is found by the household: any return of
    somebody of this customer after the opt-out counts, which the judge looks at more closely."""
    number = fact.key.partition(":")[2]
    if fact.data["side"] == CONSTANT_CONTACT:
        return back.get((fact.customer, number), -1) > out_since
    return any(n > out_since for (customer, _), n in back.items() if customer == fact.customer)


# --- I8 --------------------------------------------------------------------------------------------------------------

# The kinds of steps that may say something else of consent than what was just read: the opt-outs themselves, and a new
# address, which keeps the opt-out of the old one. A raced opt-out is written again by the write that it fell upon.
CLOSING: Mapping[str, tuple[str, ...]] = {
    CONSTANT_CONTACT: ("opt_out", "set_fields"),
    VIRTUOUS: ("set_consent", "swap_email"),
}
CONTACTS, METHODS = "/v3/contacts/", "/api/ContactMethod"
IMPORTS = ("/api/Contact/Transaction", "/api/Contact/Batch", "/v3/activities/contacts_json_import")
ADDS = "/v3/activities/add_list_memberships"
# Opt-outs are read within the gate's window before anybody is added to a list (design section 4), and the turn itself.
GATE = 900.0 + 60.0


@dataclass(slots=True)
class _Lane:
    """What is known while calls are looked at: answers to reads of one record, the step under way, the ledger."""

    past: Past
    asked: dict[str, Fact] = field(default_factory=dict)
    read: dict[tuple[str, str], str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    out: dict[tuple[str, str], bool] = field(default_factory=dict)
    premise: int = 0


def one_lane(story: Story) -> Found:
    """I8: only consent's own lane writes consent: every other call carries the consent value just read; `sign_up_form`
    is never called; nobody is imported or put on a list while suppressed, which is: while the ledger has an opt-out, or
    an opt-out at Constant Contact is older than the gate's window.

    The premise: calls that carry somebody's consent, or widen what somebody receives.
    """
    lane, found = _Lane(story.once(Past)), list[Violation]()
    for fact, table, _verb, row in in_order(story, ("OUT", "RSP"), ("job", "act")):
        if table == "job":
            lane.kinds[row["customer_id"]] = row["kind"] if row["state"] == "sent" else ""
        elif table == "act":
            lane.out[row["customer_id"], row["record_id"]] = row["direction"] == "out"
        elif fact.kind == "OUT":
            lane.asked[fact.key] = fact
            why = _misspoken(lane, fact) if fact.data["write"] else ""
            if why:
                found.append(Violation("I8", fact.n, f"{fact.data['method']} {fact.data['path']}: {why}"))
        elif fact.data["status"] == 200:
            asked = lane.asked[fact.key].data
            if asked["path"].startswith((CONTACTS, METHODS)) and asked["method"] in ("GET", "PUT"):
                lane.read[fact.customer, asked["path"]] = fact.data["body"]
    return found, lane.premise


def _misspoken(lane: _Lane, fact: Fact) -> str:
    """What is wrong with the consent that a call carries; empty for nothing."""
    method, path = fact.data["method"], fact.data["path"]
    if path.endswith("/sign_up_form"):
        return "the form is a person's own"
    if method == "PUT" and path.startswith((CONTACTS, METHODS)):
        lane.premise += 1
        return _changed(lane, fact, _object(fact.data["body"]))
    if method == "POST" and path in (*IMPORTS, ADDS, "/api/Contact", METHODS):
        lane.premise += 1
        return _widened(lane, fact, _object(fact.data["body"]))
    return ""


def _changed(lane: _Lane, fact: Fact, body: Mapping[str, Any]) -> str:
    """Of a call that replaces one record."""
    vendor = fact.data["vendor"]
    said = _consent(vendor, body)
    if said is None:
        return "it says nothing of consent, and what is left out is lost"
    was = _consent(vendor, _object(lane.read.get((fact.customer, fact.data["path"]), "")))
    closes = said in (OUT, False) and lane.kinds.get(fact.customer) in CLOSING[vendor]
    if closes and vendor == CONSTANT_CONTACT and lane.kinds[fact.customer] != "opt_out":
        return "" if _raced(lane, fact) else "a write of fields opts out"
    opens = vendor == VIRTUOUS and said is True and lane.kinds.get(fact.customer) == "set_consent"
    return "" if said == was or closes or opens else f"consent was read as {was!r} and is written as {said!r}"


def _consent(vendor: str, body: Mapping[str, Any]) -> Any:
    if vendor == VIRTUOUS:
        return body.get("isOptedIn")
    email = body.get("email_address")
    return email.get("permission_to_send") if isinstance(email, dict) else "" if body else None


def _raced(lane: _Lane, fact: Fact) -> bool:
    """Whether the person has opted out by an own act, that a write of ours may have fallen upon."""
    record = f"contact:{fact.data['path'].removeprefix(CONTACTS)}"
    changes = lane.past.changes.get((fact.customer, record), {}).get(PERMISSION, ())
    return any(one.n < fact.n and one.data["after"] == OUT and one.data["actor"] not in OURS for one in changes)


def _widened(lane: _Lane, fact: Fact, body: Mapping[str, Any]) -> str:
    """Of a call by which somebody is imported, created, opened or put on a list."""
    path = fact.data["path"]
    if path == ADDS:
        people = [str(one) for one in (body.get("source") or {}).get("contact_ids", ())]
        out = [one for one in people if _out_since(lane.past, fact, one)]
    elif path == METHODS:
        opened = [body] if body.get("isOptedIn") and is_email(body) else []
        out = [str(one["value"]) for one in opened if _is_held_out(lane, fact, address(one["value"]))]
    elif path == "/api/Contact":
        opened = [one for person in body.get("contactIndividuals", ()) for one in person.get("contactMethods") or ()]
        out = [str(body.get("referenceId"))] if any(one.get("isOptedIn") and is_email(one) for one in opened) else []
        out = [one for one in out if lane.out.get((fact.customer, one))]
    else:
        rows = [body, *body.get("contacts", ()), *body.get("import_data", ())]
        out = [str(row["referenceId"]) for row in rows if lane.out.get((fact.customer, str(row.get("referenceId"))))]
        out += [str(row["email"]) for row in rows[1:] if _is_import(path) and _is_held_out(lane, fact, _email(row))]
    return f"{len(out)} of those it widens are suppressed: {out[0]}" if out else ""


def _is_import(path: str) -> bool:
    return path == IMPORTS[-1]


def _email(row: Mapping[str, Any]) -> str:
    return address(row.get("email"))


def _is_held_out(lane: _Lane, fact: Fact, wanted: str) -> bool:
    """Whether somebody who has this address is out by the ledger."""
    people = [person for (customer, person), out in lane.out.items() if out and customer == fact.customer]
    return any(lane.past.address(fact.customer, person, fact.n) == wanted for person in people)


def _out_since(past: Past, fact: Fact, person: str) -> bool:
    """Whether a contact of Constant Contact has been out for longer than the gate's window."""
    record = f"contact:{person}"
    if past.value(fact.customer, record, PERMISSION, fact.n) in IN and not past.value(
        fact.customer, record, DELETED, fact.n
    ):
        return False
    changes = past.changes.get((fact.customer, record), {})
    known = [one.t for name in (PERMISSION, DELETED) for one in changes.get(name, ()) if one.n < fact.n]
    return fact.t - max(known, default=float("-inf")) > GATE


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- I9 --------------------------------------------------------------------------------------------------------------


def follows_the_address(story: Story) -> Found:
    """I9: suppression follows the address through case, IDN and spaces, A->B->A, deletion and return, merges in
    Virtuous and shared addresses. The opt-outs of the whole story are replayed; at the end no method of Virtuous that
    carries the address of one that nobody lifted is open, whoever's it is, nor any at the address that the person has
    by then.

    Not judged: an address that somebody else has by now, whose row the vendor's import still holds. The premise: those
    to whose address or record something happened, or which is spelled in two ways or carried by several methods.
    """
    past, end = story.once(Past), len(story.facts)
    waiting = {(fact.customer, one) for fact in story.of("JUDGED") for one in fact.data["waiting"]}
    returned = {(fact.customer, fact.key): fact.n for fact in story.of("ACT") if fact.data["what"] == "person_opts_in"}
    methods = {customer: list(past.methods(customer, end)) for customer in story.final.crm}
    found: list[Violation] = []
    premise = 0
    for out in opt_outs(story, past):
        if out.road == "crm" or returned.get((out.customer, out.record), -1) > out.fact.n:
            continue
        if (out.customer, out.record) in waiting:
            continue
        closed = _suppressed(past, out, end)
        mine = [one for one in methods.get(out.customer, ()) if one.address in closed]
        premise += _is_moved(past, out, [one.record for one in mine], end)
        found += [Violation("I9", out.fact.n, f"{out.record}: {one.record} is open") for one in mine if one.opted_in]
    return found, premise


def _suppressed(past: Past, out: OptOut, end: int) -> set[str]:
    """The addresses that an opt-out closes at the end: the one it was said at, unless another person has it by now, and
    the one the person has; a bounce is of its own address only."""
    then, now = past.address(out.customer, out.record, out.fact.n), past.address(out.customer, out.record, end)
    others = {past.address(out.customer, one, end) for one in past.people(out.customer) if one != out.record}
    if out.road == "reports":
        return {then} - {""} if then == now else set()
    return {then, now} - others - {""}


def _is_moved(past: Past, out: OptOut, methods: list[str], end: int) -> bool:
    """Whether this opt-out had anything to follow: it is spelled in two ways, moved, came back, or is carried twice."""
    changes = past.changes.get((out.customer, f"contact:{out.record}"), {})
    own = any(one.n > out.fact.n for name in (ADDRESS, DELETED) for one in changes.get(name, ()))
    theirs = any(
        one.n > out.fact.n
        for record in methods
        for name in ("value", "contactIndividualId")
        for one in past.changes.get((out.customer, record), {}).get(name, ())
    )
    raw = {past.value(out.customer, record, "value", end) for record in methods}
    spelled = raw - {past.value(out.customer, f"contact:{out.record}", ADDRESS, end)}
    return bool(methods) and (own or theirs or bool(spelled) or len(methods) > 1)
