"""Drift: linked people whose two sides differ although nothing waits for them and nothing that we know says why.

Nobody's second opinion: what `decide` would write of a party that rests was never asked for, and what it leaves as it
is must have a reason: staff's own edit, a conflict that was told, a clear, a tag kept for somebody who is out.

A repair writes nothing. It takes away the base of what drifted, so that the next decision, on fresh readings, takes it
for seen first: the owner wins, a list and its tag unite, nothing is removed and nobody joins a list. Of consent,
repairs only ever narrow.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from keepstep.model.bound import in_play
from keepstep.model.change import Step
from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.decide import Decision, decide
from keepstep.model.fields import NAMES, Terms, mail_of
from keepstep.model.membership import STEPS, astray, forgotten, wants_of
from keepstep.model.party import Party, Person, Readings, Setting, individual_of, primary_first

# mark: look at the party again. forget: take the base away, and look again. none: a person must look.
Repair = Literal["mark", "forget", "none"]
# Parked for these reasons nothing of the person is written, and so everything may differ.
ASIDE = ("merged", "archived", "deceased", "address_gone", "individual_gone", "individual_moved", "refused_by_vendor")
WIDENING = tuple(on for on, _ in STEPS.values())
CREATING = ("submit", "create", "enrol")
VALUES = {"set_email": "email", "swap_email": "email", "set_phone": "phone", "set_address": "address"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that drifted. `what`: field:NAME, list:ID, consent or person; `why`: undecided (a decision would write
    it, and nobody asked), unexplained, open_in_crm, shut_in_crm, unattended or reading_old.

    widens: the repair may put somebody on a list, so that only a person may ask for it.
    """

    record_id: str
    what: str
    why: str
    repair: Repair
    widens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One party compared: its linked people, what drifted, and how many differences are explained."""

    linked: int
    findings: tuple[Finding, ...]
    explained: int = 0


def look(party: Party, readings: Readings, setting: Setting, told: Collection[tuple[str, str]] = ()) -> Looked:
    """Compare both sides of a party for which nothing waits: no mark, no step, no call. `told`: record id and field of
    conflicts that the journal knows."""
    linked = len(party.linked())
    if not party.people:
        return Looked(linked=0, findings=())
    if party.reread or any(one.reread for one in party.people):
        old = _finding(party.people[0].record_id, "person", "reading_old", "mark")
        return Looked(linked=linked, findings=(old,))
    decision = decide(party, readings, setting)
    seats = [seat for one in decision.party.linked() if (seat := _seat(decision.party, one, readings))]
    differ = [(seat.person, field) for seat in seats for field in _differing(seat, decision, setting)]
    lost = [one for one in differ if _unexplained(*one, told)]
    found = [
        *(one for step in decision.steps for one in _of_step(step)),
        *(
            _finding(record_id, "consent", "undecided", "mark")
            for record_id, act in decision.acts
            if act.direction == "out"
        ),
        *(_finding(person.record_id, f"field:{field}", "unexplained", "forget") for person, field in lost),
        *_astray(decision, readings, setting),
        *(one for seat in seats for one in _consent(seat)),
        *_unattended(decision),
    ]
    return Looked(linked=linked, findings=_each_once(found), explained=len(differ) - len(lost))


def repaired(party: Party, findings: Iterable[Finding]) -> Party:
    """The party without what these findings take away, both sides of it to be read again. The caller marks it."""
    for one in findings:
        kind, _, name = one.what.partition(":")
        person = party.person(one.record_id)
        if one.repair == "forget" and kind == "list":
            party = forgotten(party, name)
        elif one.repair == "forget" and person is not None:
            party = party.with_person(_without(person, name) if kind == "field" else _unheard(person, one.why))
    return replace(party, reread=True, people=tuple(replace(one, reread=True) for one in party.people))


# --- what decide would do --------------------------------------------------------------------------------------------


def _of_step(step: Step) -> list[Finding]:
    member = step.member or ""
    if step.kind in ("set_consent", "opt_out"):
        lifts = step.payload.get("opted_in") is True
        return [_finding(member, "consent", "undecided", "none" if lifts else "mark")]
    if step.kind in CREATING:
        return [replace(_finding(member, "person", "undecided", "mark"), widens=step.kind == "enrol")]
    if step.kind in WIDENING:
        lists = step.payload["list_ids"]
        return [replace(_finding(member, f"list:{one}", "undecided", "mark"), widens=True) for one in lists]
    if labels := _labels_of(step):
        return [_finding(member, f"list:{one}", "undecided", "forget") for one in labels]
    if fields := _fields_of(step):
        return [_finding(member, f"field:{field}", "undecided", "forget") for field in fields]
    return [_finding(member, "person", "undecided", "mark")]


def _labels_of(step: Step) -> list[str]:
    return list(step.payload.get("list_ids") or filter(None, [step.payload.get("list_id")]))


def _fields_of(step: Step) -> list[str]:
    if step.kind == "set_person":
        return [name for name in NAMES if step.payload[name] is not None]
    if step.kind in ("set_custom", "set_fields"):
        before = "custom:" if step.kind == "set_custom" else ""
        return [before + name for name in step.payload["values"]]
    return [VALUES[step.kind]] if step.kind in VALUES else []


# --- what decide leaves as it is -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seat:
    """A linked person, as decided, whom both sides speak of. `first`: who speaks for the household."""

    person: Person
    contact: AudienceContact
    opened: bool | None
    first: bool


def _seat(party: Party, person: Person, readings: Readings) -> Seat | None:
    """None where nothing of the person is written, or the CRM has nobody."""
    contact, one = readings.audience.get(person.record_id), individual_of(readings.crm, person)
    mail = mail_of(one, person, contact.email) if one and contact else None
    if contact is None or readings.crm is None or mail is None or _aside(person):
        return None
    first = [each.record_id for each in primary_first(party, readings.crm) if not each.deleted]
    return Seat(person, contact, mail.opted_in, first[:1] == [person.record_id])


def _aside(person: Person) -> bool:
    return person.standing == "parked" and person.reason in ASIDE


def _differing(seat: Seat, decision: Decision, setting: Setting) -> list[str]:
    """The fields that the decision leaves as they are, the audience side having one and the CRM another. A clear does
    not travel, what the CRM cannot take is withheld, and other members have no say of what is the household's."""
    contact, here, there = seat.contact, seat.person.audience or {}, seat.person.crm or {}
    if not contact.whole or contact.deleted or contact.consent is Consent.opted_out:
        return []
    terms = Terms(setting.policy, in_play(setting.bindings, setting.labels, setting.policy))
    written = [field for step in decision.steps if step.member == contact.record_id for field in _fields_of(step)]
    withheld = [field for field in terms.bound if f"noted:value_withheld:{field}" in here]
    mine = [one for one in terms.fields if seat.first or not terms.of_household(one)]
    asked = [one for one in mine if one not in (*written, *withheld) and not terms.empty(one, here.get(one))]
    return [one for one in asked if not terms.fits(one, here[one], there.get(one))]


def _unexplained(person: Person, field: str, told: Collection[tuple[str, str]]) -> bool:
    """It was told when it came to differ: somebody was seen to change it in the CRM, or both sides had changed it."""
    return field not in person.moved and (person.record_id, field) not in told


def _astray(decision: Decision, readings: Readings, setting: Setting) -> list[Finding]:
    parked = {one.record_id: one.reason for one in decision.party.people if one.standing == "parked"}
    found = astray(wants_of(decision.party, readings, setting.labels, setting.policy, parked))
    return [_finding(record_id, f"list:{list_id}", "unexplained", "none") for record_id, list_id in found]


def _consent(seat: Seat) -> list[Finding]:
    """Out on one side only, and no act says so. Of what one says the decision itself takes care, or a person."""
    person, contact = seat.person, seat.contact
    if person.acts or person.answer:
        return []
    out = contact.deleted or contact.consent is Consent.opted_out
    if out and seat.opened is True:
        return [_finding(person.record_id, "consent", "open_in_crm", "forget")]
    if contact.consent is Consent.opted_in and not out and seat.opened is False:
        return [_finding(person.record_id, "consent", "shut_in_crm", "forget")]
    return []


def _unattended(decision: Decision) -> list[Finding]:
    """Who is on the way, and nothing moves them."""
    people = decision.party.people
    lost = [one for one in people if one.standing == "pending" and one.submission is None]
    return [_finding(one.record_id, "person", "unattended", "mark") for one in lost if one.reason != "step_waiting"]


# --- repairs ---------------------------------------------------------------------------------------------------------


def _without(person: Person, field: str) -> Person:
    def rest(base: Mapping[str, object] | None) -> dict[str, object] | None:
        return None if base is None else {name: value for name, value in base.items() if name != field}

    return replace(person, audience=rest(person.audience), crm=rest(person.crm))


def _unheard(person: Person, why: str) -> Person:
    """What one side says of consent counts as not heard yet. An opt-out then becomes an act; a `false` becomes one of
    unknown origin, which opts nobody out and is asked about."""
    if why == "open_in_crm":
        return replace(person, consent=None, deleted=False)
    return replace(person, opted_in=None, true_at=None, imported=False)


# --- small words -----------------------------------------------------------------------------------------------------


def _finding(record_id: str, what: str, why: str, repair: Repair) -> Finding:
    return Finding(record_id=record_id, what=what, why=why, repair=repair)


def _each_once(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The first that is said of a thing."""
    kept: dict[tuple[str, str], Finding] = {}
    for one in found:
        kept.setdefault((one.record_id, one.what), one)
    return tuple(kept.values())
