"""Lists are tags and tags are lists, by id, whatever they are called."""

import pytest

from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_consent import linked


def lists_of(c: Crossing, record: str) -> list[str]:
    return list(c.here(record).get("list_memberships") or ())


def test_a_tag_added_by_staff_becomes_a_membership_through_a_job() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert lists_of(c, ann) == [news]
        assert len(c.made("POST", "/v3/activities/add_list_memberships")) == 1
        written = len(c.writes())
        c.wait(hours=3)
        assert len(c.writes()) == written
        assert c.standing(ann) == ("in_step", "")


def test_a_tag_taken_off_by_staff_ends_the_membership() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c, lists=[news])
        c.v.staff_removes_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert lists_of(c, ann) == []
        assert len(c.made("POST", "/v3/activities/remove_list_memberships")) == 1
        c.wait(hours=3)
        assert c.there(ann)["tags"] == []


def test_a_bulk_tag_is_one_job_for_everybody() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(20)]
        c.connect()
        c.night()
        c.v.bulk_adds_tag(CUSTOMER, [c.there(one)["id"] for one in people], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert [lists_of(c, one) for one in people] == [[news]] * 20
        assert len(c.made("POST", "/v3/activities/add_list_memberships")) == 1


@pytest.mark.parametrize("moves", ["yes", "no"])
def test_joining_and_leaving_a_list_moves_the_tag(moves: str) -> None:
    with Crossing(cc={"updated_at_on_list": moves}) as c:
        news, tips = c.a_list("Newsletter"), c.a_list("Tips")
        ann = linked(c, lists=[news])
        c.cc.person_leaves(CUSTOMER, ann, news, c.now())
        c.cc.person_joins(CUSTOMER, ann, tips, c.now())
        c.wait(hours=2 if moves == "yes" else 25)
        assert c.there(ann)["tags"] == ["CC: Tips"]
        assert lists_of(c, ann) == [tips]


@pytest.mark.parametrize("name", ["Food, Fun & Friends", "A; B", "Ünïcödé 名簿", "  spaced  out ", "CC: CC:"])
def test_a_list_of_any_name_is_one_tag(name: str) -> None:
    with Crossing() as c:
        listed = c.cc.add_list(CUSTOMER, name, c.now())
        tag = f"CC: {name.strip()}"
        c.v.add_tag(CUSTOMER, tag, c.now())
        ann = c.person(lists=[listed])
        c.connect()
        c.night()
        c.wait(minutes=10)
        assert c.there(ann)["tags"] == [tag]
        assert len(c.v.tags(CUSTOMER)) == 1
        assert c.standing(ann) == ("in_step", "")


def test_two_lists_are_two_tags() -> None:
    with Crossing() as c:
        lists = [c.a_list("Newsletter"), c.a_list("Food, Fun & Friends")]
        ann = linked(c, lists=lists)
        assert sorted(c.there(ann)["tags"]) == ["CC: Food, Fun & Friends", "CC: Newsletter"]
        assert len(c.v.tags(CUSTOMER)) == 2


def test_a_list_without_its_tag_is_withheld_until_staff_make_it() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter", tag=False)
        ann = linked(c, lists=[news])
        assert c.there(ann)["tags"] == [] and c.v.tags(CUSTOMER) == []
        c.v.add_tag(CUSTOMER, "CC: Newsletter", c.now())
        c.wait(hours=1, minutes=10)
        assert c.there(ann)["tags"] == ["CC: Newsletter"]
        assert lists_of(c, ann) == [news]


def test_a_renamed_list_keeps_its_tag() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c, lists=[news])
        written = len(c.writes())
        c.cc.rename_list(CUSTOMER, news, "The Letter", c.now())
        c.wait(hours=3)
        assert c.there(ann)["tags"] == ["CC: Newsletter"]
        assert lists_of(c, ann) == [news]
        assert len(c.writes()) == written


def test_a_renamed_tag_pauses_its_list_and_removes_nobody() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c, lists=[news])
        tag = next(one["id"] for one in c.v.tags(CUSTOMER))
        written = len(c.writes())
        c.v.rename_tag(CUSTOMER, tag, "Letters by mail", c.now())
        c.wait(hours=3)
        assert lists_of(c, ann) == [news]
        assert len(c.writes()) == written


def test_a_deleted_list_takes_no_tags_away() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c, lists=[news])
        c.cc.delete_list(CUSTOMER, news, c.now())
        c.wait(hours=3)
        assert c.there(ann)["tags"] == ["CC: Newsletter"]


def test_staffs_own_tags_are_nobodys_business() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        calls = len(c.made("POST", "/v3/activities"))
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Major donor", c.now())
        c.wait(hours=2)
        assert c.there(ann)["tags"] == ["Major donor"]
        assert len(c.made("POST", "/v3/activities")) == calls


def test_a_tag_does_nothing_for_somebody_who_opted_out() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.opts_out(ann)
        c.wait(minutes=20)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(hours=2)
        assert lists_of(c, ann) == []
        assert c.made("POST", "/v3/activities/add_list_memberships") == []


def test_an_opt_out_just_before_a_tag_is_seen_before_anything_widens() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.wait(minutes=1)
        c.opts_out(ann)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(hours=1)
        assert c.consents(ann) == [False]
        assert lists_of(c, ann) == []
        assert c.made("POST", "/v3/activities/add_list_memberships") == []


def test_a_job_that_leaves_somebody_out_is_made_up_for() -> None:
    with Crossing(cc={"activity_error_count": "1"}) as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=30)
        assert lists_of(c, ann) == [news]
        assert len(c.made("POST", "/v3/activities/add_list_memberships")) == 2
