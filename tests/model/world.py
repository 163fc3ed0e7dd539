"""A small world of two subscribers and one household, where people act, readings are taken and steps take effect.

Time moves with every act. A reading may be older than the last act of the other side, never older than our own last
write on that record. The oracle books who asked for what, from the acts alone.
"""

from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from keepstep.model.change import Step
from keepstep.model.contact import (
    Address,
    AudienceContact,
    Consent,
    CrmContact,
    Individual,
    Method,
    Phone,
    Report,
    Side,
)
from keepstep.model.decide import Setting, decide
from keepstep.model.party import Party, Person, Readings
from keepstep.model.settle import found_so, outdated, settle
from tests.model.effects import CARRIES, EFFECTS, Stale
from tests.model.people import HOME, NEWS, SETTING, household, individual, subscriber

TURNS = 40


@dataclass
class Oracle:
    """What the people asked for, whatever we saw of it. `unseen`: staff's false that no decision has seen yet.

    `ever`: out once, by whatever, or bounced. `by_staff`: staff opted this person out once. `revived`: by the account,
    after a deletion that was seen; `out_alive`: out before the deletion. `back_at`: the last return by an own act.
    """

    out: bool = False
    unseen: bool = False
    own: bool = False
    staff: bool = False
    ever: bool = False
    by_staff: bool = False
    revived: bool = False
    out_alive: bool = False
    back_at: float = 0.0


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
    lines: tuple[Report, ...] = ()
    seen_lines: tuple[Report, ...] = ()
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

    def poll_reports(self) -> None:
        """Read the reports of all mailings, oldest line first."""
        self.seen_lines = self.lines

    def readings(self) -> Readings:
        reports = {one: tuple(line for line in self.seen_lines if line.record_id == one) for one in self.audience}
        return Readings(crm=self.seen_crm, audience=dict(self.seen_audience), reports=reports)

    # --- turns ---

    def sync(self) -> None:
        """Both sides read, and everything done that follows."""
        self.now += 10
        self.poll()
        self.poll_crm()
        self.poll_reports()
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
        for record_id, act in decision.acts:
            self.oracle[record_id].unseen &= act.side is not Side.crm
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
        assert set(step.payload) - {"undo"} <= CARRIES[step.kind], step
        self.now += 1
        try:
            answer = EFFECTS[step.kind](self, step.payload)
        except Stale:
            self.party = outdated(self.party, step.side, step.member or "")
            self.poll(str(step.payload["record_id"]))
            return
        self.written = (*self.written, step)
        self.party = found_so(self.party, step) if answer is None else settle(self.party, step, answer)
        if step.side is Side.crm:
            self.poll_crm()
        else:
            self.poll(str((answer or step.payload).get("record_id") or step.payload["record_id"]))

    # --- what the people do ---

    def edit(self, record_id: str, **changed: Any) -> bool:
        """The subscriber changes something at the audience side. False where nothing changed."""
        self.now += 1
        before = self.audience[record_id]
        self.audience[record_id] = replace(before, **changed)
        return self.audience[record_id] != before

    def opt_out(self, record_id: str, reason: str | None = None) -> bool:
        self.oracle[record_id].out, self.oracle[record_id].unseen, self.oracle[record_id].ever = True, False, True
        out = {"consent": Consent.opted_out, "opt_out_source": "Contact", "opt_out_at": self.now + 1}
        return self.edit(record_id, **out, opt_out_reason=reason)

    def bounce(self, record_id: str, strength: Any = "hard", code: str = "B") -> bool:
        """A mailing to the address that the person has now bounces. Only who is mailable gets one."""
        self.oracle[record_id].ever = True
        return self._reported(record_id, "bounce", strength=strength, code=code)

    def opt_out_of_a_mailing(self, record_id: str, reason: str | None = None) -> bool:
        """An opt-out that the mailing's report tells of as well."""
        return self._reported(record_id, "opt_out", reason=reason) and self.opt_out(record_id, reason)

    def _reported(self, record_id: str, kind: Any, **said: Any) -> bool:
        contact = self.audience[record_id]
        if contact.deleted or contact.consent is not Consent.opted_in:
            return False
        self.now += 1
        line = Report(id=f"r{self.now:.0f}", record_id=record_id, kind=kind, at=self.now, address=contact.email, **said)
        self.lines = (*self.lines, line)
        return True

    def bounces(self, record_id: str) -> list[Report]:
        """The hard bounces that were read and that no return of the person has lifted."""
        mine = [line for line in self.seen_lines if line.record_id == record_id and line.strength == "hard"]
        return [line for line in mine if line.at > self.oracle[record_id].back_at]

    def bounced(self, record_id: str) -> bool:
        """Did mail to the address that the person has now bounce?"""
        return any(line.address == self.audience[record_id].email for line in self.bounces(record_id))

    def change_address(self, record_id: str) -> bool:
        """To the person's other address, or back."""
        before = self.audience[record_id].email or ""
        other = before.removeprefix("new.") if before.startswith("new.") else f"new.{before}"
        return self.edit(record_id, email=other)

    def swap_addresses(self) -> bool:
        one, other = self.audience["a"].email, self.audience["b"].email
        return self.edit("a", email=other) and self.edit("b", email=one)

    def hold(self, record_id: str) -> bool:
        """Mailable no more, without having opted out."""
        contact = self.audience[record_id]
        return contact.consent is Consent.opted_in and self.edit(record_id, consent=Consent.not_mailable)

    def release(self, record_id: str) -> bool:
        contact = self.audience[record_id]
        return contact.consent is Consent.not_mailable and self.edit(record_id, consent=Consent.opted_in)

    def revive(self, record_id: str) -> bool:
        """The account brings a deleted contact back, as it was but for the lists."""
        if not self.audience[record_id].deleted:
            return False
        book, seen = self.oracle[record_id], self.party.person(record_id)
        book.revived = book.out and not book.out_alive
        if seen is not None and not seen.deleted:
            book.out = book.out_alive  # no decision ever saw the deletion
        return self.edit(record_id, deleted=False, deleted_at=None)

    def come_back(self, record_id: str) -> bool:
        """The person's own re-subscribe, also of somebody deleted."""
        contact = self.audience[record_id]
        if contact.consent is Consent.opted_in and not contact.deleted:
            return False
        book = self.oracle[record_id]
        # Whoever comes back by an own act comes back to the lists that are shown then.
        book.out, book.unseen, book.own = False, False, book.own or NEWS.list_id in (contact.lists or ())
        book.back_at, book.revived = self.now + 1, False
        back = {"consent": Consent.opted_in, "opt_in_source": "Contact", "opt_in_at": self.now + 1}
        return self.edit(record_id, deleted=False, deleted_at=None, **back)

    def delete(self, record_id: str) -> bool:
        if self.audience[record_id].deleted:
            return False
        book, known = self.oracle[record_id], self.seen_audience[record_id].lists or ()
        book.out_alive, book.revived = book.out and not book.revived, False
        book.ever, book.unseen = True, False
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
        book.ever |= not opted_in
        # A false that takes the place of another one between two readings leaves no trace.
        seen = self.party.person(record_id)
        if not opted_in and self.method(f"m{record_id}").opted_in and seen is not None and seen.opted_in:
            book.by_staff, book.unseen, book.out = True, book.unseen or not book.out, True
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
