"""What becomes of one row of a feed: each rule by itself."""

from dataclasses import replace
from typing import Any

import pytest

from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.feed import Row
from keepstep.model.feed_decide import DAY, Known, Put, Verdict, decide, deleted_by

NOW = 1_750_000_000.0
ADDRESS = "bob@example.org"


def a_row(version: str = "v1", permission_at: float | None = None, **fields: Any) -> Row:
    said = {"email": ADDRESS, "first_name": "Bob", **fields}
    return Row(row_id="r", version=version, address=ADDRESS, fields=said, lists=("News",), permission_at=permission_at)


def somebody(**more: Any) -> AudienceContact:
    said: dict[str, Any] = {
        "record_id": "c",
        "read_at": NOW,
        "email": ADDRESS,
        "consent": Consent.opted_in,
        "lists": (),
    }
    return AudienceContact(**(said | more))


def put(state: str = "on", version: str = "v0", at: float = NOW - 100, mine: bool = True) -> Put:
    return Put(version=version, at=at, state=state, address=ADDRESS, mine=mine)


def known(*people: AudienceContact, lists: tuple[str, ...] = ("L",), **more: Any) -> Known:
    return Known(lists=lists, people=people, **more)


def said(verdict: Verdict) -> tuple[str, str | None]:
    return verdict.state, verdict.reason


# --- whether at all --------------------------------------------------------------------------------------------------


def test_somebody_new_goes_with_all_that_the_row_says() -> None:
    found = decide(
        a_row(last_name="Poe", phone="(415) 555-2671", street="1 Main St", **dict[str, Any]({"custom:Size": "44"})),
        known(),
    )
    assert said(found) == ("waiting", None) and found.way == "import" and found.lists == ("L",)
    assert found.fields == {
        "first_name": "Bob",
        "last_name": "Poe",
        "phone": {"kind": "other", "raw": "(415) 555-2671"},
        "address": {"street": "1 Main St"},
        "custom": {"Size": "44"},
    }
    assert not found.kept and not found.revive and found.since is None


@pytest.mark.parametrize(
    ("row", "what", "reason"),
    [
        (replace(a_row(), problem="bad_email", address=None), known(), "bad_email"),
        (replace(a_row(), address=None), known(), "no_email"),
        (a_row(), known(unknown=("Nowhere",)), "unknown_list"),
        (a_row(), known(lists=()), "no_list"),
        (a_row(), known(lists=tuple(f"L{n}" for n in range(51))), "too_many_lists"),
        (a_row(), known(somebody(lists=tuple(f"L{n}" for n in range(50)))), "too_many_lists"),
        (a_row(), known(out="no_ledger_key"), "no_ledger_key"),
    ],
)
def test_what_cannot_go_as_it_is_is_parked(row: Row, what: Known, reason: str) -> None:
    assert said(decide(row, what)) == ("parked", reason)


def test_the_fiftieth_list_of_a_contact_is_one_of_those_it_is_on() -> None:
    assert decide(a_row(), known(somebody(lists=(*(f"L{n}" for n in range(49)), "L")))).way == "import"


@pytest.mark.parametrize(
    "what",
    [
        known(out="opted_out"),
        known(somebody(consent=Consent.opted_out)),
        known(somebody(consent=Consent.opted_out, deleted=True)),
    ],
)
def test_an_opt_out_is_lifted_by_no_permission(what: Known) -> None:
    assert said(decide(a_row(permission_at=NOW + DAY * 9), what)) == ("left_out", "opted_out")


@pytest.mark.parametrize("consent", [Consent.not_mailable, Consent.unknown])
def test_who_may_not_be_mailed_now_is_left_out(consent: Consent) -> None:
    assert said(decide(a_row(), known(somebody(consent=consent)))) == ("left_out", "not_mailable")


GONE = somebody(consent=Consent.not_mailable, deleted=True, deleted_at=NOW - 50)


@pytest.mark.parametrize("what", [known(GONE), known(gone=NOW - 50), known(GONE, gone=NOW - 90)])
def test_who_was_deleted_comes_back_by_a_newer_permission_only(what: Known) -> None:
    assert said(decide(a_row(), what)) == ("left_out", "deleted")
    assert said(decide(a_row(permission_at=NOW - 50), what)) == ("left_out", "deleted")
    found = decide(a_row(permission_at=NOW - 40), what)
    assert found.way == "import" and found.revive


def test_somebody_at_the_address_before_is_no_sign_that_nobody_was_deleted_at_this_one() -> None:
    before = somebody(record_id="d", email="rob@example.org")
    gone = somebody(deleted=True, deleted_at=NOW - 100)
    assert said(decide(a_row(), known(before, gone))) == ("left_out", "deleted")
    assert decide(a_row(permission_at=NOW), known(before, gone)).revive
    assert said(decide(a_row(), known(before, gone=NOW))) == ("waiting", None)


def test_who_is_there_again_was_not_deleted() -> None:
    found = decide(a_row(), known(somebody(), GONE, gone=NOW))
    assert found.way == "import" and not found.revive


def test_a_deletion_of_a_day_may_have_been_at_its_end_and_one_of_no_day_until_it_was_read() -> None:
    assert deleted_by(DAY * 20_000, NOW) == DAY * 20_001
    assert deleted_by(DAY * 20_000 + 1, NOW) == DAY * 20_000 + 1
    assert deleted_by(None, NOW) == NOW


# --- list by list ----------------------------------------------------------------------------------------------------


def test_a_newer_row_takes_its_lists_and_the_word() -> None:
    assert said(decide(a_row(), known(newer=True, claimed=frozenset("L")))) == ("left_out", "duplicate")
    found = decide(a_row(), known(lists=("L", "M"), newer=True, claimed=frozenset("L")))
    assert found.lists == ("M",) and found.fields == {}


def test_a_version_goes_to_a_list_once() -> None:
    same = {"L": put(version="v1")}
    assert said(decide(a_row(), known(puts=same))) == ("done", None)
    found = decide(a_row(), known(lists=("L", "M"), puts=same))
    assert found.lists == ("M",) and found.fields == {}, "its fields went with the first list"


def test_the_same_version_of_another_row_is_another_one() -> None:
    assert decide(a_row(), known(puts={"L": put(version="v1", mine=False)})).kept == ("L",)


def test_a_new_version_brings_its_fields_to_who_is_on_the_list_still() -> None:
    found = decide(a_row(), known(puts={"L": put()}))
    assert (found.way, found.lists, found.kept) == ("import", ("L",), ("L",))
    found = decide(a_row(), known(lists=("L", "M"), puts={"L": put()}))
    assert (found.lists, found.kept) == (("M",), ("L",)), "a list that is new needs no other one"
    assert said(decide(replace(a_row(), fields={"email": ADDRESS}), known(puts={"L": put()}))) == ("done", None)


@pytest.mark.parametrize("state", ["on", "left"])
def test_who_left_a_list_is_put_back_by_a_newer_permission_only(state: str) -> None:
    what = known(somebody(), puts={"L": put(state)})
    seen = NOW - 100 if state == "left" else NOW
    found = decide(a_row(), what)
    assert said(found) == ("left_out", "left") and found.left == ("L",)
    assert said(decide(a_row(permission_at=seen), what)) == ("left_out", "left")
    found = decide(a_row(permission_at=seen + 1), what)
    assert found.lists == ("L",) and found.kept == ()


def test_who_came_back_by_themselves_did_not_leave() -> None:
    assert decide(a_row(), known(somebody(lists=("L",)), puts={"L": put("left")})).kept == ("L",)


def test_who_was_noted_to_have_left_left_whoever_has_the_address_now() -> None:
    assert said(decide(a_row(), known(puts={"L": put("left")}))) == ("left_out", "left")


@pytest.mark.parametrize("contact", [somebody(lists=None), somebody(read_at=NOW - 200)])
def test_a_reading_that_cannot_tell_is_no_leaving(contact: AudienceContact) -> None:
    assert decide(a_row(), known(contact, puts={"L": put()})).kept == ("L",)


def test_a_row_whose_address_changed_goes_again_unless_they_left_under_the_one_before() -> None:
    before = replace(put(), address="bob@before.org")
    assert decide(a_row(), known(somebody(lists=("L",)), puts={"L": before})).kept == ()
    assert said(decide(a_row(), known(somebody(), puts={"L": before}))) == ("left_out", "left")


def test_the_lists_that_were_left_are_noted_where_others_go() -> None:
    found = decide(a_row(), known(somebody(), lists=("L", "M"), puts={"L": put()}))
    assert found.lists == ("M",) and found.left == ("L",)
    puts = {"L": put(), "M": put(version="v1", at=NOW + 1)}
    found = decide(a_row(), known(somebody(), lists=("L", "M"), puts=puts))
    assert said(found) == ("done", None) and found.left == ("L",)
    puts = {"L": put(), "M": put(at=NOW + 1)}
    found = decide(replace(a_row(), fields={"email": ADDRESS}), known(somebody(), lists=("L", "M"), puts=puts))
    assert said(found) == ("done", None), "on the other one it is still"


def test_whom_an_import_dropped_goes_by_a_call_of_their_own_with_everything() -> None:
    found = decide(a_row(), known(puts={"L": put("missing", "v1")}))
    assert (found.way, found.lists, found.since) == ("import_one", ("L",), NOW - 100) and found.fields
    assert decide(a_row(), known(puts={"L": put("missing", "v0")})).way == "import"
    assert decide(a_row(), known(puts={"L": put("missing", "v1", mine=False)})).way == "import"


def test_who_is_there_gets_the_lists_only_where_the_feed_says_so() -> None:
    assert decide(a_row(), known(somebody()), "lists_only").fields == {}
    assert decide(a_row(), known(), "lists_only").fields
    assert decide(a_row(), known(somebody())).fields


# --- what the vendor takes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "way"),
    [
        ("415 555 2671", "import"),
        ("+1 604 555 0123", "import"),
        ("+44 20 7946 0958", "import_one"),
        ("+1 876 123 4567", "import_one"),
        ("ask her", "import_one"),
    ],
)
def test_a_phone_from_elsewhere_goes_the_slow_way(phone: str, way: str) -> None:
    assert decide(a_row(phone=phone), known()).way == way


def test_a_phone_without_a_country_is_of_the_feeds() -> None:
    assert decide(a_row(phone="020 7946 0958"), known(), region="GB").way == "import_one"


def test_a_phone_that_does_not_go_makes_nobody_slow() -> None:
    assert decide(a_row(phone="+44 20 7946 0958"), known(somebody()), "lists_only").way == "import"


def test_an_address_of_more_than_fifty_characters_goes_the_slow_way() -> None:
    assert decide(a_row(email=f"{'b' * 38}@example.org"), known()).way == "import"
    assert decide(a_row(email=f"{'b' * 39}@example.org"), known()).way == "import_one"


@pytest.mark.parametrize(
    ("fields", "there", "note"),
    [
        ({"last_name": "P" * 51}, {"last_name": "P" * 50}, "name_cut"),
        ({"phone": "5" * 26}, {}, "phone_too_long"),
        ({"city": "C" * 51, "state": "AZ"}, {"address": {"state": "AZ"}}, "address_too_long"),
        ({"custom:A": "x" * 256, "custom:B": "y"}, {"custom": {"B": "y"}}, "value_too_long"),
        (
            {f"custom:F{n:02d}": "x" for n in range(26)},
            {"custom": {f"F{n:02d}": "x" for n in range(25)}},
            "too_many_fields",
        ),
    ],
)
def test_what_is_too_long_stays_behind_and_is_said(fields: Any, there: Any, note: str) -> None:
    found = decide(a_row(**fields), known())
    assert found.fields == {"first_name": "Bob", **there}
    assert found.notes == (note,) and found.reason == note and found.way == "import"


def test_what_is_empty_stays_out() -> None:
    assert decide(a_row(last_name="", city="", phone=""), known()).fields == {"first_name": "Bob"}
