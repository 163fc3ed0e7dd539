"""Tags whose list does not exist, lists that are deleted, and people who are on as many as they may be."""

import pytest

from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_consent import linked
from tests.flows.test_lists import lists_of

CREATE = {"missing_lists": "create"}
POSTED = "/v3/contact_lists"


def names(c: Crossing) -> list[str]:
    return [one["name"] for one in c.cc.lists(CUSTOMER) if "deleted_at" not in one]


def tag(c: Crossing, record: str, name: str, make: bool = True) -> None:
    if make:
        c.v.add_tag(CUSTOMER, name, c.now())
    c.v.staff_adds_tag(CUSTOMER, c.there(record)["id"], name, c.now())


def test_a_tag_without_a_list_waits_and_says_so() -> None:
    with Crossing() as c:
        ann = linked(c)
        tag(c, ann, "CC: Soon")
        c.wait(hours=2)
        assert [(one["tag"], one["reason"]) for one in c.status()["tags_without_list"]] == [("CC: Soon", "no_list")]
        assert len(c.lines("list_missing")) == 1
        assert names(c) == [] and c.made("POST", POSTED) == []
        assert c.standing(ann) == ("in_step", "")
        soon = c.cc.add_list(CUSTOMER, "Soon", c.now())
        c.wait(hours=2)
        assert lists_of(c, ann) == [soon]
        assert c.status()["tags_without_list"] == []


def test_or_gets_its_list_where_the_route_says_so() -> None:
    with Crossing(policy=CREATE) as c:
        ann = linked(c)
        tag(c, ann, "CC: Soon")
        tag(c, ann, "Major donor")
        c.wait(hours=3)
        assert names(c) == ["Soon"]
        assert lists_of(c, ann) == [one["list_id"] for one in c.cc.lists(CUSTOMER)]
        assert c.there(ann)["tags"] == ["CC: Soon", "Major donor"]
        assert len(c.made("POST", POSTED)) == 1
        assert len(c.lines("list_made")) == 1


@pytest.mark.parametrize("fault", ["503", "reset_after", "truncated"])
def test_a_list_whose_answer_was_lost_is_made_once(fault: str) -> None:
    with Crossing(policy=CREATE) as c:
        ann = linked(c)
        c.faults.arm(fault, vendor="constant_contact", method="POST", path=POSTED)
        tag(c, ann, "CC: Soon")
        c.wait(hours=4)
        assert names(c) == ["Soon"]
        assert lists_of(c, ann) == [one["list_id"] for one in c.cc.lists(CUSTOMER)]


def test_a_list_that_somebody_made_at_the_same_moment_is_used() -> None:
    with Crossing(policy=CREATE) as c:
        ann = linked(c)
        true_handle = c.cc.handle

        def handle(request, now):  # type: ignore[no-untyped-def]
            if request.method == "POST" and request.path == POSTED and not names(c):
                c.cc.add_list(CUSTOMER, "Soon", now)
            return true_handle(request, now)

        c.cc.handle = handle  # type: ignore[method-assign]
        tag(c, ann, "CC: Soon")
        c.wait(hours=3)
        assert names(c) == ["Soon"]
        assert lists_of(c, ann) == [one["list_id"] for one in c.cc.lists(CUSTOMER)]


@pytest.mark.parametrize("stage", ["observe", "one_way"])
def test_no_list_is_made_where_nothing_may_be_written_there(stage: str) -> None:
    with Crossing(policy={**CREATE, "stage": stage}) as c:
        c.person()
        c.v.add_tag(CUSTOMER, "CC: Soon", c.now())
        c.connect()
        c.wait(hours=3)
        assert c.made("POST", POSTED) == [] and names(c) == []


@pytest.mark.parametrize("policy", [{}, CREATE])
@pytest.mark.parametrize("poll", ["lists", "changed"])
def test_a_deleted_list_takes_nobodys_tag_whichever_is_read_first(poll: str, policy: dict[str, str]) -> None:
    """The contacts may be read without the list before anybody knows that the list is gone."""
    with Crossing({"updated_at_on_list": "yes"}, policy=policy, cadence={poll: 300.0}) as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(lists=[news]), c.person("bob@example.org", first="Bob", last="Ray", lists=[news])
        c.connect()
        c.night()
        c.cc.delete_list(CUSTOMER, news, c.now())
        c.wait(hours=30)
        for one in (ann, bob):
            assert c.there(one)["tags"] == ["CC: Newsletter"]
        assert names(c) == []
        assert [one["reason"] for one in c.status()["tags_without_list"]] == ["list_gone"]


def test_a_list_made_again_by_the_same_name_takes_over_the_tag() -> None:
    with Crossing({"updated_at_on_list": "yes"}) as c:
        news = c.a_list("Newsletter")
        ann = linked(c, lists=[news])
        c.cc.delete_list(CUSTOMER, news, c.now())
        again = c.cc.add_list(CUSTOMER, "Newsletter", c.now())
        c.wait(hours=30)
        assert c.there(ann)["tags"] == ["CC: Newsletter"]
        assert lists_of(c, ann) == [again]
        c.cc.person_leaves(CUSTOMER, ann, again, c.now())
        c.wait(hours=30)
        assert c.there(ann)["tags"] == []


def test_the_fifty_first_list_waits_until_one_is_left() -> None:
    with Crossing({"updated_at_on_list": "yes"}) as c:
        many = [c.cc.add_list(CUSTOMER, f"List {number:02}", c.now()) for number in range(49)]
        news, gifts = c.a_list("Newsletter"), c.a_list("Gifts")
        ann = linked(c, lists=many)
        contact = c.there(ann)["id"]
        for name in ("CC: Newsletter", "CC: Gifts"):
            c.v.staff_adds_tag(CUSTOMER, contact, name, c.now())
        c.wait(hours=2)
        assert c.standing(ann) == ("parked", "list_limit")
        assert len(lists_of(c, ann)) == 50
        assert len([one for one in (news, gifts) if one in lists_of(c, ann)]) == 1
        jobs = len(c.made("POST", "/v3/activities/add_list_memberships"))
        assert jobs == 1
        c.wait(hours=12)
        assert len(c.made("POST", "/v3/activities/add_list_memberships")) == jobs
        c.cc.person_leaves(CUSTOMER, ann, many[0], c.now())
        c.wait(hours=2)
        assert {news, gifts} <= set(lists_of(c, ann))
        assert c.standing(ann) == ("in_step", "")
        assert c.letters() == []
