"""Which of the vendor's payloads a JSON object is: its keys tell, for almost none of them says so."""

from collections.abc import Mapping
from typing import Any

NOT_A_CONTACT = "not a contact"
WAITS = "makes or changes a contact only when the nightly import runs, and carries no consent"
HIDDEN = "holds a secret, which is not shown"

# A kind, the keys that are there, the keys that are not; the most telling first.
_KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # Virtuous facts 2, 3, 5
    ("token", ("access_token",), ()),
    ("token_request", ("grant_type",), ()),
    ("error", ("modelState",), ()),
    ("error", ("error",), ()),
    ("permission", ("module", "allowed"), ()),
    ("organization", ("organizationUserId",), ()),
    # 9, 10
    ("query_options", ("options", "operatorOptions"), ()),
    ("query_option", ("parameter", "operatorOptions"), ()),
    ("query", ("groups",), ()),
    ("contact_batch", ("contacts", "referenceSource"), ()),
    ("contact_transaction", ("referenceId",), ("id", "contactId", "contactIndividuals")),
    ("segment", ("communicationId",), ()),
    # 11
    ("contact_tag", ("contactTagId",), ()),
    ("contact_tag", ("tagId", "contactId"), ()),
    ("tag", ("tagName",), ()),
    ("contact_summary", ("contactViewUrl",), ()),
    ("contact_reference", ("contactId", "referenceSource", "referenceId"), ()),
    ("contact_type", ("parentType", "type"), ()),
    ("archiving", ("archiveReason",), ()),
    ("relationship", ("relationshipType",), ()),
    ("task", ("taskType",), ()),
    ("email_list", ("isSubscribed",), ()),
    ("email_list", ("emailListId",), ()),
    ("email_list_addition", ("emailListIds",), ()),
    ("webhook", ("payloadUrl",), ()),
    # 12
    ("recurring_gift", ("frequency",), ()),
    ("recurring_gift_cancellation", ("cancelReason",), ()),
    ("gift_reversal", ("reversedGiftId",), ()),
    ("gift_batch", ("transactions",), ()),
    ("gift_transaction", ("transactionId",), ("id",)),
    ("gift", ("giftDate",), ()),
    ("gift", ("giftType",), ()),
    ("designation", ("amountDesignated",), ()),
    # 7
    ("contact_note", ("noteDate",), ()),
    ("contact_note", ("note", "contactId"), ()),
    ("custom_field", ("dataType",), ("value",)),
    ("custom_collection", ("customCollectionId",), ()),
    ("custom_collection", ("entityType", "fields"), ()),
    ("individual", ("contactMethods",), ()),
    ("individual", ("firstName", "contactId"), ()),
    ("search_result", ("contacts", "individuals"), ()),
    ("search_document", ("individualName",), ()),
    ("search", ("query", "filterTypes"), ()),
    ("search", ("search",), ()),
    ("search", ("distanceInMiles",), ()),
    ("address", ("address1",), ("contactType",)),
    ("contact_method", ("isOptedIn",), ()),
    ("contact_method", ("type", "value", "isPrimary"), ()),
    ("custom_field_value", ("name", "value"), ()),
    ("error", ("message",), ("id", "contactType")),
)
_WARNINGS = {
    "token": HIDDEN,
    "token_request": HIDDEN,
    "webhook": HIDDEN,
    "contact_summary": "holds no consent, tags or references",
    "contact_transaction": WAITS,
    "contact_batch": WAITS,
    "query_options": "parameters differ from organization to organization",
}


def kind_of(raw: Mapping[str, Any]) -> str:
    """The kind of a payload, "" for a contact and for what nobody knows."""
    named = (kind for kind, keys, without in _KINDS if _has(raw, keys) and not any(key in raw for key in without))
    return next(named, "note_types" if _names_note_types(raw) else "")


def warning_of(kind: str) -> str:
    """What somebody who takes it for a contact must know."""
    return _WARNINGS.get(kind, NOT_A_CONTACT)


def _has(raw: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    return all(key in raw for key in keys)


def _names_note_types(raw: Mapping[str, Any]) -> bool:
    """An object, not a list: `{"general": "General", ...}` (Virtuous facts 11)."""
    return "general" in raw and all(isinstance(word, str) for word in raw.values())
