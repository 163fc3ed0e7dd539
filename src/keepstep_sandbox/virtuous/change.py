"""The only place that changes an organization: records what really changed and announces it to webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.http import Effect
from keepstep_sandbox.virtuous import announce
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import Address, Contact, Fields, Individual, Join, Method, Note, Record, Tag

API_USER = "API User"
STAFF = "Staff Member"
IMPORT = "Import"
Whole = Contact | Individual | Method | Address | Note


class Change:
    """One request, one import row or one act of staff. `finish` returns the effects and posts the deliveries."""

    def __init__(self, organization: Organization, now: float, author: str) -> None:
        self.organization = organization
        self.now = now
        self.author = author
        self._effects: list[Effect] = []
        self._created: dict[int, Contact] = {}
        self._updated: dict[int, Contact] = {}
        self._notes: list[tuple[str, Note]] = []

    def finish(self, bulk: bool = False) -> tuple[Effect, ...]:
        """Everything that changed, field by field; `bulk` announces all contacts in one delivery."""
        if self.organization.subscriptions:
            for contact in self._created:
                self._updated.pop(contact, None)
            announce.contacts(self.organization, "contactCreate", list(self._created.values()), self.now, bulk)
            announce.contacts(self.organization, "contactUpdate", list(self._updated.values()), self.now, bulk)
            for toggle, note in self._notes:
                announce.note(self.organization, toggle, note, self.now)
        return tuple(self._effects)

    def effect(self, record: str, name: str, before: Any, after: Any) -> None:
        """Write down one changed value."""
        if isinstance(before, (list, dict)) or isinstance(after, (list, dict)):
            before, after = _frozen(before), _frozen(after)
        self._effects.append(Effect("virtuous", self.organization.name, record, name, before, after))

    def touch(self, contact: Contact, event: bool = True) -> None:
        """The contact counts as modified now, whatever of it changed (Virtuous facts 13.2)."""
        contact.modified, contact.modified_by, contact.body = self.now, self.author, None
        if event:
            self._updated[contact.id] = contact

    def announce_update(self, contact: Contact) -> None:
        """A delivery although nothing changed: an import run tells about every row."""
        self._updated[contact.id] = contact

    def set(self, record: Record, values: Mapping[str, Any]) -> None:
        """Give fields their new values; equal ones are no change."""
        fields = record.fields
        changed = {name: value for name, value in values.items() if fields[name] != value}
        if not changed:
            return
        indexed = record if isinstance(record, (Individual, Method)) else None
        if indexed is not None:
            self.organization.unindex(indexed)
        for name, value in changed.items():
            self.effect(f"{record.kind}:{record.id}", name, fields[name], value)
            fields[name] = value
        if indexed is not None:
            self.organization.index(indexed)
        self._stamp(record)

    def set_custom(self, record: Contact | Individual, values: Mapping[str, str]) -> None:
        """Custom fields by name: an empty text clears, an unknown name is ignored (Virtuous facts 7.5)."""
        for name, value in values.items():
            before = record.custom.get(name)
            after = value if value != "" else None
            if before == after or name not in self.organization.custom_fields:
                continue
            self.effect(f"{record.kind}:{record.id}", f"customFields.{name}", before, after)
            if after is None:
                del record.custom[name]
            else:
                record.custom[name] = after
            self._stamp(record)

    def new_contact(self, fields: Fields) -> Contact:
        contact = Contact(self._id("contact"), fields, *self._stamps())
        self.organization.contacts[contact.id] = contact
        self._created[contact.id] = contact
        self._appeared(contact)
        return contact

    def new_individual(self, contact: Contact, fields: Fields) -> Individual:
        individual = Individual(self._id("individual"), fields, *self._stamps(), owner=contact)
        contact.individuals.append(individual)
        self.organization.individuals[individual.id] = individual
        self.organization.index(individual)
        self._appeared(individual)
        return individual

    def new_method(self, individual: Individual, fields: Fields) -> Method:
        method = Method(self._id("method"), fields, *self._stamps(), individual=individual)
        individual.methods.append(method)
        self.organization.methods[method.id] = method
        self.organization.index(method)
        self._appeared(method)
        return method

    def new_address(self, contact: Contact, fields: Fields) -> Address:
        address = Address(self._id("address"), fields, *self._stamps(), owner=contact)
        contact.addresses.append(address)
        self.organization.addresses[address.id] = address
        self._appeared(address)
        return address

    def new_note(self, contact: Contact, fields: Fields) -> Note:
        note = Note(self._id("note"), fields, *self._stamps(), owner=contact)
        contact.notes.append(note)
        self.organization.notes[note.id] = note
        self._appeared(note)
        self._notes.append(("contactNoteCreate", note))
        return note

    def drop_individual(self, individual: Individual) -> None:
        """A person disappears with every method."""
        for method in list(individual.methods):
            self.drop_method(method)
        self.organization.unindex(individual)
        individual.owner.individuals.remove(individual)
        del self.organization.individuals[individual.id]
        self._vanished(individual)

    def drop_method(self, method: Method) -> None:
        self.organization.unindex(method)
        method.individual.methods.remove(method)
        del self.organization.methods[method.id]
        self._vanished(method)

    def drop_address(self, address: Address) -> None:
        address.owner.addresses.remove(address)
        del self.organization.addresses[address.id]
        self._vanished(address)

    def drop_note(self, note: Note) -> None:
        note.owner.notes.remove(note)
        del self.organization.notes[note.id]
        self._vanished(note)
        self._notes.append(("contactNoteDelete", note))

    def note_changed(self, note: Note) -> None:
        self._notes.append(("contactNoteUpdate", note))

    def move_individual(self, individual: Individual, target: Contact) -> None:
        """A person changes household; both contacts are modified."""
        source = individual.owner
        source.individuals.remove(individual)
        target.individuals.append(individual)
        individual.owner = target
        self.effect(f"individual:{individual.id}", "contactId", source.id, target.id)
        individual.modified, individual.modified_by = self.now, self.author
        self.touch(source)
        self.touch(target)

    def move_address(self, address: Address, target: Contact) -> None:
        source = address.owner
        source.addresses.remove(address)
        target.addresses.append(address)
        address.owner = target
        self.effect(f"address:{address.id}", "contactId", source.id, target.id)
        self.touch(source)
        self.touch(target)

    def move_note(self, note: Note, target: Contact) -> None:
        note.owner.notes.remove(note)
        self.effect(f"note:{note.id}", "contactId", note.owner.id, target.id)
        target.notes.append(note)
        note.owner = target

    def tag(self, contact: Contact, tag: Tag) -> Join:
        """Join a tag; one that is there already stays as it is."""
        present = contact.tags.get(tag.id)
        if present is not None:
            return present
        before = tag_names(contact)
        join = Join(self._id("join"), tag, contact, self.now, self.author)
        contact.tags[tag.id] = join
        tag.contacts[contact.id] = None
        self.organization.joins[join.id] = join
        self.effect(f"contact:{contact.id}", "tags", before, tag_names(contact))
        self.touch(contact)
        return join

    def untag(self, join: Join) -> None:
        contact = join.owner
        before = tag_names(contact)
        del contact.tags[join.tag.id]
        join.tag.contacts.pop(contact.id, None)
        del self.organization.joins[join.id]
        self.effect(f"contact:{contact.id}", "tags", before, tag_names(contact))
        self.touch(contact)

    def define_tag(self, name: str, group: str = "") -> Tag:
        """A new definition, whether or not one of that name exists (Virtuous facts 11)."""
        tag = Tag(self._id("tag"), name, group)
        self.organization.tags[tag.id] = tag
        self.organization.by_tag_name.setdefault(name.casefold(), {})[tag.id] = tag
        self.effect(f"tag:{tag.id}", "tagName", None, name)
        return tag

    def rename_tag(self, tag: Tag, name: str) -> None:
        """The definition changes; contacts show the new name, nobody is told (Virtuous facts 18.8)."""
        if tag.name == name:
            return
        self.effect(f"tag:{tag.id}", "tagName", tag.name, name)
        self.organization.by_tag_name[tag.name.casefold()].pop(tag.id)
        tag.name = name
        self.organization.by_tag_name.setdefault(name.casefold(), {})[tag.id] = tag
        for number in tag.contacts:
            self.organization.contacts[number].body = None

    def refer(self, contact: Contact, source: str, reference: str) -> None:
        """Put an external reference on a contact."""
        key = (source, reference)
        if key in contact.references:
            return
        contact.references.append(key)
        self.organization.by_reference.setdefault(key, {})[contact.id] = contact
        self.effect(f"reference:{source}/{reference}", "contactId", None, contact.id)
        self._touch_for_reference(contact)

    def unrefer(self, contact: Contact, source: str, reference: str) -> None:
        key = (source, reference)
        contact.references.remove(key)
        self.organization.by_reference[key].pop(contact.id)
        self.effect(f"reference:{source}/{reference}", "contactId", contact.id, None)
        self._touch_for_reference(contact)

    def _touch_for_reference(self, contact: Contact) -> None:
        self.touch(contact, event=self.organization.switches["reference-event"] == "fires")

    def _id(self, kind: str) -> int:
        return self.organization.next_id(kind)

    def _stamps(self) -> tuple[float, str, float, str]:
        return (self.now, self.author, self.now, self.author)

    def _stamp(self, record: Record) -> None:
        record.modified, record.modified_by = self.now, self.author
        if isinstance(record, Method):
            record.individual.modified, record.individual.modified_by = self.now, self.author
        if isinstance(record, (Contact, Individual, Method, Address)):
            self.touch(record.owner)

    def _appeared(self, record: Whole) -> None:
        self._whole(record, lambda value: (None, value))

    def _vanished(self, record: Whole) -> None:
        self._whole(record, lambda value: (value, None))

    def _whole(self, record: Whole, order: Any) -> None:
        name = f"{record.kind}:{record.id}"
        self.effect(name, "id", *order(record.id))
        if isinstance(record, Method):
            self.effect(name, "contactIndividualId", *order(record.individual.id))
        elif not isinstance(record, Contact):
            self.effect(name, "contactId", *order(record.owner.id))
        for key, value in record.fields.items():
            if value is not None:
                self.effect(name, key, *order(value))
        self._stamp(record)


def tag_names(contact: Contact) -> tuple[str, ...]:
    """The names of a contact's tags in the order they were joined."""
    return tuple(join.tag.name for join in contact.tags.values())


def _frozen(value: Any) -> Any:
    """Lists as tuples, so that an effect never shares a mutable value with the machine."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
