"""One customer's account: its records, its indexes, and the record of every value that changes."""

import hashlib
from collections.abc import Iterator
from typing import Any

from keepstep_sandbox.constant_contact.activities import Activities
from keepstep_sandbox.constant_contact.contact import Contact
from keepstep_sandbox.constant_contact.definitions import ContactList, CustomField, Tag
from keepstep_sandbox.constant_contact.mailings import Campaign
from keepstep_sandbox.constant_contact.refusals import missing
from keepstep_sandbox.http import Effect
from keepstep_sandbox.switches import Switches

VENDOR = "constant_contact"


class Ids:
    """UUID-shaped ids, the same for the same seed and order of events."""

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0

    def next(self) -> str:
        self._count += 1
        text = hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"


class Account:
    """Contacts, lists, tags, custom fields and campaigns of one customer."""

    def __init__(self, account_id: str, ids: Ids, switches: Switches) -> None:
        self.account_id, self.ids, self.switches = account_id, ids, switches
        self.contacts: dict[str, Contact] = {}
        self.lists: dict[str, ContactList] = {}
        self.activities = Activities(switches)
        self.tags: dict[str, Tag] = {}
        self.custom_fields: dict[str, CustomField] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.segments: dict[int, list[str]] = {}  # contact ids by segment
        self.segments_asked: set[int] = set()  # those whose first question was answered 202
        self._holders: dict[str, list[Contact]] = {}  # address in lower case -> contacts
        self._effects: list[Effect] = []

    def note(self, record: str, field: str, before: Any, after: Any) -> None:
        """Record one value that really changed."""
        if before != after:
            self._effects.append(Effect(VENDOR, self.account_id, record, field, before, after))

    def take_effects(self) -> tuple[Effect, ...]:
        """What changed since the last call."""
        taken, self._effects = tuple(self._effects), []
        return taken

    def contact(self, contact_id: str) -> Contact:
        """A contact in any state. Raises Refusal (404)."""
        found = self.contacts.get(contact_id)
        if found is None:
            raise missing("contact_id is in an invalid format." if len(contact_id) != 36 else "Contact not found.")
        return found

    def holder(self, address: str, but: Contact | None = None) -> Contact | None:
        """Who has this address, in any state (CC facts 5.2: unique, deleted ones included); case does not count."""
        return next((one for one in self._holders.get(address.lower(), ()) if one is not but), None)

    def holders(self, address: str) -> list[Contact]:
        """Every contact with this address: loaded people may share one (CC facts 5.2)."""
        return self._holders.get(address.lower(), [])

    def index(self, contact: Contact, before: str | None, after: str | None) -> None:
        """Keep the address index after a change of address."""
        if before is not None:
            self._holders[before.lower()].remove(contact)
        if after is not None:
            self._holders.setdefault(after.lower(), []).append(contact)

    def live_list(self, list_id: Any) -> ContactList | None:
        """A list that exists and is not deleted."""
        found = self.lists.get(list_id) if isinstance(list_id, str) else None
        return found if found is not None and found.deleted is None else None

    def members(self, list_id: str) -> Iterator[Contact]:
        """Contacts that carry this list."""
        return (one for one in self.contacts.values() if list_id in one.parts["list_memberships"])
