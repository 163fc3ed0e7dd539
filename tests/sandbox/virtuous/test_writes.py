"""Direct reads and writes by noun (Virtuous facts 6, 7, 8, 11, 18.5, 18.6)."""

import re
from typing import Any

import pytest

from tests.sandbox.virtuous.door import CC, ORG, Door, emails, method_id


def effects(answer: Any) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {(e.record, e.field): (e.before, e.after) for e in answer.effects}


def test_the_shape_of_a_contact() -> None:
    """Virtuous facts 6, 7.1, 18.6: nulls, money as text, stamps without Z, seven digits inside"""
    door = Door()
    door.now += 0.25
    contact = door.contact(door.person(address={"address1": "1 Main St", "country": "US"}))
    assert (contact["lifeToDateGiving"], contact["website"], contact["mergedIntoContactId"]) == ("$0", None, None)
    assert "isArchived" not in contact
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.250", contact["modifiedDateTimeUtc"])
    assert contact["contactIndividuals"][0]["modifiedDateTimeUtc"].endswith(".2500000")
    assert contact["address"]["modifiedDateTimeUtc"].endswith(".2500000")
    person = door.get(f"/api/ContactIndividual/{contact['contactIndividuals'][0]['id']}")
    assert person["modifiedDateTimeUtc"].endswith(".250")
    assert contact["contactTagsUrl"] == f"/api/ContactTag/ByContact/{contact['id']}"


def test_disputed_parts_of_the_shape() -> None:
    """Virtuous facts 7.1, 17 (switches archived-flag, contact-tags)"""
    door = Door({"archived-flag": "present", "contact-tags": "objects"})
    contact = door.contact(door.person(tags=["CC: News"]))
    assert (contact["isArchived"], contact["tags"]) == (False, [{"tag": "CC: News"}])
    door.machine.switches.choose("contact-tags", "strings")
    assert door.contact(contact["id"])["tags"] == ["CC: News"]


def test_unknown_ids_are_404_and_unknown_parents_of_lists_are_empty() -> None:
    """Virtuous facts 5"""
    door = Door()
    for noun in ("Contact", "ContactIndividual", "ContactMethod", "ContactAddress", "ContactNote", "Webhook"):
        answer = door.send("GET", f"/api/{noun}/77")
        assert (answer.status, answer.body) == (404, b"")
    assert door.get("/api/ContactTag/ByContact/0") == {"list": [], "total": 0}
    assert door.get("/api/ContactNote/ByContact/0") == {"list": [], "total": 0}
    assert door.get("/api/ContactAddress/ByContact/0") == []
    assert door.get("/api/ContactIndividual/ByContact/0") == []


def test_a_reference_is_found_with_its_space_and_slash_encoded() -> None:
    """Virtuous facts 8"""
    door = Door()
    number = door.person(references=[(CC, "a/b")])
    assert door.get("/api/Contact/Constant%20Contact/a%2Fb")["id"] == number
    assert door.send("GET", "/api/Contact/Constant%20Contact/other").status == 404


@pytest.mark.switch("virtuous", "find-shared-email", "oldest", "newest")
def test_find_prefers_the_reference_and_a_shared_address_gives_one_contact() -> None:
    """Virtuous facts 8 (switch find-shared-email)"""
    door = Door()
    first, second = door.person(), door.person(references=[(CC, "g1")])
    assert door.get("/api/Contact/Find", "email=ANN%40example.org")["id"] == first
    assert door.get("/api/Contact/Find", "email=ann%40example.org&referenceSource=Constant+Contact&referenceId=g1")[
        "id"
    ] == (second)
    assert door.get("/api/ContactIndividual/Find", "email=ann%40example.org")["contactId"] == first
    door.machine.switches.choose("find-shared-email", "newest")
    assert door.get("/api/Contact/Find", "email=ann%40example.org")["id"] == second
    assert door.send("GET", "/api/Contact/Find", query="email=x%40example.org").status == 404
    assert door.send("GET", "/api/Contact/Find").status == 400


def test_create_a_contact_directly_with_its_consent() -> None:
    """Virtuous facts 11: no duplicate check, stateCode and countryCode, isOptedIn as given"""
    door = Door()
    body = {
        "contactType": "Household",
        "referenceSource": CC,
        "referenceId": "g1",
        "contactAddresses": [{"address1": "1 Main St", "stateCode": "AZ", "countryCode": "US", "isPrimary": True}],
        "contactIndividuals": [
            {
                "firstName": "Ann",
                "lastName": "Bell",
                "contactMethods": [{"type": "Home Email", "value": "ann@example.org", "isOptedIn": "false"}],
            }
        ],
    }
    answer = door.send("POST", "/api/Contact", body)
    contact = answer.json()
    assert (answer.status, contact["name"]) == (200, "Ann Bell")
    assert (contact["address"]["state"], contact["address"]["country"]) == ("AZ", "United States")
    assert emails(contact) == {"ann@example.org": False}
    method = method_id(contact, "ann@example.org")
    assert effects(answer)[(f"method:{method}", "isOptedIn")] == (None, False)
    assert effects(answer)[(f"reference:{CC}/g1", "contactId")] == (None, contact["id"])
    assert door.send("POST", "/api/Contact", body).json()["id"] != contact["id"]
    assert door.get("/api/Contact/Constant%20Contact/g1")["id"] == contact["id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contactType": "Robot"},
        {"contactType": "Household", "contactIndividuals": [{"contactMethods": [{"type": "Pigeon", "value": "x"}]}]},
        {"contactType": "Household", "contactIndividuals": "x"},
    ],
)
def test_a_refused_contact_leaves_nothing_behind(body: dict[str, Any]) -> None:
    door = Door()
    assert door.send("POST", "/api/Contact", body).status == 400
    assert door.machine.contacts(ORG) == []


@pytest.mark.parametrize(
    ("mode", "name", "website"),
    [("keep-name-and-type", "Ann Bell", None), ("replace", None, None), ("patch", "Ann Bell", "https://a.example.org")],
)
def test_put_contact_and_omitted_properties(mode: str, name: str | None, website: str | None) -> None:
    """Virtuous facts 6, 18.5"""
    door = Door({"put-contact": mode})
    number = door.person(website="https://a.example.org")
    contact = door.send("PUT", f"/api/Contact/{number}", {"description": "D"}).json()
    assert (contact["name"], contact["website"], contact["description"]) == (name, website, "D")
    assert contact["contactType"] == "Household"


def test_put_contact_does_not_touch_people_tags_or_references() -> None:
    """Virtuous facts 11"""
    door = Door()
    number = door.person(tags=["T"], references=[(CC, "g1")])
    before = door.contact(number)
    after = door.send("PUT", f"/api/Contact/{number}", {**before, "tags": [], "contactIndividuals": []}).json()
    assert after == before


def test_custom_fields_of_a_put_are_cleared_by_an_empty_text_only() -> None:
    """Virtuous facts 7.5"""
    door = Door()
    for name in ("Size", "Colour"):
        door.machine.add_custom_field(ORG, name, door.now)
    number = door.person(customFields={"Size": "L", "Colour": "red"})
    body = {"customFields": [{"name": "Size", "value": ""}, {"name": "Unheard", "value": "x"}]}
    answer = door.send("PUT", f"/api/Contact/{number}", body)
    assert {f["name"]: f["value"] for f in answer.json()["customFields"]} == {"Colour": "red"}
    assert effects(answer) == {(f"contact:{number}", "customFields.Size"): ("L", None)}
    assert [f["name"] for f in door.get("/api/Contact/CustomFields")] == ["Size", "Colour"]


def test_the_opt_out_call_changes_one_value_and_says_so() -> None:
    """Virtuous facts 11, 13.2: modifiedDateTimeUtc of the contact moves"""
    door = Door()
    before = door.contact(door.person())
    method = method_id(before, "ann@example.org")
    body = {"type": "Home Email", "value": "ann@example.org", "isOptedIn": False}
    door.now += 5
    answer = door.send("PUT", f"/api/ContactMethod/{method}", body)
    assert (answer.json()["isOptedIn"], answer.json()["isPrimary"]) == (False, True)
    assert effects(answer) == {(f"method:{method}", "isOptedIn"): (True, False)}
    after = door.contact(before["id"])
    assert after["modifiedDateTimeUtc"] > before["modifiedDateTimeUtc"]
    door.now += 5
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).effects == ()
    assert door.contact(before["id"]) == after
    door.machine.switches.choose("write-without-change", "touches")
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).effects == ()
    assert door.contact(before["id"])["modifiedDateTimeUtc"] > after["modifiedDateTimeUtc"]


def test_put_method_without_consent_opts_out_unless_it_patches() -> None:
    """Virtuous facts 6, 18.5"""
    door = Door()
    number = door.person()
    method = method_id(door.contact(number), "ann@example.org")
    body = {"type": "Home Email", "value": "new@example.org"}
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).json()["isOptedIn"] is False
    door.machine.staff_opts(ORG, method, True, door.now)
    door.machine.switches.choose("put-method", "patch")
    assert door.send("PUT", f"/api/ContactMethod/{method}", {"isOptedIn": None}).json()["isOptedIn"] is True
    door.machine.switches.choose("put-method", "replace")
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).json()["isPrimary"] is False
    assert door.send("PUT", f"/api/ContactMethod/{method}", {"isOptedIn": False}).status == 400


def test_methods_are_added_ranked_archived_and_deleted() -> None:
    """Virtuous facts 7.3, 11: one primary e-mail; sent twice it is there twice"""
    door = Door()
    number = door.person()
    person = door.contact(number)["contactIndividuals"][0]["id"]
    body = {"contactIndividualId": person, "type": "Work Email", "value": "w@example.org", "isOptedIn": True}
    first = door.send("POST", "/api/ContactMethod", {**body, "setAsPrimary": True}).json()
    second = door.send("POST", "/api/ContactMethod", body).json()
    primary = [m["id"] for m in door.contact(number)["contactIndividuals"][0]["contactMethods"] if m["isPrimary"]]
    assert primary == [first["id"]]
    assert door.send("DELETE", f"/api/ContactMethod/{second['id']}").status == 200
    assert door.send("PUT", f"/api/ContactMethod/Archive/{first['id']}").status == 200
    assert list(emails(door.contact(number))) == ["ann@example.org"]
    assert door.send("GET", "/api/Contact/Find", query="email=w%40example.org").status == 404
    door.send("PUT", f"/api/ContactMethod/Unarchive/{first['id']}")
    assert door.get("/api/Contact/Find", "email=w%40example.org")["id"] == number
    assert door.send("POST", "/api/ContactMethod", {**body, "contactIndividualId": 1}).status == 400
    assert "Mobile Phone" in door.get("/api/ContactMethod/Types")


def test_an_address_of_somebody_else_is_allowed_or_409() -> None:
    """Virtuous facts 5 (switch shared-email)"""
    door = Door()
    door.person("taken@example.org")
    method = method_id(door.contact(door.person()), "ann@example.org")
    body = {"type": "Home Email", "value": "Taken@example.org", "isOptedIn": True}
    door.machine.switches.choose("shared-email", "409")
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).status == 409
    door.machine.switches.choose("shared-email", "allowed")
    assert door.send("PUT", f"/api/ContactMethod/{method}", body).status == 200


def test_an_address_put_replaces_the_whole() -> None:
    """Virtuous facts 6, 18.5: omitted parts are lost"""
    door = Door()
    number = door.person(address={"address1": "1 Main St", "postal": "85001", "city": "Phoenix"})
    address = door.contact(number)["address"]["id"]
    after = door.send("PUT", f"/api/ContactAddress/{address}", {"label": "Home", "city": "Mesa"}).json()
    assert (after["city"], after["address1"], after["postal"], after["isPrimary"]) == ("Mesa", None, None, True)
    door.machine.switches.choose("put-address", "patch")
    door.send("PUT", f"/api/ContactAddress/{address}", {"postal": "85201"})
    assert door.get(f"/api/ContactAddress/{address}")["city"] == "Mesa"


def test_only_the_primary_address_shows_on_the_contact() -> None:
    """Virtuous facts 7.4"""
    door = Door()
    number = door.person(address={"address1": "1 Main St"})
    answer = door.send("POST", "/api/ContactAddress", {"contactId": number, "address1": "2 Oak", "setAsPrimary": True})
    assert door.contact(number)["address"]["id"] == answer.json()["id"]
    assert [a["isPrimary"] for a in door.get(f"/api/ContactAddress/ByContact/{number}")] == [False, True]
    assert door.send("DELETE", f"/api/ContactAddress/{answer.json()['id']}").status == 200
    assert door.contact(number)["address"] is None


def test_people_are_added_replaced_and_deleted_but_never_the_last() -> None:
    """Virtuous facts 7.1, 11"""
    door = Door()
    number = door.person()
    methods = [{"type": "Home Email", "value": "ben@example.org", "isOptedIn": True}]
    body = {"contactId": number, "firstName": "Ben", "lastName": "Bell", "gender": "Male", "contactMethods": methods}
    ben = door.send("POST", "/api/ContactIndividual", {**body, "setAsPrimary": True}).json()
    ann = door.get(f"/api/ContactIndividual/ByContact/{number}")[0]
    assert (ben["isPrimary"], ann["isPrimary"]) == (True, False)
    after = door.send("PUT", f"/api/ContactIndividual/{ben['id']}", {"firstName": "Benn"}).json()
    assert (after["firstName"], after["lastName"], after["gender"], after["isDeceased"]) == ("Benn", None, None, False)
    assert emails(door.contact(number)) == {"ann@example.org": True, "ben@example.org": True}
    answer = door.send("DELETE", f"/api/ContactIndividual/{ben['id']}")
    assert (f"method:{after['contactMethods'][0]['id']}", "value") in effects(answer)
    assert door.get(f"/api/ContactIndividual/{ann['id']}")["isPrimary"] is True
    assert door.send("DELETE", f"/api/ContactIndividual/{ann['id']}").status == 400


def test_put_individual_can_patch() -> None:
    """Virtuous facts 6 (switch put-individual)"""
    door = Door({"put-individual": "patch"})
    person = door.contact(door.person())["contactIndividuals"][0]["id"]
    after = door.send("PUT", f"/api/ContactIndividual/{person}", {"suffix": "II"}).json()
    assert (after["firstName"], after["suffix"]) == ("Ann", "II")


def test_tags_join_once_and_leave_by_the_id_of_the_join() -> None:
    """Virtuous facts 11, 18.9"""
    door = Door()
    number = door.person()
    tag = door.machine.add_tag(ORG, "CC: News", door.now)
    twin = door.machine.add_tag(ORG, "CC: News", door.now)
    assert tag != twin
    answer = door.send("POST", "/api/ContactTag", {"tagId": tag, "contactId": number})
    join = answer.json()
    assert effects(answer) == {(f"contact:{number}", "tags"): ((), ("CC: News",))}
    again = door.send("POST", "/api/ContactTag", {"tagId": tag, "contactId": number})
    assert (again.json()["contactTagId"], again.effects) == (join["contactTagId"], ())
    door.machine.switches.choose("tag-twice", "400")
    assert door.send("POST", "/api/ContactTag", {"tagId": tag, "contactId": number}).status == 400
    assert door.send("POST", "/api/ContactTag", {"tagId": 999, "contactId": number}).status == 400
    assert door.send("DELETE", f"/api/ContactTag/{tag}").status == 404
    assert door.send("DELETE", f"/api/ContactTag/{join['contactTagId']}").status == 200
    assert door.contact(number)["tags"] == []


def test_tags_are_listed_by_ten_and_found_by_substring() -> None:
    """Virtuous facts 6, 11"""
    door = Door()
    number = door.person(tags=[f"CC: List {n}" for n in range(12)])
    assert len(door.get("/api/Tag")["list"]) == 10
    assert len(door.get("/api/Tag", "take=1000")["list"]) == 12
    assert len(door.get(f"/api/ContactTag/ByContact/{number}")["list"]) == 10
    found = door.send("POST", "/api/Tag/Search", {"search": "list 1"}).json()
    assert [t["tagName"] for t in found["list"]] == ["CC: List 1", "CC: List 10", "CC: List 11"]


def test_references_are_linked_and_unlinked() -> None:
    """Virtuous facts 11 (switch reference-clash)"""
    door = Door()
    first, second = door.person(), door.person()
    link = {"contactId": first, "referenceSource": CC, "referenceId": "g1"}
    answer = door.send("POST", "/api/ContactReference", link)
    assert (answer.status, answer.body, len(answer.effects)) == (200, b"", 1)
    assert door.send("POST", "/api/ContactReference", link).effects == ()
    assert door.send("POST", "/api/ContactReference", {**link, "referenceId": "g2"}).status == 200
    assert door.send("POST", "/api/ContactReference", {**link, "contactId": second}).status == 400
    door.machine.switches.choose("reference-clash", "move")
    assert door.send("POST", "/api/ContactReference", {**link, "contactId": second}).status == 200
    assert door.get("/api/Contact/Constant%20Contact/g1")["id"] == second
    assert door.send("DELETE", "/api/ContactReference/Constant%20Contact", query="referenceId=g1").status == 200
    assert door.send("GET", "/api/Contact/Constant%20Contact/g1").status == 404
    assert door.send("DELETE", "/api/ContactReference/Constant%20Contact", query="referenceId=g1").status == 400
    assert door.contact(first)["contactReferences"] == [{"source": CC, "id": "g2"}]


def test_notes_repeat_when_sent_twice_and_do_not_modify_the_contact() -> None:
    """Virtuous facts 11"""
    door = Door()
    before = door.contact(door.person())
    door.now += 5
    body = {"contactId": before["id"], "type": "General", "note": "bounced", "important": True}
    note = door.send("POST", "/api/ContactNote", body).json()
    door.send("POST", "/api/ContactNote", body)
    listed = door.get(f"/api/ContactNote/ByContact/{before['id']}", "sortBy=Id&descending=true")
    assert (listed["total"], listed["list"][1]["id"]) == (2, note["id"])
    assert door.contact(before["id"]) == before
    after = door.send("PUT", f"/api/ContactNote/{note['id']}", {"type": "Call", "note": "called"}).json()
    assert (after["type"], after["important"]) == ("Call", False)
    assert door.get(f"/api/ContactNote/Important/ByContact/{before['id']}")["total"] == 1
    assert door.send("DELETE", f"/api/ContactNote/{note['id']}").status == 200
    assert door.send("POST", "/api/ContactNote", {**body, "type": "Shout"}).status == 400
    assert door.get("/api/ContactNote/Types")["general"] == "General"


@pytest.mark.switch("virtuous", "archived-read", "200", "404")
def test_archiving_over_the_api_moves_the_stamp_and_reading_may_end() -> None:
    """Virtuous facts 7.6, 19 (switch archived-read)"""
    door = Door()
    number = door.person()
    before = door.contact(number)["modifiedDateTimeUtc"]
    door.now += 5
    assert door.send("PUT", f"/api/Contact/Archive/{number}", {"archiveReason": "x"}).effects != ()
    assert door.contact(number)["modifiedDateTimeUtc"] > before
    door.machine.switches.choose("archived-read", "404")
    assert door.send("GET", f"/api/Contact/{number}").status == 404
    assert door.send("PUT", f"/api/Contact/Unarchive/{number}").status == 200
    assert door.contact(number)["id"] == number


def test_contact_types_are_the_five_seen_live() -> None:
    """Virtuous facts 7.1"""
    listed = Door().get("/api/Contact/Types")
    assert {"parentType": "Organization", "type": "Church"} in listed
    assert len(listed) == 5
