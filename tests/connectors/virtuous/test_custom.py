"""Custom fields: their definitions, their values, and that nothing else of a contact is lost when one is written."""

import json
from typing import Any

import pytest

from keepstep.model.change import Done, Nothing, Retry
from keepstep.model.custom import CustomField
from keepstep.model.errors import Permanent, Unanswered
from tests.connectors.virtuous.world import ORGANIZATION, START, World, call, run, said, scripted

PUTS = pytest.mark.parametrize("put", ["keep-name-and-type", "replace", "patch"])
FACTS: dict[str, Any] = {
    "contactType": "Foundation",
    "name": "The Lee Foundation",
    "informalName": "The Lees",
    "description": "Plants trees",
    "website": "https://lee.example.org",
    "maritalStatus": "Married",
    "anniversaryMonth": 6,
    "anniversaryDay": 1,
    "anniversaryYear": 1999,
    "originSegmentId": 71,
    "isPrivate": True,
    "tags": ["Board"],
    "contactReferences": [{"source": "Legacy", "id": "9"}],
    "contactAddresses": [{"label": "Home", "address1": "1 Elm", "isPrimary": True}],
}


# --- definitions (Virtuous facts 7.5) ---


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Text", "text"),
        ("Date", "date"),
        ("DateTime", "datetime"),
        ("Number", "number"),
        ("Decimal", "number"),
        ("Currency", "number"),
        ("Boolean", "boolean"),
        ("List", "single"),
        ("Dropdown", "single"),
        ("Signature", "other"),
        (None, "other"),
    ],
)
def test_every_word_for_a_type_has_a_kind(word: str | None, kind: str) -> None:
    """An open set: the sources disagree about its members."""
    crm, script = scripted(said(200, [{"dataType": word, "name": "shirt", "displayName": "Shirt size"}]))
    assert run(crm.fields()) == [CustomField(field_id="shirt", names=("shirt", "Shirt size"), kind=kind)]  # type: ignore[arg-type]
    assert script.asked[0][:2] == ("GET", "/api/Contact/CustomFields")


def test_options_are_choices_and_what_has_no_name_is_no_field() -> None:
    rows = [
        {"dataType": "List", "name": "Size", "displayName": "Size", "options": ["S", "M", "", None, 5]},
        {"dataType": "Text", "name": ""},
        "nonsense",
    ]
    crm, _ = scripted(said(200, rows))
    size = CustomField(field_id="Size", names=("Size",), kind="single", choices={"S": "S", "M": "M", "5": "5"})
    assert run(crm.fields()) == [size]


def test_the_stand_in_tells_its_fields() -> None:
    world = World()
    world.vendor.add_custom_field(ORGANIZATION, "Joined", START, "DateTime")
    assert run(world.crm.fields()) == [CustomField(field_id="Joined", names=("Joined",), kind="datetime")]


# --- values ---


def furnished(**switches: Any) -> tuple[World, str]:
    """A contact with a value in everything that a PUT may lose."""
    world = World(**switches)
    for name in ("Shirt", "Diet", "Since"):
        world.vendor.add_custom_field(ORGANIZATION, name, START)
    number = world.add(**FACTS, customFields={"Shirt": "M", "Diet": "Vegan"})
    return world, str(number)


@pytest.mark.switch("virtuous", "put-contact", "keep-name-and-type", "replace", "patch")
@PUTS
def test_a_custom_field_is_set_and_nothing_else_changes(put: str) -> None:
    """The whole write model goes back (Virtuous facts 6, 11)."""
    world, number = furnished(put_contact=put)
    before = world.contact(number)
    step = {"contact": number, "values": {"Shirt": "L", "Since": "2020-01-05"}, "was": {"Shirt": "M", "Since": None}}
    assert world.look("set_custom", step) == [Retry(0.0, "not there")]
    made = Done({"values": {"Shirt": "L", "Since": "2020-01-05"}})
    assert world.write("set_custom", step) == [made]
    after = world.contact(number)
    changed = {key for key in before if before[key] != after[key]}
    assert changed - {"modifiedDateTimeUtc", "modifiedByUser"} == {"customFields"}
    assert {one["name"]: one["value"] for one in after["customFields"]} == {
        "Shirt": "L",
        "Diet": "Vegan",
        "Since": "2020-01-05",
    }
    assert world.write("set_custom", step) == [Nothing()] and world.look("set_custom", step) == [made]
    assert len(world.sent("PUT")) == 1


def test_the_body_is_the_write_model_with_lists() -> None:
    """Lists of name and value in a PUT; collections by their name (Virtuous facts 7.1, 7.5, 11)."""
    named = {"customCollectionId": 4, "customCollectionName": "Pets", "collectionInstanceId": 8}
    pets = {**named, "fields": [{"name": "Name", "value": "Rex"}]}
    fields = [{"name": "Shirt", "value": "M", "displayName": "Shirt size"}, {"name": "Unset", "value": None}]
    raw = {"id": 5, "contactType": "Household", "name": "Lee", "website": "", "isPrivate": False}
    before, after = {**raw, "customFields": fields, "customCollections": [pets]}, {**raw, "customFields": []}
    crm, script = scripted(said(403), said(200, before), said(200, after))
    [seen] = run(crm.write(call("set_custom", {"contact": "5", "values": {"Diet": "Vegan"}, "was": {"Diet": None}})))
    assert seen == Done({"values": {"Diet": None}})
    method, path, body = script.asked[2]
    assert (method, path) == ("PUT", "/api/Contact/5")
    assert json.loads(body) == {
        "contactType": "Household",
        "name": "Lee",
        "isPrivate": False,
        "customFields": [{"name": "Shirt", "value": "M"}, {"name": "Diet", "value": "Vegan"}],
        "customCollections": [{"name": "Pets", "fields": [{"name": "Name", "value": "Rex"}]}],
    }


def test_a_value_that_staff_changed_meanwhile_is_not_overwritten() -> None:
    world, number = furnished()
    world.vendor.staff_sets_custom(ORGANIZATION, int(number), START, "Shirt", "XL")
    step = {"contact": number, "values": {"Shirt": "L"}, "was": {"Shirt": "M"}}
    assert world.write("set_custom", step) == [Retry(300.0, "changed since it was read")]
    assert not world.sent("PUT")


@pytest.mark.parametrize(
    ("kind", "there", "wanted"),
    [
        ("Number", "$1,200.50", "1200.5"),
        ("Date", "9/4/1998", "1998-09-04"),
        ("DateTime", "2020-01-05T00:00:00", "2020-01-05T00:00:00Z"),
        ("Boolean", "True", "true"),
        ("Text", "Two  words ", "Two words"),
    ],
)
def test_values_are_compared_by_what_they_say(kind: str, there: str, wanted: str) -> None:
    """The vendor may write a value otherwise than it was sent (Virtuous facts 6)."""
    world = World()
    world.vendor.add_custom_field(ORGANIZATION, "It", START, kind)
    number = world.add(customFields={"It": there})
    step = {"contact": str(number), "values": {"It": wanted}, "was": {"It": wanted}}
    assert world.write("set_custom", step) == [Nothing()]
    assert isinstance(world.write("set_custom", {**step, "values": {"It": "7"}})[0], Done)
    assert len(world.sent("GET", "/api/Contact/CustomFields")) == 1


def test_an_empty_value_clears() -> None:
    """`""` clears, omission leaves alone (Virtuous facts 7.5)."""
    world, number = furnished()
    step = {"contact": number, "values": {"Diet": ""}, "was": {"Diet": "Vegan"}}
    assert world.write("set_custom", step) == [Done({"values": {"Diet": None}})]
    assert [one["name"] for one in world.contact(number)["customFields"]] == ["Shirt"]
    assert world.write("set_custom", step) == [Nothing()]


def test_a_lost_answer_is_looked_for() -> None:
    world, number = furnished()
    step = {"contact": number, "values": {"Shirt": "L"}, "was": {"Shirt": "M"}}
    world.faults = [Unanswered("reset")]
    with pytest.raises(Unanswered):
        world.write("set_custom", step)
    assert world.look("set_custom", step) == [Done({"values": {"Shirt": "L"}})]


def test_a_field_that_the_organization_does_not_know_is_no_failure() -> None:
    """A warning, not a failure: the answer says what is there (Virtuous facts 7.5)."""
    world, number = furnished()
    step = {"contact": number, "values": {"Unheard": "x"}, "was": {"Unheard": None}}
    assert world.write("set_custom", step) == [Done({"values": {"Unheard": None}})]


@pytest.mark.switch("virtuous", "unknown-option", "refused", "ignored", "stored")
@pytest.mark.parametrize(("mode", "there"), [("refused", "M"), ("ignored", "M"), ("stored", "m")])
def test_an_option_that_the_field_does_not_have(mode: str, there: str) -> None:
    """Exactly one option, case-sensitive (Virtuous facts 7.5): refused, or the answer says what is there."""
    world = World(unknown_option=mode)
    world.vendor.add_custom_field(ORGANIZATION, "Size", START, "List", ["S", "M"])
    number = world.add(customFields={"Size": "M"})
    step = {"contact": str(number), "values": {"Size": "m"}, "was": {"Size": "M"}}
    if mode == "refused":
        with pytest.raises(Permanent) as caught:
            world.write("set_custom", step)
        assert caught.value.status == 400
    else:
        assert world.write("set_custom", step) == [Done({"values": {"Size": there}})]
    assert [one["value"] for one in world.contact(number)["customFields"]] == [there]


# --- creations ---


def test_creations_carry_custom_fields_as_an_object() -> None:
    """An object here, a list in a PUT (Virtuous facts 7.5)."""
    world, _ = furnished()
    payload = {"record_id": "cc-9", "first_name": "Bo", "last_name": "Ek", "email": "bo@example.org"}
    [made] = world.write("create", {**payload, "custom": {"Shirt": "S", "Diet": None}})
    assert isinstance(made, Done)
    assert json.loads(world.sent("POST")[0].body)["customFields"] == {"Shirt": "S"}
    assert [one["value"] for one in world.contact(made.answer["contact"])["customFields"]] == ["S"]
    world.write("submit", {**payload, "record_id": "cc-8", "custom": {"Shirt": "S"}})
    assert json.loads(world.sent("POST")[1].body)["customFields"] == {"Shirt": "S"}
    world.write("submit", {**payload, "record_id": "cc-7", "custom": {}})
    assert "customFields" not in json.loads(world.sent("POST")[2].body)
