"""A small world of two subscribers and one household, where people act, readings are taken and steps take effect.

Time moves with every act. A reading may be older than the last act of the other side, never older than our own last
write on that record. The oracle books who asked for what, from the acts alone.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from keepstep.model.canonical import ADDRESS_PARTS
from keepstep.model.change import Step
from keepstep.model.contact import Address, AudienceContact, Consent, CrmContact, Individual, Method, Phone, Side
from keepstep.model.decide import Setting, decide
from keepstep.model.party import Party, Person, Readings, address_parts
from keepstep.model.settle import settle
from tests.model.people import HOME, NEWS, SETTING, household, individual, subscriber

# What a step may carry, by kind (model.change): an unmapped field is in no payload.
CARRIES = {
    "set_person": {"contact", "individual", "first_name", "last_name", "was"},
    "set_email": {"contact", "individual", "method", "value", "was"},
    "set_phone": {"contact", "individual", "method", "kind", "value", "was"},
    "set_address": {"contact", "individual", "address", "kind", "was", *ADDRESS_PARTS},
    "set_consent": {"contact", "individual", "method", "opted_in"},
    "add_tag": {"contact", "tag_id", "tag", "list_id"},
    "remove_tag": {"contact", "tag_id", "tag", "list_id"},
    "note": {"contact", "text", "act"},
    "opt_out": {"record_id", "reason", "source"},
    "join": {"record_id", "list_ids"},
    "leave": {"record_id", "list_ids"},
}
TURNS = 40
UNREAD = "an edit of staff is overwritten unread"


@dataclass
class Oracle:
    """What the people asked for, whatever we saw of it. `unseen`: staff's false that no decision has seen yet."""

    out: bool = False
    unseen: bool = False
    own: bool = False
    staff: bool = False


@dataclass
class World:
    """Both sides as they are, both as last read, and the party as we know it."""

    audience: dict[str, AudienceContact]
    crm: CrmContact
    party: Party
    setting: Setting = SETTING
    now: float = 100.0
    seen_audience: dict[str, AudienceContact] = field(default_factory=dict)
    seen_crm: CrmContact | None = None
    oracle: dict[str, Oracle] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    written: tuple[Step, ...] = ()
    story: tuple[str, ...] = ()

    def branch(self) -> "World":
        """Another world with the same past."""
        other = copy(self)
        other.audience, other.seen_audience = dict(self.audience), dict(self.seen_audience)
        other.oracle = {name: copy(book) for name, book in self.oracle.items()}
        return other

    # --- readings ---

    def poll(self, *record_ids: str) -> None:
        """Read these audience contacts. Whoever is opted out or deleted has no say on lists."""
        for record_id in record_ids or tuple(self.audience):
            contact = self.audience[record_id]
            silent = contact.deleted or contact.consent is Consent.opted_out
            lists = None if silent else contact.lists
            self.seen_audience[record_id] = self._read(replace(contact, read_at=self.now, lists=lists))

    def _read(self, contact: AudienceContact) -> AudienceContact:
        """With the moment when it was last read otherwise."""
        before = self.seen_audience.get(contact.record_id, contact)
        alike = replace(before, read_at=contact.read_at, previous_at=None) == contact
        return replace(contact, previous_at=before.previous_at if alike else before.read_at)

    def poll_crm(self) -> None:
        self.seen_crm = replace(self.crm, read_at=self.now)

    def readings(self) -> Readings:
        return Readings(crm=self.seen_crm, audience=dict(self.seen_audience))

    # --- turns ---

    def sync(self) -> None:
        """Both sides read, and everything done that follows."""
        self.now += 10
        self.poll()
        self.poll_crm()
        self.turns()

    def turns(self) -> None:
        """Decide and write until nothing is wanted any more."""
        for _ in range(TURNS):
            steps = self.decide()
            if not any(self.write(step) for step in steps[:1]):
                assert not steps
                return
        raise AssertionError(f"never quiet: {[(step.kind, dict(step.payload)) for step in steps]}")

    def decide(self) -> tuple[Step, ...]:
        decision = decide(self.party, self.readings(), self.setting)
        self.party = decision.party
        for record_id, _ in decision.acts:
            self.oracle[record_id].unseen = False
        return decision.steps

    def write(self, step: Step) -> bool:
        """One step, past the gate if it widens: the gate reads again, and what is not wanted then is not done."""
        if step.hold == "gate":
            self.poll()
            self.poll_crm()
            if step not in self.decide():
                return True
        self.land(step)
        return True

    def land(self, step: Step) -> None:
        """The step takes effect; its answer is settled, and the record it wrote is read again."""
        assert set(step.payload) <= CARRIES[step.kind], step
        self.now += 1
        answer = EFFECTS[step.kind](self, step.payload)
        self.written = (*self.written, step)
        self.party = settle(self.party, step, answer)
        if step.side is Side.crm:
            self.poll_crm()
        else:
            self.poll(str(step.payload["record_id"]))

    # --- what the people do ---

    def edit(self, record_id: str, **changed: Any) -> bool:
        """The subscriber changes something at the audience side. False where nothing changed."""
        self.now += 1
        before = self.audience[record_id]
        self.audience[record_id] = replace(before, **changed)
        return self.audience[record_id] != before

    def opt_out(self, record_id: str) -> bool:
        self.oracle[record_id].out = True
        return self.edit(record_id, consent=Consent.opted_out, opt_out_source="Contact", opt_out_at=self.now + 1)

    def come_back(self, record_id: str) -> bool:
        """The person's own re-subscribe, also of somebody deleted."""
        contact = self.audience[record_id]
        if contact.consent is Consent.opted_in and not contact.deleted:
            return False
        book = self.oracle[record_id]
        # Whoever comes back by an own act comes back to the lists that are shown then.
        book.out, book.unseen, book.own = False, False, book.own or NEWS.list_id in (contact.lists or ())
        back = {"consent": Consent.opted_in, "opt_in_source": "Contact", "opt_in_at": self.now + 1}
        return self.edit(record_id, deleted=False, deleted_at=None, **back)

    def delete(self, record_id: str) -> bool:
        if self.audience[record_id].deleted:
            return False
        book, known = self.oracle[record_id], self.seen_audience[record_id].lists or ()
        book.out, book.own, book.staff = True, False, book.staff and NEWS.list_id not in known
        return self.edit(record_id, deleted=True, deleted_at=self.now + 1, lists=())

    def join(self, record_id: str, list_id: str = NEWS.list_id) -> bool:
        contact = self.audience[record_id]
        if contact.deleted or contact.consent is Consent.opted_out or list_id in (contact.lists or ()):
            return False
        self.oracle[record_id].own = True
        return self.edit(record_id, lists=tuple(sorted({*(contact.lists or ()), list_id})))

    def leave(self, record_id: str, list_id: str = NEWS.list_id) -> bool:
        contact = self.audience[record_id]
        if list_id not in (contact.lists or ()):
            return False
        book, known = self.oracle[record_id], self.seen_audience[record_id].lists or ()
        # A membership that began and ended between two readings leaves no trace.
        book.own, book.staff = False, book.staff and list_id not in known
        return self.edit(record_id, lists=tuple(one for one in contact.lists or () if one != list_id))

    def staff(self, **changed: Any) -> bool:
        """Staff change the CRM contact."""
        self.now += 1
        before = self.crm
        self.crm = replace(self.crm, **changed)
        return self.crm != before

    def tag(self, tag: str = NEWS.tag_name) -> bool:
        everybody = self.setting.policy.added_tag_goes_to == "all"
        for record_id, book in self.oracle.items():
            book.staff = book.staff or (tag not in self.crm.tags and (everybody or record_id == "a"))
        return self.staff(tags=tuple(sorted({*self.crm.tags, tag})))

    def untag(self, tag: str = NEWS.tag_name) -> bool:
        for book in self.oracle.values():
            book.staff = False
        return self.staff(tags=tuple(one for one in self.crm.tags if one != tag))

    def permit(self, record_id: str, opted_in: bool) -> bool:
        """Staff set a person's consent in the CRM."""
        book = self.oracle[record_id]
        if opted_in and book.unseen:
            book.out = book.unseen = False
        if not opted_in and self.method(f"m{record_id}").opted_in and not book.out:
            book.out = book.unseen = True
        return self.set_method(f"m{record_id}", opted_in=opted_in)

    def rename(self, record_id: str, first_name: str) -> bool:
        return self.set_individual(f"i{record_id}", first_name=first_name)

    # --- the CRM's records ---

    def method(self, record_id: str) -> Method:
        return next(one for who in self.crm.individuals for one in who.methods if one.record_id == record_id)

    def set_method(self, record_id: str, **changed: Any) -> bool:
        def renewed(who: Individual) -> Individual:
            methods = tuple(replace(one, **changed) if one.record_id == record_id else one for one in who.methods)
            return replace(who, methods=methods)

        return self.staff(individuals=tuple(renewed(who) for who in self.crm.individuals))

    def set_individual(self, record_id: str, **changed: Any) -> bool:
        people = tuple(replace(who, **changed) if who.record_id == record_id else who for who in self.crm.individuals)
        return self.staff(individuals=people)

    def state(self) -> tuple[Any, ...]:
        """Both sides without times."""
        contacts = [
            (one.record_id, one.email, one.consent, one.deleted, one.first_name, one.phones, one.addresses, one.lists)
            for one in self.audience.values()
        ]
        return (contacts, self.crm.individuals, self.crm.address, self.crm.tags, len(self.notes))


# --- what steps do ---------------------------------------------------------------------------------------------------

Effect = Callable[[World, Mapping[str, Any]], dict[str, Any]]


def _set_person(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    who = next(one for one in world.crm.individuals if one.record_id == payload["individual"])
    assert payload["was"] == {"first_name": who.first_name, "last_name": who.last_name}, UNREAD
    named = {name: payload[name] for name in ("first_name", "last_name") if payload[name] is not None}
    world.set_individual(payload["individual"], **named)
    return named


def _set_email(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    assert world.method(payload["method"]).value == payload["was"], UNREAD
    world.set_method(payload["method"], value=payload["value"])
    return {"value": payload["value"]}


def _set_phone(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The CRM writes numbers its own way."""
    value = "".join(sign for sign in payload["value"] if sign.isdigit())
    if payload["method"]:
        world.set_method(payload["method"], value=value)
        return {"value": value, "method": payload["method"]}
    made = Method(record_id=f"p{world.now:.0f}", kind="phone", type="Mobile Phone", value=value, opted_in=False)
    owner = next(who for who in world.crm.individuals if who.record_id == payload["individual"])
    world.set_individual(owner.record_id, methods=(*owner.methods, made))
    return {"value": value, "method": made.record_id}


def _set_address(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    assert payload["was"] == (address_parts(world.crm.address) if world.crm.address else None), UNREAD
    parts = {name: payload[name] for name in ADDRESS_PARTS}
    world.staff(address=Address(record_id="801", kind=payload["kind"], **parts))
    return parts


def _set_consent(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    owner = payload["method"].removeprefix("m")
    assert not (payload["opted_in"] and world.oracle[owner].out), "out was turned into in"
    world.set_method(payload["method"], opted_in=payload["opted_in"])
    return {"opted_in": payload["opted_in"]}


def _add_tag(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(tags=tuple(sorted({*world.crm.tags, payload["tag"]})))
    return {}


def _remove_tag(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(tags=tuple(one for one in world.crm.tags if one != payload["tag"]))
    return {}


def _note(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    world.notes = (*world.notes, payload["act"])
    return {}


def _opt_out(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    if not world.audience[payload["record_id"]].deleted:  # a write would revive it
        world.edit(payload["record_id"], consent=Consent.opted_out, opt_out_source="Account", opt_out_at=world.now)
    return {"consent": "opted_out"}


def _join(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    contact = world.audience[payload["record_id"]]
    assert not contact.deleted
    assert contact.consent is Consent.opted_in
    assert not world.oracle[contact.record_id].out, "somebody who is out was put on a list"
    world.edit(contact.record_id, lists=tuple(sorted({*(contact.lists or ()), *payload["list_ids"]})))
    return {}


def _leave(world: World, payload: Mapping[str, Any]) -> dict[str, Any]:
    contact = world.audience[payload["record_id"]]
    lists = tuple(one for one in contact.lists or () if one not in payload["list_ids"])
    world.edit(contact.record_id, lists=lists)
    return {}


EFFECTS: dict[str, Effect] = {
    "set_person": _set_person,
    "set_email": _set_email,
    "set_phone": _set_phone,
    "set_address": _set_address,
    "set_consent": _set_consent,
    "add_tag": _add_tag,
    "remove_tag": _remove_tag,
    "note": _note,
    "opt_out": _opt_out,
    "join": _join,
    "leave": _leave,
}


# --- where worlds begin ----------------------------------------------------------------------------------------------


def household_of_two(setting: Setting = SETTING, on_news: tuple[str, ...] = ()) -> World:
    """Ann and Bob, in step; those named are on the news list."""
    audience = {one: subscriber(one, lists=(NEWS.list_id,) if one in on_news else ()) for one in ("a", "b")}
    audience["a"] = replace(audience["a"], addresses=(replace(HOME, record_id=None),))
    tags = (NEWS.tag_name,) if on_news else ()
    crm = household(individual("a"), individual("b"), address=HOME, tags=tags)
    party = Party(party_id="P", crm_id="900", people=(Person(record_id="a"), Person(record_id="b")))
    world = World(audience, crm, party, setting)
    world.oracle = {one: Oracle(own=one in on_news) for one in audience}
    world.sync()
    assert not world.written
    return world


def moved_to(street: str) -> tuple[Address, ...]:
    return (Address(street=street, city="Salem", state="MA", postal="01970", country="US"),)


def called(number: str) -> tuple[Phone, ...]:
    return (Phone("mobile", number),)
