"""Transaction, Batch, the nightly run, matching and merging (Virtuous facts 10, 18.4)."""

from typing import Any

import pytest

from tests.sandbox.virtuous.door import CC, ORG, Door, asks, emails, method_id

ANN = {"referenceId": "g1", "firstName": "Ann", "lastName": "Bell", "email": "Ann@Example.org"}


def effect_fields(door: Door, record: str) -> dict[str, Any]:
    return {e.field: e.after for _, e in door.machine.background if e.record == record}


def test_a_transaction_is_an_empty_200_and_creates_nothing_yet() -> None:
    """Virtuous facts 10.1, 10.6"""
    door = Door()
    answer = door.submit(**ANN)
    assert (answer.status, answer.body) == (200, b"")
    assert {(e.record, e.field, e.after) for e in answer.effects} >= {
        ("submission:1", "state", "waiting"),
        ("submission:1", "email", "Ann@Example.org"),
    }
    assert door.send("GET", "/api/Contact/Constant%20Contact/g1").status == 404
    assert door.machine.contacts(ORG) == []
    assert door.machine.waiting(ORG)[0]["bucket"] == "waiting"


def test_the_night_makes_the_contact() -> None:
    """Virtuous facts 10.3 (version B), 18.4"""
    door = Door()
    door.submit(**ANN, phone="602 555 0100", address1="1 Main St", country="US", tags="CC: News; CC: Gala;")
    assert door.night() == {
        "Match Needed": 1, "Update Needed": 0, "Ready for Import": 0, "created": 1, "merged": 0, "waiting": 0,
    }  # fmt: skip
    contact = door.get("/api/Contact/Find", "email=ann@example.org")
    assert contact["contactReferences"] == [{"source": CC, "id": "g1"}]
    assert contact["tags"] == ["CC: News", "CC: Gala"]
    assert contact["contactType"] == "Household"
    assert (contact["address"]["label"], contact["address"]["country"]) == ("Imported Address", "United States")
    person = contact["contactIndividuals"][0]
    assert [(m["type"], m["isOptedIn"]) for m in person["contactMethods"]] == [
        ("Home Email", True), ("Mobile Phone", True),
    ]  # fmt: skip
    assert effect_fields(door, f"individual:{person['id']}")["firstName"] == "Ann"
    assert effect_fields(door, "submission:1")["state"] == "created"


def test_new_methods_are_opted_out_by_switch() -> None:
    """Virtuous facts 7.3, 18.4"""
    assert emails(Door({"opt-in-default": "false"}).imported(**ANN)) == {"Ann@Example.org": False}


@pytest.mark.parametrize(
    ("row", "signal"),
    [
        ({"referenceId": "g1", "email": "new@example.org", "firstName": "Ann", "lastName": "Bell"}, "reference"),
        ({"referenceId": "g2", "email": "ANN@example.ORG", "firstName": "A", "lastName": "B"}, "email"),
        ({"referenceId": "g2", "phone": "+1 (602) 555-0100", "firstName": "Ann", "lastName": "Bell"}, "phone"),
        (
            {
                "referenceId": "g2",
                "firstName": "ann",
                "lastName": "BELL",
                "address1": "1 Main St.",
                "address2": "Apt 2",
            },
            "name and street",
        ),
    ],
)
def test_a_row_matches_by_reference_email_phone_or_name_with_the_street(row: dict[str, Any], signal: str) -> None:
    """Virtuous facts 10.4, 18.4"""
    door = Door({"import-run": "manual"})
    number = door.machine.add_contact(
        ORG,
        door.now,
        individuals=[
            {
                "firstName": "Ann",
                "lastName": "Bell",
                "methods": [
                    {"type": "Home Email", "value": "ann@example.org"},
                    {"type": "Home Phone", "value": "602-555-0100"},
                ],
            }
        ],
        addresses=[{"address1": "1 Main St", "address2": "apt 2", "city": "Phoenix"}],
        references=[(CC, "g1")],
    )
    door.submit(**row)
    door.night()
    waiting = door.machine.waiting(ORG)[0]
    assert waiting["candidates"] == [number]
    assert waiting["reasons"][0] == f"matched by {signal}"


@pytest.mark.parametrize(
    "row",
    [
        {"firstName": "Ann", "lastName": "Bell"},
        {"firstName": "Ann", "lastName": "Bell", "city": "Phoenix"},
        {"firstName": "Ann", "lastName": "Bell", "address1": "1 Main St"},
        {"firstName": "Ann", "lastName": "Bell", "address1": "1 Main St", "address2": "Apt 3"},
        {"firstName": "Ben", "lastName": "Bell", "address1": "1 Main St", "address2": "Apt 2"},
        {"firstName": "Ann", "lastName": "Bell", "address1": "1 Main St", "address2": "Apt 2", "city": "Tucson"},
    ],
)
def test_a_name_without_the_whole_street_is_somebody_else(row: dict[str, Any]) -> None:
    """Virtuous facts 10.4: neighbours share buildings and names"""
    door = Door()
    door.machine.add_contact(
        ORG,
        door.now,
        individuals=[{"firstName": "Ann", "lastName": "Bell"}],
        addresses=[{"address1": "1 Main St", "address2": "Apt 2", "city": "Phoenix"}],
    )
    door.submit(referenceId="g2", **row)
    assert door.night()["created"] == 1


def test_a_merge_fills_overwrites_adds_and_leaves_consent_alone() -> None:
    """Virtuous facts 10.4, 10.6, 18.4"""
    door = Door()
    number = door.person(tags=["Major"], references=[("Other", "9")])
    address = method_id(door.contact(number), "ann@example.org")
    door.machine.staff_opts(ORG, address, False, door.now)
    row = {"firstName": "Anna", "suffix": "II", "phone": "6025550100", "city": "Mesa", "tags": "Major;CC: News"}
    merged = door.imported(referenceId="g1", email="ANN@example.org", **row)
    person = merged["contactIndividuals"][0]
    assert merged["id"] == number
    assert (person["firstName"], person["lastName"], person["suffix"]) == ("Anna", "Bell", "II")
    assert emails(merged) == {"ann@example.org": False}
    assert merged["tags"] == ["Major", "CC: News"]
    assert {"source": CC, "id": "g1"} in merged["contactReferences"]
    assert merged["address"]["city"] == "Mesa"
    assert len(person["contactMethods"]) == 2


@pytest.mark.switch("virtuous", "import-email", "add", "replace")
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("add", {"ann@example.org": False, "new@example.org": True}),
        ("replace", {"new@example.org": False}),
    ],
)
def test_a_new_email_on_a_match_is_added_or_replaces(how: str, expected: dict[str, bool]) -> None:
    """Virtuous facts 10.4 (switch import-email)"""
    door = Door({"import-email": how})
    number = door.person(references=[(CC, "g1")])
    door.machine.staff_opts(ORG, method_id(door.contact(number), "ann@example.org"), False, door.now)
    assert emails(door.imported(referenceId="g1", email="new@example.org")) == expected


def test_the_same_reference_again_is_no_error_and_changes_nothing() -> None:
    """Virtuous facts 10.6"""
    door = Door()
    first = door.imported(**ANN, tags="CC: News")
    door.machine.background.clear()
    assert door.imported(**ANN, tags="CC: News") == first
    assert {e.record for _, e in door.machine.background} == {"submission:2"}


def test_two_rows_of_one_person_in_one_night_become_one_contact() -> None:
    """Virtuous facts 10.3: rows are run one after the other"""
    door = Door()
    door.submit(**ANN)
    door.submit(**{**ANN, "referenceId": "g2"})
    door.night()
    (contact,) = door.machine.contacts(ORG)
    assert [r["id"] for r in contact["contactReferences"]] == ["g1", "g2"]


def test_a_row_that_waited_brings_stale_data() -> None:
    """Virtuous facts 10.6"""
    door = Door()
    number = door.person(references=[(CC, "g1")])
    door.submit(referenceId="g1", lastName="Old", firstName="Ann")
    person = door.contact(number)["contactIndividuals"][0]["id"]
    door.machine.staff_renames(ORG, person, door.now, last_name="New")
    door.night()
    assert door.contact(number)["contactIndividuals"][0]["lastName"] == "Old"


def test_ready_mode_runs_only_what_changes_nothing() -> None:
    """Virtuous facts 10.3 (switch import-run)"""
    door = Door({"import-run": "ready"})
    door.person(references=[(CC, "g1")])
    door.submit(referenceId="g1", firstName="Ann", lastName="Bell")
    door.submit(referenceId="g1", firstName="Anna", lastName="Bell")
    door.submit(referenceId="g9", firstName="Zoe", lastName="Zed")
    counts = door.night()
    assert (counts["merged"], counts["created"], counts["waiting"]) == (1, 0, 2)
    assert [row["bucket"] for row in door.machine.waiting(ORG)] == ["Update Needed", "Match Needed"]
    assert door.night()["waiting"] == 2


def test_staff_resolves_waiting_rows() -> None:
    """Virtuous facts 18.4: create, discard, pick a contact"""
    door = Door({"import-run": "manual"})
    number = door.person()
    for reference in ("g1", "g2", "g3"):
        door.submit(referenceId=reference, firstName="Ann", lastName="Bell")
    door.night()
    assert door.machine.resolve(ORG, 1, "create", door.now) != ()
    assert door.machine.resolve(ORG, 2, number, door.now) != ()
    assert [e.after for e in door.machine.resolve(ORG, 3, "discard", door.now)] == ["discarded"]
    assert door.machine.waiting(ORG) == []
    assert door.contact(number)["contactReferences"] == [{"source": CC, "id": "g2"}]
    assert door.send("GET", "/api/Contact/Constant%20Contact/g3").status == 404
    assert len(door.machine.contacts(ORG)) == 2


@pytest.mark.parametrize(
    ("switches", "row"),
    [
        ({}, {"originSegmentCode": "NOWHERE"}),
        ({"unknown-tag": "update-needed"}, {"tags": "Never Heard"}),
    ],
)
def test_unknown_codes_and_tags_keep_a_row_waiting_even_where_all_runs(
    switches: dict[str, str], row: dict[str, str]
) -> None:
    """Virtuous facts 10.1, 10.4, 18.4"""
    door = Door(switches)
    door.person(references=[(CC, "g1")])
    door.submit(referenceId="g1", **row)
    door.night()
    assert door.machine.waiting(ORG)[0]["bucket"] == "Update Needed"


def test_a_planted_segment_is_known() -> None:
    """Virtuous facts 10.1"""
    door = Door()
    assert door.send("GET", "/api/Segment/Code/SYNC").status == 404
    number = door.machine.add_segment(ORG, "SYNC")
    assert door.get("/api/Segment/Code/SYNC")["id"] == number
    assert door.imported(**ANN, originSegmentCode="SYNC")["originSegmentId"] == number


def test_a_row_that_says_nothing_waits() -> None:
    door = Door()
    door.submit()
    assert door.night()["waiting"] == 1


@pytest.mark.parametrize(
    "row", [{"tags": ["a"]}, {"email": {"a": 1}}, {"customFields": [1]}, {"emailLists": "x"}, {"birthYear": "--1"}]
)
def test_wrong_types_in_a_row_are_400(row: dict[str, Any]) -> None:
    """Virtuous facts 10.1: tags are one string"""
    answer = Door().submit(referenceId="g1", **row)
    assert answer.status == 400
    assert "modelState" in answer.json()


def test_a_batch_holds_many_rows_of_one_source() -> None:
    """Virtuous facts 10.2"""
    door = Door()
    people = [{"referenceId": f"g{n}", "firstName": "P", "lastName": f"N{n}"} for n in range(3)]
    answer = door.send("POST", "/api/Contact/Batch", {"referenceSource": CC, "contacts": people})
    assert (answer.status, answer.body) == (200, b"")
    assert door.night()["created"] == 3
    assert door.get("/api/Contact/Find", "referenceSource=Constant%20Contact&referenceId=g2")["name"] == "P N2"
    assert door.send("POST", "/api/Contact/Batch", {"contacts": []}).status == 200
    assert door.send("POST", "/api/Contact/Batch", {"contacts": 5}).status == 400


@pytest.mark.parametrize(("mode", "status", "held"), [("fails-all", 400, 0), ("skipped", 200, 1)])
def test_one_bad_row_of_a_batch(mode: str, status: int, held: int) -> None:
    """Virtuous facts 10.2 (switch batch-bad-row)"""
    door = Door({"batch-bad-row": mode})
    contacts = [{"referenceId": "g1", "firstName": "A"}, {"referenceId": "g2", "tags": []}]
    assert door.send("POST", "/api/Contact/Batch", {"referenceSource": CC, "contacts": contacts}).status == status
    assert len(door.machine.waiting(ORG)) == held


def test_a_batch_can_be_limited() -> None:
    """Virtuous facts 10.2 (switch batch-size)"""
    door = Door({"batch-size": "100"})
    contacts = [{"referenceId": str(n)} for n in range(101)]
    assert door.send("POST", "/api/Contact/Batch", {"contacts": contacts}).status == 400


def test_custom_fields_come_along_and_unknown_ones_do_no_harm() -> None:
    """Virtuous facts 7.5"""
    door = Door()
    door.machine.add_custom_field(ORG, "Size", door.now)
    contact = door.imported(**ANN, customFields={"Size": "L", "Colour": "red"})
    assert contact["customFields"] == [{"name": "Size", "value": "L", "displayName": "Size"}]


def test_several_contacts_with_the_address_are_not_a_confident_match() -> None:
    """Virtuous facts 10.3: strong hits are tie-broken, here by name"""
    door = Door()
    door.person("shared@example.org", first="Zed")
    second = door.person("shared@example.org", first="Ann")
    assert door.imported(**{**ANN, "email": "shared@example.org"})["id"] == second
    door.machine.switches.choose("import-run", "ready")
    door.submit(referenceId="g7", email="shared@example.org", firstName="Ann", lastName="Bell")
    door.night()
    assert door.machine.waiting(ORG)[0]["bucket"] == "Match Needed"
    assert len(door.query(asks("Email Address", "Is", "shared@example.org"))) == 2
