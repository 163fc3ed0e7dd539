"""Who was where, and open or closed to mail, at any moment of a story: both vendors' final records, wound back.

Everything is read from the stand-ins (final records, EFF), nothing from the product's tables.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.judge.fields import REFERENCE_SOURCE, is_email
from keepstep_simulator.story import Fact, Row, Story

OUT, IN = "unsubscribed", ("implicit", "explicit")
OURS = ("product", "job", "batch")
PERMISSION, ADDRESS, DELETED = "email_address.permission_to_send", "email_address.address", "deleted_at"
REFERENCE = f"reference:{REFERENCE_SOURCE}/"
Place = tuple[str, str]  # customer, record


@dataclass(frozen=True, slots=True)
class Method:
    """An e-mail method of Virtuous at one moment."""

    record: str
    contact: str
    address: str
    opted_in: bool | None


def address(value: Any) -> str:
    """An address as a person knows it: without case and outer space, the domain as it is spelled in any script."""
    text = unicodedata.normalize("NFC", str(value or "")).strip().casefold()
    name, at, domain = text.rpartition("@")
    try:
        return f"{name}{at}{domain.encode('ascii').decode('idna') if 'xn--' in domain else domain}"
    except UnicodeError:
        return text


def moment(fact: Fact) -> float:
    """When an effect was, where the log was told of it later."""
    at = fact.data.get("at")
    return fact.t if at is None else float(at)


class Past:
    """Values of records as they were just before or just after a fact."""

    def __init__(self, story: Story) -> None:
        self.changes: dict[Place, dict[str, list[Fact]]] = defaultdict(_by_field)
        self._methods: dict[str, dict[str, None]] = defaultdict(dict)
        self._now: dict[Place, Mapping[str, Any]] = {}
        for fact in story.of("EFF"):
            if (kind := fact.key.partition(":")[0]) in _KEPT:
                self.changes[fact.customer, fact.key][fact.data["field"]].append(fact)
                if kind == "method":
                    self._methods[fact.customer][fact.key] = None
        for customer, records in story.final.audience.items():
            for raw in records:
                self._now[customer, f"contact:{raw['contact_id']}"] = _audience(raw)
        for customer, records in story.final.crm.items():
            for raw in records:
                self._crm(customer, raw)

    def _crm(self, customer: str, raw: Row) -> None:
        self._now[customer, f"contact:{raw['id']}"] = raw
        for reference in raw["contactReferences"]:
            if reference["source"] == REFERENCE_SOURCE:
                self._now[customer, f"{REFERENCE}{reference['id']}"] = {"contactId": raw["id"]}
        for individual in raw["contactIndividuals"]:
            self._now[customer, f"individual:{individual['id']}"] = {"contactId": raw["id"]}
            for method in individual["contactMethods"] or ():
                self._methods[customer][f"method:{method['id']}"] = None
                self._now[customer, f"method:{method['id']}"] = {**method, "contactIndividualId": individual["id"]}

    def value(self, customer: str, record: str, field: str, n: int) -> Any:
        """A value just before the fact of this number."""
        changes = self.changes.get((customer, record))
        for fact in (changes.get(field) or ()) if changes else ():
            if fact.n >= n:
                return fact.data["before"]
        return self._now.get((customer, record), {}).get(field)

    def after(self, customer: str, record: str, field: str, n: int) -> Iterator[Fact]:
        """The changes of a value after this fact."""
        changes = self.changes.get((customer, record), {})
        return (fact for fact in changes.get(field, ()) if fact.n > n)

    def address(self, customer: str, person: str, n: int) -> str:
        """The address of a contact of Constant Contact."""
        return address(self.value(customer, f"contact:{person}", ADDRESS, n))

    def home(self, customer: str, person: str, n: int) -> str:
        """The Virtuous contact that has the reference of a contact of Constant Contact; empty for none."""
        found = self.value(customer, f"{REFERENCE}{person}", "contactId", n)
        return "" if found is None else str(found)

    def methods(self, customer: str, n: int) -> Iterator[Method]:
        """Every e-mail method just before the fact of this number."""
        for record in self._methods.get(customer, ()):
            if is_email({"type": self.value(customer, record, "type", n)}):
                yield self.method(customer, record, n)

    def method(self, customer: str, record: str, n: int) -> Method:
        """One of them."""
        individual = self.value(customer, record, "contactIndividualId", n)
        contact = self.value(customer, f"individual:{individual}", "contactId", n)
        value, opted_in = (self.value(customer, record, name, n) for name in ("value", "isOptedIn"))
        return Method(record, str(contact), address(value), opted_in)

    def mailable(self, customer: str, person: str, n: int) -> bool:
        """Whether the account may mail a contact of Constant Contact."""
        record = f"contact:{person}"
        permission = self.value(customer, record, PERMISSION, n)
        return permission in IN and not self.value(customer, record, DELETED, n)

    def people(self, customer: str) -> Sequence[str]:
        """Every contact of Constant Contact by its id."""
        return [record.partition(":")[2] for whose, record in self._now if whose == customer and "-" in record]


def _by_field() -> dict[str, list[Fact]]:
    return defaultdict(list)


_KEPT = ("contact", "individual", "method", "reference", "submission")


def _audience(raw: Row) -> Mapping[str, Any]:
    email = raw.get("email_address") or {}
    return {
        PERMISSION: email.get("permission_to_send"),
        ADDRESS: email.get("address"),
        DELETED: raw.get("deleted_at"),
    }
