"""Lists and tags, three-way per list against what was seen. Tags hang on the household, memberships on the person.

No base, no removal. A person who left a list is not put back. Whoever is not mailable can only lose. The audience
side's own tags are labels as its lists are, by other calls and under a prefix of their own; "list" means either here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from keepstep.model.canonical import text
from keepstep.model.change import Step, a_step
from keepstep.model.consent import standing_out
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Side
from keepstep.model.customer import Policy
from keepstep.model.party import Label, Party, Person, Readings, primary_first, with_lists, with_tag, without

# Parked for these reasons, nothing is known of whom the household's tags mean; for those, an answer may still widen.
STRANGERS = ("individual_gone", "individual_moved", "address_gone")
DOUBTS = ("consent_unknown", "crm_opt_out_stands")
MOST = 50  # lists of one person, and tags of one (CC facts 3.2)
# What puts a person on, and what takes off, by the kind of label.
STEPS = {"list": ("join", "leave"), "tag": ("tag_on", "tag_off")}


def in_play(label: Label, policy: Policy) -> bool:
    """Does the route map labels of this kind to tags at all?"""
    return policy.lists_to == "tags" if label.kind == "list" else bool(policy.contact_tags_prefix)


def submitted_tags(lists: Iterable[str], labels: tuple[Label, ...], policy: Policy) -> tuple[list[str], list[str]]:
    """The labels, of those whose ids these are, whose tag may travel inside an import, and those tags.

    `;` separates tags there, so a name that holds one goes by tag id after creation (Virtuous facts 10.1); a name that
    the CRM does not know is withheld.
    """
    usable = [label for label in labels if not label.paused and in_play(label, policy)]
    known = {label.list_id: label for label in usable if ";" not in label.tag_name}
    fit = [known[one] for one in sorted(lists) if one in known]
    fit = [label for label in fit if label.tag_id or policy.unknown_tags == "send"]
    return [label.list_id for label in fit], [label.tag_name for label in fit]


def memberships(party: Party, wants: "Wants") -> tuple[Party, tuple[Step, ...]]:
    """What lists and tags want of each other, and the party with what is agreed now seen."""
    for want in wants:
        party = want.agreed(party)
    steps = [step for want in wants for step in want.crm_steps()]
    return party, (*steps, *_list_steps(party.party_id, wants))


def withheld(wants: "Wants") -> list[tuple[str, str]]:
    """Record and list ids: for whom a tag that staff have added does nothing."""
    return [
        (seat.person.record_id, want.list_id) for want in wants if not want.waits for seat in want.meant() if seat.out
    ]


def astray(wants: "Wants") -> list[tuple[str, str]]:
    """Record and list ids: tags on a household of which nobody is on the list, and nothing that we know says why."""
    return [(want.seats[0].person.record_id, want.list_id) for want in wants if want.astray()]


def without_list(crm: CrmContact, labels: Iterable[Label]) -> dict[str, str]:
    """Tags of the prefix on a household that are no list's, as the journal notes them once: nothing comes of them until
    there is a list."""
    missing = [one for one in labels if one.paused == "no_list" and one.tag_name in crm.tags]
    return {f"noted:list_missing:{one.list_id}": one.tag_name for one in missing}


def forgotten(party: Party, list_id: str) -> Party:
    """The party without a base for this label, as if it was never compared: nothing is removed. Whoever is not on it
    when both sides are read again counts as having left, so that nobody joins."""
    party = replace(party, tags=without(party.tags or (), list_id), known=without(party.known, list_id))
    for person in party.linked():
        lists, added = without(person.lists or (), list_id), without(person.added, list_id)
        left = tuple(sorted({*person.left, list_id}))
        party = party.with_person(replace(person, lists=lists, added=added, left=left))
    return party


def crowded(wants: "Wants") -> dict[str, str]:
    """Who is to be on more lists, or tags, than the audience side allows: the rest waits until one is left."""
    rooms, asked = _rooms(wants), Counter((want.label.kind, one) for want in wants for one in _of(want.joiners()))
    return {record_id: f"{kind}_limit" for (kind, record_id), many in asked.items() if many > rooms[kind, record_id]}


def labels_are_old(wants: "Wants") -> bool:
    """Has somebody left a list since the lists themselves were read?"""
    return any(want.late for want in wants)


def _rooms(wants: "Wants") -> dict[tuple[str, str], int]:
    """How many more lists, or tags, each person has room for."""
    return {(want.label.kind, seat.person.record_id): MOST - len(seat.now) for want in wants for seat in want.seats}


def _of(seats: "Iterable[Seat]") -> list[str]:
    return [seat.person.record_id for seat in seats]


@dataclass(frozen=True, slots=True)
class Seat:
    """One linked person as the lists see them.

    readable: the reading has an opinion on lists. out: nothing may widen, and no answer is awaited.
    doubt: nothing may widen until somebody answers. late: read after the lists themselves: what this person is not on
    any more may be gone as a whole.
    """

    person: Person
    now: frozenset[str]
    readable: bool
    out: bool
    doubt: bool
    late: bool = False

    @property
    def seen(self) -> frozenset[str]:
        return frozenset(self.person.lists or ())

    def joined(self, list_id: str) -> bool:
        return self.readable and list_id in self.now and list_id not in self.seen

    def left(self, list_id: str) -> bool:
        return self.readable and list_id in self.seen and list_id not in self.now

    def holds(self, list_id: str) -> bool:
        return list_id in (self.now if self.readable else self.seen)

    def ours(self, list_id: str) -> bool:
        """On the list before this reading, or put there by us: a tag that is taken off means this membership."""
        return self.readable and list_id in self.now and list_id in self.seen


def _seat(person: Person, contact: AudienceContact | None, parked: str | None, kind: str) -> Seat:
    silent = contact is None or contact.deleted or contact.consent is Consent.opted_out
    read = None if contact is None else contact.lists if kind == "list" else contact.tags
    known = parked not in STRANGERS and read is not None and not silent
    out = contact is not None and (silent or contact.consent is not Consent.opted_in)
    now = frozenset(read or ()) if known else frozenset()
    out = out or standing_out(person.acts, contact.email if contact else None) is not None or parked == "deceased"
    return Seat(person, now, known, out, parked in DOUBTS)


def _seat_of(person: Person, readings: Readings, parked: str | None, kind: str) -> Seat:
    contact, known = readings.audience.get(person.record_id), readings.labels_at
    late = contact is not None and known is not None and contact.read_at > known
    seat = _seat(person, contact, parked, kind)
    return replace(seat, late=late) if late else seat


def may_widen(person: Person, contact: AudienceContact | None, parked: str | None) -> bool:
    """May this person be put on lists now?"""
    seat = _seat(person, contact, parked, "list")
    return seat.readable and not seat.out and not seat.doubt


def wants_of(
    party: Party,
    readings: Readings,
    labels: tuple[Label, ...],
    policy: Policy,
    parked: Mapping[str, str] = MappingProxyType({}),
) -> "Wants":
    """What each label wants of this party. `parked`: who, and why."""
    crm = readings.crm
    if crm is None or crm.merged_into or crm.archived:
        return []
    first = primary_first(party, crm)
    seats = {kind: [_seat_of(one, readings, parked.get(one.record_id), kind) for one in first] for kind in STEPS}
    others = _of_unlinked(party, readings)
    usable = [label for label in labels if first and label.usable() and in_play(label, policy)]
    return [_Want(party, crm, label, seats[label.kind], policy, others) for label in usable]


def _of_unlinked(party: Party, readings: Readings) -> frozenset[str]:
    """The lists of members who are not linked.

    The vendor's import may have merged one of them into this household; the tag that came along is no wish of staff's
    for anybody else.
    """
    strangers = [one for one in party.people if not one.individual]
    read = [held_by(readings.audience[one.record_id]) for one in strangers if one.record_id in readings.audience]
    sent = [one.submission.sent.get("lists") or () for one in strangers if one.submission]
    return frozenset(list_id for lists in (*read, *sent) for list_id in lists)


def held_by(contact: AudienceContact) -> tuple[str, ...]:
    """The lists that a person is on, and the tags."""
    return (*(contact.lists or ()), *(contact.tags or ()))


class _Want:
    """What one label wants of one party."""

    def __init__(
        self, party: Party, crm: CrmContact, label: Label, seats: list[Seat], policy: Policy, others: frozenset[str]
    ) -> None:
        self.party, self.crm, self.label, self.seats, self.policy = party, crm, label, seats, policy
        self.list_id = label.list_id
        self.fresh = party.tags is None or self.list_id not in party.known
        self.tagged = text(label.tag_name) in [text(tag) for tag in crm.tags]
        self.was_tagged = not self.fresh and self.list_id in (party.tags or ())
        # Only who joins from now on asks for the tag: staff have taken it off, or it is off by an undo.
        self.apart = self.was_tagged or (not self.fresh and self.list_id in party.apart)
        self.joined = [seat for seat in seats if seat.joined(self.list_id)]
        self.left = [seat for seat in seats if seat.left(self.list_id)]
        # A deleted list looks like one that everybody has left: it is asked for again before anybody's tag goes.
        self.late = any(seat.late for seat in self.left)
        self.strange = self.list_id in others
        self.held = self.strange or any(seat.holds(self.list_id) for seat in seats)

    def add_tag(self) -> list[Seat]:
        """Whose membership asks for the tag. While a removal by staff is under way, whoever joined meanwhile waits."""
        on = self.joined if self.apart else [seat for seat in self.seats if self.list_id in seat.now]
        return on if not self.tagged and not self.leavers() else []

    def remove_tag(self) -> list[Seat]:
        return self.left if self.tagged and not (self.held or self.fresh or self.late) else []

    def meant(self) -> list[Seat]:
        """Whom a tag added by staff means. Somebody who has just left the list is not put back.

        Where there is no base, a tag that some member's membership explains means nobody else.
        """
        if not self.tagged or self.was_tagged or self.left or self.strange:
            return []
        everybody = self.policy.added_tag_goes_to == "all" and not self.fresh
        chosen = self.seats if everybody else [] if self.held else self.seats[:1]
        off = [seat for seat in chosen if not seat.holds(self.list_id)]
        return [seat for seat in off if not self.fresh or self.list_id not in seat.person.left]

    def astray(self) -> bool:
        """Tagged, and nobody is on the list who could be. Whoever was ever out may have been so when it was tagged."""
        kept = any(seat.person.acts or self.list_id in seat.person.left for seat in self.seats)
        known = all(seat.readable and not seat.out and not seat.doubt for seat in self.seats)
        return self.was_tagged and self.tagged and known and not (kept or self.held or self.left)

    def joiners(self) -> list[Seat]:
        return [seat for seat in self.meant() if seat.readable and not seat.out and not seat.doubt]

    def leavers(self) -> list[Seat]:
        """Whom a tag taken off by staff takes off the list: those it stood for, not those who joined since."""
        if self.tagged:
            return []
        on = [seat for seat in self.seats if seat.ours(self.list_id)]
        return [seat for seat in on if self.was_tagged or self.list_id in seat.person.added]

    @property
    def waits(self) -> bool:
        """Does a change of the tag mean somebody of whom too little is known now?"""
        lost = [seat for seat in self.seats if self.was_tagged and not self.tagged and seat.holds(self.list_id)]
        return any(not seat.out and (seat.doubt or not seat.readable) for seat in self.meant()) or any(
            not seat.out and not seat.readable for seat in lost
        )

    def agreed(self, party: Party) -> Party:
        """What needs no write becomes seen; what waits for a write keeps its base until the write is done."""
        # Seen at once, also while the tag is still to be added: a leave is known by it. Only who joined while a removal
        # by staff is under way, or after an undo, stays apart from those whom it means.
        news = [] if self.apart and not self.tagged else self.joined
        changed = {seat.person.record_id: True for seat in news}
        changed |= {seat.person.record_id: False for seat in self.left if not (self.late or self.remove_tag())}
        if not (self.late or self.add_tag() or self.remove_tag() or self.joiners() or self.leavers() or self.waits):
            # A membership under a tag that is gone counts as new when its person is back.
            silent = [seat for seat in self.seats if not seat.readable and not self.tagged]
            changed |= {seat.person.record_id: False for seat in silent}
            party = self._settled(with_tag(party, self.list_id, self.tagged))
        for person in party.people:
            if person.record_id in changed:
                party = party.with_person(with_lists(person, [self.list_id], changed[person.record_id]))
        return party

    def _settled(self, party: Party) -> Party:
        """No membership of ours is younger than the tag as seen."""
        for person in party.people:
            if self.list_id in person.added:
                party = party.with_person(replace(person, added=without(person.added, self.list_id)))
        return party

    def crm_steps(self) -> list[Step]:
        moved = self.add_tag() or self.remove_tag()
        if not moved:
            return []
        kind = "remove_tag" if self.tagged else "add_tag"
        tag = {"tag_id": self.label.tag_id, "tag": self.label.tag_name, "list_id": self.list_id}
        payload = {"contact": self.crm.record_id, **tag}
        member = moved[0].person.record_id
        step = a_step(self.party.party_id, member, kind, payload, target=f"tag:{self.label.tag_id}")
        return [replace(step, inferred="absence" if self.tagged else None)]


Wants = list[_Want]


def _list_steps(party_id: str, wants: Wants) -> list[Step]:
    """One step a person and kind, carrying all its lists, so that people with the same list set share a job."""
    moved: dict[str, dict[str, list[str]]] = {kind: {} for kinds in zip(*STEPS.values(), strict=True) for kind in kinds}
    rooms = _rooms(wants)
    for want in sorted(wants, key=lambda one: one.list_id):
        on, off = STEPS[want.label.kind]
        for one in _of(want.joiners()):
            if len(moved[on].get(one, ())) < rooms[want.label.kind, one]:
                moved[on].setdefault(one, []).append(want.list_id)
        for one in _of(want.leavers()):
            moved[off].setdefault(one, []).append(want.list_id)
    return [_list_step(party_id, kind, *one) for kind, people in moved.items() for one in people.items()]


def _list_step(party_id: str, kind: str, record_id: str, lists: list[str]) -> Step:
    """Only what widens waits at the gate; that a tag is gone is what the rest is inferred from."""
    widens = kind in [on for on, _ in STEPS.values()]
    step = a_step(
        party_id,
        record_id,
        kind,
        {"record_id": record_id, "list_ids": sorted(lists)},
        side=Side.audience,
        group=f"{kind}:{','.join(sorted(lists))}",
        hold="gate" if widens else None,
    )
    return replace(step, inferred=None if widens else "absence")
