"""How records look on the wire (Virtuous facts 6, 7)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.records import Address, Contact, Individual, Join, Method, Note, Record, Tag

CONTACT_URLS = (
    ("contactGiftsUrl", "/api/Gift/ByContact/{}"), ("contactPassthroughGiftsUrl", "/api/Gift/Passthrough/ByContact/{}"),
    ("contactPlannedGiftsUrl", "/api/PlannedGift/ByContact/{}"),
    ("contactRecurringGiftsUrl", "/api/RecurringGift/ByContact/{}"),
    ("contactImportantNotesUrl", "/api/ContactNote/Important/ByContact/{}"),
    ("contactNotesUrl", "/api/ContactNote/ByContact/{}"), ("contactTagsUrl", "/api/ContactTag/ByContact/{}"),
    ("contactRelationshipsUrl", "/api/Relationship/ByContact/{}"),
)  # fmt: skip


@lru_cache(maxsize=8192)
def stamp(now: float) -> str:
    """UTC without Z, three fraction digits (Virtuous facts 6)."""
    return datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


@lru_cache(maxsize=8192)
def nested_stamp(now: float) -> str:
    """The same instant as nested objects write it: seven digits (Virtuous facts 6, 18.6)."""
    return datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "0"


def stamps(record: Record, nested: bool) -> dict[str, Any]:
    write = nested_stamp if nested else stamp
    return {
        "createDateTimeUtc": write(record.created),
        "createdByUser": record.created_by,
        "modifiedDateTimeUtc": write(record.modified),
        "modifiedByUser": record.modified_by,
    }


def method(record: Method, nested: bool = False) -> dict[str, Any]:
    fields = record.fields
    return {
        "id": record.id,
        "type": fields["type"],
        "value": fields["value"],
        "isOptedIn": fields["isOptedIn"],
        "isPrimary": fields["isPrimary"],
        "canBePrimary": record.family() != "other",
        **stamps(record, nested),
    }


def address(record: Address, nested: bool = False) -> dict[str, Any]:
    fields = {name: value for name, value in record.fields.items() if name != "isArchived"}
    return {"id": record.id, **fields, "canBePrimary": True, **stamps(record, nested)}


def individual(record: Individual, organization: Organization, nested: bool = False) -> dict[str, Any]:
    fields = record.fields
    live = [m for m in record.methods if not m.fields["isArchived"]]
    return {
        "id": record.id,
        "contactId": record.owner.id,
        **fields,
        "deceasedDate": fields["deceasedDate"] or "",
        "canBePrimary": not fields["isPrimary"],
        "canBeSecondary": not fields["isSecondary"],
        "birthDate": birth_date(record),
        "contactMethods": [method(m, nested=True) for m in live],
        **stamps(record, nested),
        "customFields": custom_list(record.custom, organization),
        "customCollections": [],
    }


def birth_date(record: Individual) -> str:
    """US month/day/year, empty where a part is missing (Virtuous facts 6)."""
    parts = [record.fields[name] for name in ("birthMonth", "birthDay", "birthYear")]
    return "/".join(str(part) for part in parts) if all(parts) else ""


def custom_list(custom: dict[str, str], organization: Organization) -> list[dict[str, Any]]:
    known = organization.custom_fields
    return [
        {"name": name, "value": value, "displayName": known.get(name, {}).get("displayName", name)}
        for name, value in custom.items()
    ]


# Seen live and said by the guides; both are open sets (Virtuous facts 7.5, 17).
LIVE_TYPES = {"Date": "DateTime", "Dropdown": "List"}
GUIDE_TYPES = {"DateTime": "Date", "List": "Dropdown"}


def custom_field(definition: dict[str, Any], organization: Organization) -> dict[str, Any]:
    """A definition, its type in the words of switch custom-field-types."""
    words = LIVE_TYPES if organization.switches["custom-field-types"] == "live" else GUIDE_TYPES
    kind = definition["dataType"]
    return {**definition, "dataType": words.get(kind, kind)}


def contact(record: Contact, organization: Organization) -> dict[str, Any]:
    """The full contact (Virtuous facts 7.1)."""
    fields = record.fields
    primary = record.address()
    shape: dict[str, Any] = {
        "isCurrentUserFollowing": False,
        "id": record.id,
        **{name: value for name, value in fields.items() if name != "isArchived"},
        "address": None if primary is None else address(primary, nested=True),
        "giftAskAmount": "",
        "giftAskType": "",
        "lifeToDateGiving": "$0",
        "yearToDateGiving": "$0",
        "lastGiftAmount": "Unavailable",
        "lastGiftDate": "Unavailable",
        "contactIndividuals": [individual(person, organization, nested=True) for person in record.individuals],
        **{name: url.format(record.id) for name, url in CONTACT_URLS},
        "primaryAvatarUrl": "",
        "contactReferences": [{"source": source, "id": number} for source, number in record.references],
        **stamps(record, nested=False),
        "tags": _tags(record, organization),
        "organizationGroups": [],
        "customFields": custom_list(record.custom, organization),
        "customCollections": record.collections,
    }
    if organization.switches["archived-flag"] == "present":
        shape["isArchived"] = fields["isArchived"]
    return shape


def contact_body(record: Contact, organization: Organization) -> bytes:
    """The full contact as JSON, kept until the contact changes."""
    switches = organization.switches
    key = (switches["archived-flag"], switches["contact-tags"])
    if record.body is None or record.body_for != key:
        record.body, record.body_for = json.dumps(contact(record, organization)).encode(), key
    return record.body


def _tags(record: Contact, organization: Organization) -> list[Any]:
    names = [join.tag.name for join in record.tags.values()]
    return [{"tag": name} for name in names] if organization.switches["contact-tags"] == "objects" else names


def raw_contact(record: Contact, organization: Organization) -> dict[str, Any]:
    """Everything known of a contact, for the judge."""
    return {
        **json.loads(contact_body(record, organization)),
        "isArchived": record.fields["isArchived"],
        "contactAddresses": [{**address(a), "isArchived": a.fields["isArchived"]} for a in record.addresses],
        "archivedMethods": [method(m) for p in record.individuals for m in p.methods if m.fields["isArchived"]],
        "tags": [join.tag.name for join in record.tags.values()],
        "notes": [note(n) for n in record.notes],
    }


def abbreviated(record: Contact) -> dict[str, Any]:
    """A row of Query, ByTag and Search: no stamps, references, tags or consent (Virtuous facts 7.7)."""
    methods, primary = record.methods(), record.address()
    town = [] if primary is None else [primary.fields["city"], primary.fields["state"]]
    return {
        "id": record.id,
        "name": record.fields["name"],
        "contactType": record.fields["contactType"],
        "contactName": record.fields["name"],
        "address": ", ".join(part for part in town if part) or None,
        "email": next((m.fields["value"] for m in methods if m.family() == "email"), None),
        "phone": next((m.fields["value"] for m in methods if m.family() == "phone"), None),
        "contactViewUrl": f"/api/Contact/{record.id}",
    }


def webhook_contact(record: Contact, organization: Organization) -> dict[str, Any]:
    """A contact inside a delivery; methods can be null (Virtuous facts 7.2, 13.3)."""
    full = organization.switches["webhook-record"] == "full"
    shape: dict[str, Any] = {
        "id": record.id,
        "name": record.fields["name"],
        "contactType": record.fields["contactType"],
        "customContactType": None,
        "contactAddresses": [_webhook_address(a) for a in record.addresses if not a.fields["isArchived"]],
        "contactIndividuals": [_webhook_individual(person, full) for person in record.individuals],
        "tags": [join.tag.name for join in record.tags.values()],
        "organizationGroups": [],
        "customFields": dict(record.custom),
    }
    if full:
        references = [{"source": source, "id": number} for source, number in record.references]
        shape |= {"contactReferences": references, "mergedIntoContactId": record.fields["mergedIntoContactId"]}
        shape |= stamps(record, nested=False)
    return shape


def _webhook_address(record: Address) -> dict[str, Any]:
    names = ("label", "address1", "address2", "city", "state", "postal", "country", "isPrimary")
    return {"id": record.id, **{name: record.fields[name] for name in names}}


def _webhook_individual(record: Individual, full: bool) -> dict[str, Any]:
    methods = [m for m in record.methods if not m.fields["isArchived"]]
    names = ("prefix", "firstName", "middleName", "lastName", "suffix", "isPrimary", "isDeceased")
    return {
        "id": record.id,
        **{name: record.fields[name] for name in names},
        "contactMethods": [_webhook_method(m, full) for m in methods] or None,
    }


def _webhook_method(record: Method, full: bool) -> dict[str, Any]:
    names = ("type", "value", "isPrimary", "isOptedIn") if full else ("type", "value", "isPrimary")
    return {"id": record.id, **{name: record.fields[name] for name in names}}


def note(record: Note) -> dict[str, Any]:
    fields = record.fields
    return {
        "id": record.id,
        "contactId": record.owner.id,
        **stamps(record, nested=False),
        "noteDate": fields["noteDateTime"],
        "type": fields["type"],
        "note": fields["note"],
        "important": fields["important"],
        "isPrivate": fields["private"],
        "createdByAvatarUrl": None,
        "reminder": None,
    }


def tag(record: Tag) -> dict[str, Any]:
    return {
        "id": record.id,
        "tagName": record.name,
        "tagGroupName": record.group,
        "contactsByTagUrl": f"/api/Contact/ByTag/{record.id}",
    }


def join(record: Join) -> dict[str, Any]:
    return {
        "contactTagId": record.id,
        "tagId": record.tag.id,
        "name": record.tag.name,
        "total": len(record.tag.contacts),
        "createDateTimeUtc": stamp(record.created),
        "createdByUser": record.created_by,
        "modifiedDateTimeUtc": stamp(record.created),
        "modifiedByUser": record.created_by,
        "contactsByTagUrl": f"/api/Contact/ByTag/{record.tag.id}",
    }
