"""Records of both sides as the model sees them, with everything a test does not speak of filled in."""

from dataclasses import replace
from typing import Any

from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Individual, Method, Phone
from keepstep.model.customer import Policy
from keepstep.model.decide import Decision, Setting, decide
from keepstep.model.party import Label, Party, Person, Readings

SOURCE = "Constant Contact"
NEWS = Label(list_id="L1", list_name="News", tag_name="CC: News", tag_id="71")
GIFTS = Label(list_id="L2", list_name="Gifts", tag_name="CC: Gifts", tag_id="72")
SETTING = Setting(policy=Policy(), labels=(NEWS, GIFTS), now=1000.0)
HOME = Address(street="1 Elm St", city="Salem", state="MA", postal="01970", country="US", record_id="801")


def subscriber(record_id: str = "a", **changed: Any) -> AudienceContact:
    """Ann (a) or Bob (b) at the audience side, opted in by own act, on no list."""
    name = {"a": "Ann", "b": "Bob"}.get(record_id, "Cay")
    contact = AudienceContact(
        record_id=record_id,
        read_at=100.0,
        email=f"{name.lower()}@example.org",
        consent=Consent.opted_in,
        first_name=name,
        last_name="Lee",
        phones=(Phone("mobile", f"(617) 253-100{ord(record_id[0]) % 10}"),),
        lists=(),
        opt_in_source="Contact",
        opt_in_at=10.0,
    )
    return replace(contact, **changed)


def mail(record_id: str, value: str, opted_in: bool | None = True) -> Method:
    return Method(record_id=record_id, kind="email", type="Home Email", value=value, opted_in=opted_in, primary=True)


def number(record_id: str, value: str) -> Method:
    return Method(record_id=record_id, kind="phone", type="Mobile Phone", value=value, primary=True)


def individual(record_id: str = "a", opted_in: bool | None = True, **changed: Any) -> Individual:
    """Ann or Bob in the CRM, as the audience side has them."""
    here = subscriber(record_id)
    person = Individual(
        record_id=f"i{record_id}",
        first_name=here.first_name,
        last_name=here.last_name,
        primary=record_id == "a",
        methods=(
            mail(f"m{record_id}", here.email or "", opted_in),
            number(f"p{record_id}", here.phones[0].raw),
        ),
    )
    return replace(person, **changed)


def household(*people: Individual, **changed: Any) -> CrmContact:
    """One CRM contact with these people, carrying our reference for each."""
    members = people or (individual("a"),)
    references = tuple((SOURCE, one.record_id.removeprefix("i")) for one in members)
    contact = CrmContact(record_id="900", read_at=100.0, individuals=members, references=references)
    return replace(contact, **changed)


def readings(crm: CrmContact | None, *contacts: AudienceContact, **changed: Any) -> Readings:
    return replace(Readings(crm=crm, audience={one.record_id: one for one in contacts}), **changed)


def party(*record_ids: str, crm_id: str | None = "900") -> Party:
    """Nothing known yet but who belongs to it."""
    return Party(party_id="P", crm_id=crm_id, people=tuple(Person(record_id=one) for one in record_ids or ("a",)))


def paired(crm: CrmContact, *contacts: AudienceContact, setting: Setting = SETTING) -> Party:
    """The party after both sides were compared for the first time, whatever that asks for being done."""
    return decide(party(*(one.record_id for one in contacts)), readings(crm, *contacts), setting).party


def decided(known: Party, crm: CrmContact | None, *contacts: AudienceContact, setting: Setting = SETTING) -> Decision:
    return decide(known, readings(crm, *contacts), setting)


def kinds(decision: Decision) -> list[str]:
    return [step.kind for step in decision.steps]


def person(known: Party, record_id: str = "a") -> Person:
    found = known.person(record_id)
    assert found is not None
    return found
