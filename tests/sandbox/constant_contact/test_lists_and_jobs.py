"""Lists, tags, fields, jobs and imports: CC facts 6, 7."""

import json
from typing import Any

import pytest

from keepstep_sandbox.http import Request
from tests.sandbox.constant_contact.door import Door, changed

ADD, REMOVE = "/v3/activities/add_list_memberships", "/v3/activities/remove_list_memberships"
IMPORT = "/v3/activities/contacts_json_import"


def job(door: Door, path: str, ids: list[str], lists: list[str], wait: float = 1.0) -> Any:
    answer = door.call("POST", path, {"source": {"contact_ids": ids}, "list_ids": lists}, wait=wait)
    assert answer.status == 201, answer.body
    assert answer.effects == ()
    return answer.json()


def finished(door: Door, activity: Any) -> Any:
    return door.get(f"/v3/activities/{activity['activity_id']}", wait=100)


def test_lists_are_made_renamed_found_and_paged() -> None:
    """CC facts 6.1."""
    door = Door()
    made = door.call("POST", "/v3/contact_lists", {"name": "Friends, old"})
    assert made.status == 201
    one = made.json()["list_id"]
    assert changed(made.effects) == {"name": (None, "Friends, old")}
    assert "description" not in made.json()
    assert door.call("POST", "/v3/contact_lists", {"name": "Friends, old"}).status == 409
    assert door.call("POST", "/v3/contact_lists", {}).status == 400
    renamed = door.call("PUT", f"/v3/contact_lists/{one}", {"name": "New", "description": "d", "favorite": True})
    assert set(changed(renamed.effects)) == {"name", "description", "favorite"}
    assert (
        door.call("PUT", f"/v3/contact_lists/{one}", {"name": "New", "description": "d", "favorite": True}).effects
        == ()
    )
    two = door.list("Two")
    page = door.get("/v3/contact_lists?limit=1&include_count=true")
    assert (page["lists_count"], page["lists"][0]["list_id"]) == (2, one)
    assert door.get(page["_links"]["next"]["href"])["lists"][0]["list_id"] == two
    assert [row["list_id"] for row in door.get("/v3/contact_lists?name=Two")["lists"]] == [two]
    assert door.get(f"/v3/contact_lists/{one}")["name"] == "New"
    assert door.call("GET", "/v3/contact_lists/none").status == 404
    assert door.call("GET", "/v3/contact_lists?status=x").status == 400
    assert door.call("GET", "/v3/contact_lists?limit=501").status == 400
    door.cc.switches.choose("list_page", "1000")
    assert door.call("GET", "/v3/contact_lists?limit=501").status == 200


def test_membership_counts_on_request() -> None:
    """CC facts 6.1: all or active."""
    door = Door()
    one = door.list("One")
    door.person(email="a@example.org", lists=[one])
    b = door.person(email="b@example.org", lists=[one])
    door.cc.person_opts_out("a1", b, door.now)
    counts = [door.get(f"/v3/contact_lists?include_membership_count={w}")["lists"][0] for w in ("all", "active")]
    assert [row["membership_count"] for row in counts] == [2, 1]
    assert "membership_count" not in door.get("/v3/contact_lists")["lists"][0]


def test_deleting_a_list_is_a_job() -> None:
    """CC facts 6.1: 202 with Location; memberships go, contacts stay."""
    door = Door()
    one = door.list("One")
    a = door.person(email="a@example.org", lists=[one])
    answer = door.call("DELETE", f"/v3/contact_lists/{one}")
    assert (answer.status, answer.effects) == (202, ())
    assert answer.headers["Location"] == f"/v3/activities/{answer.json()['activity_id']}"
    assert door.one(a)["list_memberships"] == [one]
    assert finished(door, answer.json())["state"] == "completed"
    assert door.one(a)["list_memberships"] == []
    assert door.get("/v3/contact_lists")["lists"] == []
    assert door.get("/v3/contact_lists?status=deleted")["lists"][0]["deleted_at"].endswith("Z")
    assert door.call("DELETE", f"/v3/contact_lists/{one}").status == 404
    assert [row["list_id"] for row in door.cc.lists("a1")] == [one]


def test_a_job_runs_later_and_its_effects_are_in_the_background() -> None:
    """CC facts 6.2, 7.2: initialized, processing, completed."""
    door = Door()
    one = door.list("One")
    a, b = door.person(email="a@example.org"), door.person(email="b@example.org", lists=[one])
    posted = job(door, ADD, [a, b, "nobody"], [one])
    at = door.now
    assert posted["state"] == "initialized"
    assert door.cc.next_due() == at + 30
    path = f"/v3/activities/{posted['activity_id']}"
    assert posted["_links"]["self"]["href"] == path
    assert door.get(path, wait=10)["state"] == "processing"
    assert door.one(a)["list_memberships"] == []
    done = finished(door, posted)
    assert (done["state"], done["percent_done"]) == ("completed", 100)
    assert done["status"] == {"items_total_count": 3, "items_completed_count": 2, "error_count": 1, "list_count": 1}
    assert len(done["activity_errors"]) == 1
    assert [(when, one_.record, one_.after) for when, one_ in door.cc.background] == [(at + 30, f"contact:{a}", [one])]
    assert door.cc.next_due() is None
    job(door, REMOVE, [a, b], [one])
    assert door.cc.settle(door.now + 30)
    assert door.cc.settle(door.now + 30) == ()
    assert door.one(a)["list_memberships"] == door.one(b)["list_memberships"] == []


@pytest.mark.switch("constant_contact", "list_job_adds_unsubscribed", "no", "yes")
def test_adding_a_deleted_contact_revives_it_and_opted_out_people_stay_out() -> None:
    """CC facts 5.5, 6.2."""
    door = Door()
    one = door.list("One")
    a, b = door.person(email="a@example.org"), door.person(email="b@example.org")
    door.cc.delete("a1", a, door.now)
    door.cc.person_opts_out("a1", b, door.now)
    done = finished(door, job(door, ADD, [a, b], [one]))
    assert done["status"]["cannot_add_to_list_count"] == 1
    assert "deleted_at" not in door.one(a)
    assert door.one(a)["list_memberships"] == [one]
    assert door.one(b)["list_memberships"] == []
    door.cc.switches.choose("list_job_adds_unsubscribed", "yes")
    finished(door, job(door, ADD, [b], [one]))
    assert door.one(b)["list_memberships"] == [one]
    assert door.one(b)["email_address"]["permission_to_send"] == "unsubscribed"


def test_other_sources_and_exclusions() -> None:
    """CC facts 6.2: one source; exclude only with lists or all active contacts."""
    door = Door()
    one, two = door.list("One"), door.list("Two")
    a = door.person(email="a@example.org", lists=[one])
    b = door.person(email="b@example.org", taggings=["t"])
    for source in ({"list_ids": [one]}, {"tag_ids": ["t"]}):
        assert door.call("POST", ADD, {"source": source, "list_ids": [two]}).status == 201
    door.now += 100
    assert door.ids(f"lists={two}") == [a, b]
    body = {"source": {"all_active_contacts": True}, "exclude": {"contact_ids": [a]}, "list_ids": [two]}
    assert door.call("POST", REMOVE, body).status == 201
    door.now += 100
    assert door.ids(f"lists={two}") == [a]


@pytest.mark.parametrize(
    "over",
    [
        {"list_ids": []},
        {"list_ids": ["x"] * 51},
        {"list_ids": ["nowhere"]},
        {"source": {"contact_ids": [str(n) for n in range(501)]}},
        {"source": {"contact_ids": []}},
        {"source": {}},
        {"source": {"contact_ids": ["a"], "tag_ids": ["b"]}},
        {"source": None},
        {"source": {"engagement_level": "high"}},
        {"exclude": {"contact_ids": ["a"]}},
        {"exclude": ["a"]},
        {"source": {"contact_ids": [1]}},
    ],
)
def test_jobs_beyond_the_limits_are_refused(over: dict[str, Any]) -> None:
    """CC facts 3.2, 6.2: 500 contacts, 50 lists."""
    door = Door()
    body = {"source": {"contact_ids": ["a"]}, "list_ids": [door.list("L")], **over}
    assert door.call("POST", ADD, body).status == 400
    assert door.cc.next_due() is None


def test_a_contact_holds_fifty_lists() -> None:
    """CC facts 3.2."""
    door = Door()
    ids = [door.list(f"L{at}") for at in range(51)]
    a = door.person(email="a@example.org", lists=ids[:49])
    assert finished(door, job(door, ADD, [a], ids[49:]))["status"]["error_count"] == 1
    assert len(door.one(a)["list_memberships"]) == 50


def test_jobs_may_end_otherwise_or_out_of_order() -> None:
    """CC facts 7.2."""
    door = Door(activity_end="timed_out", timed_out_spelling="time_out")
    one = door.list("One")
    a = door.person(email="a@example.org")
    assert finished(door, job(door, ADD, [a], [one]))["state"] == "time_out"
    assert door.one(a)["list_memberships"] == []
    door.cc.switches.choose("activity_end", "completed")
    door.cc.switches.choose("activity_order", "out_of_order")
    job(door, ADD, [a], [one])
    late = job(door, ADD, [a], [one])
    job(door, REMOVE, [a], [one])
    finished(door, late)
    assert [effect.after for _, effect in door.cc.background] == [[one], [], [one]]
    assert [when for when, _ in door.cc.background] == sorted(when for when, _ in door.cc.background)


def test_completed_is_not_success() -> None:
    """CC facts 7.2: error_count in a completed job."""
    door = Door(activity_error_count="1", activity_duration="0")
    one = door.list("One")
    a, b = door.person(email="a@example.org"), door.person(email="b@example.org")
    done = finished(door, job(door, ADD, [a, b], [one]))
    assert (done["state"], done["status"]["error_count"]) == ("completed", 1)
    assert door.ids(f"lists={one}") == [a]


def test_activities_are_kept_ten_days_and_listed() -> None:
    """CC facts 7.2."""
    door = Door()
    one, a = door.list("One"), door.person(email="a@example.org")
    posted = job(door, ADD, [a], [one])
    other = job(door, ADD, [a], [one])
    rows = door.get("/v3/activities?limit=1&state=initialized")
    assert rows["activities"][0]["activity_id"] == other["activity_id"]
    assert door.get(rows["_links"]["next"]["href"])["activities"][0]["activity_id"] == posted["activity_id"]
    door.now += 5 * 86_400
    door.bearer = door.token(door.refresh).json()["access_token"]
    assert len(door.get("/v3/activities")["activities"]) == 2
    door.now += 5 * 86_400 + 100
    fresh = door.cc.add_account("a1", "key", "secret", door.now)["refresh_token"]
    door.bearer = door.token(fresh).json()["access_token"]
    assert door.call("GET", f"/v3/activities/{posted['activity_id']}").status == 404
    assert door.get("/v3/activities")["activities"] == []
    assert door.call("GET", "/v3/activities?state=x").status == 400


def test_a_thousand_jobs_may_wait() -> None:
    """CC facts 3.1."""
    door = Door(activity_duration="900")
    one, a = door.list("One"), door.person(email="a@example.org")
    for _ in range(1_000):
        job(door, ADD, [a], [one], wait=0.25)
    body = {"source": {"contact_ids": [a]}, "list_ids": [one]}
    assert door.call("POST", ADD, body).status == 429


def imported(door: Door, rows: list[Any], lists: list[str], **more: Any) -> Any:
    answer = door.call("POST", IMPORT, {"import_data": rows, "list_ids": lists, **more})
    assert answer.status == 201, answer.body
    return finished(door, answer.json())


def test_imports_make_implicit_people_and_never_list_opted_out_ones() -> None:
    """CC facts 7.1: only sent properties change, permission does not."""
    door = Door()
    one = door.list("One")
    a = door.person(email="a@example.org", first_name="Ann", last_name="Lee", permission="explicit")
    b = door.person(email="b@example.org", first_name="Bob")
    door.cc.person_opts_out("a1", b, door.now)
    rows = [
        {"email": "A@example.org", "last_name": "Low", "first_name": ""},
        {"email": "b@example.org", "last_name": "Bee"},
        {"email": "c@example.org", "home_phone": "555-0100", "street": "1 Main", "street2": "Apt 2", "zip": "60609"},
    ]
    done = imported(door, rows, [one])
    assert (done["status"]["person_count"], done["status"]["cannot_add_to_list_count"]) == (3, 1)
    first = door.one(a)
    assert (first["first_name"], first["last_name"], first["list_memberships"]) == ("Ann", "Low", [one])
    assert first["email_address"]["permission_to_send"] == "explicit"
    assert (door.one(b)["last_name"], door.one(b)["list_memberships"]) == ("Bee", [])
    (c,) = door.ids("email=c@example.org")
    made = door.one(c)
    assert (made["email_address"]["permission_to_send"], made["email_address"]["opt_in_source"]) == (
        "implicit",
        "Account",
    )
    assert made["phone_numbers"][0]["kind"] == "home"
    assert made["street_addresses"][0]["street"] == "1 Main, Apt 2"
    door.cc.background.clear()
    imported(door, rows, [one])
    assert door.cc.background == []


@pytest.mark.switch("constant_contact", "import_revives", "yes", "no")
def test_imports_put_people_back() -> None:
    """CC facts 5.5, reliability: deleted people and those who left a list come back."""
    door = Door()
    one = door.list("One")
    a, b = door.person(email="a@example.org", lists=[one]), door.person(email="b@example.org")
    door.cc.person_leaves("a1", a, one, door.now)
    door.cc.delete("a1", b, door.now)
    imported(door, [{"email": "a@example.org"}, {"email": "b@example.org"}], [one])
    assert door.ids(f"lists={one}") == [a, b]
    door.cc.delete("a1", b, door.now)
    door.cc.switches.choose("import_revives", "no")
    assert imported(door, [{"email": "b@example.org"}], [one])["status"]["error_count"] == 1
    assert "deleted_at" in door.one(b)


def test_bad_rows_are_counted_and_the_last_duplicate_wins() -> None:
    """CC facts 7.1, 7.2: correctable_count in a completed import."""
    door = Door()
    door.cc.add_custom_field("a1", "Shoe size", door.now)
    rows: list[Any] = [
        {"email": "not an address"},
        {"first_name": "Nobody"},
        {"city": "Nowhere"},
        {"email": "a@example.org", "birthday_month": 3},
        {"email": "d@example.org", "cf:unknown": "x"},
        {"email": 5},
        {"email": "e@example.org", "phone": {"x": 1}},
        {"email": "f@example.org", "first_name": "One", "cf:Shoe_size": "44"},
        {"email": "f@example.org", "first_name": "Two"},
    ]
    done = imported(door, rows, [door.list("One")])
    assert (done["status"]["correctable_count"], done["status"]["error_count"]) == (4, 3)
    (f,) = door.ids("status=all")
    assert (door.one(f)["first_name"], door.one(f)["custom_fields"][0]["value"]) == ("Two", "44")


@pytest.mark.switch("constant_contact", "import_status", "201", "202")
def test_an_import_beyond_four_megabytes_is_cut_silently() -> None:
    """CC facts 7.1."""
    door = Door(import_status="202")
    rows = [{"email": f"p{at}@example.org", "company_name": "é" * 49} for at in range(30_000)]
    raw = json.dumps({"import_data": rows, "list_ids": [door.list("One")]}, ensure_ascii=False).encode()
    headers = {"authorization": f"Bearer {door.bearer}", "content-type": "application/json"}
    answer = door.cc.handle(Request("POST", IMPORT, "", headers, raw), door.now + 1)
    assert answer.status == 202
    fits = 4 * 1024 * 1024 // (len(raw) / 30_000)
    assert abs(answer.json()["status"]["items_total_count"] - fits) < 200


@pytest.mark.parametrize("body", [{}, {"import_data": []}, {"import_data": [1]}, {"import_data": [{}] * 40_001}])
def test_bad_imports_are_refused(body: Any) -> None:
    """CC facts 3.2, 7.1."""
    door = Door()
    assert door.call("POST", IMPORT, {"list_ids": [door.list("L")], **body}).status == 400
    assert door.call("POST", IMPORT, {"import_data": [{"email": "a@example.org"}]}).status == 400


def test_tags_and_fields_are_paged() -> None:
    """CC facts 6.3, 6.4."""
    door = Door()
    assert door.get("/v3/contact_tags") == {"tags": [], "_links": {}}
    assert door.get("/v3/contact_custom_fields") == {"custom_fields": [], "_links": {}}
    ids = [door.cc.add_tag("a1", name, door.now) for name in ("x", "y")]
    page = door.get("/v3/contact_tags?limit=1")
    assert page["tags"][0]["tag_id"] == ids[0]
    assert door.get(page["_links"]["next"]["href"])["tags"][0]["name"] == "y"
    assert door.call("GET", "/v3/contact_custom_fields?limit=101").status == 400


def test_privileges_answer() -> None:
    """CC facts 2.2."""
    names = {one["privilege_name"] for one in Door().get("/v3/account/user/privileges")}
    assert {"contacts:read", "contacts:write", "contacts:lists:read", "contacts:lists:write"} <= names
