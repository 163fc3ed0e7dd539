"""Every kind of step against the stand-in: what it changes, what it leaves alone, what is seen after a lost answer."""

import json
from typing import Any

import pytest

from keepstep.model.change import Accepted, Dead, Done, Nothing, Retry, Unknown
from keepstep.model.errors import Blocked, Missing, Permanent, Unanswered
from keepstep_sandbox.http import Response
from tests.connectors.virtuous.world import ORGANIZATION, START, World, call, run, said, scripted

PERSON: dict[str, Any] = {
    "record_id": "cc-1",
    "first_name": "Ada",
    "last_name": "Lee",
    "email": "ada@example.org",
    "phone": {"kind": "mobile", "raw": "(602) 555-0101"},
    "address": {
        "kind": "home",
        "street": "1 Elm St",
        "city": "Mesa",
        "state": "AZ",
        "postal": "85201",
        "country": None,
    },
    "lists": ["l-1"],
    "tags": ["CC: News, Events", "CC: Donors"],
}


def person(number: int, **values: Any) -> dict[str, Any]:
    own = {"record_id": f"cc-{number}", "email": f"p{number}@example.org", "phone": None, "address": None}
    return {**PERSON, **own, "last_name": f"L{number}", **values}


# --- imports (Virtuous facts 10) ---


def test_one_person_is_a_transaction() -> None:
    """200 with an empty body; nothing is invented, tags are one string (Virtuous facts 10.1)."""
    world = World({"origin_segment_code": "CONSTANT-CONTACT-SYNC"})
    world.vendor.add_segment(ORGANIZATION, "CONSTANT-CONTACT-SYNC")
    assert world.write("submit", {**PERSON, "custom": {"Shirt": "M", "Unset": None}}) == [Accepted(look_after=3600)]
    assert json.loads(world.sent("POST", "/api/Contact/Transaction")[0].body) == {
        "referenceSource": "Constant Contact",
        "referenceId": "cc-1",
        "contactType": "Household",
        "firstName": "Ada",
        "lastName": "Lee",
        "emailType": "Home Email",
        "email": "ada@example.org",
        "phoneType": "Mobile Phone",
        "phone": "(602) 555-0101",
        "address1": "1 Elm St",
        "city": "Mesa",
        "state": "AZ",
        "postal": "85201",
        "tags": "CC: News, Events;CC: Donors",
        "customFields": {"Shirt": "M"},
        "originSegmentCode": "CONSTANT-CONTACT-SYNC",
    }
    assert world.look("submit", PERSON) == [Unknown(3600, "no contact carries the reference yet")]
    world.vendor.run_batch(ORGANIZATION, world.clock.at)
    [seen] = world.look("submit", PERSON)
    assert isinstance(seen, Done)
    made = world.contact(seen.answer["contact"])
    assert sorted(made["tags"]) == sorted(PERSON["tags"])


def test_several_people_are_a_batch() -> None:
    """One request, the source on top (Virtuous facts 10.2)."""
    world = World()
    assert world.write("submit", *(person(number) for number in range(3))) == [Accepted(look_after=3600)] * 3
    [request] = world.requests
    body = json.loads(request.body)
    assert request.path == "/api/Contact/Batch" and body["referenceSource"] == "Constant Contact"
    assert [row["referenceId"] for row in body["contacts"]] == ["cc-0", "cc-1", "cc-2"]
    assert "referenceSource" not in body["contacts"][0]
    world.vendor.run_batch(ORGANIZATION, world.clock.at)
    assert all(isinstance(seen, Done) for seen in world.look("submit", *(person(number) for number in range(3))))


@pytest.mark.switch("virtuous", "batch-size", "100")
def test_a_batch_never_holds_more_than_a_hundred() -> None:
    """The size is not documented (Virtuous facts 10.2)."""
    world = World(batch_size="100")
    assert len(world.write("submit", *(person(number) for number in range(150)))) == 150
    assert [len(json.loads(request.body)["contacts"]) for request in world.requests] == [75, 75]


def test_one_bad_row_does_not_hold_up_the_others() -> None:
    """Whether a bad row fails all is unknown (Virtuous facts 10.2)."""

    class Picky(World):
        async def __call__(self, method: str, url: str, headers: Any, body: bytes = b"", timeout: float = 30.0) -> Any:
            return said(400) if b"cc-2" in body else await super().__call__(method, url, headers, body, timeout)

    world = Picky()
    found = world.write("submit", *(person(number) for number in range(5)))
    assert [type(outcome) for outcome in found] == [Accepted, Accepted, Dead, Accepted, Accepted]


def test_a_lost_answer_after_a_split_is_unknown_for_its_rows_only() -> None:
    world = World()
    world.faults = [Response(400), Unanswered("reset")]
    found = world.write("submit", person(1), person(2))
    assert [type(outcome) for outcome in found] == [Unknown, Accepted]


def test_a_tag_with_the_separator_is_refused_before_anything_is_sent() -> None:
    """Then no tag may hold `;` (Virtuous facts 10.1)."""
    world = World()
    with pytest.raises(Permanent):
        world.write("submit", {**PERSON, "tags": ["CC: A; B"]})
    assert world.requests == []


# --- direct creation and linking (Virtuous facts 11) ---


def test_create_is_opted_out_and_carries_the_reference() -> None:
    world = World()
    [made] = world.write("create", PERSON)
    assert isinstance(made, Done)
    contact = world.contact(made.answer["contact"])
    email, phone = contact["contactIndividuals"][0]["contactMethods"]
    assert (email["value"], email["isOptedIn"], phone["isOptedIn"]) == ("ada@example.org", False, False)
    assert made.answer["individual"] == str(contact["contactIndividuals"][0]["id"])
    assert made.answer["email_method"] == str(email["id"]) and made.answer["phone_method"] == str(phone["id"])
    assert contact["contactReferences"] == [{"source": "Constant Contact", "id": "cc-1"}]
    assert contact["name"] == "Ada Lee" and contact["tags"] == []
    body = json.loads(world.requests[0].body)
    assert body["contactAddresses"][0]["stateCode"] == "AZ" and "countryCode" not in body["contactAddresses"][0]


def test_create_with_a_lost_answer_is_found_and_not_repeated() -> None:
    world = World()
    assert world.look("create", PERSON) == [Retry(0.0, "not there")]
    world.faults = [Unanswered("reset")]
    with pytest.raises(Unanswered):
        world.write("create", PERSON)
    [seen] = world.look("create", PERSON)
    assert isinstance(seen, Done) and seen.answer["contact"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null"])
def test_create_without_an_id_in_the_answer_is_unanswered(body: bytes) -> None:
    crm, _ = scripted(said(200, text=body))
    with pytest.raises(Unanswered):
        run(crm.write(call("create", PERSON)))


def test_link_sets_the_reference() -> None:
    """200 with an empty body (Virtuous facts 11)."""
    world = World()
    number = str(world.add())
    step = {"contact": number, "record_id": "cc-1"}
    assert world.look("link", step) == [Retry(0.0, "not there")]
    assert world.write("link", step) == [Done({"contact": number})]
    assert world.look("link", step) == [Done({"contact": number})]
    assert world.contact(number)["contactReferences"] == [{"source": "Constant Contact", "id": "cc-1"}]


def test_link_refused_because_it_is_there_is_nothing() -> None:
    raw = {"id": 5, "contactReferences": [{"source": "Constant Contact", "id": "cc-1"}]}
    crm, _ = scripted(said(400), said(200, raw))
    assert run(crm.write(call("link", {"contact": "5", "record_id": "cc-1"}))) == [Nothing()]


@pytest.mark.switch("virtuous", "reference-clash", "400")
def test_a_reference_of_somebody_else_is_refused() -> None:
    world = World(reference_clash="400")
    world.add(email="a@example.org", contactReferences=[{"source": "Constant Contact", "id": "cc-1"}])
    number = str(world.add(email="b@example.org"))
    with pytest.raises(Permanent):
        world.write("link", {"contact": number, "record_id": "cc-1"})


# --- consent and email (Virtuous facts 11) ---

PUTS = pytest.mark.parametrize("put", ["keep-primary", "replace", "patch"])


@pytest.mark.switch("virtuous", "put-method", "keep-primary", "replace", "patch")
@PUTS
def test_opting_out_changes_nothing_else(put: str) -> None:
    """PUT may replace: everything goes back as read (Virtuous facts 6, 11)."""
    world = World(put_method=put)
    number = world.add()
    before = world.method(number)
    step = consent(world, number, False)
    assert world.write("set_consent", step) == [Done({"opted_in": False})]
    after = world.method(number)
    assert {key for key in before if before[key] != after[key]} - {"modifiedDateTimeUtc", "modifiedByUser"} == {
        "isOptedIn"
    }
    assert world.write("set_consent", step) == [Nothing()]
    assert world.look("set_consent", step) == [Done({"opted_in": False})]
    assert len(world.sent("PUT")) == 1


def consent(world: World, number: int, opted_in: bool) -> dict[str, Any]:
    ids = {"contact": str(number), "individual": str(world.person(number)["id"])}
    return {**ids, "method": str(world.method(number)["id"]), "opted_in": opted_in}


def test_consent_may_use_the_headroom() -> None:
    """When the hour is nearly used up, opt-outs still go (Virtuous facts 4)."""
    world = World()
    number = world.add()
    world.vendor.spend(ORGANIZATION, 1300, world.clock.at)
    run(world.crm.by_reference("x"))
    assert world.write("set_consent", consent(world, number, False)) == [Done({"opted_in": False})]


@pytest.mark.parametrize("kept", [{"id": 3, "isOptedIn": True}, {"id": 3}, []])
def test_an_opt_out_that_did_not_take_is_not_done(kept: Any) -> None:
    """What the server says counts (Virtuous facts 6)."""
    raw = {"id": 3, "type": "Home Email", "value": "a@example.org", "isOptedIn": True}
    crm, _ = scripted(said(200, raw), said(200, kept), said(200, raw))
    step = {"contact": "1", "individual": "2", "method": "3", "opted_in": False}
    assert run(crm.write(call("set_consent", step))) == [Retry(60.0, "Virtuous kept the old value")]


def test_an_opt_out_whose_answer_is_lost() -> None:
    world = World()
    number = world.add()
    world.faults = [Unanswered("reset")]
    step = consent(world, number, False)
    with pytest.raises(Unanswered):
        world.write("set_consent", step)
    assert world.look("set_consent", step) == [Done({"opted_in": False})]
    assert world.look("set_consent", {**step, "opted_in": True}) == [Retry(0.0, "not there")]


def email(world: World, number: int, value: str, was: str) -> dict[str, Any]:
    return {**consent(world, number, False), "value": value, "was": was}


@PUTS
@pytest.mark.parametrize("opted_in", [True, False])
def test_a_new_address_keeps_its_consent(put: str, opted_in: bool) -> None:
    """set_email never touches isOptedIn (Virtuous facts 11)."""
    world = World(put_method=put)
    number = world.add()
    step = email(world, number, "new@example.org", "ADA@example.org")
    world.vendor.staff_opts(ORGANIZATION, int(step["method"]), opted_in, world.clock.at)
    assert world.write("set_email", step) == [Done({"method": step["method"], "value": "new@example.org"})]
    after = world.method(number)
    assert (after["value"], after["isOptedIn"], after["isPrimary"]) == ("new@example.org", opted_in, True)
    assert world.write("set_email", step) == [Nothing()]
    assert isinstance(world.look("set_email", step)[0], Done)


def test_an_address_that_staff_changed_meanwhile_is_not_overwritten() -> None:
    """No ETag: compare before writing (Virtuous facts 6)."""
    world = World()
    number = world.add()
    step = email(world, number, "new@example.org", "ada@example.org")
    world.vendor.staff_sets_email(ORGANIZATION, int(step["method"]), world.clock.at, "staff@example.org")
    [found] = world.write("set_email", step)
    assert isinstance(found, Retry) and found.after == 300
    assert world.method(number)["value"] == "staff@example.org"


def test_a_method_that_is_gone_is_missing() -> None:
    world = World()
    with pytest.raises(Missing):
        world.write("set_email", {"contact": "1", "individual": "2", "method": "77", "value": "x", "was": "y"})


@pytest.mark.switch("virtuous", "shared-email", "409")
def test_a_shared_address_may_be_refused() -> None:
    """409: the e-mail is on another contact already (Virtuous facts 5)."""
    world = World(shared_email="409")
    world.add(email="taken@example.org")
    number = world.add()
    with pytest.raises(Permanent) as caught:
        world.write("set_email", email(world, number, "taken@example.org", "ada@example.org"))
    assert caught.value.status == 409 and "example.org" not in str(caught.value)


# --- names, phones, addresses ---


@pytest.mark.switch("virtuous", "put-individual", "replace", "patch")
@pytest.mark.parametrize("put", ["replace", "patch"])
def test_a_new_name_keeps_everything_about_the_person(put: str) -> None:
    """The whole write model goes back: deceased stays deceased (Virtuous facts 6, 11)."""
    world = World(put_individual=put)
    world.vendor.add_custom_field(ORGANIZATION, "Shirt", START)
    facts = {"prefix": "Dr.", "middleName": "B", "birthMonth": 9, "birthDay": 4, "birthYear": 1998, "passion": "Trees"}
    number = world.add(contactIndividuals=[{"firstName": "Ada", "lastName": "Lee", "isPrimary": True, **facts}])
    individual = world.person(number)["id"]
    world.vendor.staff_sets_deceased(ORGANIZATION, individual, world.clock.at)
    before = world.person(number)
    step = {"contact": str(number), "individual": str(individual), "first_name": "Adele", "last_name": None}
    assert world.write("set_person", step) == [Done({"first_name": "Adele", "last_name": "Lee"})]
    after = world.person(number)
    changed = {key for key in before if before[key] != after[key]}
    assert changed - {"modifiedDateTimeUtc", "modifiedByUser"} == {"firstName"}
    assert after["isDeceased"] is True
    assert world.write("set_person", step) == [Nothing()]
    assert isinstance(world.look("set_person", step)[0], Done)


def test_custom_fields_and_collections_of_a_person_go_back() -> None:
    """Lists of name and value, also in PUT (Virtuous facts 7.5)."""
    raw = {
        "id": 2,
        "firstName": "A",
        "isSecondary": True,
        "deceasedDate": "",
        "customFields": [{"name": "Shirt", "value": "M", "displayName": "Shirt size"}],
        "customCollections": [{"customCollectionName": "Pets", "fields": [{"name": "Name", "value": "Rex"}]}],
    }
    crm, script = scripted(said(200, raw), said(200, raw))
    run(crm.write(call("set_person", {"contact": "1", "individual": "2", "first_name": "B"})))
    assert json.loads(script.asked[1][2]) == {
        "firstName": "B",
        "setAsPrimary": False,
        "setAsSecondary": True,
        "customFields": [{"name": "Shirt", "value": "M"}],
        "customCollections": [{"name": "Pets", "fields": [{"name": "Name", "value": "Rex"}]}],
    }


def test_a_phone_is_changed_in_place() -> None:
    world = World()
    number = world.add()
    individual = world.person(number)["id"]
    method = world.vendor.staff_adds_method(ORGANIZATION, individual, START, "Work Phone", "602-555-0101", False)
    step = {
        "contact": str(number),
        "individual": str(individual),
        "method": str(method),
        "kind": "mobile",
        "value": "602-555-0199",
        "was": "+1 602 555 0101",
    }
    assert world.write("set_phone", step) == [Done({"method": str(method), "value": "602-555-0199"})]
    after = world.method(number, 1)
    assert (after["type"], after["value"], after["isOptedIn"]) == ("Work Phone", "602-555-0199", False)


def test_a_phone_is_added_once_and_opted_out() -> None:
    """What a method defaults to is unknown, so it is said (Virtuous facts 7.3)."""
    world = World()
    number = world.add()
    step = {
        "contact": str(number),
        "individual": str(world.person(number)["id"]),
        "method": None,
        "kind": "home",
        "value": "(602) 555-0101",
        "was": None,
    }
    assert world.look("set_phone", step) == [Retry(0.0, "not there")]
    [made] = world.write("set_phone", step)
    assert isinstance(made, Done) and made.answer["value"] == "(602) 555-0101"
    after = world.method(number, 1)
    assert (after["type"], after["isOptedIn"]) == ("Home Phone", False) and made.answer["method"] == str(after["id"])
    assert world.write("set_phone", {**step, "value": "+16025550101"}) == world.look("set_phone", step) == [made]
    assert len(world.sent("POST")) == 1


def address(world: World, number: int, key: int | None, **parts: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("street", "city", "state", "postal", "country"))
    return {"contact": str(number), "address": str(key) if key else None, "kind": "home", **blank, **parts}


@pytest.mark.switch("virtuous", "put-address", "replace", "patch")
@pytest.mark.parametrize("put", ["replace", "patch"])
def test_an_address_keeps_what_is_not_named(put: str) -> None:
    """A PUT with only label and city emptied the rest (Virtuous facts 6)."""
    world = World(put_address=put)
    home = {"label": "Cabin", "address1": "1 Elm St", "address2": "Apt 2", "city": "Mesa", "country": "United States"}
    number = world.add(contactAddresses=[{**home, "isPrimary": True, "startMonth": 5, "startDay": 1}])
    before = world.contact(number)["contactAddresses"][0]
    step = address(world, number, before["id"], street="1 Elm St, Apt 2", city="Tempe")
    [made] = world.write("set_address", step)
    assert isinstance(made, Done) and made.answer["city"] == "Tempe" and made.answer["street"] == "1 Elm St, Apt 2"
    after = world.contact(number)["contactAddresses"][0]
    changed = {key for key in before if before[key] != after[key]}
    assert changed - {"modifiedDateTimeUtc", "modifiedByUser"} == {"city"}
    assert world.write("set_address", step) == [Nothing()]
    world.write("set_address", address(world, number, before["id"], street="9 Oak Ave"))
    moved = world.contact(number)["contactAddresses"][0]
    assert moved["address1"] == "9 Oak Ave" and not moved["address2"] and moved["city"] == "Tempe"


def test_an_address_is_added_once() -> None:
    """The first address is the one that the contact shows (Virtuous facts 7.4)."""
    world = World()
    number = world.add()
    step = address(world, number, None, street="1 Elm St", city="Mesa")
    assert world.look("set_address", step) == [Retry(0.0, "not there")]
    [made] = world.write("set_address", step)
    assert isinstance(made, Done) and made.answer["address"]
    assert world.write("set_address", step) == world.look("set_address", step) == [made]
    [only] = world.contact(number)["contactAddresses"]
    assert only["isPrimary"] and only["address1"] == "1 Elm St" and not only["country"]


# --- tags and notes ---


@pytest.mark.switch("virtuous", "tag-twice", "existing", "400")
@pytest.mark.parametrize("twice", ["existing", "400"])
def test_tags_go_on_and_off_once(twice: str) -> None:
    """By tag id on, by the id of the join off; the default page holds ten (Virtuous facts 6, 11)."""
    world = World(tag_twice=twice)
    number = str(world.add(tags=[f"T{at}" for at in range(15)]))
    tag = str(world.vendor.add_tag(ORGANIZATION, "CC: A; B", START))
    step = {"contact": number, "tag_id": tag, "tag": "CC: A; B", "list_id": "l-1"}
    assert world.look("add_tag", step) == [Retry(0.0, "not there")]
    assert world.write("remove_tag", step) == [Nothing()]
    assert world.write("add_tag", step) == world.look("add_tag", step) == [Done({"tag_id": tag})]
    assert world.write("add_tag", step) == [Nothing()]
    assert "CC: A; B" in world.contact(number)["tags"]
    assert world.look("remove_tag", step) == [Retry(0.0, "not there")]
    assert world.write("remove_tag", step) == world.look("remove_tag", step) == [Done({"tag_id": tag})]
    assert len(world.contact(number)["tags"]) == 15


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("Hard bounce at Constant Contact. [keepstep act-77]", "act-77"),
        ("Hard bounce (act-77)", "act-77"),
        ("act-77: hard bounce", "act-77"),
        ("Hard bounce <B>", "act-77"),
    ],
)
def test_a_note_is_written_once(text: str, act: str) -> None:
    """No idempotency key: the note itself is looked for (Virtuous facts 11)."""
    world = World()
    number = str(world.add(notes=[f"note {at}" for at in range(15)]))
    step = {"contact": number, "text": text, "act": act}
    world.faults = [Unanswered("reset")]
    assert world.look("note", step) == [Retry(0.0, "not there")]
    with pytest.raises(Unanswered):
        world.write("note", step)
    assert isinstance(world.look("note", step)[0], Done)
    assert world.write("note", step) == [Nothing()]
    assert json.loads(world.sent("POST", "/api/ContactNote")[0].body)["type"] == "General"
    other = {**step, "text": text.replace("77", "78").replace("<B>", "<S>"), "act": "act-78"}
    assert isinstance(world.write("note", other)[0], Done)
    assert len(world.contact(number)["notes"]) == 17


# --- calls of several steps ---


def test_steps_of_one_call_have_their_own_outcomes() -> None:
    """An error of one must not hide that another was done."""
    world = World()
    number = world.add()
    good = consent(world, number, False)
    found = world.write("set_consent", good, {**good, "method": "999999"}, good)
    assert found[0] == Done({"opted_in": False}) and found[2] == Nothing()
    assert isinstance(found[1], Dead) and found[1].status == 404
    world.faults = [Unanswered("reset")]
    back = {**good, "opted_in": True}
    assert world.write("set_consent", back, good)[1] == Retry(60.0, "not tried")
    assert [type(each) for each in world.look("set_consent", good, back)] == [Retry, Done]


def test_a_revoked_key_blocks() -> None:
    world = World()
    world.vendor.revoke_key("made-up-key")
    step = {"contact": "1", "tag_id": "2"}
    for steps in ([step], [step, step]):
        with pytest.raises(Blocked):
            world.write("add_tag", *steps)
    with pytest.raises(Blocked):
        world.write("submit", *(person(number) for number in range(150)))


def test_steps_of_another_side_are_dead() -> None:
    assert World().write("opt_out", {}) == World().look("opt_out", {}) == [Dead("Virtuous has no step opt_out")]
