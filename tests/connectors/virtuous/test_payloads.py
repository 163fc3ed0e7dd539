"""Every payload that the vendor is known to send or take is told apart by what it holds; none shows a secret."""

import json
from typing import Any

import pytest

from keepstep.connectors.virtuous import CONNECTOR
from tests.connectors.virtuous.world import World, run

STAMPS = {
    "createDateTimeUtc": "2023-11-30T14:20:56.277",
    "createdByUser": "Staff",
    "modifiedDateTimeUtc": "2023-11-30T14:20:56.3533333",
    "modifiedByUser": "Staff",
}
METHOD = {"id": 31, "type": "Home Email", "value": "ada@example.org", "isOptedIn": False, "isPrimary": True}
PERSON = {
    "id": 21,
    "contactId": 5,
    "firstName": "Ada",
    "lastName": "Lee",
    "deceasedDate": "",
    "contactMethods": [METHOD],
}
CONTACT = {"id": 5, "contactType": "Household", "name": "Lee", "contactIndividuals": [PERSON], "tags": ["CC: News"]}
ROW = {
    "referenceId": "c-1",
    "contactType": "Household",
    "firstName": "Ada",
    "email": "ada@example.org",
    "tags": "CC: A;CC: B",
}
GIFT = {"id": 8, "contactId": 5, "giftType": "Check", "giftDate": "2023-12-07T00:00:00", "amount": 10.5}
GIFT_ROW = {
    "id": 8,
    "contactId": 5,
    "giftType": "Cash",
    "giftDate": "12/7/2023",
    "amount": "$10.50",
    "giftUrl": "/api/Gift/8",
}
DONOR = {"firstname": "Ada", "lastname": "Lee", "email": "ada@example.org", "address": {"address1": "1 Elm"}}
TRANSACTION = {
    "transactionSource": "Shop",
    "transactionId": "t-1",
    "giftDate": "2023-12-07",
    "amount": 5,
    "contact": DONOR,
}
OPERATOR = {"operator": "Is", "multipleValuesAllowed": False, "valueRequired": True}
PARAMETER = {"parameter": "City", "type": "String", "operatorOptions": [OPERATOR], "valueOptions": []}
FIELD = {"dataType": "List", "name": "Size", "displayName": "Shirt size", "options": ["S", "M"], **STAMPS}
PET = {"customCollectionId": 4, "customCollectionName": "Pets", "fields": [{"name": "Name", "value": "Rex"}]}
NOTE = {
    "id": 7,
    "contactId": 5,
    "noteDate": "2024-01-05T00:00:00",
    "type": "General",
    "note": "Met",
    "important": False,
}
ADDRESS = {"id": 6, "label": "Imported Address", "address1": "1 Elm", "address2": None, "country": "United States"}
ORGANIZATION = {"organizationUserId": 9, "organizationName": "Hope (Sandbox)", "organizationTimeZone": "US/Arizona"}
WEBHOOK = {"id": 2, "payloadUrl": "https://x.example.org", "secret": "made-up-secret", "contactCreate": True}
TOKEN = {
    "access_token": "made-up-secret",
    "token_type": "bearer",
    "expires_in": 3599,
    "refresh_token": "made-up-secret",
}
DOCUMENT = {"contactId": 5, "contactName": "Lee", "individualId": 21, "individualName": "Ada Lee", "isArchived": False}
HIT = {"document": DOCUMENT, "highlights": [{"field": "contactName", "snippet": "<mark>Lee</mark>"}]}
NONE = {"hits": [], "total": 0}
SUMMARY = {"id": 5, "name": "Lee", "contactType": "Household", "email": None, "contactViewUrl": "/api/Contact/5"}
DELIVERY = {
    "id": 5,
    "name": "Lee",
    "contactType": "Household",
    "contactIndividuals": [{**PERSON, "contactMethods": None}],
}

PAYLOADS: list[tuple[str, Any, list[str]]] = [
    # Virtuous facts 2, 3
    ("organization", ORGANIZATION, ["organization"]),
    ("organizations", [ORGANIZATION, ORGANIZATION], ["organization"] * 2),
    ("switch", {"organizationUserId": 9}, ["organization"]),
    ("permissions", [{"module": "Campaign", "action": "Read", "allowed": True}], ["permission"]),
    ("token", TOKEN, ["token"]),
    ("token request", {"grant_type": "password", "username": "u", "password": "made-up-secret"}, ["token_request"]),
    # 7, 8
    ("contact", {**CONTACT, **STAMPS, "contactReferences": [{"source": "Constant Contact", "id": "c-1"}]}, ["contact"]),
    ("contacts", {"list": [CONTACT, CONTACT], "total": 2, "skip": 0, "take": 2}, ["contact"] * 2),
    ("private contact", {"id": 5, "contactType": "Household"}, ["contact"]),
    ("contact as taken", {"contactType": "Household", "referenceId": "c-1", "contactIndividuals": [{}]}, ["contact"]),
    ("contact PUT", {"contactType": "Household", "name": "Lee", "customFields": []}, ["contact"]),
    ("individual", PERSON, ["individual"]),
    ("individual as taken", {"contactId": 5, "firstName": "Ada"}, ["individual"]),
    ("method", {**METHOD, **STAMPS, "canBePrimary": True}, ["contact_method"]),
    (
        "method as taken",
        {"contactIndividualId": 2, "type": "Fax", "value": "1", "isOptedIn": False},
        ["contact_method"],
    ),
    ("method in a delivery", {"type": "Home Email", "value": "x", "isPrimary": True}, ["contact_method"]),
    ("method types", ["Home Email", "Work Email"], ["words"]),
    ("address", ADDRESS, ["address"]),
    ("custom fields", [FIELD, FIELD], ["custom_field"] * 2),
    ("custom field value", {"name": "Size", "value": "M", "displayName": "Shirt size"}, ["custom_field_value"]),
    ("old custom field value", {"dataType": "Text", "name": "Size", "value": "M"}, ["custom_field_value"]),
    ("collection", PET, ["custom_collection"]),
    (
        "collection definition",
        {"id": 4, "entityType": "Contact", "name": "Pets", "fields": [FIELD]},
        ["custom_collection"],
    ),
    ("types", [{"parentType": "Organization", "type": "Church"}], ["contact_type"]),
    ("summary", SUMMARY, ["contact_summary"]),
    ("search row", {"individualId": 21, **SUMMARY}, ["contact_summary"]),
    ("search", {"contacts": {"hits": [HIT], "total": 1}, "individuals": NONE, "entities": NONE}, ["search_result"]),
    ("search hit", DOCUMENT, ["search_document"]),
    ("search request", {"query": "lee", "filterTypes": ["Contact"]}, ["search"]),
    ("contact search request", {"search": "lee"}, ["search"]),
    ("archive request", {"archiveReason": "moved"}, ["archiving"]),
    # 9, 10
    ("query", {"includeArchived": True, "groups": [{"conditions": []}], "sortBy": "Id"}, ["query"]),
    ("query options", {"options": [PARAMETER], "operatorOptions": [OPERATOR]}, ["query_options"]),
    ("query option", PARAMETER, ["query_option"]),
    ("transaction", {"referenceSource": "Constant Contact", **ROW}, ["contact_transaction"]),
    ("batch", {"referenceSource": "Constant Contact", "contacts": [ROW, ROW]}, ["contact_transaction"] * 2),
    ("empty batch", {"referenceSource": "Constant Contact", "contacts": []}, ["contact_batch"]),
    ("segment", {"id": 71, "name": "Sync", "code": "SYNC", "communicationId": 7, "campaignId": 3}, ["segment"]),
    # 11
    (
        "tag",
        {"id": 65, "tagName": "CC: News", "tagGroupName": "", "contactsByTagUrl": "/api/Contact/ByTag/65"},
        ["tag"],
    ),
    ("contact tag", {"contactTagId": 4, "tagId": 65, "name": "CC: News", "total": 3}, ["contact_tag"]),
    ("contact tag as taken", {"tagId": 65, "contactId": 5}, ["contact_tag"]),
    ("reference", {"contactId": 5, "referenceSource": "Constant Contact", "referenceId": "c-1"}, ["contact_reference"]),
    ("note", {**NOTE, **STAMPS}, ["contact_note"]),
    ("note as taken", {"contactId": 5, "type": "General", "note": "Met", "important": False}, ["contact_note"]),
    ("note types", {"general": "General", "email": "Email", "event": "Event"}, ["note_types"]),
    (
        "email list of a person",
        {"id": 3, "name": "News", "isSubscribed": True, "unsubscribeReason": None},
        ["email_list"],
    ),
    ("email list", {"emailListId": 3, "name": "News", "total": 9}, ["email_list"]),
    ("email list as taken", {"emailListIds": [3], "contactIndividualIds": [21]}, ["email_list_addition"]),
    ("task", {"id": 5, "taskType": "General", "task": "Call", "contactId": 5, "contact": "Lee"}, ["task"]),
    ("relationship", {"id": 5, "contactId": 5, "relatedContactId": 6, "relationshipType": "Friend"}, ["relationship"]),
    # 12
    ("gift", GIFT, ["gift"]),
    ("gift row", {"list": [GIFT_ROW], "total": 1}, ["gift"]),
    ("gift transaction", TRANSACTION, ["gift_transaction"]),
    ("gift batch", {"transactionSource": "Shop", "transactions": [TRANSACTION]}, ["gift_batch"]),
    ("reversal", {"giftDate": "2023-12-07", "reversedGiftId": 8, "notes": ""}, ["gift_reversal"]),
    (
        "recurring gift",
        {"id": 4, "transactionSource": "Shop", "transactionId": "t", "frequency": "Monthly"},
        ["recurring_gift"],
    ),
    ("cancellation", {"cancelReason": "moved", "categoryId": 1}, ["recurring_gift_cancellation"]),
    # 13
    ("webhook", WEBHOOK, ["webhook"]),
    ("delivery", {"event": "ContactUpdate", "contact": DELIVERY}, ["contact"]),
    (
        "bulk delivery",
        {"event": "ContactUpdate", "models": [{"contact": DELIVERY}, {"contact": DELIVERY}]},
        ["contact"] * 2,
    ),
    (
        "guide's delivery",
        {"eventType": "contact.updated", "eventId": "e", "timestamp": "t", "data": DELIVERY},
        ["contact"],
    ),
    ("guide's gift", {"eventType": "gift.created", "data": GIFT}, ["gift"]),
    ("gift delivery", {"event": "GiftCreate", "gift": {**GIFT, "customFields": {"Receipt": "x"}}}, ["delivery"]),
    ("gift deletion", {"event": "GiftDelete", "id": 8}, ["delivery"]),
    ("note delivery", {"event": "ContactNoteCreate", "contactNote": NOTE}, ["delivery"]),
    ("bulk of nothing", {"event": "ContactUpdate", "models": []}, ["delivery"]),
    # 5
    ("error envelope", {"error": {"code": "VALIDATION_FAILED", "message": "Ada", "details": []}}, ["error"]),
    ("rate limited", {"error": {"code": "RATE_LIMITED", "message": "847", "details": []}}, ["error"]),
    ("error", {"message": "The argument cannot be null"}, ["error"]),
    ("model state", {"message": "x", "modelState": {"body.id": ["An error has occurred."]}}, ["error"]),
    ("token error", {"error": "invalid_grant", "error_description": "made-up-secret"}, ["error"]),
    ("denied", {"message": "Authorization has been denied for this request."}, ["error"]),
]


@pytest.mark.parametrize(("value", "kinds"), [row[1:] for row in PAYLOADS], ids=[row[0] for row in PAYLOADS])
def test_every_payload_is_known(value: Any, kinds: list[str]) -> None:
    seen = CONNECTOR.explain(json.loads(json.dumps(value)))
    assert [one["record_type"] for one in seen] == kinds
    assert all({"platform", "record_id", "warnings"} <= one.keys() for one in seen)
    assert all(one["warnings"] for one in seen if one["record_type"] != "contact")
    assert "made-up-secret" not in json.dumps(seen)


def test_an_error_shows_its_codes_and_not_its_words() -> None:
    """Prose may name people (Virtuous facts 5)."""
    details = [{"field": "email", "code": "TAKEN", "message": "ada@example.org is Ada's"}]
    [seen] = CONNECTOR.explain({"error": {"code": "CONFLICT", "message": "ada@example.org", "details": details}})
    assert seen["warnings"] == ["an error of the vendor: CONFLICT email TAKEN"]
    [seen] = CONNECTOR.explain({"message": "ada@example.org is Ada's"})
    assert seen["warnings"] == ["an error of the vendor: without a code"]


def test_an_import_row_shows_its_reference_and_its_tags() -> None:
    """One string, joined by a semicolon (Virtuous facts 10.1)."""
    [seen] = CONNECTOR.explain({"referenceSource": "Constant Contact", **ROW})
    assert seen["reference"] == {"source": "Constant Contact", "id": "c-1"}
    assert seen["tags"] == ["CC: A", "CC: B"] and "import" in seen["warnings"][0]


def test_every_page_of_the_stand_in_is_known() -> None:
    world = World()
    number = world.add(tags=["T"], notes=["n"])
    method = world.method(number)["id"]
    served = {
        "/api/Organization/Current": "organization",
        "/api/Contact/QueryOptions": "query_options",
        "/api/ContactNote/Types": "note_types",
        "/api/Tag": "tag",
        f"/api/ContactTag/ByContact/{number}": "contact_tag",
        f"/api/ContactNote/ByContact/{number}": "contact_note",
        f"/api/ContactMethod/{method}": "contact_method",
        f"/api/ContactIndividual/ByContact/{number}": "individual",
        "/api/Contact/Types": "contact_type",
        "/api/ContactMethod/Types": "words",
    }
    for path, kind in served.items():
        assert CONNECTOR.explain(run(world.crm.api.get(path)))[0]["record_type"] == kind, path
