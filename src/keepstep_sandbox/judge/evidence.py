"""What the judge looks at: both final states, the arrival log and the act log, indexed once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act, Arrival
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import World

Raw = Mapping[str, Any]
MAILABLE = ("explicit", "implicit")
OUT = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Member:
    """One Constant Contact contact at the end, and what Virtuous has of it: the contacts with its reference, and in the
    first of them the individual and the method with its address."""

    id: str
    raw: Raw
    address: str
    permission: str
    deleted: bool
    contacts: tuple[Raw, ...]
    individual: Raw | None
    method: Raw | None

    @property
    def mailable(self) -> bool:
        """Whether the account may mail this person."""
        return bool(self.address) and not self.deleted and self.permission in MAILABLE

    @property
    def linked(self) -> bool:
        """Exactly one unmerged contact has the reference, and an individual of it the address."""
        return len(self.contacts) == 1 and self.method is not None

    @property
    def contact(self) -> Raw | None:
        """The Virtuous contact, if there is exactly one."""
        return self.contacts[0] if len(self.contacts) == 1 else None


class Evidence:
    """Everything known of one account and one organization."""

    def __init__(self, world: World, account: str = ACCOUNT, organization: str = ORGANIZATION) -> None:
        self.world, self.now = world, world.now
        self.acts: list[Act] = list(world.log.acts)
        self.arrivals: list[Arrival] = [one for one in world.log.arrivals if one.account in ("", account, organization)]
        self.audience = {str(one["contact_id"]): one for one in world.constant_contact.contacts(account)}
        lists = world.constant_contact.lists(account)
        self.list_names = {one["list_id"]: str(one["name"]) for one in lists if not one.get("deleted_at")}
        self._first_names = _first_names(self.acts)
        route = next((act.data for act in world.log.of("route")), {})
        self.tags_prefix = str(route.get("tags_prefix", ""))
        self.written_back = frozenset(str(one) for one in route.get("fields_to_audience", ()))
        self.audience_tags = {act.record: str(act.data["name"]) for act in self.acts_of(CONSTANT_CONTACT, "add_tag")}
        crm = world.virtuous.contacts(organization)
        self.crm: list[Raw] = [one for one in crm if one["mergedIntoContactId"] is None]
        self.tag_names = {str(one["tagName"]) for one in world.virtuous.tags(organization)}
        held = world.virtuous.waiting(organization)
        pairs = sorted((float(row["submitted"]), str(row["row"].get("referenceId"))) for row in held)
        self.waiting = {number: submitted for submitted, number in pairs}
        self.planted = {act.record: str(act.data["reason"]) for act in world.log.of("planted")}
        self.addresses = self._histories()
        self.fed = self._fed()
        self._by_reference = self._references()
        self.members = {number: self._member(number, raw) for number, raw in self.audience.items()}
        self.households = self._households()
        self.captured = frozenset(number for one in self.arrivals for number in one.served)

    def is_behind(self, member: Member) -> bool:
        """Did whatever waits of a person come before their contact was made? Then it is a submission whose answer was
        lost and that was sent again; one that came later is an edit that should not have gone that way."""
        if not member.linked or member.contact is None:
            return False
        made = datetime.fromisoformat(str(member.contact["createDateTimeUtc"]).rstrip("Z")).replace(tzinfo=UTC)
        return self.waiting[member.id] < made.timestamp()

    def acts_of(self, side: str, *kinds: str) -> Iterator[Act]:
        """Acts on one side, oldest first."""
        return (act for act in self.acts if act.side == side and act.kind in kinds)

    def methods(self) -> Iterator[tuple[Raw, Raw, Raw]]:
        """Every live method with its contact and its individual."""
        for contact in self.crm:
            for individual in contact["contactIndividuals"]:
                for method in individual["contactMethods"] or ():
                    yield contact, individual, method

    def service_effects(self, vendor: str) -> Iterator[tuple[float, Effect]]:
        """What the service's own requests changed, the work of its jobs and transactions included."""
        for arrival in self.arrivals:
            if arrival.vendor == vendor:
                yield from ((arrival.t, effect) for effect in arrival.effects)
        stand_in = self.world.constant_contact if vendor == CONSTANT_CONTACT else self.world.virtuous
        yield from stand_in.background

    def lists_of(self, member: Member) -> set[str]:
        """The tags that a member's lists stand for, those that exist."""
        return {self.tag_of(str(number)) for number in member.raw.get("list_memberships", ())} & self.tag_names

    def labels_of(self, member: Member) -> set[str]:
        """The same, and the tags that stand for the member's tags at Constant Contact where the route carries them."""
        return (
            self.lists_of(member) | {self.tag_of(str(one)) for one in member.raw.get("taggings", ())} & self.tag_names
        )

    def tag_of(self, number: str) -> str:
        """The tag of a list, which keeps it under another name, or of a tag at Constant Contact; empty for neither."""
        if number in self.list_names:
            return fields.TAG_PREFIX + self._first_names.get(number, self.list_names[number])
        name = self.audience_tags.get(number)
        return self.tags_prefix + name if name is not None and self.tags_prefix else ""

    def ours(self, tag: str) -> bool:
        """Whether a tag is one that the service keeps."""
        return tag.startswith(fields.TAG_PREFIX) or (bool(self.tags_prefix) and tag.startswith(self.tags_prefix))

    def address_at(self, number: str, at: float) -> str:
        """The address that a person had at a moment."""
        return next((value for t, value in reversed(self.addresses.get(number, [])) if t <= at), "")

    @property
    def handed_over(self) -> set[str]:
        """Addresses that several people had, one after the other."""
        held = Counter(value for rows in self.addresses.values() for value in {one for _t, one in rows} if value)
        return {value for value, people in held.items() if people > 1}

    def _histories(self) -> dict[str, list[tuple[float, str]]]:
        """Every address of every person, oldest first, with the moment it began."""
        found: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for act in self.acts_of(CONSTANT_CONTACT, "add_person", "edit"):
            given = act.data.get("email_address") or {}
            address = fields.email(
                given.get("address") if act.kind == "add_person" and given else act.data.get("email")
            )
            if act.kind == "add_person" or "email" in act.data:
                found[act.record].append((float("-inf") if act.kind == "add_person" else act.t, address))
        return found

    def _fed(self) -> frozenset[str]:
        """People of whom a row of an SQL table speaks: what it changes of them the judge of feeds looks at."""
        rows = {fields.email(act.data.get("email")) for act in self.world.log.of("row")} - {""}
        now = {n: fields.email((raw.get("email_address") or {}).get("address")) for n, raw in self.audience.items()}
        return frozenset(
            number
            for number, address in now.items()
            if address in rows or any(one in rows for _t, one in self.addresses.get(number, ()))
        )

    def _references(self) -> dict[str, list[Raw]]:
        found: dict[str, list[Raw]] = defaultdict(list)
        for contact in self.crm:
            for reference in contact["contactReferences"]:
                if reference["source"] == fields.REFERENCE_SOURCE:
                    found[str(reference["id"])].append(contact)
        return found

    def _member(self, number: str, raw: Raw) -> Member:
        email = raw.get("email_address") or {}
        address = fields.email(email.get("address"))
        contacts = tuple(self._by_reference.get(number, ()))
        individual, method = _holding(contacts[0], address) if len(contacts) == 1 and address else (None, None)
        permission = str(email.get("permission_to_send") or "")
        return Member(number, raw, address, permission, "deleted_at" in raw, contacts, individual, method)

    def _households(self) -> dict[int, list[Member]]:
        found: dict[int, list[Member]] = defaultdict(list)
        for member in self.members.values():
            if member.contact is not None:
                found[member.contact["id"]].append(member)
        return found


def _first_names(acts: Iterable[Act]) -> dict[str, str]:
    """The name each list began with."""
    return {
        act.record: str(act.data["name"]) for act in acts if act.kind == "add_list" and act.side == CONSTANT_CONTACT
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: the report's key, the record, and why; never a name or an address."""

    key: str
    record: str
    reason: str

    def exported(self) -> dict[str, str]:
        """As plain JSON values."""
        return {"key": self.key, "record": self.record, "reason": self.reason}


def _holding(contact: Raw, address: str) -> tuple[Raw, Raw] | tuple[None, None]:
    for individual in contact["contactIndividuals"]:
        for method in individual["contactMethods"] or ():
            if fields.is_email(method) and fields.email(method["value"]) == address:
                return individual, method
    return None, None


def staff_made(evidence: Evidence) -> Iterator[tuple[str, Raw]]:
    """Contact id and individual of every contact that staff made."""
    for act in evidence.acts_of(VIRTUOUS, "add_contact"):
        for individual in act.data.get("contactIndividuals") or act.data.get("individuals") or ():
            yield act.record, individual


def emails_of(individual: Raw) -> set[str]:
    """The addresses of an individual as staff entered it."""
    methods: Iterable[Raw] = individual.get("contactMethods") or individual.get("methods") or ()
    return {fields.email(method["value"]) for method in methods if fields.is_email(method)}
