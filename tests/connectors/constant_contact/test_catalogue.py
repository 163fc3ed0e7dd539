"""Lists, tags and custom fields against the stand-in (CC facts 6.1, 6.3, 6.4)."""

from typing import Any

import pytest

from keepstep.model.custom import CustomField
from keepstep.model.errors import Conflicting, Transient, Unanswered
from tests.connectors.constant_contact.world import ACCOUNT, START, World, run, said, scripted


@pytest.mark.parametrize("dialect", ["50", "1000"])
def test_lists_are_read_to_the_end(dialect: str) -> None:
    """Always limit=500, and page (CC facts 6.1); names may hold commas."""
    world = World(list_page=dialect)
    made = {world.new_list(f"List {number}, α"): f"List {number}, α" for number in range(501)}
    world.vendor.delete_list(ACCOUNT, max(made), world.clock.at)
    made.pop(max(made))
    assert dict(run(world.cc.lists())) == made


@pytest.mark.parametrize("last", ["empty_links", "no_links", "next_null"])
def test_tags_are_read_to_the_end(last: str) -> None:
    """500 a page (CC facts 6.3); a renamed tag keeps its id."""
    world = World(last_page=last)
    made = {world.vendor.add_tag(ACCOUNT, f"Tag; {number}", START): f"Tag; {number}" for number in range(501)}
    renamed = min(made)
    world.vendor.rename_tag(ACCOUNT, renamed, "Other", world.clock.at)
    assert dict(run(world.cc.tags())) == made | {renamed: "Other"}
    assert "limit=500" in world.requests[0].query


KINDS = {
    "string": "text",
    "text_area": "text",
    "date": "date",
    "datetime": "datetime",
    "number": "number",
    "currency": "number",
    "boolean": "boolean",
    "single_select": "single",
    "multi_select": "multi",
}


@pytest.mark.parametrize("choice_ids", ["string", "number"])
def test_fields_of_every_type_are_read_with_their_choices(choice_ids: str) -> None:
    """`choice_id` is declared a number and is text on contacts: compared as text (CC facts 6.4)."""
    world = World(choice_id_type=choice_ids)
    made = {
        world.vendor.add_custom_field(ACCOUNT, f"A {kind}", START, kind, ("Red", "Blue; green")): kind for kind in KINDS
    }
    person = world.person(email="ann@example.org")
    found = {one.field_id: one for one in run(world.cc.fields())}
    assert {key: one.kind for key, one in found.items()} == {key: KINDS[kind] for key, kind in made.items()}
    several = next(one for one in found.values() if one.kind == "multi")
    assert several.names == ("A multi_select", "A_multi_select")
    assert list(several.choices.values()) == ["Red", "Blue; green"]
    world.vendor.set_custom_field(ACCOUNT, person, several.field_id, world.clock.at, ["Red", "Blue; green"])
    raw = run(world.cc.read(person))
    assert raw is not None
    seen = world.cc.snapshot(raw, START)
    assert seen.custom_fields == ((several.field_id, ",".join(sorted(several.choices))),)


def test_fields_are_read_to_the_end() -> None:
    """At most 100 a page, and 100 in an account (CC facts 3.2): two pages all the same, if limits move."""
    rows = [
        [{"custom_field_id": f"{page}-{number}", "label": "x", "type": "date"} for number in range(100)]
        for page in "ab"
    ]
    first = {"custom_fields": rows[0], "_links": {"next": {"href": "/v3/contact_custom_fields?cursor=x"}}}
    cc, script, _ = scripted(said(200, first), said(200, {"custom_fields": rows[1]}))
    assert len(run(cc.fields())) == 200
    assert script.asked[0][1].endswith("/v3/contact_custom_fields?limit=100")


def test_unknown_types_are_other_and_broken_definitions_are_left_out() -> None:
    """New types come (CC facts 0, 6.4); a field is addressed by its label first."""
    rows: list[Any] = [
        {"custom_field_id": "f1", "label": "Shoe size", "name": "Shoe_size", "type": "hologram", "metadata": {"x": 1}},
        {
            "custom_field_id": "f2",
            "name": "only_name",
            "type": 7,
            "choices": [{"choice_id": 1, "choice_label": "A"}, 5],
        },
        {"custom_field_id": "f3", "label": "Same", "name": "Same", "type": "Single_Select", "choices": "x"},
        {"custom_field_id": "f4", "type": "string"},
        {"custom_field_id": "", "label": "x"},
        {"label": "x"},
        None,
    ]
    cc, _, _ = scripted(said(200, {"custom_fields": rows}))
    assert run(cc.fields()) == [
        CustomField(field_id="f1", names=("Shoe size", "Shoe_size"), kind="other"),
        CustomField(field_id="f2", names=("only_name",), kind="other", choices={"1": "A"}),
        CustomField(field_id="f3", names=("Same",), kind="single"),
    ]


def test_a_row_without_id_or_name_is_left_out_and_a_page_without_rows_is_no_page() -> None:
    """Unknown is never success."""
    tags: list[Any] = [{"tag_id": "t1", "name": "vip"}, {"tag_id": "t2"}, {"tag_id": "", "name": "x"}, 5]
    cc, _, _ = scripted(said(200, {"tags": tags}), said(200, {}), said(200, {"custom_fields": None}))
    assert run(cc.tags()) == [("t1", "vip")]
    for work in (cc.tags(), cc.fields()):
        with pytest.raises(Transient):
            run(work)


def test_a_list_is_made_once_by_name() -> None:
    """409 is told apart (CC facts 6.1); an answer without an id may have made one."""
    world = World()
    made = run(world.cc.make_list("News"))
    assert dict(run(world.cc.lists())) == {made: "News"}
    with pytest.raises(Conflicting):
        run(world.cc.make_list("News"))
    cc, _, _ = scripted(said(201, {}))
    with pytest.raises(Unanswered):
        run(cc.make_list("News"))
