"""Fields towards the audience side: off, unless the route names them (design section 4).

The mirror of fields.py: what changed in the CRM alone crosses, and of two changes the one of a field that the CRM owns.
Without a base only what is empty is filled. An empty value never travels, nor does what the other side cannot hold.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from keepstep.model.canonical import ADDRESS_PARTS, LIMITS, text
from keepstep.model.change import Step, a_step
from keepstep.model.contact import AudienceContact, Individual, Method, Side
from keepstep.model.customer import Policy
from keepstep.model.parts import in_parts
from keepstep.model.party import Fields, Person

FIELDS = ("first_name", "last_name", "phone", "address")
# A contact is replaced as a whole, so nobody may be at it: so long after its last visible change (design section 4).
QUIET = 600.0
STREET, PART = 255, 50  # characters of a street, and of any other part of an address (CC facts 3.2)
KINDS = ("mobile", "home", "work")


def told(field: str, value: Any, kind: str | None, here: Fields) -> Any:
    """A value of the CRM in the audience side's terms: a name, {kind, raw}, or {kind, parts}; None where it cannot be
    said. What is replaced keeps its kind; `kind` is the CRM's word for a new one."""
    if field == "phone":
        fits = len(text(value)) <= LIMITS["phone"]
        return {"kind": here["phone_kind"] or kind_of(kind), "raw": text(value)} if fits else None
    if field == "address":
        parts = {name: value.get(name) for name in ADDRESS_PARTS}
        fits = all(len(part or "") <= (STREET if name == "street" else PART) for name, part in parts.items())
        return {"kind": here["address_kind"] or kind or "home", **parts} if fits else None
    return text(value)[: LIMITS[field]]


def kind_of(word: str | None) -> str:
    """The kind of a phone by the CRM's own word for it, such as `Mobile Phone`."""
    return next((kind for kind in KINDS if kind in (word or "").casefold()), "other")


def plain(field: str, value: Any) -> Any:
    """A value of a payload in the form of a base: a text, or an address by its parts."""
    if field == "phone":
        return value["raw"]
    return {name: value.get(name) for name in ADDRESS_PARTS} if field == "address" else value


def new_phone(policy: Policy, individual: Individual, before: tuple[AudienceContact, Any]) -> Method | None:
    """Where neither side had a phone and phones are written back, the first one that staff enter stands for the
    person. `before`: the audience side now, and the CRM's number as last seen."""
    contact, seen = before
    if "phone" not in policy.fields_to_audience or contact.phones or seen:
        return None
    ours = [method for method in individual.methods if method.kind == "phone"]
    return next(iter(sorted(ours, key=lambda method: not method.primary)), None)


def set_fields(party_id: str, person: Person, goes: Sequence[str], values: Fields, was: Fields) -> list[Step]:
    """The one write of all fields of a person that go; none where none does."""

    def write(some: Sequence[str], target: str) -> Step:
        told, before = {field: values[field] for field in some}, {field: was[field] for field in some}
        payload = {"record_id": person.record_id, "values": told, "was": before}
        return a_step(party_id, person.record_id, "set_fields", payload, side=Side.audience, target=target)

    return in_parts(person, goes, write, f"set_fields:{person.record_id}")


def unknown(names: Iterable[str]) -> list[str]:
    """Names that are no field which may go."""
    return [name for name in names if name not in FIELDS]
