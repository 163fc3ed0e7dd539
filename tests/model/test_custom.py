"""Custom fields: what goes with what, and what a value of one side is on the other; nothing is invented."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.model.custom import (
    CARRIES,
    LISTS,
    Binding,
    CustomField,
    Kind,
    bind,
    canonical,
    fits,
    same,
    spoken,
    to_crm,
)

SIZES = {"000001": "Small", "000002": "Large", "000003": "Large; tall"}
OPTIONS = {name: name for name in ("Small", "Large", "Large; tall")}


def here(field_id: str, *names: str, kind: Kind = "text", choices: dict[str, str] | None = None) -> CustomField:
    return CustomField(field_id=field_id, names=names or (field_id,), kind=kind, choices=choices or {})


def bound(
    audience: Kind, crm: Kind, ids: dict[str, str] | None = None, options: dict[str, str] | None = None
) -> Binding:
    one = here("f1", "Size", kind=audience, choices=SIZES if ids is None else ids)
    return Binding(audience=one, crm=here("Size", kind=crm, choices=OPTIONS if options is None else options))


def pairs(bindings: tuple[Binding, ...]) -> list[tuple[str, str, str | None]]:
    return [(one.audience.field_id, one.crm.field_id, one.paused) for one in bindings]


# --- which goes with which -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("T-shirt size",), ("T-shirt size",)),
        (("T-Shirt Size",), ("t-shirt size",)),
        (("T-shirt size", "t-shirt_size"), ("T-shirt_Size",)),
        (("Shirt", "shirt_size"), ("custom_12", "Shirt  Size")),
        (("Gro\u0308\u00dfe",), ("GR\u00d6SSE",)),
    ],
)
def test_fields_of_one_name_go_together_however_it_is_written(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    assert pairs(bind([here("f1", *ours)], [here(theirs[0], *theirs)])) == [("f1", theirs[0], None)]


@pytest.mark.parametrize("theirs", [("Other",), ("",), ("Tshirt",)])
def test_a_field_without_a_partner_is_not_bound(theirs: tuple[str, ...]) -> None:
    assert bind([here("f1", "T-shirt size", "")], [here("x", *theirs)]) == ()


@pytest.mark.parametrize("crm", [kind for kind in CARRIES if kind != "other"])
@pytest.mark.parametrize("audience", list(CARRIES))
def test_kinds_that_cannot_carry_each_other_pause(audience: Kind, crm: Kind) -> None:
    choices = {"Yes": "Yes", "No": "No"}
    made = bind([here("f1", "Size", kind=audience)], [here("Size", kind=crm, choices=choices)])
    assert pairs(made) == [("f1", "Size", None if crm in CARRIES[audience] else "kinds_differ")]


@pytest.mark.parametrize(
    ("options", "paused"),
    [
        (("Yes", "No"), None),
        (("true", "false", "unsure"), None),
        (("Yes",), "kinds_differ"),
        (("Yes", "True", "No"), "kinds_differ"),
        ((), "kinds_differ"),
    ],
)
def test_a_boolean_needs_exactly_one_option_for_each(options: tuple[str, ...], paused: str | None) -> None:
    there = here("Vip", kind="single", choices={one: one for one in options})
    assert pairs(bind([here("f1", "VIP", kind="boolean")], [there])) == [("f1", "Vip", paused)]


def test_a_name_that_two_share_on_either_side_pauses_all_of_them() -> None:
    ours = [here("f1", "Size"), here("f2", "size"), here("f3", "Hobby")]
    theirs = [here("Size"), here("Hobby"), here("custom_3", "custom_3", "hobby")]
    assert pairs(bind(ours, theirs)) == [
        ("f1", "Size", "name_shared"),
        ("f2", "Size", "name_shared"),
        ("f3", "Hobby", "name_shared"),
    ]


def test_a_field_that_is_gone_pauses_and_comes_back() -> None:
    ours, theirs = [here("f1", "Size"), here("f2", "Hobby")], [here("Size"), here("Hobby")]
    known = bind(ours, theirs)
    without_theirs = bind(ours, theirs[1:], known)
    assert pairs(without_theirs) == [("f1", "Size", "field_gone"), ("f2", "Hobby", None)]
    without_ours = bind(ours[:1], theirs, without_theirs)
    assert pairs(without_ours) == [("f1", "Size", None), ("f2", "Hobby", "field_gone")]
    assert bind(ours, theirs, without_ours) == known


def test_a_field_made_again_under_the_same_name_takes_the_place_of_the_one_that_is_gone() -> None:
    known = bind([here("f1", "Size")], [here("Size")])
    assert pairs(bind([here("f9", "Size")], [here("Size")], known)) == [("f9", "Size", None)]


def test_a_renamed_field_keeps_its_partner_until_another_one_goes_by_that_name() -> None:
    known = bind([here("f1", "Size")], [here("Size"), here("Hobby")])
    renamed = bind([here("f1", "Size (internal)")], [here("Size"), here("Hobby")], known)
    assert pairs(renamed) == [("f1", "Size", None)]
    assert pairs(bind([here("f1", "Hobby")], [here("Size"), here("Hobby")], known)) == [("f1", "Hobby", None)]
    other = bind([here("f1", "Size (internal)"), here("f2", "Size")], [here("Size")], renamed)
    assert pairs(other) == [("f2", "Size", None)]


def test_the_field_of_the_lists_is_nobody_elses() -> None:
    ours, theirs = (
        [here("f1", "Lists")],
        [here("CC Lists", "CC Lists", "Lists", kind="single", choices={"News": "News"})],
    )
    assert pairs(bind(ours, theirs, lists_field="cc_lists")) == [(LISTS, "CC Lists", None)]
    known = bind([], theirs, lists_field="cc_lists")
    assert pairs(bind([], [], known, lists_field="cc_lists")) == [(LISTS, "CC Lists", "field_gone")]
    assert pairs(bind([], [here("Other")], known, lists_field="another")) == [(LISTS, "CC Lists", "field_gone")]
    assert bind([], [here("Other")], known) == ()


def test_the_lists_go_to_text_or_to_options_and_to_nothing_else() -> None:
    found = bind([], [here("Lists", kind="date")], lists_field="Lists")
    assert pairs(found) == [(LISTS, "Lists", "kinds_differ")]
    assert found[0].key == "custom:Lists"


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "crm", "value", "told"),
    [
        ("text", "text", "  two\nlines ", "two\nlines"),
        ("text", "text", "x" * 255, "x" * 255),
        ("date", "date", "03/01/2026", "2026-03-01"),
        ("date", "date", "3-1-2026", "2026-03-01"),
        ("date", "date", "2026/3/1", "2026-03-01"),
        ("date", "date", "2026-03-01T23:30:00Z", "2026-03-01"),
        ("date", "text", "3/1/2026 12:00:00 AM", "2026-03-01"),
        ("date", "datetime", "2026-03-01", "2026-03-01T00:00:00"),
        ("datetime", "datetime", "2026-03-01T10:00:00.123-05:00", "2026-03-01T15:00:00Z"),
        ("datetime", "datetime", "3/1/2026 1:05 PM", "2026-03-01T13:05:00"),
        ("datetime", "text", "2026-03-01 10:00", "2026-03-01T10:00:00"),
        ("datetime", "date", "2026-03-01T00:00:00Z", "2026-03-01"),
        ("number", "number", "1,200.50", "1200.5"),
        ("number", "text", "$1,200", "1200"),
        ("number", "number", "-0.00", "0"),
        ("number", "number", "-007", "-7"),
        ("number", "number", "+12345678901234567890123456789012345678901234567890", "1234567890" * 5),
        ("boolean", "boolean", "True", "true"),
        ("boolean", "text", "no", "false"),
        ("boolean", "boolean", "1", "true"),
        ("single", "single", "000002", "Large"),
        ("single", "single", "2", "Large"),
        ("single", "single", "Large", "Large"),
        ("single", "text", "000003", "Large; tall"),
        ("multi", "text", "000002,000001", "Large; Small"),
        ("multi", "text", "000003", "Large; tall"),
        ("multi", "single", "000003", "Large; tall"),
    ],
)
def test_a_value_is_told_in_the_crms_own_form(audience: Kind, crm: Kind, value: str, told: str) -> None:
    assert to_crm(bound(audience, crm), value) == told


@pytest.mark.parametrize(
    ("audience", "crm", "value"),
    [
        ("date", "date", "13/02/2026"),
        ("date", "date", "02/30/2026"),
        ("date", "datetime", "1.3.2026"),
        ("date", "date", "soon"),
        ("datetime", "datetime", "2026-03-01T25:00:00"),
        ("datetime", "text", "2026-03-01 noon"),
        ("datetime", "date", "2026-03-01T10:00:00"),
        ("datetime", "datetime", "never"),
        ("datetime", "datetime", "9999-12-31T23:00:00-05:00"),
        ("number", "number", "1.200,50"),
        ("number", "number", "1,20"),
        ("number", "text", "about 12"),
        ("boolean", "boolean", "maybe"),
        ("boolean", "text", "2"),
        ("boolean", "single", "maybe"),
        ("single", "text", "000009"),
        ("single", "text", "000001,000002"),
        ("multi", "text", "000001,000009"),
        ("multi", "text", "000001,"),
        ("multi", "single", "000001,000002"),
    ],
)
def test_what_cannot_be_read_or_said_is_withheld(audience: Kind, crm: Kind, value: str) -> None:
    assert to_crm(bound(audience, crm), value) is None


@pytest.mark.parametrize("value", [None, "", "  "])
@pytest.mark.parametrize("audience", [kind for kind in CARRIES if kind != "other"])
def test_an_empty_value_says_nothing(audience: Kind, value: str | None) -> None:
    for crm in CARRIES[audience]:
        binding = bound(audience, crm)
        assert to_crm(binding, value) is None
        assert spoken(binding.audience, value) is None
        assert canonical(binding, value) == ""


def test_options_are_exact_and_case_sensitive() -> None:
    assert to_crm(bound("single", "single", options={"large": "large", "LARGE": "LARGE"}), "000002") is None
    assert to_crm(bound("single", "single", options={}), "000002") is None


def test_a_boolean_is_told_as_the_option_that_reads_so() -> None:
    vip = bound("boolean", "single", options={"Yes": "Yes", "No": "No"})
    assert (to_crm(vip, "true"), to_crm(vip, "0")) == ("Yes", "No")
    assert fits(vip, "true", "Yes")
    assert not fits(vip, "true", "No")


def test_a_choice_counted_without_its_zeros_is_known_unless_two_could_be_meant() -> None:
    numbers = {"1": "2", "2": "1"}
    assert spoken(here("f1", kind="single", choices=numbers), "000001") == "2"
    assert spoken(here("f1", kind="single", choices={"01": "a", "001": "b"}), "1") == "1"
    assert spoken(here("f1", kind="single", choices={"0": "a"}), ",") == ","


# --- what is the same ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "crm", "ours", "theirs"),
    [
        ("text", "text", "Gro\u0308\u00dfe  12", "Gr\u00f6\u00dfe 12"),
        ("date", "date", "03/01/2026", "3/1/2026"),
        ("date", "datetime", "2026-03-01", "2026-03-01T00:00:00"),
        ("date", "text", "2026-03-01", "3/1/2026 12:00:00 AM"),
        ("datetime", "datetime", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00"),
        ("datetime", "text", "2026-03-01T10:00:00-05:00", "2026-03-01T15:00:00.123Z"),
        ("datetime", "date", "2026-03-01T00:00:00", "3/1/2026"),
        ("number", "text", "1200.00", "$1,200"),
        ("boolean", "boolean", "True", "1"),
        ("boolean", "text", "false", "No"),
        ("single", "text", "Large", " Large "),
        ("multi", "text", "Small; Large", "Large;Small"),
        ("multi", "text", "Small; Large; tall", "Large; tall; Small"),
    ],
)
def test_both_sides_forms_of_one_value_are_the_same(audience: Kind, crm: Kind, ours: str, theirs: str) -> None:
    binding = bound(audience, crm)
    assert fits(binding, ours, theirs)
    assert same(binding, ours, theirs)


@pytest.mark.parametrize(
    ("audience", "crm", "ours", "theirs"),
    [
        ("text", "text", "Large", "large"),
        ("single", "text", "Large", "large"),
        ("date", "date", "2026-03-01", "2026-03-02"),
        ("date", "text", "2026-03-01", "the first of March"),
        ("datetime", "datetime", "2026-03-01T10:00:00", "2026-03-01T10:00:01"),
        ("number", "number", "1200", "12.00"),
        ("boolean", "boolean", "true", "false"),
        ("boolean", "boolean", "true", ""),
        ("multi", "text", "Small; Large", "Large"),
        ("text", "text", "x" * 254, "x" * 256),
        ("single", "text", "x" * 255, "x" * 256),
    ],
)
def test_different_values_are_different(audience: Kind, crm: Kind, ours: str, theirs: str) -> None:
    assert not fits(bound(audience, crm), ours, theirs)


def test_what_the_limit_left_of_a_text_fits_the_whole() -> None:
    assert fits(bound("text", "text"), "x" * 255, "x" * 300)
    assert not same(bound("text", "text"), "x" * 255, "x" * 300)


# --- round trips -----------------------------------------------------------------------------------------------------

DAYS = st.dates().map(lambda day: (f"{day:%Y-%m-%d}", f"{day.month}/{day.day}/{day.year:04}"))
VALUES: dict[Kind, st.SearchStrategy[str]] = {
    "text": st.text(max_size=300),
    "date": DAYS.flatmap(st.sampled_from),
    "datetime": st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat())
    | DAYS.flatmap(st.sampled_from),
    "number": st.decimals(allow_nan=False, allow_infinity=False).map(lambda one: f"{one:,f}"),
    "boolean": st.sampled_from(["true", "True", "yes", "1", "false", "FALSE", "no", "0", "?"]),
    "single": st.sampled_from([*SIZES, "4", "Small"]),
    "multi": st.lists(st.sampled_from([*SIZES, "4"]), max_size=3).map(",".join),
}
CARRIED = [(audience, crm) for audience in VALUES for crm in CARRIES[audience]]


@pytest.mark.parametrize(("audience", "crm"), CARRIED)
@given(data=st.data())
def test_what_was_told_reads_back_as_what_was_said(audience: Kind, crm: Kind, data: st.DataObject) -> None:
    options = {"Yes": "Yes", "No": "No"} if audience == "boolean" else None
    binding, value = bound(audience, crm, options=options), data.draw(VALUES[audience])
    told = to_crm(binding, value)
    if told is not None:
        assert told
        assert fits(binding, spoken(binding.audience, value), told)
        again = replace(binding, audience=replace(binding.audience, choices={told: told}))
        assert audience == "multi" or to_crm(again, told) == told


@given(value=st.text() | st.none())
def test_any_text_at_all_is_read_or_withheld_and_never_raises(value: str | None) -> None:
    for audience, crm in CARRIED:
        binding = bound(audience, crm)
        told = to_crm(binding, value)
        assert told is None or told
        assert fits(binding, spoken(binding.audience, value), told) or told is None
        assert same(binding, value, value)
