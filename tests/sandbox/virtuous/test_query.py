"""Contact/Query, FullContact, QueryOptions, paging (Virtuous facts 6, 9, 18.3)."""

from typing import Any

import pytest

from tests.sandbox.virtuous.door import ORG, START, Door, asks

FULL = "/api/Contact/Query/FullContact"


def crowd(size: int) -> Door:
    door = Door()
    for number in range(size):
        door.person(f"p{number}@example.org", first=f"F{number}", last="Bell")
    return door


def test_take_is_ten_by_default_and_the_total_says_more() -> None:
    """Virtuous facts 6"""
    answer = crowd(12).send("POST", FULL, {"groups": []}).json()
    assert (len(answer["list"]), answer["total"]) == (10, 12)


def test_take_above_a_thousand_is_400_and_skip_in_the_body_is_ignored() -> None:
    """Virtuous facts 9, 17, 18.3"""
    door = crowd(3)
    assert door.send("POST", FULL, {}, "take=1001").status == 400
    assert door.send("POST", FULL, {}, "take=x").status == 400
    assert len(door.send("POST", FULL, {"skip": 2, "take": 1}).json()["list"]) == 3
    door.machine.switches.choose("paging-place", "body")
    assert [c["name"] for c in door.send("POST", FULL, {"skip": 2, "take": 1}).json()["list"]] == ["F2 Bell"]


def test_groups_are_or_ed_and_conditions_and_ed() -> None:
    """Virtuous facts 9: up to a thousand groups by id"""
    door = crowd(6)
    groups = [{"conditions": [asks("Contact Id", "Is", str(1001 + n))]} for n in (4, 1, 1, 900)]
    groups.append({"conditions": [asks("Contact Id", "Is", 1003), asks("First Name", "Is", "nobody")]})
    groups.append({"conditions": [asks("Contact Id", "Is", 1004), asks("Email Address", "Is", "p0@example.org")]})
    answer = door.send("POST", FULL, {"groups": groups}, "take=1000").json()
    assert [c["id"] for c in answer["list"]] == [1002, 1005]
    assert door.send("POST", FULL, {"groups": groups * 250}, "take=1000").status == 400


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (asks("Email Address", "Is", "P1@EXAMPLE.org"), [1002]),
        (asks("Email Address", "Contains", "@example"), [1001, 1002, 1003]),
        (asks("First Name", "StartsWith", "f2"), [1003]),
        (asks("Last Name", "EndsWith", "ELL"), [1001, 1002, 1003]),
        (asks("Phone Number", "IsKnown"), []),
        (asks("City", "IsNotKnown"), [1001, 1002, 1003]),
        (asks("Contact Id", "GreaterThan", "1001"), [1002, 1003]),
        (asks("Contact Id", "Between", 1002, secondaryValue="1003"), [1002, 1003]),
        (asks("Contact Id", "In", values=["1001", 1003]), [1001, 1003]),
        (asks("Contact Type", "Is", "Household"), [1001, 1002, 1003]),
        (asks("Contact Type", "IsNot", "Household"), []),
        (asks("Tags", "Is", "cc: news"), [1002]),
        (asks("Tags", "IsNot", "CC: News"), [1001, 1003]),
        (asks("Tags", "IsAnyOf", values=["x", "CC: News"]), [1002]),
        (asks("Private", "IsFalse"), [1001, 1002, 1003]),
    ],
)
def test_operators(condition: dict[str, Any], expected: list[int]) -> None:
    """Virtuous facts 9"""
    door = crowd(3)
    door.machine.staff_adds_tag(ORG, 1002, "CC: News", door.now)
    assert door.query(condition) == expected


@pytest.mark.parametrize(
    "condition",
    [
        asks("Shoe Size", "Is", "1"),
        asks("contact id", "Is", "1001"),
        asks("Contact Id", "Is Equal", "1001"),
        asks("Contact Id", "Contains", "1"),
        asks("Contact Id", "Is", "x"),
        asks("Contact Id", "Is"),
        asks("Last Modified Date", "Is After", "2023-11-14"),
        asks("Last Modified Date", "OnOrAfter", "soon"),
        asks("Last Modified Date", "OnOrAfter", "0001-01-01"),
        asks("Last Modified Date", "OnOrAfter", "9999-12-31T23:59:59Z"),
        asks("Contact Id", "In", values="1001"),
    ],
)
def test_unknown_parameters_operators_and_values_are_400(condition: dict[str, Any]) -> None:
    """Virtuous facts 5, 17: the UI's spelling is refused"""
    assert crowd(1).send("POST", FULL, {"groups": [{"conditions": [condition]}]}).status == 400


def test_an_unknown_sort_is_400_and_known_ones_sort() -> None:
    """Virtuous facts 9"""
    door = crowd(3)
    assert door.send("POST", FULL, {"sortBy": "Shoe Size"}).status == 400
    for descending in (True, "true"):
        rows = door.send("POST", FULL, {"sortBy": "Id", "descending": descending}).json()["list"]
        assert [c["id"] for c in rows] == [1003, 1002, 1001]
    door.machine.staff_adds_tag(ORG, 1001, "T", door.now + 1)
    rows = door.send("POST", FULL, {"sortBy": "Last Modified Date"}).json()["list"]
    assert [c["id"] for c in rows] == [1002, 1003, 1001]


def test_dates_mean_whole_days_in_the_zone_of_the_organization() -> None:
    """Virtuous facts 9: 05:00 UTC is still the day before in Phoenix"""
    door = Door()
    door.now = START + 7 * 3600  # 2023-11-15 05:13 UTC, 2023-11-14 22:13 in Phoenix
    door.person()
    assert door.query(asks("Last Modified Date", "OnOrAfter", "2023-11-14")) == [1001]
    assert door.query(asks("Last Modified Date", "OnOrAfter", "11/15/2023")) == []
    assert door.query(asks("Last Modified Date", "Is", "2023-11-14T00:00:00-07:00")) == [1001]
    assert door.query(asks("Last Modified Date", "After", "2023-11-14")) == []
    assert door.query(asks("Last Modified Date", "OnOrBefore", "2023-11-14")) == [1001]
    assert door.query(asks("Last Modified Date", "Is", "Today")) == [1001]
    assert door.query(asks("Create Date", "Between", "2023-11-13", secondaryValue="2023-11-14")) == [1001]
    # The time of day in a value does not help: the whole day counts.
    assert door.query(asks("Last Modified Date", "OnOrAfter", "2023-11-15T06:00:00Z")) == [1001]
    door.machine.switches.choose("query-date", "instant")
    assert door.query(asks("Last Modified Date", "OnOrAfter", "2023-11-15T06:00:00Z")) == []


def test_archived_and_merged_contacts_hide_unless_asked_for() -> None:
    """Virtuous facts 7.6"""
    door = crowd(3)
    door.machine.staff_archives(ORG, 1001, door.now)
    door.machine.staff_merges(ORG, 1002, 1003, door.now)
    by_id = asks("Contact Id", "LessThan", "2000")
    assert door.query(by_id) == [1003]
    assert door.query(by_id, includeArchived=True) == [1001, 1002, 1003]
    assert door.query(asks("Contact Id", "Is", "1001")) == []


def test_abbreviated_rows_have_no_stamps_tags_or_references() -> None:
    """Virtuous facts 7.7"""
    row = crowd(1).send("POST", "/api/Contact/Query", {}).json()["list"][0]
    assert set(row) == {"id", "name", "contactType", "contactName", "address", "email", "phone", "contactViewUrl"}
    assert row["email"] == "p0@example.org"


def test_pages_are_taken_from_the_records_as_they_are() -> None:
    """Virtuous facts 9: no snapshot, so a change between two pages can hide a record"""
    door = crowd(4)
    first = door.send("POST", FULL, {"sortBy": "Last Modified Date"}, "take=2").json()["list"]
    door.machine.staff_adds_tag(ORG, 1001, "T", door.now + 1)
    second = door.send("POST", FULL, {"sortBy": "Last Modified Date"}, "take=2&skip=2").json()["list"]
    assert [c["id"] for c in first + second] == [1001, 1002, 1004, 1001]


def test_query_options_list_every_parameter_with_its_operators() -> None:
    """Virtuous facts 9"""
    options = crowd(0).get("/api/Contact/QueryOptions")
    by_name = {o["parameter"]: [x["operator"] for x in o["operatorOptions"]] for o in options["options"]}
    assert "OnOrAfter" in by_name["Last Modified Date"]
    assert by_name["Private"] == ["IsTrue", "IsFalse"]
    assert {"operator": "IsKnown", "multipleValuesAllowed": False, "valueRequired": False} in options["operatorOptions"]


def test_search_and_by_tag_page_over_abbreviated_contacts() -> None:
    """Virtuous facts 8"""
    door = crowd(3)
    door.machine.staff_adds_tag(ORG, 1002, "CC: News", door.now)
    tag = door.machine.tags(ORG)[0]["id"]
    assert [r["id"] for r in door.get(f"/api/Contact/ByTag/{tag}")["list"]] == [1002]
    assert door.get("/api/Contact/ByTag/999") == {"list": [], "total": 0}
    found = door.send("POST", "/api/Contact/Search", {"search": "P2@ex"}).json()["list"]
    assert [(r["id"], r["name"]) for r in found] == [(1003, "F2 Bell")]


def test_an_organization_may_not_know_when_contacts_were_modified() -> None:
    """Virtuous facts 9: look it up before asking."""
    door = Door({"modified-parameter": "absent"})
    known = [one["parameter"] for one in door.get("/api/Contact/QueryOptions")["options"]]
    condition = asks("Last Modified Date", "OnOrAfter", "2020-01-01")
    refused = door.send("POST", "/api/Contact/Query", {"groups": [{"conditions": [condition]}]})
    assert "Last Modified Date" not in known
    assert refused.status == 400
    assert "Last Modified Date" in [one["parameter"] for one in Door().get("/api/Contact/QueryOptions")["options"]]
