"""Contacts of every shape in the words of the model (Virtuous facts 6, 7)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.connectors.virtuous.mapping import method_of, phone_kind, primary, snapshot
from keepstep.model.contact import Address
from tests.connectors.virtuous.world import ORGANIZATION, START, World, run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
KEYS = (
    *(
        "id",
        "contactType",
        "name",
        "contactIndividuals",
        "contactMethods",
        "address",
        "contactAddresses",
        "tags",
        "tag",
    ),
    *("contactReferences", "source", "mergedIntoContactId", "isArchived", "customFields", "value", "type", "isOptedIn"),
    *(
        "modifiedDateTimeUtc",
        "firstName",
        "isPrimary",
        "label",
        "address1",
        "models",
        "contact",
        "event",
        "data",
        "list",
    ),
)
RECORDS = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=8) | st.lists(inner, max_size=3),
    max_leaves=12,
)


def test_a_whole_contact() -> None:
    """What the stand-in shows of a household."""
    world = World()
    world.vendor.add_custom_field(ORGANIZATION, "Shirt", START)
    number = world.add(
        tags=["CC: News", "Board"],
        contactReferences=[{"source": "Constant Contact", "id": "cc-1"}, {"source": "Constant Contact", "id": "cc-2"}],
        contactAddresses=[{"address1": "1 Elm St", "address2": "Apt 2", "city": "Mesa", "isPrimary": True}],
        customFields={"Shirt": "M"},
    )
    [(name, raw)] = run(world.crm.read_many([str(number)]))
    seen = world.crm.snapshot(raw, START)
    assert (seen.record_id, seen.read_at, seen.contact_type, seen.warnings) == (name, START, "Household", ())
    assert seen.tags == ("Board", "CC: News")
    assert seen.references == (("Constant Contact", "cc-1"), ("Constant Contact", "cc-2"))
    assert seen.address is not None and seen.address.street == "1 Elm St, Apt 2" and seen.address.record_id
    assert seen.custom_fields == (("Shirt", "M"),)
    person = primary(seen)
    email = method_of(person, "email")
    assert person is not None and (person.first_name, person.last_name) == ("Ada", "Lee")
    assert email is not None and (email.value, email.opted_in, email.primary) == ("ada@example.org", True, True)
    assert seen.updated_at == START


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (["B", "A", "B"], ("A", "B")),
        ([{"tag": "B"}, {"name": "A"}, {"tagName": "C"}], ("A", "B", "C")),
        (None, ()),
        ("A;B", ()),
    ],
)
def test_tags_as_strings_or_objects(tags: Any, names: tuple[str, ...]) -> None:
    """The API has strings, the recipe's code reads objects (Virtuous facts 7.1)."""
    seen = snapshot({"id": 1, "tags": tags}, START)
    assert seen.tags == names
    assert bool(seen.warnings) is isinstance(tags, str)


def test_every_stamp_is_utc() -> None:
    """Without Z, and with 0, 3 or 7 fraction digits (Virtuous facts 6)."""
    for text in ("2025-06-15T15:06:40", "2025-06-15T15:06:40.000", "2025-06-15T15:06:40.0000004Z"):
        assert snapshot({"id": 1, "modifiedDateTimeUtc": text}, 0.0).updated_at == START


@pytest.mark.parametrize(
    ("users", "other"),
    [(("Import", "Ann"), True), (("Ann", "Ann"), False), ((None, "Ann"), False), (("Ann", None), False)],
)
def test_who_changed_a_method_last_is_told_from_who_made_it(users: tuple[Any, Any], other: bool) -> None:
    """Each is named beside its stamp (Virtuous facts 7.3, 14)."""
    method = {"id": 9, "type": "Home Email", "value": "a@example.org"}
    method |= {"createdByUser": users[0], "modifiedByUser": users[1]}
    seen = snapshot({"id": 1, "contactIndividuals": [{"id": 2, "contactMethods": [method]}]}, 0.0)
    assert seen.individuals[0].methods[0].other_hand is other


def test_kinds_of_methods() -> None:
    """Fax is no phone; types are an open set (Virtuous facts 7.3)."""
    words = ["Home Email", "Primary Email", "Mobile Phone", "Other Phone", "Fax", "LinkedIn", "New Thing"]
    methods = [{"id": at, "type": word, "value": "x"} for at, word in enumerate(words, 1)]
    [person] = snapshot({"id": 1, "contactIndividuals": [{"id": 2, "contactMethods": methods}]}, 0.0).individuals
    assert [method.kind for method in person.methods] == ["email"] * 2 + ["phone"] * 2 + ["other"] * 3
    assert [phone_kind(word) for word in ("Mobile Phone", "Home Phone", "Work Phone", "Cell Phone")] == [
        *("mobile", "home", "work", "other")
    ]


def test_strings_for_numbers_and_booleans() -> None:
    """The 2026 specification types nearly everything as string (Virtuous facts 6)."""
    method = {"id": "9", "type": "Home Email", "value": "a@example.org", "isOptedIn": "False", "isPrimary": "true"}
    raw = {"id": "7", "mergedIntoContactId": "8", "contactIndividuals": [{"id": "3", "contactMethods": [method]}]}
    seen = snapshot(raw, 0.0)
    assert (seen.record_id, seen.merged_into, seen.warnings) == ("7", "8", ())
    assert seen.individuals[0].methods[0].opted_in is False and seen.individuals[0].methods[0].primary


def test_null_and_empty_are_nothing() -> None:
    """Nearly every property may be null or empty, contactMethods too (Virtuous facts 6, 7.2)."""
    raw = {
        **dict.fromkeys(("name", "tags", "contactReferences", "customFields", "address", "modifiedDateTimeUtc")),
        "id": 1,
        "mergedIntoContactId": 0,
        "contactType": "",
        "isArchived": "",
        "contactIndividuals": [{"id": 2, "contactMethods": None, "firstName": ""}],
    }
    seen = snapshot(raw, 0.0)
    assert seen.warnings == () and seen.merged_into is None and seen.contact_type is None
    assert seen.individuals[0].first_name is None and seen.individuals[0].methods == ()


def test_a_record_of_a_delivery() -> None:
    """Other keys, and most of them missing (Virtuous facts 13.3)."""
    raw = {
        "id": 1,
        "contactType": "Organization",
        "customContactType": "Church",
        "customFields": {"Shirt": "M", "N": 3},
        "contactAddresses": [{"address1": "2 Oak"}, {"address1": "1 Elm", "isPrimary": True, "label": "Work Address"}],
    }
    seen = snapshot(raw, 0.0)
    assert seen.contact_type == "Church" and seen.custom_fields == (("N", "3"), ("Shirt", "M"))
    assert seen.address == Address(kind="work", street="1 Elm")


def test_wrong_types_are_warned_about() -> None:
    raw = {"id": [], "contactIndividuals": [3, {"id": 1, "firstName": []}], "tags": [4, []], "isArchived": 7}
    seen = snapshot(raw, 0.0)
    assert seen.record_id == "" and seen.tags == ("4",)
    assert seen.warnings == (
        "unreadable: id is list",
        "no_id",
        "unreadable: contactIndividuals.record is int",
        "unreadable: contactIndividuals.firstName is list",
        "unreadable: tags.tag is list",
        "unreadable: isArchived is int",
    )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RECORDS)
def test_anything_has_a_snapshot(raw: Any) -> None:
    seen = snapshot(raw, 0.0)
    assert isinstance(seen.record_id, str) and all(tag == tag.strip() for tag in seen.tags)


def test_numbers_of_any_length() -> None:
    """Python refuses to write out the longest ones."""
    assert "no_id" in snapshot({"id": 10**5000, "name": 10**5000, "mergedIntoContactId": -(10**5000)}, 0.0).warnings
    assert json.dumps(snapshot({"id": 1, "customFields": {"N": 1e300}}, 0.0).custom_fields)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ([{"name": "A", "value": "x", "displayName": "The A"}], (("A", "x"),)),
        ([{"dataType": "Text", "name": "A", "value": "x"}], (("A", "x"),)),
        ({"B": "y", "A": "x"}, (("A", "x"), ("B", "y"))),
        (
            [{"name": "A", "value": True}, {"name": "B", "value": 7}, {"name": "C", "value": 1.5}],
            (("A", "true"), ("B", "7"), ("C", "1.5")),
        ),
        ({"A": False, "B": 0}, (("A", "false"), ("B", "0"))),
        ([{"name": "A", "value": None}, {"name": "B", "value": ""}, {"name": None, "value": "x"}], ()),
        (None, ()),
    ],
)
def test_custom_fields_are_names_and_texts_whatever_holds_them(raw: Any, seen: Any) -> None:
    """A list in the API, with other keys in older answers, an object in deliveries (Virtuous facts 7.1, 7.5)."""
    read = snapshot({"id": 1, "customFields": raw}, 0.0)
    assert (read.custom_fields, read.warnings) == (seen, ())
