"""The golden mapping: what Virtuous receives for every field of the recipe's tables, read from the requests themselves.

The table of fields is the recipe's; where the vendors' facts correct it (kinds of phones and of addresses, countries,
the separator of tags), the facts are what is expected (Virtuous facts 10.1, 16.1; CC facts 11).
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.crossing import CUSTOMER, SOURCE, Call, Crossing, emails

SEGMENT = "CONSTANT-CONTACT-SYNC"
Body = dict[str, Any]


def place(kind: str, street: str | None = "1 Elm St", **parts: Any) -> Body:
    """An address as Constant Contact has it: five parts at most, each of which may be missing."""
    return {"kind": kind, **({"street": street} if street else {}), **parts}


HOME = place("home", city="Mesa", state="AZ", postal_code="85201", country="United States")
WORK = place("work", "9 Office Park", city="Tempe", state="AZ", postal_code="85281")
OTHER = place("other", "3 Lake Rd", city="Page", country="Kanada")
MESA = {"address1": "1 Elm St", "city": "Mesa", "state": "AZ", "postal": "85201", "country": "United States"}
LONG = "L" * 50

# What a person has in Constant Contact, and what the import row says of it besides reference, type and address of mail.
TABLE: dict[str, tuple[Body, Body]] = {
    "names": ({"first": "Ann", "last": "Lee"}, {"firstName": "Ann", "lastName": "Lee"}),
    "no first name": ({"first": None, "last": "Lee"}, {"lastName": "Lee"}),
    "no last name": ({"first": "Ann", "last": None}, {"firstName": "Ann"}),
    "no name": ({"first": None, "last": None}, {}),
    "unicode names": (
        {"first": "Zo\u00eb", "last": "\u540d\u7c3f"},
        {"firstName": "Zo\u00eb", "lastName": "\u540d\u7c3f"},
    ),
    "decomposed name": (
        {"first": "Zoe\u0308", "last": "O'Neil-Sm\u00eed"},
        {"firstName": "Zo\u00eb", "lastName": "O'Neil-Sm\u00eed"},
    ),
    "longest names": ({"first": "F" * 50, "last": LONG}, {"firstName": "F" * 50, "lastName": LONG}),
    "longest address": ({"email": "m" * 68 + "@example.org"}, {"email": "m" * 68 + "@example.org"}),
    "capitals": ({"email": "Ann.Capital@Example.ORG"}, {"email": "Ann.Capital@Example.ORG"}),
    "mobile": ({"phones": [("mobile", "602-555-0101")]}, {"phoneType": "Mobile Phone", "phone": "602-555-0101"}),
    "home phone": ({"phones": [("home", "602-555-0102")]}, {"phoneType": "Home Phone", "phone": "602-555-0102"}),
    "work phone": ({"phones": [("work", "602-555-0103")]}, {"phoneType": "Work Phone", "phone": "602-555-0103"}),
    "other phone": ({"phones": [("other", "602-555-0104")]}, {"phoneType": "Other Phone", "phone": "602-555-0104"}),
    "mobile before home": (
        {"phones": [("home", "602-555-0105"), ("mobile", "602-555-0106")]},
        {"phoneType": "Mobile Phone", "phone": "602-555-0106"},
    ),
    "home before work": (
        {"phones": [("other", "602-555-0107"), ("work", "602-555-0108"), ("home", "602-555-0109")]},
        {"phoneType": "Home Phone", "phone": "602-555-0109"},
    ),
    "work before other": (
        {"phones": [("other", "602-555-0110"), ("work", "602-555-0111")]},
        {"phoneType": "Work Phone", "phone": "602-555-0111"},
    ),
    "longest phone": (
        {"phones": [("mobile", "+1 (602) 555-0112 ext 1234")]},
        {"phoneType": "Mobile Phone", "phone": "+1 (602) 555-0112 ext 1234"},
    ),
    "address": ({"addresses": [HOME]}, MESA),
    "home before work address": ({"addresses": [WORK, OTHER, HOME]}, MESA),
    "work before other address": (
        {"addresses": [OTHER, WORK]},
        {"address1": "9 Office Park", "city": "Tempe", "state": "AZ", "postal": "85281"},
    ),
    "other address": ({"addresses": [OTHER]}, {"address1": "3 Lake Rd", "city": "Page", "country": "Kanada"}),
    "no country": ({"addresses": [place("home", city="Mesa")]}, {"address1": "1 Elm St", "city": "Mesa"}),
    "no street": ({"addresses": [place("home", None, city="Mesa", country="US")]}, {"city": "Mesa", "country": "US"}),
}


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, tuple[str, Body]]]:
    """Id and row of everybody in TABLE: one import, as the first night sees it."""
    with Crossing() as c:
        c.v.add_segment(CUSTOMER, SEGMENT)
        people = {}
        for n, (name, (values, _)) in enumerate(TABLE.items()):
            people[name] = c.person(**{"email": f"p{n}@example.org", "first": f"F{n}", "last": f"L{n}", **values})
        c.connect()
        yield {name: (record, row(c, record)) for name, record in people.items()}


def rows(c: Crossing) -> list[Body]:
    """Every import row that Virtuous received, from single transactions and from batches."""
    found: list[Body] = [body(one) for one in c.made("POST", "/api/Contact/Transaction")]
    for one in (body(call) for call in c.made("POST", "/api/Contact/Batch")):
        found += [{"referenceSource": one["referenceSource"], **each} for each in one["contacts"]]
    return found


def row(c: Crossing, record: str) -> Body:
    """The one row that was received for a person."""
    [found] = [one for one in rows(c) if one["referenceId"] == record]
    return found


def body(call: Call) -> Any:
    return json.loads(call.request.body)


@pytest.mark.parametrize("name", TABLE)
def test_a_row_says_this_and_nothing_else(name: str, table: dict[str, tuple[str, Body]]) -> None:
    """No key is sent without a value, and no value is invented (the recipe's `?? 'US'`; CC facts 11)."""
    values, expected = TABLE[name]
    record, received = table[name]
    n = list(TABLE).index(name)
    names = {"firstName": values.get("first", f"F{n}"), "lastName": values.get("last", f"L{n}")}
    mail = {"emailType": "Home Email", "email": values.get("email", f"p{n}@example.org")}
    always = {"referenceSource": "Constant Contact", "referenceId": record, "contactType": "Household"}
    origin = {"originSegmentCode": "CONSTANT-CONTACT-SYNC"}
    known = {key: value for key, value in names.items() if value}
    assert received == {**always, **mail, **known, **expected, **origin}


def test_nobody_is_invented(table: dict[str, tuple[str, Body]]) -> None:
    """The whole table went as one batch: no one twice, no one missing."""
    assert len({record for record, _ in table.values()}) == len(TABLE)


# --- lists and tags (Virtuous facts 10.1; CC facts 11) ---


def test_tags_are_one_string_joined_by_semicolons() -> None:
    """Each list is one tag of its own, a name with a comma too (the recipe joins by ", ")."""
    with Crossing() as c:
        lists = [c.a_list(name) for name in ("Newsletter", "Food, Fun & Friends", "\u00dcn\u00efc\u00f6d\u00e9")]
        ann = c.person(lists=lists)
        c.connect()
        sent = row(c, ann)["tags"].split(";")
        assert sorted(sent) == ["CC: Food, Fun & Friends", "CC: Newsletter", "CC: \u00dcn\u00efc\u00f6d\u00e9"]
        c.night()
        assert sorted(c.there(ann)["tags"]) == sorted(sent)


def test_a_name_with_the_separator_goes_by_its_id_after_creation() -> None:
    with Crossing() as c:
        both = [c.a_list("Red; Blue"), c.a_list("Newsletter")]
        ann = c.person(lists=both)
        c.connect()
        assert row(c, ann)["tags"] == "CC: Newsletter"
        c.night()
        c.wait(hours=2)
        [call] = c.made("POST", "/api/ContactTag")
        tag = next(one["id"] for one in c.v.tags(CUSTOMER) if one["tagName"] == "CC: Red; Blue")
        assert body(call) == {"tagId": tag, "contactId": c.there(ann)["id"]}
        assert sorted(c.there(ann)["tags"]) == ["CC: Newsletter", "CC: Red; Blue"]


def test_a_list_without_a_tag_is_withheld() -> None:
    """Whether an import makes unknown tags is not known (Virtuous facts 10.4)."""
    with Crossing() as c:
        ann = c.person(lists=[c.a_list("Nobody Made This", tag=False)])
        c.connect()
        assert "tags" not in row(c, ann)


def test_tags_of_constant_contact_travel_under_their_own_prefix() -> None:
    with Crossing(policy={"contact_tags_prefix": "CCT: "}) as c:
        news, tag = c.a_list("Newsletter"), c.cc.add_tag(CUSTOMER, "Volunteer", c.now())
        c.v.add_tag(CUSTOMER, "CCT: Volunteer", c.now())
        ann = c.person(lists=[news], taggings=[tag])
        c.connect()
        assert sorted(row(c, ann)["tags"].split(";")) == ["CC: Newsletter", "CCT: Volunteer"]
        c.night()
        assert sorted(c.there(ann)["tags"]) == ["CC: Newsletter", "CCT: Volunteer"]


def test_tags_of_constant_contact_stay_where_no_prefix_is_set() -> None:
    with Crossing() as c:
        tag = c.cc.add_tag(CUSTOMER, "Volunteer", c.now())
        c.v.add_tag(CUSTOMER, "CC: Volunteer", c.now())
        ann = c.person(taggings=[tag])
        c.connect()
        assert "tags" not in row(c, ann)


def test_lists_may_go_to_one_custom_field_instead() -> None:
    """The first list by precedence, then by name; no tags at all then."""
    policy = {"lists_to": "custom_field", "lists_field": "Subscriber Status", "lists_precedence": ("Donor Updates",)}
    with Crossing(policy=policy) as c:
        names = ("Newsletter", "Donor Updates", "Alumni")
        c.v.add_custom_field(CUSTOMER, "Subscriber Status", c.now(), "List", options=names)
        lists = {name: c.a_list(name) for name in names}
        both = c.person("both@example.org", "Bo", "Both", lists=[lists["Newsletter"], lists["Donor Updates"]])
        others = c.person("more@example.org", "Mo", "More", lists=[lists["Newsletter"], lists["Alumni"]])
        none = c.person("none@example.org", "No", "None")
        c.connect()
        assert row(c, both)["customFields"] == {"Subscriber Status": "Donor Updates"}
        assert row(c, others)["customFields"] == {"Subscriber Status": "Alumni"}
        assert "customFields" not in row(c, none)
        assert all("tags" not in one for one in rows(c))
        c.night()
        assert customs(c, both) == {"Subscriber Status": "Donor Updates"}
        several = {one["record"] for one in c.lines("several_lists")}
        assert several == {both, others}


# --- origin ---


@pytest.mark.switch("virtuous", "unknown-segment", "update-needed", "ignore")
@pytest.mark.parametrize("rows_of_unknown", ["update-needed", "ignore"])
def test_an_unknown_origin_segment_is_left_out(rows_of_unknown: str) -> None:
    """It could make every row wait for staff (Virtuous facts 10.1)."""
    with Crossing(v={"unknown-segment": rows_of_unknown}) as c:
        ann = c.person()
        c.connect()
        assert "originSegmentCode" not in row(c, ann)
        [asked] = c.made("GET", "/api/Segment/Code/")
        assert asked.request.path == f"/api/Segment/Code/{SEGMENT}"
        c.night()
        assert c.standing(ann) == ("in_step", "")


def test_another_origin_segment_or_none_may_be_set() -> None:
    with Crossing(policy={"origin_segment_code": "SPRING"}) as c:
        c.v.add_segment(CUSTOMER, "SPRING")
        ann = c.person()
        c.connect()
        assert row(c, ann)["originSegmentCode"] == "SPRING"
    with Crossing(policy={"origin_segment_code": ""}) as c:
        ann = c.person()
        c.connect()
        assert "originSegmentCode" not in row(c, ann)
        assert c.made("GET", "/api/Segment/") == []


# --- custom fields (Virtuous facts 7.5; CC facts 5.2, 6.4) ---

# Kind there, value there, kind here, options here, value here.
CUSTOM: dict[str, tuple[str, Any, str, tuple[str, ...], str]] = {
    "Spouse": ("string", "Zo\u00eb", "Text", (), "Zo\u00eb"),
    "Story": ("text_area", "Two\nlines", "Text", (), "Two\nlines"),
    "Joined": ("date", "2020-01-05", "Date", (), "2020-01-05T00:00:00"),
    "Met": ("datetime", "2020-01-05T10:30:00Z", "DateTime", (), "2020-01-05T10:30:00Z"),
    "Visits": ("number", "12", "Number", (), "12"),
    "Pledge": ("currency", "10.50", "Number", (), "10.5"),
    "Board Member": ("boolean", "true", "Boolean", (), "true"),
    "Size": ("single_select", "M", "List", ("S", "M", "L"), "M"),
    "Motto": ("string", "m" * 255, "Text", (), "m" * 255),
    "Interests": ("multi_select", ["Trees", "Birds"], "Text", (), "Trees; Birds"),
}


def customs(c: Crossing, record: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in c.there(record)["customFields"]}


def with_fields(c: Crossing) -> dict[str, str]:
    """Every field of CUSTOM on both sides; the ids of Constant Contact's."""
    made = {}
    for name, (kind, value, there, options, _) in CUSTOM.items():
        choices = options or (value if kind == "multi_select" else ())
        made[name] = c.cc.add_custom_field(CUSTOMER, name, c.now(), kind, choices)
        c.v.add_custom_field(CUSTOMER, name, c.now(), there, options)
    return made


# Where dates are of type Date, a day is a day, and a moment is no day.
TYPES: dict[str, dict[str, str | None]] = {"live": {}, "guide": {"Joined": "2020-01-05", "Met": None}}


@pytest.mark.switch("virtuous", "custom-field-types", "live", "guide")
@pytest.mark.parametrize("types", TYPES)
def test_custom_fields_go_one_to_one_where_their_names_agree(types: str) -> None:
    """An object of names and values, in the words of the CRM's kind (Virtuous facts 7.5, 10.1)."""
    with Crossing(v={"custom-field-types": types}) as c:
        fields = with_fields(c)
        lonely = c.cc.add_custom_field(CUSTOMER, "Nowhere Else", c.now())
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Ray")
        for name, (_, value, *_rest) in CUSTOM.items():
            c.cc.set_custom_field(CUSTOMER, ann, fields[name], c.now(), value)
        c.cc.set_custom_field(CUSTOMER, ann, lonely, c.now(), "stays")
        c.connect()
        told = {name: value for name, (*_rest, value) in CUSTOM.items()}
        expected = {name: value for name, value in {**told, **TYPES[types]}.items() if value}
        assert row(c, ann)["customFields"] == expected
        assert "customFields" not in row(c, bob)
        c.night()
        assert customs(c, ann) == expected
        c.wait(hours=3)
        assert c.made("PUT", "/api/Contact/") == []


@pytest.mark.switch("constant_contact", "updated_at_on_custom_field", "no", "yes")
@pytest.mark.parametrize(("moves", "hours"), [("no", 26), ("yes", 2)])
def test_a_changed_custom_field_is_one_put_of_the_whole_contact(moves: str, hours: int) -> None:
    """Nothing else of the contact may be lost (Virtuous facts 6, 11); only the sweep sees it if no stamp moves."""
    with Crossing(cc={"updated_at_on_custom_field": moves}) as c:
        fields = with_fields(c)
        ann = c.person()
        c.cc.set_custom_field(CUSTOMER, ann, fields["Spouse"], c.now(), "Bo")
        c.cc.set_custom_field(CUSTOMER, ann, fields["Size"], c.now(), "S")
        c.connect()
        c.night()
        c.cc.set_custom_field(CUSTOMER, ann, fields["Size"], c.now(), "L")
        c.wait(hours=hours)
        [call] = c.made("PUT", "/api/Contact/")
        assert call.request.path == f"/api/Contact/{c.there(ann)['id']}"
        values = [{"name": "Spouse", "value": "Bo"}, {"name": "Size", "value": "L"}]
        received = body(call)
        assert sorted(received["customFields"], key=str) == sorted(values, key=str)
        rest = {"contactType": "Household", "name": "Ann Lee", "isPrivate": False, "customCollections": []}
        assert {key: received[key] for key in received if key != "customFields"} == rest
        assert customs(c, ann) == {"Spouse": "Bo", "Size": "L"}


# --- people who may not be mailed, and what happens later (Virtuous facts 11, 16.1) ---


def test_an_opted_out_stranger_is_created_directly_with_the_same_values() -> None:
    with Crossing() as c:
        fields = with_fields(c)
        number = c.v.add_segment(CUSTOMER, SEGMENT)
        ann = c.person(
            permission="unsubscribed", phones=[("work", "602-555-0120")], addresses=[HOME], lists=[c.a_list("News")]
        )
        c.cc.set_custom_field(CUSTOMER, ann, fields["Spouse"], c.now(), "Bo")
        c.connect()
        assert rows(c) == []
        [call] = [one for one in c.made("POST", "/api/Contact") if one.request.path == "/api/Contact"]
        methods = [
            {"type": "Home Email", "value": "ann@example.org", "isOptedIn": False, "isPrimary": True},
            {"type": "Work Phone", "value": "602-555-0120", "isOptedIn": False, "isPrimary": True},
        ]
        address = {"label": "Home", "address1": "1 Elm St", "city": "Mesa", "stateCode": "AZ", "postal": "85201"}
        assert body(call) == {
            "contactType": "Household",
            "name": "Ann Lee",
            "referenceSource": "Constant Contact",
            "referenceId": ann,
            "contactAddresses": [{**address, "countryCode": "United States", "isPrimary": True}],
            "contactIndividuals": [
                {"firstName": "Ann", "lastName": "Lee", "isPrimary": True, "contactMethods": methods}
            ],
            "customFields": {"Spouse": "Bo"},
            "originSegmentId": number,
        }


def in_step(c: Crossing, **values: Any) -> str:
    record = c.person(**values)
    c.connect()
    c.night()
    assert c.standing(record) == ("in_step", "")
    return record


def test_an_unsubscribe_is_isoptedin_false_on_the_email_method() -> None:
    with Crossing() as c:
        ann = in_step(c)
        mail = emails(c.there(ann))[0]
        c.opts_out(ann)
        c.wait(hours=1)
        [call] = c.made("PUT", "/api/ContactMethod/")
        assert call.request.path == f"/api/ContactMethod/{mail['id']}"
        assert body(call) == {
            "type": "Home Email",
            "value": "ann@example.org",
            "isOptedIn": False,
            "setAsPrimary": True,
        }


def test_a_new_email_address_is_the_value_of_the_same_method() -> None:
    """Find by reference, change the value, do not add a person (Virtuous facts 16.1)."""
    with Crossing() as c:
        ann = in_step(c)
        before = emails(c.there(ann))[0]
        c.edits(ann, email="new@example.org")
        c.wait(hours=2)
        [call] = c.made("PUT", "/api/ContactMethod/")
        assert call.request.path == f"/api/ContactMethod/{before['id']}"
        assert body(call)["value"] == "new@example.org" and body(call)["isOptedIn"] is True
        [after] = emails(c.there(ann))
        assert (after["id"], after["type"], after["value"]) == (before["id"], "Home Email", "new@example.org")


def test_what_is_added_later_comes_in_the_words_of_direct_writes() -> None:
    """A further phone has no consent of its own; addresses say `state` and `country` here (Virtuous facts 7.3, 11)."""
    with Crossing() as c:
        ann = in_step(c)
        contact = c.there(ann)
        c.edits(ann, first_name="Anna", phones=[("home", "602-555-0130")], addresses=[WORK])
        c.wait(hours=2)
        [phone] = c.made("POST", "/api/ContactMethod")
        assert body(phone) == {
            "contactIndividualId": contact["contactIndividuals"][0]["id"],
            "type": "Home Phone",
            "value": "602-555-0130",
            "isOptedIn": False,
            "setAsPrimary": False,
        }
        [address] = c.made("POST", "/api/ContactAddress")
        assert body(address) == {
            "contactId": contact["id"],
            "label": "Work",
            "address1": "9 Office Park",
            "city": "Tempe",
            "state": "AZ",
            "postal": "85281",
            "setAsPrimary": True,
        }
        [name] = c.made("PUT", "/api/ContactIndividual/")
        assert (body(name)["firstName"], body(name)["lastName"]) == ("Anna", "Lee")
        assert body(name)["setAsPrimary"] is True


def test_a_deletion_is_an_opt_out_and_one_general_note() -> None:
    """Never deleted or archived here (Virtuous facts 16.1)."""
    with Crossing() as c:
        ann = in_step(c)
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(hours=26)
        contact = c.there(ann)
        assert c.consents(ann) == [False] and contact["isArchived"] is False
        [call] = c.made("POST", "/api/ContactNote")
        received = body(call)
        assert (received["contactId"], received["type"]) == (contact["id"], "General")
        assert received["note"].rstrip().endswith("]") and "[keepstep " in received["note"]
        assert not any(one.request.method == "DELETE" for one in c.calls)
        assert c.made("PUT", "/api/Contact/Archive") == []


def test_a_hard_bounce_is_an_opt_out_and_one_general_note_with_the_reason() -> None:
    with Crossing() as c:
        ann = in_step(c)
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=4)
        assert c.consents(ann) == [False]
        [call] = c.made("POST", "/api/ContactNote")
        assert body(call)["type"] == "General" and "ounce" in body(call)["note"]


# --- the return direction (CC facts 11) ---


def test_a_tag_of_ours_becomes_a_membership_by_the_ids_of_list_and_contact() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        c.v.add_tag(CUSTOMER, "Board", c.now())
        ann = in_step(c)
        number = c.there(ann)["id"]
        c.v.staff_adds_tag(CUSTOMER, number, "CC: Newsletter", c.now())
        c.v.staff_adds_tag(CUSTOMER, number, "Board", c.now())
        c.wait(minutes=10)
        [call] = c.made("POST", "/v3/activities/", vendor="constant_contact")
        assert call.request.path == "/v3/activities/add_list_memberships"
        assert body(call) == {"source": {"contact_ids": [ann]}, "list_ids": [news]}
        c.v.staff_removes_tag(CUSTOMER, number, "CC: Newsletter", c.now())
        c.wait(minutes=10)
        [_, call] = c.made("POST", "/v3/activities/", vendor="constant_contact")
        assert call.request.path == "/v3/activities/remove_list_memberships"
        assert body(call) == {"source": {"contact_ids": [ann]}, "list_ids": [news]}


def test_a_contact_without_our_reference_never_travels() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        stranger = c.household("stranger@example.org")
        c.connect()
        c.v.staff_adds_tag(CUSTOMER, stranger, "CC: Newsletter", c.now())
        c.wait(hours=3)
        assert [one for one in c.made(vendor="constant_contact") if one.answer.effects] == []


def test_only_the_first_of_several_references_would_not_do() -> None:
    """A contact may carry references of others, also before ours (Virtuous facts 7.5)."""
    with Crossing() as c:
        news = c.a_list("Newsletter")
        foreign = [{"source": "Legacy", "id": "1"}]
        number = c.household("ann@example.org", contactReferences=foreign)
        ann = c.person()
        c.connect()
        c.wait(minutes=10)
        assert c.there(ann)["id"] == number
        assert c.there(ann)["contactReferences"] == [*foreign, {"source": SOURCE, "id": ann}]
        c.v.staff_adds_tag(CUSTOMER, number, "CC: Newsletter", c.now())
        c.wait(minutes=10)
        assert c.here(ann)["list_memberships"] == [news]
