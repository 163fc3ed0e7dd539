"""What a record says (CC facts 5.2, 5.5, 11), and that nothing a vendor sends is a crash."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.connectors import discover
from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.model.contact import Consent

WHOLE: dict[str, Any] = {
    "contact_id": "c1",
    "email_address": {
        "address": " Ann@Example.org ",
        "permission_to_send": "explicit",
        "opt_in_source": "Contact",
        "opt_in_date": "2016-01-23T13:48:44.108Z",
    },
    "first_name": " Zoe\u0308 ",
    "last_name": "",
    "updated_at": "2016-03-03T10:53:04-05:00",
    "phone_numbers": [
        {"kind": "work", "phone_number": "202-456-1111"},
        {"kind": "mobile", "phone_number": "(202) 456-1414"},
        {"kind": "home", "phone_number": " "},
    ],
    "street_addresses": [
        {"kind": "other", "city": "Łódź"},
        {"kind": "home", "street": "1 Main St\nFloor 2", "postal_code": "02451"},
        {"kind": "work"},
    ],
    "list_memberships": ["l2", "l1"],
    "custom_fields": [
        {"custom_field_id": "f2", "value": "x"},
        {"custom_field_id": "f1", "choice_ids": ["000002", "000001"]},
    ],
    "_whole": True,
}
OUT = {"address": "ann@example.org", "permission_to_send": "unsubscribed"}


def with_permission(word: object) -> dict[str, Any]:
    return {
        "contact_id": "c1",
        "email_address": {"address": "a@example.org", "permission_to_send": word},
        "_whole": True,
    }


def test_a_whole_contact() -> None:
    """Names NFC and trimmed, blank is None, preferred phone and address first, no country invented (CC facts 11)."""
    seen = snapshot(WHOLE, 7.0)
    assert (seen.record_id, seen.read_at, seen.email, seen.consent) == ("c1", 7.0, "Ann@Example.org", Consent.opted_in)
    assert (seen.first_name, seen.last_name) == ("Zoë", None)
    assert [(phone.kind, phone.raw) for phone in seen.phones] == [
        ("mobile", "(202) 456-1414"),
        ("work", "202-456-1111"),
    ]
    assert [(each.kind, each.country) for each in seen.addresses] == [("home", None), ("other", None)]
    assert seen.lists == ("l1", "l2")
    assert seen.custom_fields == (("f1", "000001,000002"), ("f2", "x"))
    assert (seen.opt_in_source, seen.opt_in_at, seen.updated_at) == ("Contact", 1453556924.108, 1457020384.0)
    assert seen.warnings == ()


@pytest.mark.parametrize(
    ("word", "consent"),
    [
        ("explicit", Consent.opted_in),
        ("implicit", Consent.opted_in),
        ("unsubscribed", Consent.opted_out),
        ("pending_confirmation", Consent.not_mailable),
        ("temp_hold", Consent.not_mailable),
        ("not_set", Consent.not_mailable),
    ],
)
def test_permissions(word: str, consent: Consent) -> None:
    """Not mailable is no opt-out (CC facts 5.2)."""
    seen = snapshot(with_permission(word), 0)
    assert (seen.consent, seen.warnings) == (consent, ())


@pytest.mark.parametrize("word", ["double_opt_in", "", None, 3, ["explicit"]])
def test_unknown_permission_is_not_mailable_with_a_warning(word: object) -> None:
    """New enum values must be tolerated, and must never mean yes (CC facts 0, 5.2)."""
    seen = snapshot(with_permission(word), 0)
    assert seen.consent is Consent.not_mailable
    assert "unknown_permission" in seen.warnings


def test_deleted_comes_before_permission() -> None:
    """The guide's deleted example is still implicit; one who had unsubscribed stays so (CC facts 5.2, 5.5)."""
    gone = snapshot({**with_permission("implicit"), "deleted_at": "2016-07-08"}, 0)
    assert (gone.consent, gone.deleted, gone.deleted_at, gone.lists) == (Consent.not_mailable, True, 1467936000.0, None)
    out = snapshot({"contact_id": "c1", "deleted_at": "2016-07-08", "email_address": OUT}, 0)
    assert (out.consent, out.deleted) == (Consent.opted_out, True)


@pytest.mark.parametrize("channel", [None, {}, {"address": ""}, {"permission_to_send": "explicit"}, "ann@example.org"])
def test_no_address_is_unknown(channel: object) -> None:
    """Contacts that have only a phone exist (CC facts 5.2)."""
    assert snapshot({"contact_id": "c1", "email_address": channel}, 0).consent is Consent.unknown


def test_value_empty_unread() -> None:
    """Asked for and missing is empty; not asked for, opted out or half readable is unread: no base, no removal."""
    explicit = with_permission("explicit")
    assert snapshot(explicit, 0).lists == ()
    assert snapshot({**explicit, "_whole": False}, 0).lists is None
    assert snapshot({**explicit, "list_memberships": ["l1", None]}, 0).lists is None
    assert snapshot({**explicit, "email_address": OUT, "list_memberships": ["l1"]}, 0).lists is None


def test_tags_are_read_like_lists() -> None:
    """`taggings` are plain ids (CC facts 5.2); no base, no removal."""
    explicit = {**with_permission("explicit"), "taggings": ["t2", "t1", "t2"]}
    assert snapshot(explicit, 0).tags == ("t1", "t2")
    assert snapshot(with_permission("explicit"), 0).tags == ()
    assert snapshot({**with_permission("explicit"), "_whole": False}, 0).tags is None
    broken = snapshot({**explicit, "taggings": [{"tag_id": "t1"}]}, 0)
    assert (broken.tags, broken.warnings) == (None, ("wrong_type:taggings",))
    assert snapshot({**explicit, "email_address": OUT}, 0).tags is None
    assert snapshot({**explicit, "deleted_at": "2016-07-08"}, 0).tags is None


@pytest.mark.parametrize(
    ("row", "value", "warnings"),
    [
        ({"value": " Chess "}, "Chess", ()),
        ({"value": "2024-02-29"}, "2024-02-29", ()),
        ({"value": 12.5}, "12.5", ()),
        ({"value": True}, "true", ()),
        ({"choice_ids": ["000002", "000001", "000002"]}, "000001,000002", ()),
        ({"choice_ids": [2, 1]}, "1,2", ()),
        ({"value": "Red", "choice_ids": ["000001"]}, "000001", ()),
        ({"value": "", "choice_ids": ["000001"]}, "000001", ()),
        ({"value": "Red", "choice_ids": []}, "Red", ()),
        ({"value": None, "choice_ids": []}, None, ()),
        ({"choice_ids": ["000001", None]}, "000001", ("wrong_type:choice_ids",)),
        ({"choice_ids": "000001"}, None, ("wrong_type:choice_ids",)),
        ({"value": {"x": 1}}, None, ("wrong_type:value",)),
        ({"value": ""}, None, ()),
    ],
)
def test_custom_fields_of_every_kind(row: dict[str, Any], value: str | None, warnings: tuple[str, ...]) -> None:
    """Select fields carry choice ids as text, all others a value as text (CC facts 5.2, 6.4)."""
    seen = snapshot({**with_permission("explicit"), "custom_fields": [{"custom_field_id": "f1", **row}]}, 0)
    assert seen.custom_fields == (() if value is None else (("f1", value),))
    assert seen.warnings == warnings


def test_a_word_of_tomorrow_is_told_and_taken() -> None:
    """New enum values must be tolerated (CC facts 0); one source names a third for who did it (5.2)."""
    channel = {"address": "a@example.org", "permission_to_send": "explicit", "opt_in_source": "Landing Page"}
    seen = snapshot({"contact_id": "c1", "email_address": channel, "colour": "red", "_whole": True}, 0)
    assert (seen.opt_in_source, seen.warnings) == ("Landing Page", ("unknown_source:opt_in_source",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["explicit", "unsubscribed", "0001-01-01T00:00:00+14:00", "2016-07-08", "home", "+1 202 456 1414"]
)
FIELDS = st.sampled_from(
    [*WHOLE, "deleted_at", "contacts", "lists", "list_id", "activity_id", "error_key", "taggings", "action"]
)
INNER = st.sampled_from(
    ["address", "permission_to_send", "kind", "phone_number", "custom_field_id", "value", "choice_ids"]
)
ROWS = st.dictionaries(FIELDS, JSON | WORDS | st.dictionaries(INNER, JSON | WORDS) |
                       st.lists(st.dictionaries(INNER, JSON | WORDS), max_size=3))  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(value=JSON | ROWS | st.lists(ROWS, max_size=3) | st.fixed_dictionaries({"contacts": st.lists(ROWS, max_size=2)}))
def test_any_json_is_explained(value: Any) -> None:
    """Never a traceback, always platform and warnings, always printable as JSON."""
    for record in discover()["constant_contact"].explain(value):
        assert record["platform"] == "constant_contact"
        assert isinstance(record["warnings"], list)
        json.dumps(record)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(row=ROWS)
def test_any_object_has_a_snapshot_and_none_invents_consent(row: dict[str, Any]) -> None:
    """opted_in needs an address and one of two words, opted_out the third (CC facts 5.2)."""
    seen = snapshot(row, 0)
    channel = row.get("email_address")
    word = channel.get("permission_to_send") if isinstance(channel, dict) else None
    assert (seen.consent is Consent.opted_in) <= (word in ("explicit", "implicit") and bool(seen.email))
    assert (seen.consent is Consent.opted_out) <= (word == "unsubscribed")


def test_explain_of_a_contact_has_the_promised_keys() -> None:
    """The keys that scripts are built on."""
    [shown] = discover()["constant_contact"].explain(WHOLE)
    assert shown["phones"][0] == {"kind": "mobile", "raw": "(202) 456-1414", "e164": "+12024561414"}
    assert (shown["lists"], shown["consent"], shown["deleted"]) == (["l1", "l2"], "opted_in", False)
    assert shown["updated_at"] == "2016-03-03T15:53:04Z"
    promised = "platform record_id email consent deleted first_name last_name phones addresses lists custom_fields"
    assert {*promised.split(), "updated_at", "warnings"} <= shown.keys()


def test_explain_of_pages_and_other_records() -> None:
    """One entry a row; a report row with a contact_id is no contact (CC facts 8)."""
    explain = discover()["constant_contact"].explain
    assert [each["record_id"] for each in explain({"contacts": [WHOLE, {**WHOLE, "contact_id": "c2"}]})] == ["c1", "c2"]
    assert explain({"lists": [{"list_id": "l1", "name": "x"}]})[0]["record_type"] == "list"
    bounce = {"contact_id": "c1", "email_address": "a@example.org", "tracking_activity_type": "em_bounces"}
    assert explain({"tracking_activities": [bounce]})[0]["record_type"] == "tracking_activity"
    assert explain({"activity_id": "x", "state": "completed"})[0]["record_type"] == "activity"
    assert explain([{"error_key": "x"}])[0]["record_type"] == "error"
    assert explain("text") == [
        {"platform": "constant_contact", "record_type": "unknown", "record_id": None, "warnings": ["not_a_record"]}
    ]
