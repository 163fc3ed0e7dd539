"""Writing one contact: CC facts 3.2, 4, 5.3, 5.5."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keepstep_sandbox.http import Request
from tests.sandbox.constant_contact.door import ALL, Door, changed


def put_back(door: Door, contact_id: str, **over: Any) -> Any:
    body = {**door.one(contact_id), "update_source": "Account", **over}
    return door.call("PUT", f"/v3/contacts/{contact_id}", body)


def full(door: Door) -> str:
    street = {"kind": "home", "street": "1 Main St", "city": "Chicago", "country": "United States"}
    lists, phones = [door.list("News")], [("home", "555-0100"), ("mobile", "555-0101")]
    return door.person(
        first_name="Ann", last_name="Lee", email="ann@example.org", phones=phones, addresses=[street], lists=lists,
        taggings=["t1"], custom_fields=[{"custom_field_id": "f1", "value": "x"}], job_title="Chair", birthday_month=2,
        birthday_day=3, notes=[{"note_id": "n1", "created_at": "2020-01-01T00:00:00Z", "content": "hello"}],
    )  # fmt: skip


def test_putting_everything_back_changes_nothing() -> None:
    """CC facts 5.3: GET with all includes, PUT back; read-only properties are ignored (CC facts 1)."""
    door = Door()
    a = full(door)
    before = door.one(a)
    answer = put_back(door, a)
    assert (answer.status, answer.effects) == (200, ())
    assert door.one(a) == {**before, "update_source": "Account"}
    door.cc.person_opts_out("a1", a, door.now, "bored")
    assert put_back(door, a).effects == ()


def test_put_clears_omitted_core_and_keeps_subresources() -> None:
    """CC facts 5.3: the specification's reading is the default."""
    door = Door()
    a = full(door)
    body = {
        "update_source": "Account",
        "email_address": {"address": "ann@example.org"},
        "first_name": "",
        "last_name": "L",
    }
    answer = door.call("PUT", f"/v3/contacts/{a}", body)
    assert changed(answer.effects) == {
        "first_name": ("Ann", None), "last_name": ("Lee", "L"), "job_title": ("Chair", None),
        "birthday_month": (2, None), "birthday_day": (3, None),
    }  # fmt: skip
    after = door.one(a)
    assert "first_name" not in after
    assert len(after["phone_numbers"]) == 2
    assert all(one.record == f"contact:{a}" and one.account == "a1" for one in answer.effects)


def test_put_may_clear_omitted_subresources() -> None:
    """CC facts 5.3: staff's reading."""
    door = Door(put_subresources="clears")
    a = full(door)
    body = {"update_source": "Account", "email_address": {"address": "ann@example.org"}}
    fields = changed(door.call("PUT", f"/v3/contacts/{a}", body).effects)
    assert {"phone_numbers", "street_addresses", "list_memberships", "taggings", "custom_fields", "notes"} <= set(
        fields
    )


@pytest.mark.switch("constant_contact", "put_without_email", "clears", "keeps")
def test_put_without_email_takes_the_channel_away_by_switch() -> None:
    """CC facts 5.3: unconfirmed."""
    door = Door()
    a = full(door)
    door.call("PUT", f"/v3/contacts/{a}", {"update_source": "Account", "first_name": "Ann"})
    assert "email_address" not in door.one(a)
    door = Door(put_without_email="keeps")
    a = full(door)
    door.call("PUT", f"/v3/contacts/{a}", {"update_source": "Account", "first_name": "Ann"})
    assert door.one(a)["email_address"]["address"] == "ann@example.org"


def test_a_sent_subresource_replaces_the_whole_array() -> None:
    """CC facts 5.3; what stays keeps its id."""
    door = Door()
    a = full(door)
    home, mobile = door.one(a)["phone_numbers"]
    phones = [{"kind": "mobile", "phone_number": "555-0101"}, {"kind": "work", "phone_number": "555-0102"}]
    answer = put_back(door, a, phone_numbers=phones, list_memberships=[])
    assert set(changed(answer.effects)) == {"phone_numbers", "list_memberships"}
    after = door.one(a)
    assert after["list_memberships"] == []
    assert after["phone_numbers"][0] == mobile
    assert after["phone_numbers"][1]["phone_number_id"] not in (home["phone_number_id"], mobile["phone_number_id"])


@pytest.mark.parametrize("source", ["Contact", "Account"])
def test_opting_out_by_put(source: str) -> None:
    """CC facts 5.3, 5.4: the contact's own updated_at never moves."""
    door = Door(updated_at_on_permission="yes")
    a = full(door)
    before = door.one(a)
    email = {"address": "ann@example.org", "permission_to_send": "unsubscribed", "opt_out_reason": "CRM"}
    answer = put_back(door, a, update_source=source, email_address=email)
    after = door.one(a)
    assert changed(answer.effects)["email_address.permission_to_send"] == ("implicit", "unsubscribed")
    assert after["email_address"]["opt_out_source"] == source
    assert after["email_address"]["opt_out_reason"] == "CRM"
    assert after["updated_at"] == before["updated_at"]
    assert after["list_memberships"] == before["list_memberships"]


def test_unsubscribed_people_may_lose_their_lists() -> None:
    """CC facts 5.5."""
    door = Door(unsubscribed_keeps_lists="no")
    a = full(door)
    lists = door.one(a)["list_memberships"]
    door.cc.person_opts_out("a1", a, door.now)
    assert door.one(a)["list_memberships"] == []
    assert put_back(door, a, list_memberships=lists).effects == ()


def test_sending_another_permission_changes_consent() -> None:
    """CC facts 5.3: a stale PUT undoes an opt-out."""
    door = Door()
    a = full(door)
    stale = door.one(a)
    door.cc.person_opts_out("a1", a, door.now)
    answer = door.call("PUT", f"/v3/contacts/{a}", {**stale, "update_source": "Account"})
    assert changed(answer.effects)["email_address.permission_to_send"] == ("unsubscribed", "implicit")
    after = door.one(a)["email_address"]
    assert "opt_out_date" not in after
    assert after["opt_in_source"] == "Account"


@pytest.mark.switch("constant_contact", "conflict_wording", "with_id", "without_id")
def test_the_id_survives_an_address_change_and_409_names_the_holder() -> None:
    """CC facts 4, 5.2, 5.3: unique over deleted and unsubscribed people."""
    door = Door()
    a, b = full(door), door.person(email="bob@example.org")
    door.cc.delete("a1", b, door.now)
    taken = put_back(door, a, email_address={"address": "BOB@example.org", "permission_to_send": "implicit"})
    assert (taken.status, taken.effects) == (409, ())
    assert taken.json()[0]["error_message"].endswith(b)
    door.cc.switches.choose("conflict_wording", "without_id")
    taken = put_back(door, a, email_address={"address": "bob@example.org"})
    assert b not in taken.body.decode()
    moved = put_back(door, a, email_address={"address": "new@example.org"})
    assert changed(moved.effects) == {"email_address.address": ("ann@example.org", "new@example.org")}
    assert door.ids("email=new@example.org") == [a]
    assert door.ids("email=ann@example.org&status=all") == []


def test_post_creates_and_refuses_a_known_address() -> None:
    """CC facts 5.3: create_source is required; 409 on an address in any state."""
    door = Door()
    body = {"create_source": "Account", "email_address": {"address": "x@example.org", "permission_to_send": "explicit"}}
    made = door.call("POST", "/v3/contacts", {**body, "first_name": "X", "anniversary": "11/15/2006"})
    assert made.status == 201
    assert made.json()["anniversary"] == "2006-11-15"
    assert "update_source" not in made.json()
    assert made.json()["email_address"]["opt_in_source"] == "Account"
    assert changed(made.effects)["email_address.address"] == (None, "x@example.org")
    door.cc.delete("a1", made.json()["contact_id"], door.now)
    assert door.call("POST", "/v3/contacts", body).status == 409
    assert door.call("POST", "/v3/contacts", {"create_source": "Account"}).status == 400
    assert door.call("POST", "/v3/contacts", {"first_name": "X"}).status == 400


BAD: list[Any] = [
    [], "x", {}, {"update_source": "System"}, {"email_address": "a@b.c"}, {"email_address": {"address": "no"}},
    {"email_address": {"address": "a" * 80 + "@example.org"}}, {"first_name": "x" * 51}, {"first_name": 5},
    {"email_address": {"address": "ann@example.org", "permission_to_send": "maybe"}}, {"birthday_month": 2},
    {"birthday_month": 13, "birthday_day": 1}, {"anniversary": "soon"}, {"phone_numbers": [{"kind": "home"}]},
    {"phone_numbers": [{"phone_number": "5"}] * 4}, {"street_addresses": [{"street": "x"}]}, {"phone_numbers": [1]},
    {"list_memberships": ["nowhere"]}, {"list_memberships": [1]}, {"taggings": "t"}, {"custom_fields": [{}]},
    {"notes": [{"content": ""}]}, {"list_memberships": [{}]},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=[str(at) for at in range(len(BAD))])
def test_bad_bodies_change_nothing(body: Any) -> None:
    """CC facts 3.2, 4."""
    door = Door()
    a = full(door)
    before = door.cc.contacts("a1")
    if isinstance(body, dict) and body:
        body = {"update_source": "Account", "last_name": "Changed", **body}
    answer = door.call("PUT", f"/v3/contacts/{a}", body)
    assert (answer.status, answer.effects) == (400, ())
    assert door.cc.contacts("a1") == before


@pytest.mark.parametrize(
    "raw", [b"{", b"\xff", b"[" * 100_000, b'{"first_name": NaN}', b'{"update_source": "\\ud800"}']
)
def test_malformed_bodies_are_400(raw: bytes) -> None:
    """CC facts 4."""
    door = Door()
    a = full(door)
    headers = {"authorization": f"Bearer {door.bearer}", "content-type": "application/json"}
    assert door.cc.handle(Request("PUT", f"/v3/contacts/{a}", "", headers, raw), door.now + 1).status == 400


def test_delete_is_soft_and_strips_lists() -> None:
    """CC facts 5.5: deleted_at is a date; GET by id still answers; updated_at stays."""
    door = Door()
    a = full(door)
    before = door.one(a)
    answer = door.call("DELETE", f"/v3/contacts/{a}")
    assert answer.status == 204
    assert set(changed(answer.effects)) == {"list_memberships", "deleted_at"}
    after = door.one(a)
    assert after == {**before, "list_memberships": [], "deleted_at": after["deleted_at"]}
    assert len(after["deleted_at"]) == 10
    assert "opt_out_date" not in after["email_address"]
    assert door.call("DELETE", f"/v3/contacts/{a}").effects == ()
    door.cc.switches.choose("deleted_carries_opt_out", "yes")
    assert door.one(a)["email_address"]["opt_out_source"] == "Account"


def test_put_revives_with_account_and_an_opt_out_survives() -> None:
    """CC facts 5.3, 5.5."""
    door = Door()
    a = full(door)
    door.cc.person_opts_out("a1", a, door.now)
    door.cc.delete("a1", a, door.now)
    assert put_back(door, a, update_source="Contact").status == 400
    answer = put_back(door, a)
    assert set(changed(answer.effects)) == {"deleted_at"}
    after = door.one(a)
    assert after["email_address"]["permission_to_send"] == "unsubscribed"
    assert after["list_memberships"] == []


def test_sign_up_form_overrides_an_opt_out_and_appends() -> None:
    """CC facts 5.3: hostile to a sync; sets explicit even for people who unsubscribed, revives, appends lists."""
    door = Door()
    a = full(door)
    more = door.list("More")
    door.cc.person_opts_out("a1", a, door.now)
    door.cc.delete("a1", a, door.now)
    form = {
        "email_address": "Ann@example.org",
        "list_memberships": [more],
        "phone_number": "555-9",
        "company_name": "C",
    }
    answer = door.call("POST", "/v3/contacts/sign_up_form", form)
    assert (answer.status, answer.json()) == (200, {"contact_id": a, "action": "updated"})
    after = door.one(a)
    assert after["email_address"]["permission_to_send"] == "explicit"
    assert after["list_memberships"] == [more]
    assert after["first_name"] == "Ann"
    assert "deleted_at" not in after
    assert changed(answer.effects)["email_address.permission_to_send"] == ("unsubscribed", "explicit")


@pytest.mark.switch("constant_contact", "confirmed_opt_in", "off", "on")
def test_sign_up_form_creates_and_waits_under_confirmed_opt_in() -> None:
    """CC facts 5.3."""
    door = Door(confirmed_opt_in="on")
    form = {"email_address": "new@example.org", "list_memberships": [door.list("L")]}
    answer = door.call("POST", "/v3/contacts/sign_up_form", form)
    assert (answer.status, answer.json()["action"]) == (201, "created")
    assert door.one(answer.json()["contact_id"])["email_address"]["permission_to_send"] == "pending_confirmation"
    assert door.call("POST", "/v3/contacts/sign_up_form", {**form, "list_memberships": []}).status == 400


@pytest.mark.switch("constant_contact", "signup_conflict", "same_instant", "never")
@pytest.mark.parametrize(("conflict", "second"), [("same_instant", 409), ("never", 200)])
def test_two_forms_at_one_instant_may_conflict(conflict: str, second: int) -> None:
    """CC facts 5.3: 409 is worth a retry after a pause."""
    door = Door(signup_conflict=conflict)
    form = {"email_address": "new@example.org", "list_memberships": [door.list("L")]}
    answers = [door.call("POST", "/v3/contacts/sign_up_form", form, wait=wait).status for wait in (1.0, 0.0, 0.1)]
    assert answers == [201, second, 200]


def test_resubscribe_mails_once_and_waits_for_the_person() -> None:
    """CC facts 5.3."""
    door = Door()
    a, more = full(door), door.list("More")
    door.cc.person_opts_out("a1", a, door.now)
    body = {"list_ids": [more]}
    answer = door.call("PUT", f"/v3/contacts/resubscribe/{a}", body)
    assert (answer.status, answer.body) == (200, b"")
    assert door.one(a)["email_address"]["permission_to_send"] == "unsubscribed"
    assert door.call("PUT", f"/v3/contacts/resubscribe/{a}", body).status == 409
    effects = changed(door.cc.person_opts_in("a1", a, door.now))
    assert effects["email_address.opt_in_source"] == ("Account", "Contact")
    assert more in door.one(a)["list_memberships"]
    assert door.call("PUT", f"/v3/contacts/resubscribe/{a}", body).status == 400


def test_the_control_door_reports_what_changed() -> None:
    """Each act returns its effects; repeating it changes nothing."""
    door = Door()
    a, more = full(door), door.list("More")
    acts: list[Callable[[], Any]] = [
        lambda: door.cc.edit("a1", a, door.now, first_name="New", email="n@example.org", phones=[("home", "1")]),
        lambda: door.cc.person_joins("a1", a, more, door.now),
        lambda: door.cc.person_leaves("a1", a, more, door.now),
        lambda: door.cc.person_opts_out("a1", a, door.now),
        lambda: door.cc.person_opts_in("a1", a, door.now),
        lambda: door.cc.delete("a1", a, door.now),
        lambda: door.cc.revive("a1", a, door.now),
        lambda: door.cc.rename_list("a1", more, "Other", door.now),
        lambda: door.cc.delete_list("a1", more, door.now),
    ]
    for at, act in enumerate(acts):
        if at != 8:
            assert act(), at
            assert act() == (), at
    assert door.cc.last_effects == ()
    assert changed(acts[8]())["deleted_at"][0] is None
    with pytest.raises(ValueError, match="cannot edit"):
        door.cc.edit("a1", a, door.now, shoe_size=5)
    with pytest.raises(KeyError):
        door.cc.delete("a1", "nobody", door.now)


def test_counts_and_unknown_ids() -> None:
    """CC facts 5.3."""
    door = Door()
    a = full(door)
    door.person(email="b@example.org", permission="pending_confirmation")
    door.cc.person_opts_out("a1", a, door.now)
    found = door.get("/v3/contacts/counts")
    assert (found["total"], found["pending"], found["unsubscribed"]) == (2, 1, 1)
    for method in ("GET", "PUT", "DELETE"):
        answer = door.call(method, "/v3/contacts/nobody", {"update_source": "Account"})
        assert (answer.status, answer.json()[0]["error_key"]) == (404, "contacts.api.not_found")


def test_answers_are_utf8_json_that_parse() -> None:
    """CC facts 1."""
    door = Door()
    a = door.person(first_name="Łucja", email="l@example.org")
    assert json.loads(door.call("GET", f"/v3/contacts/{a}?include={ALL}").body)["first_name"] == "Łucja"


@pytest.mark.parametrize(("value", "moved"), [("yes", True), ("no", False)])
def test_the_date_of_opting_in_may_be_that_of_the_first_time(value: str, moved: bool) -> None:
    """CC facts 5.2, 5.4: whether it moves is not stated."""
    door = Door(resubscribe_moves_opt_in_date=value)
    a = door.person(email="a@example.org", permission="explicit")
    first = door.one(a)["email_address"]["opt_in_date"]
    door.cc.person_opts_out("a1", a, door.now + 60)
    door.cc.person_opts_in("a1", a, door.now + 120)
    email = door.one(a)["email_address"]
    assert email["permission_to_send"] == "explicit"
    assert (email["opt_in_date"] != first) is moved
