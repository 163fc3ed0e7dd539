"""Imports against the stand-in: the body, its measure, and what each step came to (CC facts 7.1, 7.2)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from keepstep.connectors.constant_contact import ConstantContact
from keepstep.connectors.constant_contact.imports import row_of, weight
from keepstep.connectors.constant_contact.roll import PIECE
from keepstep.model.change import Accepted, Call, Dead, Done, Nothing, Retry
from keepstep.model.errors import Permanent, Unanswered
from keepstep.model.feed_decide import DAY
from tests.connectors.constant_contact.world import ACCOUNT, START, Clock, World, call, run, said, scripted

PATH = "/v3/activities/contacts_json_import"


def row(lists: list[str], mail: str = "bob@example.org", **more: Any) -> dict[str, Any]:
    return {"email": mail, "first_name": "Bob", "list_ids": lists, "kept": [], "revive": False, **more}


def rows(lists: list[str], count: int, **more: Any) -> list[dict[str, Any]]:
    return [row(lists, f"p{n}@example.org", **more) for n in range(count)]


def sent(world: World) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in world.sent("POST") if one.path == PATH]


def write(world: World, asked: Call) -> Any:
    return run(world.cc.write(asked))


def ended(world: World, asked: Call, looks: int = 20) -> Any:
    """Written, followed to its end; the outcomes, and how many looks it took."""
    outcomes = write(world, asked)
    for number in range(looks):
        if not isinstance(outcomes[0], Accepted):
            return outcomes, number
        asked = replace(asked, vendor_id=outcomes[0].vendor_id, sent_at=asked.sent_at or world.clock.at)
        world.later(outcomes[0].look_after)
        outcomes = run(world.cc.look(asked))
    raise AssertionError("it never ends")


# --- the body --------------------------------------------------------------------------------------------------------


def test_a_row_is_flat_and_has_only_what_is_said() -> None:
    place = {"kind": "home", "street": "1 Main St", "city": "Mesa", "state": "AZ", "postal": "85201", "country": "US"}
    full = row(["L"], last_name="Poe", phone={"kind": "other", "raw": "415 555 2671"}, address=place)
    full |= {"custom": {"Shoe Size": "44", "Unheard": "x"}}
    assert row_of(full, {"Shoe Size": "shoe_size"}) == {
        "email": "bob@example.org",
        "first_name": "Bob",
        "last_name": "Poe",
        "other_phone": "415 555 2671",
        "street": "1 Main St",
        "city": "Mesa",
        "state": "AZ",
        "zip": "85201",
        "country": "US",
        "cf:shoe_size": "44",
    }
    assert row_of(row(["L"]), {}) == {"email": "bob@example.org", "first_name": "Bob"}


def test_rows_weigh_what_the_body_holds_in_any_script() -> None:
    """The vendor drops what is beyond its limit in silence, so the measure may be too large and never too small."""
    world = World()
    news = [world.new_list("News")]
    world.vendor.add_custom_field(ACCOUNT, "Size", START)
    some = [
        row(news, f"p{n}@example.org", last_name="Ñandú 北京 \U0001f600" * 5, custom={"Size": "ß"}) for n in range(50)
    ]
    asked = call("import", *some)
    write(world, asked)
    [request] = [one for one in world.sent("POST") if one.path == PATH]
    measured = sum(weight(step) for step in asked.steps)
    assert measured - 50 * 50 <= len(request.body) - len(json.dumps({"import_data": [], "list_ids": news})) <= measured


@pytest.mark.parametrize(
    "payloads", [[row(["L"]), row(["M"], "x@example.org")], [row([])], rows(["L"], 40_001)], ids=["two", "none", "many"]
)
def test_a_call_of_another_shape_is_refused(payloads: list[dict[str, Any]]) -> None:
    cc, script, _ = scripted()
    with pytest.raises(Permanent):
        run(cc.write(call("import", *payloads)))
    assert script.asked == []


def test_any_success_with_an_id_is_one_and_one_without_is_unknown() -> None:
    page = said(200, {"contacts": []})
    cc, _, _ = scripted(page, said(202, {"activity_id": "a1"}), said(201, {"state": "initialized"}))
    asked = call("import", row(["L"]))
    assert run(cc.write(asked)) == [Accepted("a1", 30.0)]
    with pytest.raises(Unanswered):
        run(cc.write(asked))


# --- before ----------------------------------------------------------------------------------------------------------


def test_who_is_deleted_or_left_a_list_is_told_before_anything_is_sent() -> None:
    world = World()
    news = [world.new_list("News")]
    gone = world.person(email="p0@example.org", first_name="A")
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    world.person(email="p2@example.org", first_name="C", lists=news)
    some = rows(news, 4)
    some[1]["kept"] = some[2]["kept"] = news
    outcomes = write(world, call("import", *some))
    assert outcomes[0] == Nothing({"left_out": "deleted"}) and outcomes[1] == Nothing({"left": news})
    assert [type(one) for one in outcomes[2:]] == [Retry, Retry] and sent(world) == []
    rest, _ = ended(world, call("import", *some[2:]))
    assert rest == [Done(), Done()]


def test_a_large_account_is_read_in_pieces_before_an_import() -> None:
    """No piece holds the slot for long; what was read is not read again."""
    page = said(200, {"contacts": [], "_links": {"next": {"href": "/v3/contacts?cursor=x"}}})
    last = said(200, {"contacts": []})

    class Slow:
        def __init__(self) -> None:
            self.asked, self.clock = 0, Clock()

        async def __call__(self, method: str, url: str, headers: Any, body: bytes = b"", timeout: float = 30.0) -> Any:
            self.asked += 1
            self.clock.at += 1.0
            if method == "POST":
                return said(201, {"activity_id": "a1"})
            href = page.body.replace(b"cursor=x", b"cursor=%d" % self.asked)
            return last if self.asked == 50 else replace(page, body=href)

    _, _, connection = scripted()
    slow = Slow()
    cc = ConstantContact(replace(connection, http=slow, clock=slow.clock))
    outcomes: Any = [Retry(0.0)]
    pieces = []
    while isinstance(outcomes[0], Retry):
        began = slow.clock.at
        outcomes = run(cc.write(call("import", row(["L"]))))
        pieces.append(slow.clock.at - began)
    assert outcomes == [Accepted("a1", 30.0)] and max(pieces) <= PIECE + 1 and len(pieces) == 3
    assert slow.asked == 51


# --- after -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 25])
def test_counts_that_are_those_sent_prove_an_import_without_reading_anybody(count: int) -> None:
    world = World()
    outcomes, _ = ended(world, call("import", *rows([world.new_list("News")], count)))
    assert outcomes == [Done()] * count
    read = [one for one in world.sent("GET") if "contacts" in one.path and "status=deleted" not in one.query]
    assert read == []


@pytest.mark.parametrize("count", [3, 25])
def test_who_cannot_be_put_on_a_list_is_found_by_reading(count: int) -> None:
    world = World()
    news = [world.new_list("News")]
    out = world.person(email="p1@example.org", first_name="B")
    world.vendor.person_opts_out(ACCOUNT, out, world.clock.at)
    outcomes, _ = ended(world, call("import", *rows(news, count)))
    assert outcomes[0] == Done() and outcomes[2] == Done()
    # Of many a page of the list tells only who is on it: the slow way reads who is not.
    assert outcomes[1] == (Nothing({"left_out": "opted_out"}) if count == 3 else Retry(0.0, outcomes[1].reason))


@pytest.mark.parametrize("end", ["failed", "cancelled", "timed_out"])
def test_a_job_that_broke_off_is_made_again_for_those_it_did_not_get_to(end: str) -> None:
    world = World(activity_end=end, activity_stops="half_way")
    outcomes, _ = ended(world, call("import", *rows([world.new_list("News")], 4)))
    assert [type(one) for one in outcomes] == [Done, Done, Retry, Retry]
    assert {one.reason for one in outcomes[2:]} == {"the vendor did not take the import"}


def test_an_import_of_the_same_size_that_somebody_else_made_proves_nothing() -> None:
    world = World()
    news, other = [world.new_list("News")], [world.new_list("Other")]
    write(world, call("import", *rows(other, 2)))
    world.later(60)
    asked = replace(call("import", *[row(news, f"x{n}@example.org") for n in range(2)]), sent_at=world.clock.at - 30)
    outcomes = run(world.cc.look(asked))
    while isinstance(outcomes[0], Accepted):
        asked = replace(asked, vendor_id=outcomes[0].vendor_id)
        world.later(30)
        outcomes = run(world.cc.look(asked))
    assert all(isinstance(one, Retry) for one in outcomes)


def test_many_jobs_are_followed_by_one_call() -> None:
    world = World(activity_duration="900")
    news = [world.new_list("News")]
    jobs = [write(world, call("import", row(news, f"p{n}@example.org")))[0].vendor_id for n in range(5)]
    before = len(world.requests)
    for one in jobs:
        found = run(world.cc.look(call("import", row(news), vendor_id=one, sent_at=world.clock.at)))
        assert found == [Accepted(one, 30.0)]
    assert len(world.requests) - before == 1


# --- one by one ------------------------------------------------------------------------------------------------------


def one(world: World, payload: dict[str, Any], **more: Any) -> Any:
    [outcome] = run(world.cc.write(replace(call("import_one", payload), **more)))
    return outcome


def test_somebody_new_is_created_and_a_second_time_nothing_is_written() -> None:
    world = World()
    news = [world.new_list("News")]
    assert one(world, row(news, phone={"kind": "other", "raw": "+44 20 7946 0958"})) == Done()
    written = len(world.sent("POST")) + len(world.sent("PUT"))
    assert one(world, row(news, phone={"kind": "other", "raw": "+44 20 7946 0958"})) == Done()
    assert len(world.sent("POST")) + len(world.sent("PUT")) == written


def test_what_the_row_does_not_say_stays() -> None:
    world = World()
    news, old = [world.new_list("News")], world.new_list("Old")
    field = world.vendor.add_custom_field(ACCOUNT, "Hobby", START)
    size = world.vendor.add_custom_field(ACCOUNT, "Size", START)
    bob = world.person(
        email="bob@example.org",
        first_name="Bobby",
        last_name="P",
        permission="explicit",
        phones=[("home", "555 0100"), ("other", "555 0101")],
        addresses=[{"kind": "home", "street": "1 Main St", "city": "Mesa"}, {"kind": "work", "city": "Tempe"}],
        lists=[old],
        job_title="Boss",
        custom_fields=[{"custom_field_id": field, "value": "chess"}],
    )
    payload = row(
        news,
        phone={"kind": "other", "raw": "+44 20 7946 0958"},
        address={"kind": "home", "city": "Ely"},
        custom={"Size": "44", "Unheard": "x"},
    )
    assert one(world, payload) == Done({"unknown_fields": ["Unheard"]})
    now = world.contact(bob)
    assert (now["first_name"], now.get("last_name"), now.get("job_title")) == ("Bob", "P", "Boss")
    assert sorted((each["kind"], each["phone_number"]) for each in now["phone_numbers"]) == [
        ("home", "555 0100"),
        ("other", "+44 20 7946 0958"),
    ]
    places = {each["kind"]: (each.get("street"), each["city"]) for each in now["street_addresses"]}
    assert places == {"home": ("1 Main St", "Ely"), "work": (None, "Tempe")}
    assert sorted(now["list_memberships"]) == sorted([*news, old])
    assert {each["custom_field_id"]: each["value"] for each in now["custom_fields"]} == {field: "chess", size: "44"}
    assert now["email_address"]["permission_to_send"] == "explicit"
    assert one(world, payload) == Done({"unknown_fields": ["Unheard"]}) and len(world.sent("PUT")) == 1


@pytest.mark.parametrize("hidden", ["yes", "no"])
def test_who_was_deleted_is_revived_only_where_the_step_says_so(hidden: str) -> None:
    world = World(email_finds_deleted=hidden)
    news = [world.new_list("News")]
    bob = world.person(email="bob@example.org", first_name="Bob")
    world.vendor.delete(ACCOUNT, bob, world.clock.at)
    assert one(world, row(news)) == Nothing({"left_out": "deleted"})
    assert world.contact(bob).get("deleted_at")
    before, after = (world.clock.at + days * DAY for days in (-2, 2))
    assert one(world, row(news, revive=True, permission_at=before)) == Nothing({"left_out": "deleted"}), "again since"
    assert one(world, row(news, revive=True, permission_at=after)) == Done()
    assert not world.contact(bob).get("deleted_at") and world.contact(bob)["list_memberships"] == news


@pytest.mark.parametrize(("permission", "reason"), [("unsubscribed", "opted_out"), ("temp_hold", "not_mailable")])
def test_who_may_not_be_mailed_is_not_written(permission: str, reason: str) -> None:
    world = World()
    news = [world.new_list("News")]
    world.person(email="bob@example.org", first_name="Bobby", permission=permission)
    assert one(world, row(news, revive=True)) == Nothing({"left_out": reason})
    assert world.sent("PUT") == []


def test_whom_the_import_made_and_who_is_off_the_list_by_now_has_left_it() -> None:
    world = World()
    news = [world.new_list("News")]
    began = world.clock.at
    outcomes, _ = ended(world, call("import", row(news)))
    assert outcomes == [Done()]
    [bob] = world.vendor.contacts(ACCOUNT)
    world.vendor.person_leaves(ACCOUNT, bob["contact_id"], news[0], world.clock.at)
    assert one(world, row(news, since=began)) == Nothing({"left": news})
    assert one(world, row(news)) == Done(), "by a row that no import was made of"


def test_a_fifty_first_list_is_refused() -> None:
    world = World()
    lists = [world.new_list(f"L{n}") for n in range(51)]
    world.person(email="bob@example.org", first_name="Bob", lists=lists[:50])
    assert isinstance(one(world, row(lists[50:])), Dead)


def test_a_look_writes_nothing_and_tells_what_is_there() -> None:
    world = World()
    news = [world.new_list("News")]
    asked = call("import_one", row(news), sent_at=world.clock.at + 600)
    assert isinstance(run(world.cc.look(asked))[0], Retry)
    world.person(email="bob@example.org", first_name="Bobby")
    assert isinstance(run(world.cc.look(asked))[0], Retry)
    assert one(world, row(news)) == Done()
    assert run(world.cc.look(asked)) == [Done()]
    bob = world.vendor.contacts(ACCOUNT)[0]["contact_id"]
    world.vendor.person_opts_out(ACCOUNT, bob, world.clock.at)
    assert run(world.cc.look(asked)) == [Nothing({"left_out": "opted_out"})]
