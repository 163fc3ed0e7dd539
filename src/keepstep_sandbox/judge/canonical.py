"""Both final states without ids, stamps, order and times in notes: equal for two runs that ended the same."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import World

_TIMES = re.compile(r"\d[\d:.,TZ+/ -]*")
_CORE = ("first_name", "last_name", "job_title", "company_name", "birthday_month", "birthday_day", "anniversary")
_PLACE = ("label", "address1", "address2", "city", "state", "postal", "country", "isPrimary", "isArchived")
_PERSON = ("prefix", "firstName", "middleName", "lastName", "suffix", "gender", "isPrimary", "isDeceased")
_CONTACT = ("contactType", "name", "informalName", "description", "isPrivate", "isArchived")

Raw = Mapping[str, Any]


def digests(world: World) -> dict[str, str]:
    """One SHA-256 per vendor."""
    return {
        vendor: hashlib.sha256(json.dumps(state, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
        for vendor, state in canonical(world).items()
    }


def canonical(world: World) -> dict[str, list[Any]]:
    """Both states as sorted plain values; ids are replaced by what they stand for."""
    raw = world.constant_contact.contacts(ACCOUNT)
    lists = {one["list_id"]: str(one["name"]) for one in world.constant_contact.lists(ACCOUNT)}
    people = {one["contact_id"]: str((one.get("email_address") or {}).get("address", "")) for one in raw}
    return {
        CONSTANT_CONTACT: _sorted(_audience(one, lists) for one in raw),
        VIRTUOUS: _sorted(_crm(one, people) for one in world.virtuous.contacts(ORGANIZATION)),
    }


def _audience(raw: Raw, lists: Mapping[str, str]) -> dict[str, Any]:
    email = raw.get("email_address") or {}
    keys = ("kind", "street", "city", "state", "postal_code", "country")
    return {
        **{name: raw.get(name) for name in _CORE},
        "email": [email.get("address"), email.get("permission_to_send")],
        "deleted": "deleted_at" in raw,
        "phones": _sorted([one["kind"], one["phone_number"]] for one in raw.get("phone_numbers", ())),
        "addresses": _sorted([one.get(key) for key in keys] for one in raw.get("street_addresses", ())),
        "lists": sorted(lists.get(number, "?") for number in raw.get("list_memberships", ())),
        "taggings": len(raw.get("taggings", ())),
        "custom": _sorted([one.get("value"), one.get("choice_ids")] for one in raw.get("custom_fields", ())),
        "notes": _sorted(_TIMES.sub("#", str(one.get("content"))) for one in raw.get("notes", ())),
    }


def _crm(raw: Raw, people: Mapping[str, str]) -> dict[str, Any]:
    references = ([one["source"], people.get(str(one["id"]), "?")] for one in raw["contactReferences"])
    notes = (
        [one["type"], _TIMES.sub("#", str(one["note"])), one["important"], one["isPrivate"]] for one in raw["notes"]
    )
    return {
        **{name: raw.get(name) for name in _CONTACT},
        "merged": raw["mergedIntoContactId"] is not None,
        "people": _sorted(_individual(one) for one in raw["contactIndividuals"]),
        "addresses": _sorted([one.get(name) for name in _PLACE] for one in raw["contactAddresses"]),
        "tags": sorted(raw["tags"]),
        "references": _sorted(references),
        "notes": _sorted(notes),
        "custom": _sorted([one["name"], one["value"]] for one in raw["customFields"]),
    }


def _individual(raw: Raw) -> dict[str, Any]:
    methods = raw["contactMethods"] or ()
    rows = ([one["type"], one["value"], one["isOptedIn"], one["isPrimary"]] for one in methods)
    return {**{name: raw.get(name) for name in _PERSON}, "methods": _sorted(rows)}


def _sorted(values: Any) -> list[Any]:
    return sorted(values, key=lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True))
