"""One organization: its records and the indexes over them. Only `Change` writes here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.switches import Switches
from keepstep_sandbox.virtuous.budget import Budget
from keepstep_sandbox.virtuous.outbox import Outbox, Subscription
from keepstep_sandbox.virtuous.records import (
    Address,
    Contact,
    Individual,
    Join,
    Method,
    Note,
    Tag,
    email_key,
    name_key,
    phone_key,
)
from keepstep_sandbox.virtuous.submission import Row

# Ranges differ per kind so that a mixed-up id is a 404, not a silent hit; they agree between organizations
# because ids are unique only inside one (Virtuous facts 6).
FIRST_IDS = {
    "contact": 1001, "individual": 20001, "method": 300001, "address": 40001, "note": 50001,
    "tag": 11, "join": 600001, "webhook": 1, "submission": 1,
}  # fmt: skip


class Organization:
    """The whole state of one tenant."""

    def __init__(self, name: str, time_zone: str, created: float, switches: Switches, outbox: Outbox) -> None:
        self.name = name
        self.time_zone = time_zone
        self.created = created
        self.switches = switches
        self.outbox = outbox
        self.budget = Budget(switches)
        self.enabled = True
        self.contacts: dict[int, Contact] = {}
        self.individuals: dict[int, Individual] = {}
        self.methods: dict[int, Method] = {}
        self.addresses: dict[int, Address] = {}
        self.notes: dict[int, Note] = {}
        self.tags: dict[int, Tag] = {}
        self.joins: dict[int, Join] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.segments: dict[str, dict[str, Any]] = {}
        self.custom_fields: dict[str, dict[str, Any]] = {}
        self.rows: dict[int, Row] = {}
        self.by_email: dict[str, dict[int, Method]] = {}
        self.by_phone: dict[str, dict[int, Method]] = {}
        self.by_last_name: dict[str, dict[int, Individual]] = {}
        self.by_reference: dict[tuple[str, str], dict[int, Contact]] = {}
        self.by_tag_name: dict[str, dict[int, Tag]] = {}
        self._next = dict(FIRST_IDS)

    def next_id(self, kind: str) -> int:
        """A fresh id of one kind."""
        number = self._next[kind]
        self._next[kind] = number + 1
        return number

    def index(self, record: Method | Individual) -> None:
        """Enter a record under its present values."""
        for table, key in self._places(record):
            table.setdefault(key, {})[record.id] = record

    def unindex(self, record: Method | Individual) -> None:
        """Take a record out from under its present values."""
        for table, key in self._places(record):
            found = table.get(key, {})
            found.pop(record.id, None)
            if not found:
                table.pop(key, None)

    def _places(self, record: Method | Individual) -> list[tuple[dict[str, dict[int, Any]], str]]:
        if isinstance(record, Individual):
            return [(self.by_last_name, name_key(record.fields["lastName"]))]
        if record.fields["isArchived"]:
            return []
        family = record.family()
        if family == "email":
            return [(self.by_email, email_key(record.fields["value"]))]
        digits = phone_key(record.fields["value"]) if family == "phone" else ""
        return [(self.by_phone, digits)] if digits else []

    def unknown_options(self, values: Mapping[str, str]) -> list[str]:
        """The fields that are given an option they do not have; options are case-sensitive (Virtuous facts 7.5)."""
        found = ((name, self.custom_fields[name]["options"]) for name in values if name in self.custom_fields)
        return [name for name, options in found if options and values[name] and values[name] not in options]

    def with_email(self, email: str) -> list[Method]:
        """The live e-mail methods with this address, oldest first."""
        found = self.by_email.get(email_key(email), {})
        return [found[number] for number in sorted(found)]

    def with_phone(self, phone: str) -> list[Method]:
        """The live telephone methods with these digits, oldest first."""
        found = self.by_phone.get(phone_key(phone), {})
        return [found[number] for number in sorted(found)]

    def with_reference(self, source: str, reference: str) -> list[Contact]:
        """The contacts that carry a reference, oldest first; the vendor forbids no double (Virtuous facts 7.5)."""
        found = self.by_reference.get((source, reference), {})
        return [found[number] for number in sorted(found)]

    def tag_named(self, name: str) -> Tag | None:
        """The oldest tag of this name, exact spelling first."""
        found = self.by_tag_name.get(name.casefold(), {})
        tags = [found[number] for number in sorted(found)]
        return next((tag for tag in tags if tag.name == name), tags[0] if tags else None)
