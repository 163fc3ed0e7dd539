"""Both vendors in one world: arrivals, acts, faults, nights."""

import json
from pathlib import Path
from typing import Any

import pytest

from keepstep_sandbox import people
from keepstep_sandbox.faults import HELD, WRITE
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import START, World, next_midnight
from tests.sandbox.oracle import Oracle


@pytest.fixture
def world() -> World:
    return World(7)


@pytest.fixture
def oracle(world: World) -> Oracle:
    return Oracle(world, people.first_customer(world))


def someone(world: World, **values: Any) -> str:
    values = {"first_name": "Ada", "last_name": "Byron", "email": "ada@example.org"} | values
    return str(world.act(CONSTANT_CONTACT, "add_person", ACCOUNT, **values))


def test_an_arrival_names_account_status_effects_and_the_contacts_that_were_served(
    world: World, oracle: Oracle
) -> None:
    number = someone(world)
    oracle.cc("GET", "/v3/contacts", "status=all")
    token, read = world.log.arrivals
    assert (token.path, token.query, token.body, token.account) == ("/oauth2/default/v1/token", "", b"", ACCOUNT)
    assert (read.account, read.key, read.status, read.served) == (ACCOUNT, "sandbox-client", 200, frozenset({number}))
    assert not read.scripted
    assert not read.effects


def test_acts_are_logged_with_their_arguments_and_effects_but_exported_without_secrets(world: World) -> None:
    people.first_customer(world)
    number = someone(world)
    world.act(CONSTANT_CONTACT, "person_opts_out", ACCOUNT, number, reason="enough")
    act = world.log.acts[-1]
    assert (act.actor, act.side, act.kind, act.record) == ("person", CONSTANT_CONTACT, "person_opts_out", number)
    assert any(effect.after == "unsubscribed" for effect in act.effects)
    world.act(CONSTANT_CONTACT, "add_account", "account-2", "other-client", "hush-hush")
    assert "hush-hush" not in json.dumps(world.log.exported())


def test_exported_arrivals_hold_no_token_and_no_body(world: World, oracle: Oracle) -> None:
    oracle.cc("GET", "/v3/contact_lists")
    text = json.dumps(world.log.exported())
    assert oracle.token not in text
    assert "sandbox-client-secret" not in text
    assert "body" not in world.log.exported()["arrivals"][0]


def test_what_is_no_act_cannot_be_done(world: World) -> None:
    people.first_customer(world)
    for name in ("handle", "contacts", "_answer", "no_such"):
        with pytest.raises(ValueError, match="no act"):
            world.act(CONSTANT_CONTACT, name)


def test_a_fault_meets_the_next_n_matching_requests_and_no_other(world: World, oracle: Oracle) -> None:
    world.faults.arm("throttled", vendor=CONSTANT_CONTACT, path="/v3/contacts", count=2)
    statuses = [oracle.cc("GET", path).status for path in ("/v3/contact_lists", *["/v3/contacts"] * 3)]
    assert statuses == [200, 429, 429, 200]
    assert [one.fault for one in world.log.arrivals[-3:]] == ["throttled", "throttled", ""]


@pytest.mark.parametrize(
    ("kind", "status", "happened", "dropped"),
    [
        ("500", 500, False, False),
        ("503", 503, False, False),
        ("rate_limited", 429, False, False),
        ("html", 200, False, False),
        ("truncated", 200, True, False),
        ("reset_before", 0, False, True),
        ("reset_after", 200, True, True),
    ],
)
def test_each_fault_says_whether_the_write_took_effect(
    world: World, oracle: Oracle, kind: str, status: int, happened: bool, dropped: bool
) -> None:
    contact = world.act(VIRTUOUS, "add_contact", ORGANIZATION, name="Byron", contactIndividuals=[{"firstName": "Ada"}])
    world.faults.arm(kind, vendor=VIRTUOUS, method=WRITE)
    body = {"contactId": contact, "type": "General", "note": "x" * 50}
    answer = oracle.crm("POST", "/api/ContactNote", body)
    assert (answer.status, bool(answer.effects), answer.drop) == (status, happened, dropped)
    assert len(world.virtuous.contacts(ORGANIZATION)[0]["notes"]) == happened
    if kind == "truncated":
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            answer.json()


@pytest.mark.parametrize(("kind", "happened"), [("hold_after", True), ("hold_before", False)])
def test_a_held_write_waits_and_is_then_answered_or_dropped(
    world: World, oracle: Oracle, kind: str, happened: bool
) -> None:
    world.act(VIRTUOUS, "add_contact", ORGANIZATION, name="Byron", contactIndividuals=[{"firstName": "Ada"}])
    world.faults.arm(kind, method=WRITE, skip=1)
    contact = world.virtuous.contacts(ORGANIZATION)[0]["id"]
    body = {"contactId": contact, "type": "General", "note": "one"}
    assert oracle.crm("POST", "/api/ContactNote", body).delay == 0
    assert oracle.crm("POST", "/api/ContactNote", body).delay == HELD
    (n,) = world.held
    assert len(world.virtuous.contacts(ORGANIZATION)[0]["notes"]) == 1 + happened
    assert world.release(n, answered=True).drop is not happened
    assert not world.held


@pytest.mark.parametrize("status", [502, 504, 520])
def test_what_stands_before_a_vendor_may_fail(world: World, oracle: Oracle, status: int) -> None:
    """Virtuous facts 2, 18.1: 520 comes from the front."""
    world.faults.arm(str(status), vendor=VIRTUOUS)
    assert [oracle.crm("GET", "/api/Organization/Current").status for _ in range(2)] == [status, 200]


def test_a_page_that_is_too_big_fails_until_it_is_asked_for_in_pieces(world: World, oracle: Oracle) -> None:
    for at in range(4):
        someone(world, email=f"p{at}@example.org")
    world.faults.arm("big_page", vendor=CONSTANT_CONTACT, path="/v3/contacts", rows=2, count=2)
    sizes = (4, 2, 3, 2, 4)
    statuses = [oracle.cc("GET", "/v3/contacts", query=f"limit={size}").status for size in sizes]
    assert statuses == [500, 200, 500, 200, 200]  # what passes does not count
    assert [one.fault for one in world.log.arrivals[-5:]] == ["big_page", "", "big_page", "", ""]


def test_a_poisoned_row_spoils_every_read_it_is_on_and_no_write(world: World, oracle: Oracle) -> None:
    ids = [someone(world, email=f"p{at}@example.org") for at in range(2)]
    world.faults.arm("poison", vendor=CONSTANT_CONTACT, text=ids[1], count=9)
    assert oracle.cc("GET", "/v3/contacts").status == 500
    assert [oracle.cc("GET", f"/v3/contacts/{one}").status for one in ids] == [200, 500]
    assert oracle.cc("DELETE", f"/v3/contacts/{ids[1]}").status == 204
    assert oracle.cc("GET", "/v3/account/user/privileges").status == 200


def test_a_batch_may_wait_for_midnight_in_another_zone() -> None:
    """Virtuous facts 10.3: the zone is unconfirmed."""
    world = World(switches={VIRTUOUS: {"import-midnight": "utc"}})
    people.first_customer(world)
    assert world.next_due() == next_midnight(START, "UTC")


def test_webhooks_of_both_vendors_are_taken_and_reported_together() -> None:
    world = World(switches={CONSTANT_CONTACT: {"contact_webhooks": "object"}})
    people.first_customer(world)
    url = "http://127.0.0.1:1/x"
    world.act(CONSTANT_CONTACT, "set_contact_webhook", ACCOUNT, url, "hidden")
    someone(world)
    due = world.next_due()
    assert due is not None
    world.advance(due)
    (one,) = world.due_deliveries()
    world.delivered(one, 500)
    assert world.next_due() == world.now + 60
    assert "hidden" not in str(world.log.exported())


def test_people_of_a_file_bring_their_tags_and_custom_fields(world: World, tmp_path: Path) -> None:
    people.first_customer(world)
    rows = [
        {"first_name": "Ada", "email": "a@example.org", "committees": ["Friends; Neighbours"], "tags": ["Vip; Board"]},
        {"first_name": "Bo", "email": "b@example.org", "custom_fields": {"Motto": "Onward", "Empty": ""}},
    ]
    file = tmp_path / "people.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    ids = people.load(world, people.read(file))
    contacts = [world.constant_contact.contact(ACCOUNT, one) for one in ids]
    tags = {one["tag_id"]: one["name"] for one in world.constant_contact.tags(ACCOUNT)}
    assert [tags[one] for one in contacts[0]["taggings"]] == ["Vip; Board"]
    assert [one["value"] for one in contacts[1]["custom_fields"]] == ["Onward"]
    assert [one["label"] for one in world.constant_contact.custom_fields(ACCOUNT)] == ["Motto"]


def test_a_fault_that_does_not_exist_is_refused_by_name(world: World) -> None:
    with pytest.raises(ValueError, match="no fault 'earthquake'"):
        world.faults.arm("earthquake")


def test_the_batch_runs_at_every_midnight_of_the_organization(world: World, oracle: Oracle) -> None:
    row = {"referenceSource": "Constant Contact", "referenceId": "r1", "firstName": "Ada", "lastName": "Byron"}
    oracle.crm("POST", "/api/Contact/Transaction", row)
    midnight = next_midnight(START, people.ZONE)
    assert world.next_due() == midnight
    world.advance(midnight - 1)
    assert world.virtuous.contacts(ORGANIZATION) == []
    world.advance(midnight + 2 * 86_400)
    assert len(world.virtuous.contacts(ORGANIZATION)) == 1
    assert [act.t for act in world.log.of("run_batch")] == [midnight, midnight + 86_400, midnight + 2 * 86_400]


def test_midnight_follows_daylight_saving(world: World) -> None:
    before = next_midnight(START + 5 * 86_400, people.ZONE)  # Sunday 8 March, 2026: the clocks go forward
    assert next_midnight(before, people.ZONE) - before == 23 * 3600


def test_time_never_goes_back(world: World) -> None:
    world.advance(START + 100)
    world.advance(START)
    assert world.now == START + 100


def test_people_of_a_file_become_contacts_with_work_and_office_details() -> None:
    row = {
        "first_name": "Ada",
        "last_name": "De La Cruz",
        "email": "ada@example.org",
        "phone": "202-555-0100",
        "address": {"street": "1 Hall", "city": "Washington", "state": "DC", "postal_code": "20510"},
        "offices": [{"address": "2 Road", "suite": "Suite 9", "city": "Reno", "zip": "89501", "phone": "775-555-0101"}]
        * 4,
        "committees": ["Health, Education", "Ethics"],
        "birthday": "ignored",
    }
    person = people.of_row(row)
    assert person.phones == [("work", "202-555-0100"), ("other", "775-555-0101")]
    assert [place["kind"] for place in person.addresses] == ["work", "other", "other"]
    assert person.addresses[1]["street"] == "2 Road, Suite 9"
    assert person.lists == ["Health, Education", "Ethics"]


def test_a_broken_line_of_a_people_file_is_named(tmp_path: Any) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text('{"first_name": "Ada"}\n{"first_name": \n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"people\.jsonl, line 2"):
        people.read(file)


def test_generated_people_hold_every_kind_that_matters() -> None:
    drawn = people.generated(3, 40)
    assert len(drawn) == 40
    assert drawn == people.generated(3, 40) != people.generated(4, 40)
    assert {person.permission for person in drawn} >= {"unsubscribed", "temp_hold", "pending_confirmation", "implicit"}
    assert any(person.email is None for person in drawn)
    assert any(not person.phones and not person.addresses for person in drawn)
    assert any("," in name for person in drawn for name in person.lists)
    assert any(not name.isascii() for person in drawn for name in person.lists)
    roofs = [(one.last_name, place["street"]) for one in drawn for place in one.addresses]
    assert len(roofs) > len(set(roofs))


@pytest.mark.parametrize(
    ("values", "said"),
    [({}, "missing a required argument: 'name'"), ({"name": "News", "colour": "red"}, "unexpected keyword argument")],
)
def test_an_act_with_wrong_arguments_is_refused_in_words(world: World, values: dict[str, str], said: str) -> None:
    people.first_customer(world)
    with pytest.raises(TypeError, match=said):
        world.act(CONSTANT_CONTACT, "add_list", ACCOUNT, **values)


def test_loose_arguments_are_logged_under_their_own_names(world: World) -> None:
    people.first_customer(world)
    made = world.act(VIRTUOUS, "add_contact", ORGANIZATION, name="Byron", contactType="Household")
    act = world.log.acts[-1]
    assert (act.record, act.data) == (
        str(made),
        {"organization": ORGANIZATION, "name": "Byron", "contactType": "Household"},
    )


def test_contacts_with_a_reference_are_found_as_among_all_oldest_first(world: World) -> None:
    people.first_customer(world)
    mine = {"source": "Constant Contact", "id": "abc"}
    for references in ([mine], [], [mine, {"source": "Other", "id": "abc"}], [{"source": "Other", "id": "abc"}]):
        world.act(VIRTUOUS, "add_contact", ORGANIZATION, name="Byron", contactReferences=references)
    every = world.virtuous.contacts(ORGANIZATION)
    found = world.virtuous.contacts_with(ORGANIZATION, "Constant Contact", "abc")
    assert found == [one for one in every if mine in one["contactReferences"]]
    assert len(found) == 2
