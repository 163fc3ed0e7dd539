"""What a finished step makes us know.

A field becomes seen from the write's own answer (design section 4, seen, not sent).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from keepstep.model import enrol
from keepstep.model.canonical import ADDRESS_PARTS, fingerprint
from keepstep.model.change import Step
from keepstep.model.contact import Consent, Side
from keepstep.model.instant import Instant
from keepstep.model.party import Party, Person, Submission, sent_fields, with_lists, with_tag
from keepstep.model.restore import ended, undone
from keepstep.model.toward import plain

Answer = Mapping[str, Any]


def submitted(party: Party, step: Step, state: Any, now: Instant) -> Party:
    """A creation is under way: nothing else creates this person until it is resolved."""
    person = party.person(step.member or "")
    if person is None:
        return party
    since = person.submission.since if person.submission else now
    return party.with_person(replace(person, submission=Submission(state=state, since=since, sent=dict(step.payload))))


def withdrawn(party: Party, step: Step) -> Party:
    """A creation that certainly did not happen."""
    person = party.person(step.member or "")
    return party.with_person(replace(person, submission=None)) if person else party


def refused(party: Party, step: Step) -> Party:
    """The vendor will never take this step; it is not asked for again in the same words."""
    if step.kind == enrol.KIND:
        return enrol.settled(party, step, None, "refused_by_vendor")
    person = party.person(step.member or "")
    if person is None:
        return party
    if "undo" in step.payload:
        party = ended(party, step.payload["undo"]["rows"])
    pairs = (*(pair for pair in person.refused if pair[0] != step.target), (step.target, fingerprint(step.payload)))
    return party.with_person(replace(person, refused=pairs, submission=None))


def settle(party: Party, step: Step, answer: Answer) -> Party:
    """The party after a step that took effect. The written record must be read again before the next decision."""
    if step.kind == enrol.KIND:
        return enrol.settled(party, step, answer.get("record_id"), answer.get("left_out"))
    person = party.person(step.member or "")
    if person is None:
        return party
    party = party.with_person(replace(person, refused=tuple(p for p in person.refused if p[0] != step.target)))
    person = party.person(person.record_id) or person
    party = undone(party, person, step, answer) if "undo" in step.payload else _by_rule(party, person, step, answer)
    return outdated(_raced(party, person.record_id, answer), step.side, person.record_id)


def _by_rule(party: Party, person: Person, step: Step, answer: Answer) -> Party:
    return _RULES[step.kind](party, person, step.payload, answer)


def _raced(party: Party, record_id: str, answer: Answer) -> Party:
    """An opt-out that our write fell upon is the person's own, whatever the record says now."""
    raced, person = answer.get("raced"), party.person(record_id)
    if not raced or person is None:
        return party
    out = Consent.opted_out if raced.get("written") else person.consent
    return party.with_person(replace(person, raced=float(raced["at"]), consent=out))


def found_so(party: Party, step: Step, answer: Answer = MappingProxyType({})) -> Party:
    """The party after a step that found nothing to do. Whoever had closed the method already may mean more by it than
    we do: it counts as unseen, and the next reading makes it an act."""
    if step.kind == "set_consent" and not step.payload["opted_in"]:
        return outdated(party, step.side, step.member or "")
    return settle(party, step, answer)


def outdated(party: Party, side: Side, record_id: str) -> Party:
    """The stored reading of a record is older than a change we made or were told of."""
    if side is Side.crm:
        return replace(party, reread=True)
    person = party.person(record_id)
    return party.with_person(replace(person, reread=True)) if person else party


def _created(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
    """Made without tags, by us, and opted out but where the step said otherwise. An answer that names no individual
    leaves it to the next reading."""
    if not (answer.get("contact") and answer.get("individual")):
        return _found(party, person, payload, answer)
    base = sent_fields(payload)
    person = replace(
        person,
        individual=answer["individual"],
        email_method=answer.get("email_method"),
        phone_method=answer.get("phone_method"),
        audience=base,
        crm=base,
        lists=(),
        opted_in=payload.get("opted_in") is True,
        submission=None,
    )
    return replace(party.with_person(person), crm_id=str(answer["contact"]))


def _found(party: Party, _person: Person, _payload: Answer, answer: Answer) -> Party:
    """A look-up found the contact that our import made; the next reading confirms it."""
    return replace(party, crm_id=str(answer["contact"])) if answer.get("contact") else party


def _linked(party: Party, _person: Person, payload: Answer, _answer: Answer) -> Party:
    """The reference is written; the next reading confirms reference and address together."""
    return replace(party, crm_id=str(payload["contact"]))


def _as_read(party: Party, _person: Person, _payload: Answer, _answer: Answer) -> Party:
    """Our reference is off; the next reading says so."""
    return party


def _values(*names: str) -> Callable[[Party, Person, Answer, Answer], Party]:
    def rule(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
        sent = {name: payload.get(name) for name in names if payload.get(name) is not None}
        there = {name: answer.get(name, value) for name, value in sent.items()}
        return party.with_person(_seen(person, sent, there))

    return rule


def _value(field: str) -> Callable[[Party, Person, Answer, Answer], Party]:
    def rule(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
        person = _seen(person, {field: payload["value"]}, {field: answer.get("value", payload["value"])})
        if field == "phone" and answer.get("method"):
            person = replace(person, phone_method=str(answer["method"]))
        return party.with_person(person)

    return rule


def _swapped(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
    """The method has another id, and says of consent what the one before it said. That is no news of anybody's."""
    there = {"email": answer.get("value", payload["value"])}
    person = _seen(person, {"email": payload["value"]}, there)
    method = answer.get("method")
    return party.with_person(replace(person, email_method=str(method) if method else None))


def _address(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
    person = _filled(person, {"address": payload.get("was")})
    parts = {name: payload.get(name) for name in ADDRESS_PARTS}
    there = {name: answer.get(name, value) for name, value in parts.items()}
    return party.with_person(_seen(person, {"address": parts}, {"address": there}))


def _custom(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
    """What the CRM says it has now, each under the name of its field there."""
    person = _filled(person, {f"custom:{name}": value for name, value in payload["was"].items()})
    here = {f"custom:{name}": value for name, value in payload["values"].items()}
    there = {f"custom:{name}": value for name, value in (answer.get("values") or {}).items()}
    return party.with_person(_seen(person, here, {**here, **there}))


def _filled(person: Person, was: Mapping[str, Any]) -> Person:
    """Which of these household fields this person has filled: those that were empty."""
    others = [field for field in person.filled if field not in was]
    return replace(person, filled=tuple(sorted([*others, *(field for field, value in was.items() if not value)])))


def _seen(person: Person, here: Mapping[str, Any], there: Mapping[str, Any]) -> Person:
    return replace(person, audience={**(person.audience or {}), **here}, crm={**(person.crm or {}), **there})


def _consent(party: Party, _person: Person, payload: Answer, _answer: Answer) -> Party:
    """Seen for whoever the method stands for: an opt-out follows the address, and our own write is nobody's act."""
    for one in party.people:
        if one.email_method == payload["method"]:
            party = party.with_person(replace(one, opted_in=bool(payload["opted_in"])))
    return party


def _tagged(added: bool) -> Callable[[Party, Person, Answer, Answer], Party]:
    def rule(party: Party, person: Person, payload: Answer, _answer: Answer) -> Party:
        list_id = payload["list_id"]
        return with_tag(party, list_id, added).with_person(with_lists(person, [list_id], added))

    return rule


def _membership(added: bool) -> Callable[[Party, Person, Answer, Answer], Party]:
    def rule(party: Party, person: Person, payload: Answer, _answer: Answer) -> Party:
        person = with_lists(person, payload["list_ids"], added)
        ours = tuple(sorted({*person.added, *payload["list_ids"]})) if added else person.added
        return party.with_person(replace(person, added=ours))

    return rule


def _noted(party: Party, person: Person, payload: Answer, _answer: Answer) -> Party:
    return party.with_person(replace(person, noted=(*person.noted, str(payload["act"]))))


def _fields_set(party: Party, person: Person, payload: Answer, answer: Answer) -> Party:
    """Seen on both sides."""
    sent = {field: plain(field, value) for field, value in payload["values"].items()}
    return party.with_person(_seen(person, {**sent, **(answer.get("values") or {})}, sent))


def _opted_out(party: Party, person: Person, _payload: Answer, _answer: Answer) -> Party:
    return party.with_person(replace(person, consent=Consent.opted_out))


_RULES: dict[str, Callable[[Party, Person, Answer, Answer], Party]] = {
    "submit": _found,
    "create": _created,
    "link": _linked,
    "unlink": _as_read,
    "set_person": _values("first_name", "last_name"),
    "set_email": _value("email"),
    "set_phone": _value("phone"),
    "swap_email": _swapped,
    "set_address": _address,
    "set_custom": _custom,
    "set_consent": _consent,
    "add_tag": _tagged(added=True),
    "remove_tag": _tagged(added=False),
    "note": _noted,
    "opt_out": _opted_out,
    "set_fields": _fields_set,
    "join": _membership(added=True),
    "leave": _membership(added=False),
    "tag_on": _membership(added=True),
    "tag_off": _membership(added=False),
}
