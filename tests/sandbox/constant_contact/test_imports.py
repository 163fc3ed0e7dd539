"""What an import may do that its sender does not expect: CC facts 7."""

from typing import Any

import pytest

from keepstep_sandbox.constant_contact.imports import _american
from tests.sandbox.constant_contact.door import Door

IMPORT = "/v3/activities/contacts_json_import"
ADD = "/v3/activities/add_list_memberships"


def posted(door: Door, rows: list[Any], lists: list[str]) -> Any:
    answer = door.call("POST", IMPORT, {"import_data": rows, "list_ids": lists})
    assert answer.status == 201, answer.body
    return answer.json()


def ended(door: Door, activity: Any, wait: float = 2000.0) -> Any:
    return door.get(f"/v3/activities/{activity['activity_id']}", wait=wait)


def imported(door: Door, rows: list[Any], *lists: str) -> Any:
    return ended(door, posted(door, rows, list(lists) or [door.list("L")]))


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"email": f"p{number}@example.org", "first_name": f"P{number}", **more}


def one(door: Door, number: int) -> Any:
    (found,) = door.ids(f"email=p{number}@example.org&status=all")
    return door.one(found)


@pytest.mark.parametrize(
    ("number", "american"),
    [
        ("212-555-0100", True),
        ("+1 (514) 721-4711", True),
        ("1 212 555 0100", True),
        ("555-0100", True),
        ("+44 20 7946 0958", False),
        ("+55 (12) 3923-5555", False),
        ("020 7946 0958", False),
        ("0171 234567", False),
        ("+49 711 2842222", False),
    ],
)
def test_numbers_from_abroad_are_told_apart(number: str, american: bool) -> None:
    assert _american(number) is american


@pytest.mark.switch("constant_contact", "import_foreign_phone", "dropped", "correctable")
@pytest.mark.parametrize("mode", ["dropped", "correctable"])
def test_a_number_from_abroad_is_lost_or_costs_its_row(mode: str) -> None:
    """CC facts 7.1: international numbers are not supported; what becomes of them is not stated."""
    door = Door(import_foreign_phone=mode)
    rows = [row(1, mobile_phone="+44 20 7946 0958", home_phone="212-555-0100"), row(2)]
    status = imported(door, rows)["status"]
    if mode == "correctable":
        assert (status["person_count"], status["correctable_count"]) == (1, 1)
        assert door.ids("email=p1@example.org&status=all") == []
        return
    assert (status["person_count"], status["correctable_count"], status["error_count"]) == (2, 0, 0)
    assert [each["kind"] for each in one(door, 1)["phone_numbers"]] == ["home"]


@pytest.mark.switch("constant_contact", "import_unknown_field", "row", "400", "dropped")
def test_a_custom_field_that_is_not_there_costs_a_row_the_call_or_its_value() -> None:
    """CC facts 7.1: custom fields must exist."""
    rows = [row(1, **{"cf:Gone": "x"}), row(2)]
    door = Door(import_unknown_field="row")
    status = imported(door, rows)["status"]
    assert (status["person_count"], status["error_count"]) == (1, 1)
    assert door.ids("email=p1@example.org&status=all") == []
    door = Door(import_unknown_field="400")
    assert door.call("POST", IMPORT, {"import_data": rows, "list_ids": [door.list("L")]}).status == 400
    assert door.cc.next_due() is None
    door = Door(import_unknown_field="dropped")
    assert imported(door, rows)["status"]["error_count"] == 0
    assert one(door, 1)["custom_fields"] == []


def test_a_field_that_is_deleted_while_the_job_waits_costs_its_rows() -> None:
    door = Door(import_unknown_field="400")
    made = door.cc.add_custom_field("a1", "Shoe size", door.now)
    job = posted(door, [row(1, **{"cf:Shoe_size": "44"})], [door.list("L")])
    door.cc.delete_custom_field("a1", made, door.now)
    assert ended(door, job)["status"]["error_count"] == 1


def test_a_row_holds_at_most_twenty_five_custom_fields() -> None:
    """CC facts 3.2, 7.1."""
    door = Door()
    for number in range(26):
        door.cc.add_custom_field("a1", f"F{number}", door.now)
    many = {f"cf:F{number}": "x" for number in range(26)}
    fine = dict(list(many.items())[:25])
    assert imported(door, [row(1, **many), row(2, **fine)])["status"]["error_count"] == 1
    assert len(one(door, 2)["custom_fields"]) == 25


@pytest.mark.switch("constant_contact", "import_duplicates", "in_turn", "last", "first")
@pytest.mark.parametrize(("which", "name", "phones"), [("in_turn", "Two", 1), ("last", "Two", 0), ("first", "One", 1)])
def test_of_rows_of_one_address_not_all_count(which: str, name: str, phones: int) -> None:
    """CC facts 7.1: last one wins, by an answer about older editions."""
    door = Door(import_duplicates=which)
    first = {"email": "p1@example.org", "first_name": "One", "home_phone": "212-555-0100"}
    status = imported(door, [first, {"email": "P1@example.org", "first_name": "Two"}, {"city": "x"}])["status"]
    found = one(door, 1)
    assert (found["first_name"], len(found.get("phone_numbers", ()))) == (name, phones)
    assert status["person_count"] == (2 if which == "in_turn" else 1)
    assert (status["items_total_count"], status["correctable_count"]) == (3, 1)


@pytest.mark.switch("constant_contact", "import_revives", "unsaid")
def test_deleted_people_may_be_left_out_without_a_word() -> None:
    """CC facts 5.5: that an import brings them back is only inferred."""
    door = Door(import_revives="unsaid")
    gone = door.person(email="p1@example.org")
    door.cc.delete("a1", gone, door.now)
    status = imported(door, [row(1), row(2)])["status"]
    assert (status["items_total_count"], status["person_count"]) == (2, 1)
    assert status["error_count"] == status["correctable_count"] == 0
    assert "deleted_at" in door.one(gone)


@pytest.mark.switch("constant_contact", "import_counts", "imported", "file")
@pytest.mark.parametrize(("counts", "total", "people"), [("imported", 3, 2), ("file", 4, 3)])
def test_counts_are_of_people_or_of_the_file(counts: str, total: int, people: int) -> None:
    """CC facts 7.2: by their descriptions they may be of the file, header and all."""
    status = imported(Door(import_counts=counts), [row(1), row(2), {"email": "nobody"}])["status"]
    assert (status["items_total_count"], status["person_count"], status["correctable_count"]) == (total, people, 1)


@pytest.mark.switch("constant_contact", "import_error_text", "plain", "lines", "none")
@pytest.mark.parametrize(("text", "said"), [("plain", False), ("lines", True), ("none", False)])
def test_no_row_numbers_are_promised(text: str, said: bool) -> None:
    """CC facts 7.2."""
    errors = imported(Door(import_error_text=text), [row(1), row(2, birthday_month=13)])["activity_errors"]
    assert len(errors) == (0 if text == "none" else 1)
    assert any("Line 2" in one for one in errors) is said


@pytest.mark.switch("constant_contact", "import_email_size", "50", "80")
@pytest.mark.parametrize("size", [50, 80])
def test_the_size_of_an_address_is_disputed(size: int) -> None:
    """CC facts 3.2."""
    door = Door(import_email_size=str(size))
    rows = [{"email": "a" * (length - 12) + "@example.org"} for length in (50, 51, 80, 81)]
    status = imported(door, rows)["status"]
    assert (status["person_count"], status["correctable_count"]) == ((1, 3) if size == 50 else (3, 1))


@pytest.mark.switch("constant_contact", "import_home_country", "underscore", "space")
@pytest.mark.parametrize("spelt", ["underscore", "space"])
def test_how_the_country_of_a_home_is_spelt_is_disputed(spelt: str) -> None:
    """CC facts 7.1: the other spelling is ignored."""
    door = Door(import_home_country=spelt)
    rows = [
        row(1, home_city="Oslo", home_country="Norway"),
        row(2, home_city="Oslo", **{"home country": "Norway"}),
    ]
    imported(door, rows)
    countries = ["country" in one(door, number)["street_addresses"][0] for number in (1, 2)]
    assert countries == [spelt == "underscore", spelt == "space"]


def test_a_foreign_permission_is_left_as_it_is_and_the_list_is_given() -> None:
    """CC facts 7.1: the permission of people who exist does not change."""
    door = Door()
    listed = door.list("L")
    held = door.person(email="p1@example.org", permission="temp_hold")
    imported(door, [row(1)], listed)
    assert door.one(held)["email_address"]["permission_to_send"] == "temp_hold"
    assert door.one(held)["list_memberships"] == [listed]


def test_a_list_that_is_deleted_while_the_job_waits_gets_nobody() -> None:
    door = Door()
    kept, gone = door.list("Kept"), door.list("Gone")
    job = posted(door, [row(1)], [kept, gone])
    door.cc.delete_list("a1", gone, door.now)
    assert ended(door, job)["state"] == "completed"
    assert one(door, 1)["list_memberships"] == [kept]


@pytest.mark.switch("constant_contact", "activity_stops", "before", "half_way")
@pytest.mark.parametrize(("stops", "done"), [("before", 0), ("half_way", 2)])
def test_a_job_that_failed_may_have_done_half_of_its_work(stops: str, done: int) -> None:
    """CC facts 7.2: what a failed job leaves behind is not stated."""
    door = Door(activity_end="failed", activity_stops=stops)
    listed = door.list("L")
    found = imported(door, [row(number) for number in range(4)], listed)
    assert (found["state"], found["status"]["person_count"]) == ("failed", done)
    assert len(door.ids(f"lists={listed}")) == done
    assert imported(door, [row(number) for number in range(4)], listed)["state"] == "completed"
    assert len(door.ids(f"lists={listed}")) == 4


def test_a_deletion_that_failed_half_way_deleted_nothing() -> None:
    door = Door(activity_end="failed", activity_stops="half_way")
    listed = door.list("L")
    assert ended(door, door.call("DELETE", f"/v3/contact_lists/{listed}").json())["state"] == "failed"
    assert [each["list_id"] for each in door.get("/v3/contact_lists")["lists"]] == [listed]


@pytest.mark.switch("constant_contact", "activity_percent", "100", "below")
@pytest.mark.parametrize(("percent", "shown"), [("100", 100), ("below", 75)])
def test_a_completed_job_may_show_less_than_a_hundred_percent(percent: str, shown: int) -> None:
    """CC facts 7.2: the state counts."""
    found = imported(Door(activity_percent=percent), [row(1)])
    assert (found["state"], found["percent_done"]) == ("completed", shown)


@pytest.mark.switch("constant_contact", "activity_duration", "varied")
def test_jobs_last_as_long_as_they_like_and_end_out_of_order() -> None:
    """CC facts 7.2: 30 s to 15 min, in no order."""
    door = Door(activity_duration="varied")
    listed = door.list("L")
    begun = door.now
    for number in range(5):
        posted(door, [row(number)], [listed])
    door.cc.settle(door.now + 1000)
    joined = [effect for _at, effect in door.cc.background if effect.field == "email_address.address"]
    assert [effect.after for effect in joined] == [f"p{number}@example.org" for number in (0, 2, 4, 1, 3)]
    ends = [at - begun for at, effect in door.cc.background if effect.field == "email_address.address"]
    assert ends[0] >= 30 and ends[-1] >= 900


def test_activities_tell_when_they_were_made_and_which_state_they_are_in() -> None:
    """CC facts 7.2: after a lost answer this list is all there is."""
    door = Door()
    listed = door.list("L")
    job = posted(door, [row(1)], [listed])
    (shown,) = door.get("/v3/activities?state=initialized&limit=500")["activities"]
    assert (shown["activity_id"], shown["status"]["items_total_count"]) == (job["activity_id"], 1)
    assert shown["created_at"].endswith("Z") and "completed_at" not in shown
    assert ended(door, job)["completed_at"] > shown["created_at"]
    assert door.get("/v3/activities?state=initialized")["activities"] == []
