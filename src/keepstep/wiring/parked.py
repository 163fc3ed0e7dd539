"""People who wait for a person's word: why, since when, what was compared, and the word itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model.answers import possible
from keepstep.model.change import Lane
from keepstep.model.contact import AudienceContact, CrmContact, Individual
from keepstep.model.errors import Refused
from keepstep.model.instant import format_instant
from keepstep.model.likeness import Likeness, evidence, score
from keepstep.model.match import ALIKE, why_not
from keepstep.model.party import Answer, Party, Person
from keepstep.state import journal, parties, readings
from keepstep.wiring import overwritten
from keepstep.wiring.between import between_turns, known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
SAY = "say who it is with `keepstep parked answer`"
NEXT: Mapping[str, str] = {
    "name_differs": f"{SAY}, or make the names agree on one side",
    "several_matches": f"{SAY}, or merge the duplicates in the CRM",
    "several_people": f"{SAY}, or take the address off all but one",
    "several_references": f"{SAY}, or take our reference off all but one",
    "reference_without_address": "separate the two in the CRM, or put the address on the right individual",
    "reference_gone": "put our reference back on the contact, or leave the person alone",
    "address_held": "wait for the other person; if it stays, two contacts share an address",
    "individual_held": "two people of one address: give one of them another address, or leave one alone",
    "not_in_household": "add the person to the household in the CRM, or leave them alone",
    "other_household": "members of one party are in two households: merge or separate them in the CRM",
    "individual_moved": "wait; if it stays for an hour, take our reference off the contact that the person left",
    "individual_gone": "put the individual back in the CRM, or take our reference off",
    "address_gone": "put the address back on the individual in the CRM",
    "email_edited_in_crm": "change the address at the audience side, which owns it, or change it back in the CRM",
    "consent_unknown": "ask whether the person wants mail, then `keepstep parked answer`: stays or lifted",
    "crm_opt_out_stands": "find out whether the person wants mail; if yes, staff opt them in in the CRM",
    "back_without_own_act": "the person must re-subscribe by an own act, or be opted out at the audience side",
    "bounce_lapsed": "the person must re-subscribe by an own act",
    "address_opted_out": "somebody else of the household is out at that address: give one of them another address",
    "refused_by_vendor": "see `keepstep dead-letters list`",
    "discarded": "somebody said that this change must not go out; make the two sides agree, or leave it so",
    "deceased": f"{SAY}: somebody who is alive may have taken the address over; or correct the record",
    "survivor_unknown": f"{SAY}, or put the address on the contact that the merge left",
}
READ_AGAIN = "put right what the reason names; the next reading decides anew"
ANOTHER = "it has another name"
ONLY_ALIKE = "its name is only alike, and no mobile number of its own says the same"
WHY_NOT: Mapping[str, str] = {
    "no_address": "it does not have the address",
    **dict.fromkeys(ALIKE, ONLY_ALIKE),
    "name_differs": ANOTHER,
    "generation_differs": "Jr or Sr differs: perhaps a parent or a child",
    "placeholder": "it stands for nobody",
    "archived": "the contact is archived",
    "merged": "the contact was merged",
    "deceased": "the person died",
}
# What a person's word outweighs.
BY_A_WORD = (*ALIKE, "name_differs", "generation_differs", "placeholder", "deceased")
WOULD: Mapping[str, str] = {
    "same": "our reference is written on that contact, and the person is linked to the individual",
    "nobody": "the person is created in the CRM directly, beside those who have the address",
    "leave": "nothing is written for the person, until the answer is taken back",
    "stays": "the person is opted out at the audience side too",
    "lifted": "the CRM's no becomes a yes, unless somebody is out at that address",
    "ask": "the answer is taken back, and the question is open again",
}


async def listed(service: "Service", customer_id: str) -> list[Row]:
    """One row a parked person; no personal data."""
    return await service.db.run(_listed, await service.desk(customer_id))


def _listed(tx: Tx, desk: "Desk") -> list[Row]:
    known_customer(tx, desk.customer_id)
    waiting = [one for one in parties.standings(tx, desk.customer_id, "parked") if one.platform == desk.route.audience]
    found = readings.load(tx, desk.customer_id, sorted({one.party_id for one in waiting}))
    rows = []
    for one in sorted(waiting, key=lambda row: (row.since, row.record_id)):
        person = found[one.party_id].person(one.record_id) if one.party_id in found else None
        reason = one.reason or ""
        row = {"record": one.record_id, "reason": reason, "since": format_instant(one.since)}
        rows.append(row | {"answers": _answers(person), "next": NEXT.get(reason, READ_AGAIN)})
    return rows


def _answers(person: Person | None) -> list[str]:
    return list(possible(person)) if person else []


@dataclass(frozen=True, slots=True)
class Doubt:
    """A person, what the audience side says of them, and every CRM contact that could be meant."""

    party: Party
    person: Person
    contact: AudienceContact | None
    crm: CrmContact | None
    since: float


async def shown(service: "Service", customer_id: str, record: str) -> Row:
    """One person with the evidence, which holds personal data. The CRM is asked who else has address or reference."""
    desk = await service.desk(customer_id)
    doubt = await service.db.run(_doubt, desk, record)
    found = await _candidates(desk, doubt)
    held = await service.db.run(_held, desk, found)
    person, contact = doubt.person, doubt.contact
    here = {name: getattr(contact, name) for name in ("first_name", "last_name", "email")} if contact else {}
    said = person.answer
    return {
        "record": record,
        "standing": person.standing,
        "reason": person.reason,
        "since": format_instant(doubt.since),
        "here": here | ({"consent": str(contact.consent)} if contact else {}),
        "alternatives": _alternatives(desk, doubt, found, held),
        "answer": {"kind": said.kind, "at": format_instant(said.at), "by": said.by} if said else None,
        "answers": _answers(person),
        "overwritten": overwritten.of_person(await overwritten.listed(service, customer_id, record)),
        "would": {kind: WOULD[kind] for kind in _answers(person)},
        "next": NEXT.get(person.reason, READ_AGAIN) if person.standing == "parked" else None,
    }


def _doubt(tx: Tx, desk: "Desk", record: str) -> Doubt:
    known_customer(tx, desk.customer_id)
    alias = next(iter(parties.aliases(tx, desk.customer_id, desk.route.audience, [record])), None)
    party = readings.load(tx, desk.customer_id, [alias.party_id]).get(alias.party_id) if alias is not None else None
    person = party.person(record) if party else None
    if alias is None or party is None or person is None:
        listing = f"`keepstep parked list --customer {desk.customer_id}`"
        raise Refused(404, f"no person with the record {record}; {listing} shows who is parked")
    here = readings.audience_of(tx, desk.shelf, [party]).get(record)
    there = readings.crm_of(tx, desk.shelf, [party]).get(party.crm_id or "")
    contact = desk.audience.snapshot(here[0], here[1]) if here else None
    crm = desk.crm.snapshot(there[0], there[1]) if there else None
    return Doubt(party, person, contact, crm, alias.since)


async def _candidates(desk: "Desk", doubt: Doubt) -> list[CrmContact]:
    """Whoever has the address or our reference, and the party's own contact; each once."""
    address = doubt.contact.email if doubt.contact else None
    raws = list(await desk.crm.find([address])) if address else []
    if doubt.person.individual is None and (carrier := await desk.crm.by_reference(doubt.person.record_id)):
        raws.append(carrier)
    found = {record_id: desk.crm.snapshot(raw, desk.clock.now()) for record_id, raw in raws}
    if doubt.crm:
        found.setdefault(doubt.crm.record_id, doubt.crm)
    return [found[record_id] for record_id in sorted(found)]


def _held(tx: Tx, desk: "Desk", found: Sequence[CrmContact]) -> dict[str, str]:
    """Individuals that are linked to a person of ours."""
    homes = parties.party_of(tx, desk.customer_id, desk.route.crm, [crm.record_id for crm in found])
    known = readings.load(tx, desk.customer_id, sorted(set(homes.values()))).values()
    return {one.individual: one.record_id for party in known for one in party.people if one.individual}


def _alternatives(desk: "Desk", doubt: Doubt, found: Sequence[CrmContact], held: Mapping[str, str]) -> list[Row]:
    """Every individual of every contact that could be meant, the likeliest first."""
    rows = [_alternative(desk, doubt, crm, one, held) for crm in found for one in crm.individuals]
    return sorted(rows, key=lambda row: (-row["score"], row["contact"], row["individual"]))


def _alternative(desk: "Desk", doubt: Doubt, crm: CrmContact, one: Individual, held: Mapping[str, str]) -> Row:
    likeness = _likeness(desk, doubt, crm, one)
    words, other = likeness.evidence, held.get(one.record_id)
    reasons = [WHY_NOT[word] for word in likeness.why_not]
    if other not in (None, doubt.person.record_id):
        reasons.append(f"another person of ours is linked to it ({other})")
    return {
        "contact": crm.record_id,
        "individual": one.record_id,
        "name": " ".join(part for part in (one.first_name, one.last_name, one.suffix) if part),
        "address": "no_address" not in likeness.why_not,
        "name_agrees": "name_equal" in words or "name_fits" in words,
        "reference": "reference" in words,
        "evidence": list(words),
        "score": likeness.score,
        "why_not": reasons,
    }


def _likeness(desk: "Desk", doubt: Doubt, crm: CrmContact, one: Individual) -> Likeness:
    policy, sent = desk.route.policy, doubt.person.submission.sent if doubt.person.submission else {}
    contact = doubt.contact or AudienceContact(record_id=doubt.person.record_id)
    words = evidence(contact, crm, one, policy.reference_source, policy.phone_region, [sent.get("email")])
    row = Likeness(contact=crm.record_id, individual=one.record_id, evidence=words, score=score(words))
    found = [word for word in why_not(row, crm, one) if word not in ALIKE or "mobile" not in words]
    return replace(row, why_not=tuple(found))


# --- the word --------------------------------------------------------------------------------------------------------


async def answered(
    service: "Service", customer_id: str, record: str, kind: str, by: str, individual: str | None = None
) -> Row:
    """Store what a person said: {"record", "answer", "changed"}; `ask` takes an answer back. Raises Refused for what
    does not settle this person's question."""
    desk = await service.desk(customer_id)
    doubt = await service.db.run(_doubt, desk, record)
    individuals: tuple[str, ...] = ()
    if kind in ("same", "nobody"):
        found = await _candidates(desk, doubt)
        held = await service.db.run(_held, desk, found)
        rows = _alternatives(desk, doubt, found, held)
        individuals = _others(rows) if kind == "nobody" else (_meant(rows, individual),)
    return await between_turns(service, customer_id, _answered, desk, record, kind, by, individuals)


def _others(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(sorted(row["individual"] for row in rows if row["address"]))


def _meant(rows: Sequence[Row], individual: str | None) -> str:
    """The individual that was named, or the only one there is. Its name may differ: that is what was asked."""
    outweighed = {WHY_NOT[word] for word in BY_A_WORD}
    able = [row for row in rows if row["address"] and outweighed.issuperset(row["why_not"])]
    if individual is None and len(able) == 1:
        return str(able[0]["individual"])
    if individual is None:
        raise Refused(400, "name the individual: `keepstep parked show` lists them")
    named = [row for row in rows if row["individual"] == individual]
    if not named:
        raise Refused(400, f"individual {individual} has neither the address nor our reference")
    if named[0] not in able:
        raise Refused(400, f"individual {individual} cannot be meant: {', '.join(named[0]['why_not'])}")
    return individual


def _answered(tx: Tx, desk: "Desk", record: str, kind: Any, by: str, individuals: tuple[str, ...]) -> Row:
    doubt, now = _doubt(tx, desk, record), desk.clock.now()
    person, said = doubt.person, doubt.person.answer
    same = said is not None and (said.kind, said.individuals) == (kind, individuals)
    repeated = said is None if kind == "ask" else same
    if repeated:
        return {"record": record, "answer": kind, "changed": False}
    if kind not in possible(person):
        able = ", ".join(possible(person)) or "nothing; put right what the reason names"
        standing = f"{person.standing}, {person.reason}" if person.reason else str(person.standing)
        raise Refused(400, f"the person is {standing}; what may be said is {able}")
    answer = None if kind == "ask" else Answer(kind=kind, at=now, by=by, individuals=individuals)
    party = doubt.party.with_person(replace(person, answer=answer))
    readings.save(tx, desk.customer_id, [party])
    queue.put(tx, desk.customer_id, [(party.party_id, Lane.changes, now)], now)
    line = {"record": record, "answer": kind, "by": by, "individuals": list(individuals)}
    journal.append(tx, desk.customer_id, [(now, party.party_id, "answered", line)])
    return {"record": record, "answer": kind, "changed": True}
