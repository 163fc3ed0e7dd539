"""How like a person is an individual of the CRM? Evidence as words, so that it can be kept and shown without anybody's
values, and a score that puts candidates in order and links nobody.

| word | meaning |
|---|---|
| reference | the contact carries our reference |
| address_exact, address_canonical | an email method has the address: as written, or but for case and the like |
| address_sent | an email method has the address that the creation said, and not the present one |
| mobile | the same mobile number, and nobody else of the contact has it |
| phone | another number, or one that they share |
| postal | the same postal address |

and one word for the name: see names.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from keepstep.model.canonical import ADDRESS_PARTS, canonical, email, phone, text
from keepstep.model.contact import Address, AudienceContact, CrmContact, Individual
from keepstep.model.names import Name, agreement

POINTS = {
    "reference": 40,
    "address_exact": 30,
    "address_canonical": 28,
    "address_sent": 20,
    "name_equal": 20,
    "name_fits": 16,
    "name_initial": 8,
    "name_nickname": 8,
    "name_swapped": 8,
    "name_part": 8,
    "name_missing": 4,
    "mobile": 8,
    "phone": 4,
    "postal": 4,
    "generation_differs": -16,
    "name_differs": -20,
    "placeholder": -20,
}
ADDRESS = ("address_exact", "address_canonical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """One individual as a candidate: ids, evidence, its score, and why it is not taken for the person; no values."""

    contact: str
    individual: str
    evidence: tuple[str, ...]
    score: int
    why_not: tuple[str, ...] = ()


def evidence(
    contact: AudienceContact,
    crm: CrmContact,
    one: Individual,
    source: str,
    region: str = "US",
    sent: Iterable[str | None] = (),
) -> tuple[str, ...]:
    """Everything that speaks for this individual or against it. `sent`: addresses that a creation named."""
    found = [
        "reference" if (source, contact.record_id) in crm.references else "",
        _of_address(contact, one, sent),
        named(contact, one),
        of_phone(contact, crm, one, region),
        "postal" if _has_place(contact, crm) else "",
    ]
    return tuple(word for word in found if word)


def score(words: Iterable[str]) -> int:
    """From 0 to 100: for the order in which candidates are shown, and for nothing else."""
    return max(0, min(100, sum(POINTS[word] for word in words)))


def named(contact: AudienceContact, one: Individual) -> str:
    """How far the names agree: a word of names.py."""
    there = Name(one.first_name, one.last_name, one.suffix)
    return agreement(Name(contact.first_name, contact.last_name), there)


def addresses(one: Individual) -> set[str]:
    """The canonical addresses of an individual."""
    return {email(method.value) for method in one.methods if method.kind == "email"}


def _of_address(contact: AudienceContact, one: Individual, sent: Iterable[str | None]) -> str:
    written = [text(method.value) for method in one.methods if method.kind == "email"]
    if contact.email and email(contact.email) in addresses(one):
        return "address_exact" if text(contact.email) in written else "address_canonical"
    return "address_sent" if {email(value) for value in sent if value} & addresses(one) else ""


def of_phone(contact: AudienceContact, crm: CrmContact, one: Individual, region: str) -> str:
    """mobile, phone, or nothing."""
    mine = {phone(given.raw, region): given.kind for given in contact.phones}
    shared = {number for other in crm.individuals if other is not one for number in _numbers(other, region)}
    same = [number for number in _numbers(one, region) if number in mine]
    if any(mine[number] == "mobile" and number not in shared for number in same):
        return "mobile"
    return "phone" if same else ""


def _numbers(one: Individual, region: str) -> list[str]:
    return [phone(method.value, region) for method in one.methods if method.kind == "phone"]


def _has_place(contact: AudienceContact, crm: CrmContact) -> bool:
    """The same street and postal code."""
    there = _place(crm.address)
    return any(here and there and (here[0], here[3]) == (there[0], there[3]) for here in map(_place, contact.addresses))


def _place(place: Address | None) -> tuple[str, ...]:
    found: tuple[str, ...] = canonical("address", {name: getattr(place, name, None) for name in ADDRESS_PARTS})
    return found
