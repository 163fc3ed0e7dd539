"""What staff does in the vendor's pages (Virtuous facts 7.6, 18.8)."""

import json

import pytest

from keepstep_sandbox.http import Effect
from tests.sandbox.virtuous.door import CC, ORG, Door, emails, method_id


def test_edits_give_exactly_what_changed_and_move_the_stamp() -> None:
    """Virtuous facts 18.8"""
    door = Door()
    number = door.person()
    before = door.contact(number)
    person = before["contactIndividuals"][0]["id"]
    door.now += 5
    renamed = door.machine.staff_renames(ORG, person, door.now, first_name="Anna", last_name="Bell")
    assert renamed == (Effect("virtuous", ORG, f"individual:{person}", "firstName", "Ann", "Anna"),)
    assert door.machine.staff_renames(ORG, person, door.now, first_name="Anna") == ()
    phone = door.machine.staff_sets_phone(ORG, person, door.now, "6025550100", type="Work Phone")
    assert "6025550100" in [e.after for e in phone]
    changed = door.machine.staff_sets_phone(ORG, person, door.now, "6025550101")
    assert [(e.before, e.after) for e in changed] == [("6025550100", "6025550101")]
    door.machine.staff_sets_address(ORG, number, door.now, address1="1 Main St", city="Phoenix")
    moved = door.machine.staff_sets_address(ORG, number, door.now, city="Mesa")
    assert [(e.field, e.after) for e in moved] == [("city", "Mesa")]
    with pytest.raises(ValueError, match="town"):
        door.machine.staff_sets_address(ORG, number, door.now, town="Mesa")
    with pytest.raises(ValueError, match="firstName"):
        door.machine.add_contact(ORG, door.now, firstName="Ann")
    dead = door.machine.staff_sets_deceased(ORG, person, door.now)
    assert [(e.field, e.after) for e in dead] == [("isDeceased", True)]
    after = door.contact(number)
    assert after["modifiedDateTimeUtc"] > before["modifiedDateTimeUtc"]
    assert after["address"]["city"] == "Mesa"


def test_consent_and_addresses_change_by_hand() -> None:
    """Virtuous facts 7.3, 18.8"""
    door = Door()
    number = door.person()
    person = door.contact(number)["contactIndividuals"][0]["id"]
    method = method_id(door.contact(number), "ann@example.org")
    assert len(door.machine.staff_opts(ORG, method, False, door.now)) == 1
    assert len(door.machine.staff_sets_email(ORG, method, door.now, "anna@example.org")) == 1
    door.machine.staff_adds_method(ORG, person, door.now, "Work Email", "w@example.org", opted_in=False)
    assert emails(door.contact(number)) == {"anna@example.org": False, "w@example.org": False}
    assert door.send("GET", "/api/Contact/Find", query="email=ann%40example.org").status == 404


def test_tags_come_and_go_and_a_rename_is_silent() -> None:
    """Virtuous facts 18.8: the definition changes, no event fires, no stamp moves"""
    door = Door()
    number = door.person()
    door.machine.staff_adds_tag(ORG, number, "CC: News", door.now)
    assert door.machine.staff_adds_tag(ORG, number, "CC: News", door.now) == ()
    tag = door.machine.tags(ORG)[0]["id"]
    before = door.contact(number)
    door.subscribe()
    door.now += 5
    assert len(door.machine.rename_tag(ORG, tag, "CC: Letter", door.now)) == 1
    after = door.contact(number)
    assert (after["tags"], after["modifiedDateTimeUtc"]) == (["CC: Letter"], before["modifiedDateTimeUtc"])
    assert door.deliveries() == []
    gone = door.machine.staff_removes_tag(ORG, number, "CC: Letter", door.now)
    assert [(e.before, e.after) for e in gone] == [(("CC: Letter",), ())]
    assert len(door.deliveries()) == 1


def test_archive_and_unarchive_fire_updates() -> None:
    """Virtuous facts 13.2"""
    door = Door()
    number = door.person()
    door.subscribe()
    door.machine.staff_archives(ORG, number, door.now)
    door.machine.staff_unarchives(ORG, number, door.now)
    assert len(door.deliveries()) == 2
    assert door.machine.contacts(ORG)[0]["isArchived"] is False


def test_a_merge_points_at_the_survivor_and_carries_everything() -> None:
    """Virtuous facts 7.6: two references of one source on one contact"""
    door = Door()
    loser = door.person("ben@example.org", first="Ben", tags=["A"], references=[(CC, "g1")], notes=["hello"])
    survivor = door.person(tags=["B"], references=[(CC, "g2")])
    door.subscribe()
    door.machine.staff_merges(ORG, loser, survivor, door.now)
    assert door.contact(loser)["mergedIntoContactId"] == survivor
    merged = door.contact(survivor)
    assert emails(merged) == {"ann@example.org": True, "ben@example.org": True}
    assert (merged["tags"], [r["id"] for r in merged["contactReferences"]]) == (["B", "A"], ["g2", "g1"])
    assert door.get("/api/Contact/Constant%20Contact/g1")["id"] == survivor
    assert sum(person["isPrimary"] for person in merged["contactIndividuals"]) == 1
    assert [n["note"] for c in door.machine.contacts(ORG) if c["id"] == survivor for n in c["notes"]] == ["hello"]
    told = {json.loads(d.body)["contact"]["id"] for d in door.deliveries()}
    assert told == {loser, survivor}
    with pytest.raises(ValueError, match="living"):
        door.machine.staff_merges(ORG, loser, survivor, door.now)


def test_a_merge_of_one_person_keeps_the_refusal() -> None:
    """A refusal on either side survives the merge of two records of one person."""
    door = Door()
    loser, survivor = door.person(), door.person()
    door.machine.staff_opts(ORG, method_id(door.contact(loser), "ann@example.org"), False, door.now)
    door.machine.staff_merges(ORG, loser, survivor, door.now)
    merged = door.contact(survivor)
    assert len(merged["contactIndividuals"]) == 1
    assert emails(merged) == {"ann@example.org": False}


def test_a_merge_may_leave_labels_behind_and_hide_the_loser() -> None:
    """Virtuous facts 7.6, 19 (switches merge-carries, merged-read)"""
    door = Door({"merge-carries": "people", "merged-read": "404"})
    loser = door.person("ben@example.org", first="Ben", tags=["A"], references=[(CC, "g1")])
    survivor = door.person()
    door.machine.staff_merges(ORG, loser, survivor, door.now)
    assert door.contact(survivor)["tags"] == []
    assert door.send("GET", f"/api/Contact/{loser}").status == 404
    assert door.send("GET", "/api/Contact/Constant%20Contact/g1").status == 404


def test_an_import_follows_merges_in_a_chain() -> None:
    """Virtuous facts 7.6"""
    door = Door({"merge-carries": "people"})
    first = door.person("a@example.org", first="A", references=[(CC, "g1")])
    second, third = door.person("b@example.org", first="B"), door.person("c@example.org", first="C")
    door.machine.staff_merges(ORG, first, second, door.now)
    door.machine.staff_merges(ORG, second, third, door.now)
    door.submit(referenceId="g1", tags="Late")
    door.night()
    assert door.contact(third)["tags"] == ["Late"]


def test_a_person_moves_to_another_household() -> None:
    """Virtuous facts 18.8"""
    door = Door()
    old, new = door.person(), door.person("ben@example.org", first="Ben")
    person = door.contact(old)["contactIndividuals"][0]["id"]
    moved = door.machine.staff_moves_individual(ORG, person, new, door.now)
    assert Effect("virtuous", ORG, f"individual:{person}", "contactId", old, new) in moved
    assert emails(door.contact(new)) == {"ben@example.org": True, "ann@example.org": True}
    assert [p["firstName"] for p in door.contact(old)["contactIndividuals"]] == ["Default"]
    assert door.machine.staff_moves_individual(ORG, person, new, door.now) == ()
    assert door.get("/api/Contact/Find", "email=ann%40example.org")["id"] == new


def test_the_judge_sees_everything() -> None:
    door = Door()
    number = door.person(address={"address1": "1 Main St"}, tags=["T"], references=[(CC, "g1")], notes=["n"])
    door.machine.staff_archives(ORG, number, door.now)
    (contact,) = door.machine.contacts(ORG)
    assert contact["isArchived"] is True
    assert [a["address1"] for a in contact["contactAddresses"]] == ["1 Main St"]
    assert (contact["tags"], contact["contactReferences"]) == (["T"], [{"source": CC, "id": "g1"}])
    assert [n["note"] for n in contact["notes"]] == ["n"]
    json.dumps(contact)
