"""`keepstep explain`: names and keys are promises; every JSON value yields something."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from keepstep.connectors.virtuous import CONNECTOR
from tests.connectors.virtuous.test_mapping import RECORDS
from tests.connectors.virtuous.world import World, run

PROMISED = {
    *("platform", "record_id", "email", "consent", "deleted", "first_name", "last_name", "phones", "addresses", "tags"),
    *("custom_fields", "updated_at", "warnings", "contact_type", "individuals", "references"),
}


def household(opted_in: Any = True, **raw: Any) -> dict[str, Any]:
    spouse = {
        "id": 5,
        "firstName": "Bo",
        "lastName": "Lee",
        "contactMethods": [{"type": "Home Email", "value": "b@x.org"}],
    }
    email = {"id": 11, "type": "Home Email", "value": "old@example.org", "isOptedIn": True}
    main = {"id": 12, "type": "Work Email", "value": "ada@example.org", "isOptedIn": opted_in, "isPrimary": True}
    phone = {"id": 13, "type": "Mobile Phone", "value": "(602) 555-0101"}
    fax = {"id": 14, "type": "Fax", "value": "602-555-0102"}
    ada = {
        "id": 6,
        "firstName": "Ada",
        "lastName": "Lee",
        "isPrimary": True,
        "contactMethods": [email, main, phone, fax],
    }
    return {"id": 3, "contactType": "Household", "name": "Lee, Ada & Bo", "contactIndividuals": [spouse, ada], **raw}


def explain(value: Any) -> list[dict[str, Any]]:
    return CONNECTOR.explain(value)


def test_a_household_speaks_through_its_primary_individual() -> None:
    """Never by parsing the household's name (Virtuous facts 7.1)."""
    address = {"id": 9, "label": "Home Address", "address1": "1 Elm", "city": "Mesa", "country": "United States"}
    [seen] = explain(household(modifiedDateTimeUtc="2025-06-15T15:06:40.29", address=address, tags=["CC: News"]))
    assert seen.keys() >= PROMISED
    assert (seen["platform"], seen["record_id"], seen["deleted"]) == ("virtuous", "3", False)
    assert (seen["email"], seen["consent"], seen["warnings"]) == ("ada@example.org", "opted_in", [])
    assert (seen["first_name"], seen["last_name"]) == ("Ada", "Lee")
    assert seen["phones"] == [{"kind": "mobile", "raw": "(602) 555-0101", "e164": "+16025550101"}]
    assert seen["addresses"] == [
        {"kind": "home", "street": "1 Elm", "city": "Mesa", "state": None, "postal": None, "country": "United States"}
    ]
    assert seen["updated_at"] == "2025-06-15T15:06:40Z"
    assert [len(person["methods"]) for person in seen["individuals"]] == [1, 4]
    assert json.loads(json.dumps(seen)) == seen


@pytest.mark.parametrize(
    ("opted_in", "consent", "warnings"),
    [(True, "opted_in", []), (False, "opted_out", ["origin_unknown"]), (None, "unknown", [])],
)
def test_consent(opted_in: bool | None, consent: str, warnings: list[str]) -> None:
    """A false does not say who set it."""
    [seen] = explain(household(opted_in))
    assert (seen["consent"], seen["warnings"]) == (consent, warnings)


def test_a_contact_without_people() -> None:
    [seen] = explain({"id": 3, "contactType": "Organization", "contactIndividuals": None})
    assert (seen["email"], seen["consent"], seen["first_name"], seen["phones"]) == (None, "unknown", None, [])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda raw: {"list": [raw, raw], "total": 2},
        lambda raw: [raw, raw],
        lambda raw: {"event": "ContactUpdate", "models": [{"contact": raw}, {"contact": raw}]},
        lambda raw: [{"eventType": "contact.updated", "data": raw}] * 2,
    ],
)
def test_pages_lists_and_deliveries_give_one_each(wrap: Any) -> None:
    assert [seen["record_id"] for seen in explain(wrap(household()))] == ["3", "3"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"id": 1, "tagName": "CC: News", "tagGroupName": ""}, "tag"),
        ({"id": 1, "name": "Lee", "contactType": "Household", "contactViewUrl": "/api/Contact/1"}, "contact_summary"),
        ({"id": 1, "payloadUrl": "https://x", "secret": "made-up-secret"}, "webhook"),
        ({"id": 1, "contactId": 2, "firstName": "A", "contactMethods": []}, "individual"),
        ({"id": 1, "type": "Home Email", "value": "x", "isOptedIn": True}, "contact_method"),
        ({"event": "GiftCreate", "gift": {"id": 1}}, "delivery"),
        ({}, "unknown"),
        ("text", "unknown"),
        (None, "unknown"),
    ],
)
def test_other_records(value: Any, kind: str) -> None:
    """{platform, record_type, warnings}; a secret is not shown."""
    [seen] = explain(value)
    assert (seen["platform"], seen["record_type"]) == ("virtuous", kind) and seen["warnings"]
    assert "made-up-secret" not in json.dumps(seen)


def test_what_the_stand_in_serves() -> None:
    world = World()
    world.add()
    reply = run(world.crm.api.query("/api/Contact/Query", {"groups": []}, skip=0, take=5))
    assert [seen["record_type"] for seen in explain(reply.value)] == ["contact_summary"]
    reply = run(world.crm.api.query("/api/Contact/Query/FullContact", {"groups": []}, skip=0, take=5))
    assert [(seen["email"], seen["warnings"]) for seen in explain(reply.value)] == [("ada@example.org", [])]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(RECORDS)
def test_any_json_value_yields_something(value: Any) -> None:
    """Never a traceback; an empty list alone has nothing to say."""
    seen = explain(value)
    assert all({"platform", "warnings"} <= one.keys() for one in seen)
    assert json.dumps(seen)
    assert seen or value == [] or value["list"] == []


def test_deep_values_do_not_break_it() -> None:
    value: Any = {"id": 1, "contactIndividuals": []}
    for _ in range(900):
        value = {"event": "ContactUpdate", "data": value}
    assert explain(value)[0]["platform"] == "virtuous"
