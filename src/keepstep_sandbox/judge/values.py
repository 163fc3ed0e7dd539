"""Whether every value that should have crossed is there, and no edit of anybody was lost."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member, Raw, emails_of, staff_made
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act

Edits = list[tuple[float, Any]]  # moment and normalised value, oldest first
WRONG, LOST = "wrong_fields", "lost"


class Values:
    """The allowed values of every linked person, from the final Constant Contact state and the edits of staff."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._numbers = _shared_numbers(evidence)
        self._addresses = {one.address for one in evidence.members.values()}
        self._staff: dict[tuple[str, str], Edits] = {}
        self._audience: dict[tuple[str, str], Edits] = {}
        for act in evidence.acts_of(VIRTUOUS, "staff_renames", "staff_sets_phone", "staff_sets_address"):
            self._read_staff(act)
        for act in evidence.acts_of(CONSTANT_CONTACT, "add_person", "edit"):
            self._read_audience(act)

    def findings(self) -> Iterator[Finding]:
        """Every wrong value and lost edit of linked people who are neither opted out nor deleted."""
        for member in self._evidence.members.values():
            if member.linked and member.mailable:
                yield from self._names(member)
                yield from self._phone(member)
                yield from self._old_address(member)
        yield from self._custody()
        for contact_id, household in self._evidence.households.items():
            linked = [one for one in household if one.linked]
            out = [one for one in linked if not one.mailable]
            kept = {place for one in out for _t, place in self._audience.get((one.id, "address"), ())}
            yield from self._address(contact_id, [one for one in linked if one.mailable], kept)

    def _names(self, member: Member) -> Iterator[Finding]:
        assert member.individual is not None
        for source, target in fields.NAMES:
            wanted, have = fields.name(member.raw.get(source)), fields.name(member.individual.get(target))
            staff = self._staff_edits(member, source)
            yield from judged(member.id, source, wanted, have == wanted, have, staff, self._edits(member, source))

    def _phone(self, member: Member) -> Iterator[Finding]:
        """One number crosses; one that somebody else has too may stay behind."""
        assert member.individual is not None
        phones = member.raw.get("phone_numbers", ())
        crossing = fields.preferred(phones, fields.PHONE_ORDER)
        wanted = fields.phone(crossing["phone_number"]) if crossing else ""
        have = {fields.phone(one["value"]) for one in member.individual["contactMethods"] or () if fields.is_phone(one)}
        staff = self._staff_edits(member, "phone")
        there = wanted in have or self._numbers.get(wanted, 0) > 1
        last = staff[-1][1] if staff and staff[-1][1] in have else None
        yield from judged(member.id, "phone", wanted, there, last, staff, self._edits(member, "phone"))
        own = {fields.phone(one["phone_number"]) for one in phones}
        if wanted and have - own - {value for _t, value in staff}:
            yield Finding(WRONG, member.id, "phone: a number that nobody gave, or an old one")

    def _old_address(self, member: Member) -> Iterator[Finding]:
        """After a change of e-mail address the old one is gone from the household."""
        assert member.contact is not None
        old = {value for _t, value in self._evidence.addresses.get(member.id, ())} - {member.address}
        for individual in member.contact["contactIndividuals"]:
            for method in individual["contactMethods"] or ():
                if fields.is_email(method) and fields.email(method["value"]) in old - self._addresses:
                    yield Finding(WRONG, member.id, "email: the old address is still there")

    def _custody(self) -> Iterator[Finding]:
        """An address that went from one person to another one is only with the one who has it now."""
        members = [member for member in self._evidence.members.values() if member.address]
        times = Counter(member.address for member in members)
        for owner in members:
            address = owner.address
            if times[address] > 1 or address not in self._evidence.handed_over:
                continue
            for contact, _individual, method in self._evidence.methods():
                same = fields.is_email(method) and fields.email(method["value"]) == address
                if same and owner.linked and owner.contact is not None and contact["id"] != owner.contact["id"]:
                    yield Finding(WRONG, owner.id, "email: an address is still with whom it was before")

    def _address(self, contact_id: int, household: list[Member], kept: set[tuple[str, ...]]) -> Iterator[Finding]:
        """The primary address of a household is one that a member has or that staff gave. That of a member who is out
        by now may be what it was before (`kept`)."""
        if not household:
            return
        contact = household[0].contact
        assert contact is not None
        live = [one for one in contact["contactAddresses"] if one["isPrimary"] and not one.get("isArchived")]
        have = fields.crm_address(live[0]) if live else None
        wanted = [place for one in household for place in _addresses(one)]
        staff = self._staff.get((f"contact:{contact_id}", "address"), [])
        edits = self._edits(household[0], "address") if len(household) == 1 else []
        first = wanted[0] if wanted else ""
        yield from judged(household[0].id, "address", first, have in kept.union(wanted), have, staff, edits)

    # the edits

    def _staff_edits(self, member: Member, name: str) -> Edits:
        """Staff's values of a field of a person, those first that staff entered with the contact."""
        assert member.individual is not None and member.contact is not None
        made = [
            (float("-inf"), value)
            for contact_id, individual in staff_made(self._evidence)
            if contact_id == str(member.contact["id"]) and member.address in emails_of(individual)
            for value in _entered(individual, name)
        ]
        return made + self._staff.get((f"individual:{member.individual['id']}", name), [])

    def _edits(self, member: Member, name: str) -> Edits:
        """What was edited at Constant Contact after the contact was loaded."""
        return self._audience.get((member.id, name), [])[1:]

    def _read_staff(self, act: Act) -> None:
        if act.kind == "staff_sets_address":
            self._staff.setdefault((f"contact:{act.record}", "address"), []).append(
                (act.t, fields.crm_address(act.data))
            )
            return
        if act.kind == "staff_sets_phone":
            number = fields.phone(act.data["number"])
            self._staff.setdefault((f"individual:{act.record}", "phone"), []).append((act.t, number))
            return
        for name, _target in fields.NAMES:
            if act.data.get(name) is not None:
                key = (f"individual:{act.record}", name)
                self._staff.setdefault(key, []).append((act.t, fields.name(act.data[name])))

    def _read_audience(self, act: Act) -> None:
        """The first entry of every field is the value at loading."""
        for name, value in _loaded(act.data).items():
            edits = self._audience.setdefault((act.record, name), [])
            if act.kind == "add_person" or (name in _given(act.data) and (not edits or edits[-1][1] != value)):
                edits.append((act.t, value))


def _addresses(member: Member) -> list[tuple[str, ...]]:
    """The address that crosses; none where there is none."""
    place = fields.preferred(member.raw.get("street_addresses", ()), fields.ADDRESS_ORDER)
    return [] if place is None else [fields.audience_address(place)]


def judged(
    record: str, name: str, wanted: Any, there: bool, have: Any, staff: Edits, edits: Edits
) -> Iterator[Finding]:
    """The verdict on one field of a record.

    `wanted`: Constant Contact's value, empty for fill-only; `there`: whether Virtuous has it; `have`: what it has.
    """
    by_staff = bool(staff) and have == staff[-1][1]
    if wanted and not there and not any(have == value for _t, value in staff):
        yield Finding(WRONG, record, name)
    if edits and not staff and wanted and not there:
        yield Finding(LOST, record, f"{name}: an edit at Constant Contact is absent")
    last = staff[-1][0] if staff else float("-inf")
    if last > float("-inf") and not by_staff and not any(at > last for at, _value in edits):
        yield Finding(LOST, record, f"{name}: an edit of staff was overwritten")


def _loaded(data: Mapping[str, Any]) -> dict[str, Any]:
    """The crossing values that an act of loading or editing gives, normalised."""
    phones = [{"kind": kind, "phone_number": number} for kind, number in data.get("phones") or ()]
    phone = fields.preferred(phones, fields.PHONE_ORDER)
    place = fields.preferred(list(data.get("addresses") or ()), fields.ADDRESS_ORDER)
    return {
        **{name: fields.name(data.get(name)) for name, _target in fields.NAMES},
        "phone": fields.phone(phone["phone_number"]) if phone else "",
        "address": fields.audience_address(place) if place else "",
        "email": fields.email(data.get("email")),
    }


def _given(data: Mapping[str, Any]) -> set[str]:
    return {{"phones": "phone", "addresses": "address"}.get(name, name) for name in data}


def _entered(individual: Raw, name: str) -> list[Any]:
    """The values of a field that staff entered with a contact."""
    if name == "phone":
        methods = individual.get("contactMethods") or individual.get("methods") or ()
        return [fields.phone(one["value"]) for one in methods if fields.is_phone(one)]
    target = dict(fields.NAMES)[name]
    return [fields.name(individual[target])] if individual.get(target) else []


def _shared_numbers(evidence: Evidence) -> dict[str, int]:
    """How many contacts have a telephone number."""
    counts: dict[str, int] = {}
    for raw in evidence.audience.values():
        for number in {fields.phone(one["phone_number"]) for one in raw.get("phone_numbers", ())}:
            counts[number] = counts.get(number, 0) + 1
    return counts
