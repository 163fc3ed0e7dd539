"""The judge finds nothing where nothing is wrong, and bites on every kind of wrong."""

import pytest

from keepstep_sandbox.judge import failed
from keepstep_sandbox.judge.canonical import digests
from keepstep_sandbox.judge.evidence import Evidence
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle
from tests.sandbox.spoiling import loud, members, report, untouched

TABLE = {
    *("people", "captured", "linked", "in_step", "pending", "parked", "left_out", "dead_letters", "wrong_fields"),
    *("bounces", "bounces_applied", "notes", "notes_due"),
    *("duplicates", "lost", "opt_outs", "opt_outs_applied", "echo_writes", "rate_limit_breaches", "calls"),
    *("floor_calls", "events", "events_by_side", "virtual_days", "details"),
}


def test_a_week_that_went_well_has_the_whole_table_and_no_violation(good: tuple[World, Oracle]) -> None:
    found = report(*good)
    assert found.keys() == TABLE
    by_side = found["events_by_side"]
    assert by_side.keys() == {"constant_contact", "virtuous"}
    assert all(found["events"][kind] >= times > 0 for kinds in by_side.values() for kind, times in kinds.items())
    assert found["details"] == []
    assert not failed(found)
    assert found["people"] == found["in_step"] + found["pending"] + found["parked"] + found["left_out"] + found["lost"]
    assert found["captured"] == found["people"] == 43
    assert found["parked"] >= 2
    assert found["opt_outs"] == found["opt_outs_applied"] > 4
    assert all(found["events"].values()), found["events"]
    assert found["floor_calls"][VIRTUOUS] > 50


def test_consent_turned_back_in_is_an_opt_out_not_applied(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    gone = next(one for one in members(world).values() if one.permission == "unsubscribed" and one.method)
    oracle.opt(dict(gone.method or {}), opted_in=True)
    found = report(world, oracle)
    assert found["opt_outs_applied"] == found["opt_outs"] - 1
    assert failed(found)


def test_consent_turned_in_and_out_again_is_still_not_applied(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    gone = next(one for one in members(world).values() if one.permission == "unsubscribed" and one.method)
    oracle.opt(dict(gone.method or {}), opted_in=True)
    oracle.opt(dict(gone.method or {}), opted_in=False)
    assert report(world, oracle)["opt_outs_applied"] == report(world, oracle)["opt_outs"] - 1


def test_an_opt_out_that_did_not_cross_is_not_applied(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    world.act(CONSTANT_CONTACT, "person_opts_out", ACCOUNT, untouched(world).id)
    found = report(world, oracle)
    assert found["opt_outs_applied"] == found["opt_outs"] - 1


def test_staffs_opt_out_that_did_not_cross_is_not_applied(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    assert someone.method
    world.act(VIRTUOUS, "staff_opts", ORGANIZATION, someone.method["id"], opted_in=False)
    found = report(world, oracle)
    assert found["opt_outs_applied"] == found["opt_outs"] - 1


def test_an_invented_opt_out_is_a_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    oracle.opt(dict(untouched(world).method or {}), opted_in=False)
    assert report(world, oracle)["wrong_fields"] == 1


def test_a_dropped_tag_is_a_wrong_field_and_the_person_is_not_in_step(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    joins = oracle.crm("GET", f"/api/ContactTag/ByContact/{contact['id']}", None, "take=100").json()["list"]
    oracle.crm("DELETE", f"/api/ContactTag/{joins[0]['contactTagId']}")
    found = report(world, oracle)
    assert (found["wrong_fields"], found["lost"]) == (1, 1)
    assert found["people"] == found["in_step"] + found["parked"] + found["left_out"] + found["lost"]


def test_a_tag_without_a_list_is_a_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    spare = next(tag for tag in world.virtuous.tags(ORGANIZATION) if tag["tagName"] not in contact["tags"])
    oracle.crm("POST", "/api/ContactTag", {"contactId": contact["id"], "tagId": spare["id"]})
    assert report(world, oracle)["wrong_fields"] == 1


def test_a_second_contact_with_the_address_is_a_duplicate(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    method = {"type": "Home Email", "value": someone.address.upper(), "isOptedIn": True}
    person = {"firstName": "A", "lastName": "B", "contactMethods": [method]}
    oracle.crm("POST", "/api/Contact", {"contactType": "Household", "name": "A", "contactIndividuals": [person]})
    assert report(world, oracle)["duplicates"] == 1


def test_a_reference_on_two_contacts_is_a_duplicate(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    person = {"firstName": "A", "lastName": "B", "contactMethods": []}
    body = {"contactType": "Household", "name": "A", "contactIndividuals": [person]}
    oracle.crm("POST", "/api/Contact", {**body, "referenceSource": "Constant Contact", "referenceId": someone.id})
    found = report(world, oracle)
    assert (found["duplicates"], found["lost"]) == (1, 1)


def test_a_second_note_for_one_deletion_is_a_duplicate(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    gone = next(one for one in members(world).values() if one.deleted and one.contact)
    assert gone.contact
    oracle.crm("POST", "/api/ContactNote", {"contactId": gone.contact["id"], "type": "General", "note": "Deleted"})
    assert report(world, oracle)["duplicates"] == 1


@pytest.mark.parametrize("field", ["firstName", "lastName"])
def test_a_wrong_name_is_a_wrong_field(run: tuple[World, Oracle], field: str) -> None:
    world, oracle = run
    individual = untouched(world).individual
    assert individual
    names = {name: individual[name] for name in ("firstName", "lastName")}
    oracle.crm("PUT", f"/api/ContactIndividual/{individual['id']}", {**names, field: "Nobody"})
    assert report(world, oracle)["wrong_fields"] == 1


def test_a_wrong_telephone_number_is_a_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    individual = untouched(world).individual
    assert individual
    phone = next(one for one in individual["contactMethods"] if "Phone" in one["type"])
    body = {"type": phone["type"], "value": "212-555-9999", "isOptedIn": phone["isOptedIn"]}
    oracle.crm("PUT", f"/api/ContactMethod/{phone['id']}", body)
    assert report(world, oracle)["wrong_fields"] >= 1


def test_a_wrong_postal_address_is_a_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = next(
        one for one in members(world).values() if one.mailable and one.linked and one.raw["street_addresses"]
        if one.contact and one.contact["address"] and len(one.contact["contactReferences"]) == 1
    )  # fmt: skip
    assert someone.contact
    place = someone.contact["address"]
    oracle.crm("PUT", f"/api/ContactAddress/{place['id']}", {"address1": "1 Elsewhere", "city": "Nowhere"})
    assert report(world, oracle)["wrong_fields"] >= 1


def test_the_same_address_by_other_spelling_is_no_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = next(
        one for one in members(world).values() if one.mailable and one.linked and one.raw["street_addresses"]
        if one.contact and one.contact["address"] and len(one.contact["contactReferences"]) == 1
    )  # fmt: skip
    assert someone.contact
    place = someone.contact["address"]
    names = ("address1", "address2", "city", "state", "postal", "label")
    body = {**{name: place[name] for name in names}, "country": "US", "city": str(place["city"]).upper()}
    oracle.crm("PUT", f"/api/ContactAddress/{place['id']}", body)
    assert report(world, oracle)["wrong_fields"] == 0


def test_an_edit_at_constant_contact_that_never_arrived_is_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, someone.id, first_name="Renamed")
    found = report(world, oracle)
    assert found["lost"] == 1
    assert any(one["record"] == someone.id and "absent" in one["reason"] for one in found["details"])


def test_an_edit_of_staff_that_was_overwritten_is_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    act = next(act for act in world.log.of("staff_renames") if act.data.get("last_name"))
    individual = next(i for c in Evidence(world).crm for i in c["contactIndividuals"] if str(i["id"]) == act.record)
    owner = next(one for one in members(world).values() if one.individual and one.individual["id"] == individual["id"])
    body = {"firstName": individual["firstName"], "lastName": owner.raw["last_name"]}
    oracle.crm("PUT", f"/api/ContactIndividual/{act.record}", body)
    found = report(world, oracle)
    assert found["lost"] == 1
    assert any("overwritten" in one["reason"] for one in found["details"])


def test_a_tag_of_staff_that_did_not_reach_the_list_is_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    spare = next(tag for tag in world.virtuous.tags(ORGANIZATION) if tag["tagName"] not in contact["tags"])
    world.act(VIRTUOUS, "staff_adds_tag", ORGANIZATION, contact["id"], tag_name=spare["tagName"])
    assert any("did not reach" in one["reason"] for one in report(world, oracle)["details"])


def test_a_membership_that_the_service_took_away_is_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    act = next(act for act in world.log.of("person_joins"))
    body = {"source": {"contact_ids": [act.record]}, "list_ids": [act.data["list_id"]]}
    oracle.cc("POST", "/v3/activities/remove_list_memberships", "", body)
    world.advance(world.now + 60)
    assert any("undone by nobody" in one["reason"] for one in report(world, oracle)["details"])


def test_an_old_address_left_behind_is_a_wrong_field(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    act = next(act for act in world.log.of("edit") if str(act.data.get("email")).startswith("moved"))
    old = next(a.data["email"] for a in world.log.of("add_person") if a.record == act.record)
    individual = members(world)[act.record].individual
    assert individual
    method = {"contactIndividualId": individual["id"], "type": "Other Email", "value": old, "isOptedIn": False}
    oracle.crm("POST", "/api/ContactMethod", method)
    assert any("old address" in one["reason"] for one in report(world, oracle)["details"])


def test_a_return_that_was_not_honoured_is_lost(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    act = next(world.log.of("person_opts_in"))
    oracle.opt(dict(members(world)[act.record].method or {}), opted_in=False)
    assert report(world, oracle)["lost"] == 1


def test_a_put_that_empties_a_name_at_constant_contact_is_collateral(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    someone = untouched(world)
    email = {"address": someone.raw["email_address"]["address"], "permission_to_send": someone.permission}
    oracle.cc("PUT", f"/v3/contacts/{someone.id}", "", {"update_source": "Account", "email_address": email})
    assert report(world, oracle)["wrong_fields"] >= 2


def test_a_deleted_contact_brought_back_by_a_list_job_is_collateral(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    gone = next(one for one in members(world).values() if one.deleted)
    list_id = world.constant_contact.lists(ACCOUNT)[0]["list_id"]
    body = {"source": {"contact_ids": [gone.id]}, "list_ids": [list_id]}
    oracle.cc("POST", "/v3/activities/add_list_memberships", "", body)
    world.advance(world.now + 60)
    assert any("deleted_at" in one["reason"] for one in report(world, oracle)["details"])


def test_a_write_that_changes_nothing_is_an_echo(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    loud(world)
    someone = untouched(world)
    assert someone.method
    oracle.opt(dict(someone.method), opted_in=True)
    found = report(world, oracle)
    assert (found["echo_writes"], found["wrong_fields"]) == (1, 0)


def test_a_list_job_that_changes_nothing_is_an_echo(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    loud(world)
    someone = untouched(world)
    body = {"source": {"contact_ids": [someone.id]}, "list_ids": [someone.raw["list_memberships"][0]]}
    oracle.cc("POST", "/v3/activities/add_list_memberships", "", body)
    world.advance(world.now + 60)
    assert report(world, oracle)["echo_writes"] == 1


def test_a_transaction_for_somebody_linked_is_an_echo(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    loud(world)
    someone = untouched(world)
    body = {"referenceSource": "Constant Contact", "referenceId": someone.id, "email": someone.address}
    oracle.crm("POST", "/api/Contact/Transaction", body)
    assert report(world, oracle)["echo_writes"] == 1


def test_any_write_in_the_quiet_is_an_echo_even_if_it_changes_something(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    oracle.crm("POST", "/api/ContactTag", {"contactId": contact["id"], "tagId": 11})
    assert report(world, oracle)["echo_writes"] == 1


def test_a_repeat_after_a_lost_answer_is_no_echo(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    loud(world)
    someone = untouched(world)
    assert someone.method
    world.faults.arm("reset_after", vendor=VIRTUOUS)
    oracle.opt(dict(someone.method), opted_in=True)
    oracle.opt(dict(someone.method), opted_in=True)
    echoes = [one for one in report(world, oracle)["details"] if one["key"] == "echo_writes"]
    assert len(echoes) == 1  # the first one, cut short as it was, had nothing to change either


def test_a_repeat_after_a_kill_is_no_echo(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    loud(world)
    someone = untouched(world)
    assert someone.individual
    names = {"firstName": "Twice", "lastName": someone.individual["lastName"]}
    for killed in (True, False):
        oracle.crm("PUT", f"/api/ContactIndividual/{someone.individual['id']}", names)
        if killed:
            world.note("fault", "", "kill")
    assert report(world, oracle)["echo_writes"] == 0


def test_five_calls_in_a_second_are_a_breach_and_scripted_refusals_are_none(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    oracle.cc("GET", "/v3/contact_lists")
    world.advance(world.now + 10)
    world.faults.arm("throttled", vendor=CONSTANT_CONTACT)
    for _ in range(5):
        oracle._call(CONSTANT_CONTACT, "GET", "/v3/contact_lists", "", None, oracle.token)
    found = report(world, oracle)
    assert found["rate_limit_breaches"] == 1
    oracle._call(CONSTANT_CONTACT, "GET", "/v3/contact_lists", "", None, oracle.token)
    assert report(world, oracle)["rate_limit_breaches"] == 3  # one more window, and a refusal that nobody scripted


def test_a_loss_in_the_quiet_changes_the_digest_and_order_does_not(run: tuple[World, Oracle]) -> None:
    world, oracle = run
    before = digests(world)
    world.advance(world.now + 3 * 86_400)
    assert digests(world) == before
    oracle.opt(dict(untouched(world).method or {}), opted_in=False)
    after = digests(world)
    assert (after[CONSTANT_CONTACT], after[VIRTUOUS] == before[VIRTUOUS]) == (before[CONSTANT_CONTACT], False)
