"""The judge bites on what comes back of mailings, on custom fields, tags of contacts, addresses that change hands."""

from collections.abc import Callable
from typing import Any

import pytest

from keepstep_sandbox.judge import custom, failed
from keepstep_sandbox.judge.evidence import Evidence, Member
from keepstep_sandbox.judge.mail import Mail
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import ground
from keepstep_sandbox.world import World
from tests.sandbox.oracle import PREFIX, WRITABLE, Oracle, lived
from tests.sandbox.spoiling import members, report, untouched

Run = tuple[World, Oracle]


def member_of(world: World, kind: str) -> Member:
    """Somebody linked to whom this happened."""
    found = members(world)
    return next(found[act.record] for act in world.log.of(kind) if found[act.record].contact)


def reasons(world: World, oracle: Oracle) -> list[str]:
    return [one["reason"] for one in report(world, oracle)["details"]]


def write_custom(oracle: Oracle, contact: Any, **values: str) -> None:
    held = {one["name"]: one["value"] for one in contact["customFields"]}
    rows = [{"name": name, "value": value} for name, value in (held | values).items()]
    kept = {name: contact[name] for name in WRITABLE}
    oracle.crm("PUT", f"/api/Contact/{contact['id']}", {**kept, "customFields": rows})


def bare(world: World, name: str) -> Any:
    """A linked contact of one mailable person in whose custom field nobody wrote anything."""
    pair = next(one for one in custom.pairs(Evidence(world)) if one.name == name)
    for member in members(world).values():
        alone = member.contact and len(member.contact["contactReferences"]) == 1
        if alone and member.mailable and member.linked and not custom.words(pair, member.raw):
            return member.contact
    raise LookupError(name)


def test_a_good_week_counts_bounces_and_the_notes_that_they_and_deletions_and_complaints_leave(good: Run) -> None:
    found = report(*good)
    assert found["bounces"] == found["bounces_applied"] > 1
    assert found["notes_due"] > found["bounces"]
    assert found["notes_due"] <= found["notes"]


def test_a_bounced_address_that_is_still_open_is_lost(run: Run) -> None:
    world, oracle = run
    bounced = Mail(Evidence(world)).bounces[0]
    method = members(world)[bounced.member].method
    assert method
    oracle.opt(dict(method), opted_in=True)
    found = report(world, oracle)
    assert found["bounces_applied"] == found["bounces"] - 1
    assert failed(found)


def test_a_bounce_that_closes_the_contact_at_constant_contact_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    member = members(world)[Mail(Evidence(world)).bounces[0].member]
    body = oracle.cc("GET", f"/v3/contacts/{member.id}").json()
    body["email_address"]["permission_to_send"] = "unsubscribed"
    oracle.cc("PUT", f"/v3/contacts/{member.id}", "", {**body, "update_source": "Account"})
    assert any("opted out at Constant Contact by nobody" in one for one in reasons(world, oracle))


def test_an_automatic_answer_that_closes_an_address_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    act = next(one for one in world.log.of("bounce") if one.data["code"] == "V")
    method = members(world)[act.record].method
    assert method
    oracle.opt(dict(method), opted_in=False)
    assert any("opted out at Virtuous by nobody" in one for one in reasons(world, oracle))


def test_a_bounce_of_an_address_that_was_left_closes_nothing(run: Run) -> None:
    world, oracle = run
    someone = untouched(world)
    assert someone.method
    world.act(CONSTANT_CONTACT, "send_campaign", ACCOUNT, [someone.id])
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, someone.id, email="elsewhere@example.net")
    world.act(CONSTANT_CONTACT, "bounce", ACCOUNT, someone.id, "B")
    oracle.tick()
    before = report(world, oracle)
    assert not [one for one in before["details"] if one["key"] != "echo_writes"]
    oracle.opt(dict(members(world)[someone.id].method or {}), opted_in=False)
    assert any("opted out at Virtuous by nobody" in one for one in reasons(world, oracle))


@pytest.mark.parametrize("kind", ["bounce", "delete", "complain"])
def test_an_act_without_its_note_is_lost_and_one_with_two_is_a_duplicate(run: Run, kind: str) -> None:
    world, oracle = run
    contact = member_of(world, kind).contact
    assert contact
    body = {"contactId": contact["id"], "type": "General", "note": "Once more"}
    oracle.crm("POST", "/api/ContactNote", body)
    assert report(world, oracle)["duplicates"] == 1
    for note in contact["notes"]:
        oracle.crm("DELETE", f"/api/ContactNote/{note['id']}")
    if oracle.crm("GET", f"/api/ContactNote/ByContact/{contact['id']}").json()["total"] == 1:
        other = next(one for one in Evidence(world).crm if one["id"] == contact["id"])["notes"][0]
        oracle.crm("DELETE", f"/api/ContactNote/{other['id']}")
    found = report(world, oracle)
    assert (found["duplicates"], found["lost"]) == (0, 1)
    assert any("left none" in one["reason"] for one in found["details"])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("favorite_program", "Invented", "a value that nobody gave"),
        ("Shirt Size", "2XL", "no option"),
        ("Shirt Size", "small", "no option"),
        ("Table Number", "7", "do not carry each other"),
    ],
)
def test_an_invented_value_of_a_custom_field_is_a_wrong_field(run: Run, name: str, value: str, reason: str) -> None:
    world, oracle = run
    world.virtuous.switches.choose("unknown-option", "stored")
    write_custom(oracle, bare(world, name), **{name: value})
    assert any(reason in one for one in reasons(world, oracle))


def test_a_custom_field_that_nobody_set_up_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    world.act(VIRTUOUS, "add_custom_field", ORGANIZATION, "Shoe_Leather")
    write_custom(oracle, untouched(world).contact, Shoe_Leather="44")
    assert any("nobody's" in one for one in reasons(world, oracle))


@pytest.mark.parametrize("pair", [one for one in ground.TABLE if one.name and one.label != "Table Number"])
def test_a_custom_field_that_did_not_cross_is_lost(run: Run, pair: ground.Pair) -> None:
    world, oracle = run
    someone = untouched(world)
    values = [one for one in ground.VALUES[pair.label] if one not in ("2XL", ["2XL"])]
    fields = {act.data["label"]: act.record for act in world.log.of("add_custom_field") if act.data.get("label")}
    for value in values[:2]:  # one of the two is another one than it may have had
        world.act(CONSTANT_CONTACT, "set_custom_field", ACCOUNT, someone.id, fields[pair.label], value=value)
        oracle.evidence = Evidence(world)
    found = [one for one in report(world, oracle)["details"] if one["record"] == someone.id]
    assert any(pair.name in one["reason"] and "absent" in one["reason"] for one in found)
    oracle.tick()
    assert not any(pair.name in one for one in reasons(world, oracle))


def test_a_value_of_staffs_that_was_overwritten_is_lost(run: Run) -> None:
    world, oracle = run
    contact = bare(world, "favorite_program")
    world.act(VIRTUOUS, "staff_sets_custom", ORGANIZATION, contact["id"], name="favorite_program", value="Gala")
    assert not any("favorite_program" in one for one in reasons(world, oracle))
    write_custom(oracle, contact, favorite_program="Night Walks")
    assert any("an edit of staff was overwritten" in one for one in reasons(world, oracle))


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("Member Since", "2019-04-07", "2019-04-07T00:00:00"),
        ("Volunteer Hours", "1200", "1,200.0"),
        ("legacy circle", "true", "True"),
        ("Interests", "Trails; Schools", "Schools;Trails"),
    ],
)
def test_one_value_written_in_two_ways_is_the_same(good: Run, name: str, ours: str, theirs: str) -> None:
    pair = next(one for one in custom.pairs(Evidence(good[0])) if one.name == name)
    assert pair.read(ours) == pair.read(theirs)
    assert pair.read("") is None


def test_a_tag_of_a_contact_that_did_not_cross_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    tag_id = next(act.record for act in world.log.of("add_tag") if act.side == CONSTANT_CONTACT)
    world.act(CONSTANT_CONTACT, "person_tagged", ACCOUNT, untouched(world).id, tag_id)
    found = reasons(world, oracle)
    if not any("missing" in one for one in found):
        world.act(CONSTANT_CONTACT, "person_untagged", ACCOUNT, untouched(world).id, tag_id)
        found = reasons(world, oracle)
    assert any("tags: 1" in one for one in found)


def test_staffs_tag_for_a_contacts_tag_that_did_not_reach_constant_contact_is_lost(run: Run) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    spare = next(PREFIX + one for one in ground.TAGS if PREFIX + one not in contact["tags"])
    world.act(VIRTUOUS, "staff_adds_tag", ORGANIZATION, contact["id"], tag_name=spare)
    assert any("did not reach" in one for one in reasons(world, oracle))


def test_of_a_tag_that_was_there_already_nobody_sees_that_staff_meant_it(run: Run) -> None:
    world, oracle = run
    contact = untouched(world).contact
    assert contact
    spare = next(PREFIX + one for one in ground.TAGS if PREFIX + one not in contact["tags"])
    for _ in range(2):
        world.act(VIRTUOUS, "staff_adds_tag", ORGANIZATION, contact["id"], tag_name=spare)
    assert sum("staff_adds_tag" in one for one in reasons(world, oracle)) == 1


def test_a_list_whose_name_holds_a_semicolon_is_one_tag(run: Run) -> None:
    world, oracle = run
    tag = f"CC: {ground.ODD_LIST}"
    contact = next(one for one in Evidence(world).crm if tag in one["tags"])
    joins = oracle.crm("GET", f"/api/ContactTag/ByContact/{contact['id']}", None, "take=100").json()["list"]
    join = next(one["contactTagId"] for one in joins if one["name"] == tag)
    oracle.crm("DELETE", f"/api/ContactTag/{join}")
    assert any("tags: 1 missing" in one for one in reasons(world, oracle))


def test_a_renamed_list_keeps_its_tag_in_the_judges_eyes(good: Run) -> None:
    world, _oracle = good
    act = next(world.log.of("rename_list"))
    assert Evidence(world).tag_of(act.record if act.record in Evidence(world).list_names else act.data["list_id"])
    assert "(new)" not in Evidence(world).tag_of(str(act.data["list_id"]))


def test_an_address_that_stays_with_whom_it_was_before_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    one = untouched(world)
    other = next(
        each for each in members(world).values()
        if each.mailable and each.linked and each.id != one.id and each.method and each.method["isOptedIn"]
        if each.contact and len(each.contact["contactReferences"]) == 1
    )  # fmt: skip
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, one.id, email=other.address)
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, other.id, email=one.address)
    oracle.tick()
    assert not [each for each in report(world, oracle)["details"] if each["key"] != "echo_writes"]
    extra = {"contactIndividualId": one.individual["id"] if one.individual else 0, "type": "Other Email"}
    oracle.crm("POST", "/api/ContactMethod", {**extra, "value": one.address, "isOptedIn": True})
    assert any("whom it was before" in each for each in reasons(world, oracle))


def test_an_invented_country_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    someone = next(
        each for each in members(world).values() if each.mailable and each.linked and each.raw["street_addresses"]
        if each.contact and each.contact["address"] and len(each.contact["contactReferences"]) == 1
        if each.contact["address"]["modifiedByUser"] != "Staff Member"
    )  # fmt: skip
    live = someone.contact["address"] if someone.contact else {}
    place = {"kind": "home", "street": live["address1"], "city": live["city"], "state": live["state"]}
    place["postal_code"] = live["postal"]
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, someone.id, addresses=[place])
    assert any("address" in each for each in reasons(world, oracle))


def test_a_segment_that_the_organization_does_not_know_is_a_wrong_field(run: Run) -> None:
    world, oracle = run
    row = {"referenceSource": "Constant Contact", "referenceId": "x", "firstName": "A", "originSegmentCode": "NOWHERE"}
    oracle.crm("POST", "/api/Contact/Transaction", row)
    assert any("originSegmentCode" in each for each in reasons(world, oracle))


def test_somebody_revived_without_an_act_of_the_own_waits_for_an_answer_and_may_not_be_opened(run: Run) -> None:
    world, oracle = run
    gone = next(one for one in members(world).values() if one.deleted and one.method)
    world.act(CONSTANT_CONTACT, "revive", ACCOUNT, gone.id)
    found = report(world, oracle)
    assert (found["lost"], [one["key"] for one in found["details"]]) == (0, [])
    claims = [one | {"state": "in_step"} if one["record_id"] == gone.id else one for one in oracle.claims()]
    assert report(world, oracle, claims)["lost"] == 1
    oracle.opt(dict(members(world)[gone.id].method or {}), opted_in=True)
    found = report(world, oracle)
    assert found["opt_outs_applied"] == found["opt_outs"] - 1


def test_whose_bounced_address_is_history_waits_for_an_answer(run: Run) -> None:
    world, oracle = run
    bounced = next(one for one in Mail(Evidence(world)).bounces if members(world)[one.member].address == one.address)
    world.act(CONSTANT_CONTACT, "edit", ACCOUNT, bounced.member, email="fresh@example.net")
    oracle.tick()
    claims = oracle.claims()
    mine = next(one for one in claims if one["record_id"] == bounced.member)
    assert mine["reason"] == "bounce_lapsed"
    assert report(world, oracle)["lost"] == 0
    assert report(world, oracle, [one | {"state": "in_step"} if one is mine else one for one in claims])["lost"] == 1


SWITCHED: list[tuple[str, str, Callable[[dict[str, Any]], bool]]] = [
    ("resubscribe_moves_opt_in_date", "no", lambda found: found["parked"] > 2),
    ("reports_scope", "missing", lambda found: found["bounces"] == 0),
    ("complaint", "count_only", lambda found: found["bounces"] > 0),
]


@pytest.mark.parametrize(("name", "value", "shows"), SWITCHED)
def test_a_perfect_service_is_perfect_whatever_the_vendor_is_like(
    name: str, value: str, shows: Callable[[dict[str, Any]], bool]
) -> None:
    world, oracle, _week = lived(1, switches={CONSTANT_CONTACT: {name: value}})
    found = report(world, oracle)
    assert found["details"] == []
    assert shows(found)
