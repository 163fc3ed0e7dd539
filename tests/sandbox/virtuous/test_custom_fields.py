"""Custom fields: definitions, the list and the object, options, PUT: Virtuous facts 7.5, 11."""

import json
from typing import Any

import pytest

from tests.sandbox.virtuous.door import ORG, Door

ANN = {"referenceId": "r1", "firstName": "Ann", "lastName": "Bell", "email": "ann@example.org"}


def with_fields(switches: dict[str, str] | None = None) -> Door:
    door = Door(switches)
    door.machine.add_custom_field(ORG, "Size", door.now, "List", ("S", "L"), "T-Shirt size")
    door.machine.add_custom_field(ORG, "Motto", door.now)
    door.machine.add_custom_field(ORG, "Since", door.now, "Date")
    return door


def values(contact: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in contact["customFields"]}


@pytest.mark.parametrize(
    ("words", "kinds"), [("live", ["List", "Text", "DateTime"]), ("guide", ["Dropdown", "Text", "Date"])]
)
def test_definitions_differ_per_organization_and_in_their_words(words: str, kinds: list[str]) -> None:
    """Virtuous facts 17: seen live, or in the guides."""
    door = with_fields({"custom-field-types": words})
    found = door.get("/api/Contact/CustomFields")
    assert [one["dataType"] for one in found] == kinds
    assert [one["options"] for one in found] == [["S", "L"], [], []]
    assert (found[0]["name"], found[0]["displayName"]) == ("Size", "T-Shirt size")
    assert door.get("/api/ContactIndividual/CustomFields") == found
    door.machine.add_custom_option(ORG, "Size", "XL")
    door.machine.remove_custom_field(ORG, "Motto")
    assert [one["options"] for one in door.get("/api/Contact/CustomFields")] == [["S", "L", "XL"], []]


def test_an_import_takes_an_object_and_a_read_shows_a_list() -> None:
    door = with_fields()
    contact = door.imported(**ANN, customFields={"Size": "L", "Motto": "Onward", "Nothing": "x"})
    assert contact["customFields"] == [
        {"name": "Size", "value": "L", "displayName": "T-Shirt size"},
        {"name": "Motto", "value": "Onward", "displayName": "Motto"},
    ]
    listed = [{"name": "Size", "value": "S"}]
    assert door.submit(**ANN, customFields=listed).status == 400
    found = door.send("POST", "/api/Contact/Query/FullContact", {"groups": []}).json()["list"][0]
    assert values(found) == {"Size": "L", "Motto": "Onward"}


def test_a_delivery_shows_an_object() -> None:
    door = with_fields()
    number = door.person()
    door.subscribe()
    door.machine.staff_sets_custom(ORG, number, door.now, "Size", "S")
    (one,) = door.deliveries()
    assert json.loads(one.body)["contact"]["customFields"] == {"Size": "S"}


@pytest.mark.parametrize(
    ("value", "bucket", "kept"),
    [
        ("refused", "Update Needed", None),
        ("ignored", "", {"Motto": "Onward"}),
        ("stored", "", {"Size": "l", "Motto": "Onward"}),
    ],
)
def test_an_option_that_is_none_in_an_import(value: str, bucket: str, kept: dict[str, str] | None) -> None:
    """Virtuous facts 7.5: exactly one option, case-sensitive; what happens to another is not stated."""
    door = with_fields({"unknown-option": value})
    door.person()
    door.submit(**ANN, customFields={"Size": "l", "Motto": "Onward"})
    door.night()
    waiting = door.machine.waiting(ORG)
    assert [one["bucket"] for one in waiting] == ([bucket] if bucket else [])
    if kept is None:
        assert "unknown option" in waiting[0]["reasons"]
    else:
        assert values(door.get("/api/Contact/Constant%20Contact/r1")) == kept


@pytest.mark.parametrize(
    ("value", "status", "size"), [("refused", 400, "S"), ("ignored", 200, "S"), ("stored", 200, "l")]
)
def test_an_option_that_is_none_in_a_put(value: str, status: int, size: str) -> None:
    door = with_fields({"unknown-option": value})
    number = door.person(customFields={"Size": "S"})
    body = {"contactType": "Household", "name": "X", "customFields": [{"name": "Size", "value": "l"}]}
    answer = door.send("PUT", f"/api/Contact/{number}", body)
    assert answer.status == status
    assert values(door.contact(number))["Size"] == size
    if status == 400:
        assert answer.effects == ()
        assert "customFields.Size" in answer.json()["modelState"]


@pytest.mark.parametrize(
    ("mode", "without", "with_some"),
    [
        ("keep-name-and-type", {}, {"Size": "L", "Motto": "Onward"}),
        ("replace", {}, {"Size": "L"}),
        ("patch", {"Size": "S", "Motto": "Onward"}, {"Size": "L", "Motto": "Onward"}),
    ],
)
def test_a_put_without_the_list_and_with_some_of_it(
    mode: str, without: dict[str, str], with_some: dict[str, str]
) -> None:
    """Virtuous facts 6, 7.5: an omitted property loses its value, an omitted field is left alone; by switch."""
    for custom, expected in ((None, without), ([{"name": "Size", "value": "L"}], with_some)):
        door = with_fields({"put-contact": mode})
        number = door.person(customFields={"Size": "S", "Motto": "Onward"})
        body = {"contactType": "Household", "name": "X"} | ({} if custom is None else {"customFields": custom})
        assert values(door.send("PUT", f"/api/Contact/{number}", body).json()) == expected


def test_staff_cannot_choose_what_is_no_option() -> None:
    door = with_fields()
    number = door.person()
    with pytest.raises(ValueError, match="no option"):
        door.machine.staff_sets_custom(ORG, number, door.now, "Size", "M")
    with pytest.raises(KeyError):
        door.machine.staff_sets_custom(ORG, number, door.now, "Nothing", "M")


def test_an_address_is_swapped_by_taking_the_method_away_and_making_another() -> None:
    """Virtuous facts 11: consent and rank are what the new one is given."""
    door = Door({"shared-email": "409"})
    one, two = door.person("a@example.org"), door.person("b@example.org", first="Bo")
    first = door.contact(one)["contactIndividuals"][0]
    body = {
        "contactIndividualId": first["id"],
        "type": "Home Email",
        "value": "b@example.org",
        "isOptedIn": False,
        "setAsPrimary": True,
    }
    assert door.send("POST", "/api/ContactMethod", body).status == 409
    held = door.contact(two)["contactIndividuals"][0]["contactMethods"][0]["id"]
    assert door.send("DELETE", f"/api/ContactMethod/{held}").status == 200
    assert door.send("DELETE", f"/api/ContactMethod/{held}").status == 404
    made = door.send("POST", "/api/ContactMethod", body)
    assert made.status == 200
    methods = door.contact(one)["contactIndividuals"][0]["contactMethods"]
    assert [(m["value"], m["isOptedIn"], m["isPrimary"]) for m in methods] == [
        ("a@example.org", True, False),
        ("b@example.org", False, True),
    ]


def test_notes_come_ten_at_a_time_unless_more_are_asked_for() -> None:
    door = Door()
    number = door.person()
    for at in range(12):
        body = {"contactId": number, "type": "General", "note": f"n{at}"}
        assert door.send("POST", "/api/ContactNote", body).status == 200
    path = f"/api/ContactNote/ByContact/{number}"
    page = door.get(path)
    assert (len(page["list"]), page["total"]) == (10, 12)
    assert len(door.get(path, "skip=10&take=50")["list"]) == 2


def test_staff_runs_an_import_late_and_it_overwrites_a_newer_edit() -> None:
    """Virtuous facts 10.6."""
    door = Door({"import-run": "manual"})
    number = door.person()
    door.submit(**ANN | {"firstName": "Anna"})
    door.night()
    person = door.contact(number)["contactIndividuals"][0]["id"]
    door.machine.staff_renames(ORG, person, door.now, first_name="Annabel")
    door.now += 5 * 86_400
    assert door.machine.staff_runs_import(ORG, door.now)
    assert door.contact(number)["contactIndividuals"][0]["firstName"] == "Anna"
    assert door.machine.waiting(ORG) == []


def test_a_row_with_an_error_stays_when_staff_runs_the_import() -> None:
    door = Door({"import-run": "manual"})
    door.submit(**ANN, originSegmentCode="NOWHERE")
    door.submit(**{**ANN, "referenceId": "r2", "email": "new@example.org"})
    door.night()
    door.submit(referenceId="r3", firstName="Not", lastName="Sorted")
    door.machine.staff_runs_import(ORG, door.now)
    assert [one["bucket"] for one in door.machine.waiting(ORG)] == ["Match Needed", "waiting"]
    assert door.send("GET", "/api/Contact/Constant%20Contact/r2").status == 200
