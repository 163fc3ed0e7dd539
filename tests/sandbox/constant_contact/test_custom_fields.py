"""Custom fields of every type, choices, and a contact's values: CC facts 5.2, 6.4."""

import pytest

from keepstep_sandbox.constant_contact.definitions import SELECTS, TYPES
from keepstep_sandbox.log import CONSTANT_CONTACT
from tests.sandbox.constant_contact.door import Door, changed
from tests.sandbox.vendor import faults, needs_documents

PATH = "/v3/contact_custom_fields"


def test_a_field_of_every_type_is_defined_and_shown() -> None:
    door = Door()
    for kind in TYPES:
        door.cc.add_custom_field("a1", f"A {kind}", door.now, kind, ("Red", "Green; Blue"))
    page = door.get(f"{PATH}?limit=5")
    rows = page["custom_fields"] + door.get(page["_links"]["next"]["href"])["custom_fields"]
    assert [one["type"] for one in rows] == list(TYPES)
    assert (rows[0]["label"], rows[0]["name"]) == ("A string", "A_string")
    assert {one["type"] for one in rows if "choices" in one} == set(SELECTS)
    assert [one["choice_id"] for one in rows[-1]["choices"]] == ["000001", "000002"]
    assert [one["choice_label"] for one in rows[-1]["choices"]] == ["Red", "Green; Blue"]
    assert door.call("GET", f"{PATH}?limit=101").status == 400
    with pytest.raises(ValueError, match="no type"):
        door.cc.add_custom_field("a1", "X", door.now, "colour")


def test_the_api_makes_renames_and_deletes_fields() -> None:
    door = Door()
    body = {"label": "Size", "type": "single_select", "choices": [{"choice_label": "S"}, {"choice_label": "L"}]}
    made = door.call("POST", PATH, body)
    field_id = made.json()["custom_field_id"]
    a = door.person(email="a@example.org")
    door.cc.set_custom_field("a1", a, field_id, door.now, "L")
    assert made.status == 201
    assert door.call("POST", PATH, {"label": "Size", "type": "string"}).status == 409
    assert door.call("POST", PATH, {"label": "Other", "type": "colour"}).status == 400
    assert door.call("POST", PATH, {"label": "Other", "choices": 5}).status == 400
    renamed = door.call("PUT", f"{PATH}/{field_id}", {"label": "T-Shirt"}).json()
    assert (renamed["label"], renamed["name"]) == ("T-Shirt", "Size")
    assert door.one(a)["custom_fields"] == [{"custom_field_id": field_id, "choice_ids": ["000002"]}]
    assert door.call("DELETE", f"{PATH}/{field_id}").status == 204
    assert door.one(a)["custom_fields"] == []
    assert door.call("GET", f"{PATH}/{field_id}").status == 404


def test_values_come_only_when_included_and_choices_as_ids() -> None:
    door = Door()
    text = door.cc.add_custom_field("a1", "Motto", door.now)
    many = door.cc.add_custom_field("a1", "Likes", door.now, "multi_select", ("Tea", "Cake", "Rain"))
    a = door.person(email="a@example.org")
    before = door.one(a)["updated_at"]
    door.now += 5
    door.cc.set_custom_field("a1", a, text, door.now, "Onward")
    door.cc.set_custom_field("a1", a, many, door.now, ["Rain", "000001"])
    assert "custom_fields" not in door.get(f"/v3/contacts/{a}")
    assert door.one(a)["custom_fields"] == [
        {"custom_field_id": text, "value": "Onward"},
        {"custom_field_id": many, "choice_ids": ["000003", "000001"]},
    ]
    assert door.one(a)["updated_at"] == before
    with pytest.raises(ValueError, match="no choice"):
        door.cc.set_custom_field("a1", a, many, door.now, "Coffee")
    door.cc.set_custom_field("a1", a, many, door.now)
    assert [one["custom_field_id"] for one in door.one(a)["custom_fields"]] == [text]


def test_a_choice_that_was_taken_away_keeps_its_id_and_gets_a_date() -> None:
    """CC facts 1: of a choice `deleted_at` is a date."""
    door = Door()
    field_id = door.cc.add_custom_field("a1", "Size", door.now, "single_select", ("S",))
    new = door.cc.add_choice("a1", field_id, "XL", door.now)
    door.cc.remove_choice("a1", field_id, "000001", door.now)
    first, second = door.get(f"{PATH}/{field_id}")["choices"]
    assert (first["deleted_at"], "deleted_at" in second) == ("2025-06-15", False)
    assert second["choice_id"] == new == "000002"


def test_choice_ids_may_be_numbers_in_the_definition_and_texts_on_contacts() -> None:
    """CC facts 6.4."""
    door = Door(choice_id_type="number")
    field_id = door.cc.add_custom_field("a1", "Size", door.now, "single_select", ("S",))
    a = door.person(email="a@example.org")
    door.cc.set_custom_field("a1", a, field_id, door.now, "S")
    assert door.get(PATH)["custom_fields"][0]["choices"][0]["choice_id"] == 100001
    assert door.one(a)["custom_fields"][0]["choice_ids"] == ["100001"]


def test_acts_rename_and_delete_definitions() -> None:
    door = Door()
    field_id = door.cc.add_custom_field("a1", "Size", door.now)
    assert changed(door.cc.rename_custom_field("a1", field_id, "Width", door.now)) == {"label": ("Size", "Width")}
    assert changed(door.cc.delete_custom_field("a1", field_id, door.now)) == {"label": ("Width", None)}
    assert door.get(PATH)["custom_fields"] == []


@needs_documents
def test_definitions_are_what_the_document_says_where_choice_ids_are_numbers() -> None:
    door = Door(choice_id_type="number")
    for kind in TYPES:
        door.cc.add_custom_field("a1", f"A {kind}", door.now, kind, ("Red",))
    assert faults(CONSTANT_CONTACT, "GET", PATH, door.get(PATH)) == []
