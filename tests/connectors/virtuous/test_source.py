"""Polls, look-ups, tags, organization and subscription against the stand-in (Virtuous facts 8, 9, 11, 13.1)."""

import json
from typing import Any

import pytest

from keepstep.model.errors import Blocked, Permanent, Transient
from keepstep.ports import Page
from tests.connectors.virtuous.world import ORGANIZATION, START, World, run, said, scripted

DAY = 86400.0


async def pages(world: World, poll: str, since: float | None = None) -> list[Page]:
    found, cursor = list[Page](), None
    while True:
        found.append(await world.crm.changes(poll, since, cursor))
        cursor = found[-1].cursor
        if cursor is None:
            return found


def ids(found: list[Page]) -> list[int]:
    return [int(name) for page in found for name, _ in page.records]


def test_account_is_the_organization() -> None:
    """GET Organization/Current (Virtuous facts 2)."""
    assert run(World().crm.account()) == "67001"


def test_a_disabled_organization_blocks() -> None:
    """isEnabled false: stop and report (Virtuous facts 2)."""
    world = World()
    world.vendor.set_enabled(ORGANIZATION, False)
    with pytest.raises(Blocked) as caught:
        run(world.crm.account())
    assert caught.value.reason == "disabled"


@pytest.mark.parametrize(("said_zone", "zone"), [("US/Arizona", "US/Arizona"), ("US Mountain Time", "UTC"), (5, "UTC")])
def test_zone(said_zone: object, zone: str) -> None:
    """An IANA name, else UTC."""
    crm, _ = scripted(said(200, {"organizationUserId": 1, "organizationTimeZone": said_zone}))
    assert run(crm.zone()) == zone


def test_sweep_sees_everybody_once() -> None:
    """Pages of 500 in the order of ids, archived ones too (Virtuous facts 9)."""
    world = World()
    made = [world.add(email=f"p{number}@example.org") for number in range(1001)]
    world.vendor.staff_archives(ORGANIZATION, made[3], START)
    found = run(pages(world, "sweep"))
    assert ids(found) == made
    assert [len(page.records) for page in found] == [500, 500, 1]


@pytest.mark.switch("virtuous", "paging-place", "body")
def test_smaller_pages_than_asked_for_lose_nobody() -> None:
    """Were `take` ignored, pages would hold ten: the loop must not end there (Virtuous facts 6, 17)."""
    world = World(paging_place="body")
    made = [world.add(email=f"p{number}@example.org") for number in range(25)]
    assert ids(run(pages(world, "sweep"))) == made
    assert {name for name, _ in run(world.crm.read_many([str(number) for number in made]))} == set(map(str, made))


@pytest.mark.switch("virtuous", "query-date", "day", "instant")
@pytest.mark.parametrize("date", ["day", "instant"])
def test_changed_sees_what_changed_since(date: str) -> None:
    """Whole days in the organization's zone and one more; nothing changed since may be missing (Virtuous facts 9)."""
    world = World(query_date=date)
    old = world.add(email="old@example.org")
    world.clock.at += 30 * DAY
    since = world.clock.at
    new = world.add(email="new@example.org")
    touched = world.add(email="again@example.org")
    world.clock.at += 3600
    world.vendor.staff_archives(ORGANIZATION, touched, world.clock.at)
    assert ids(run(pages(world, "changed", since))) == [new, touched]
    assert old in ids(run(pages(world, "changed", None)))
    conditions = json.loads(world.sent("POST")[0].body)["groups"][0]["conditions"]
    # Thirty days after START, a day back, on the calendar of Phoenix.
    assert conditions == [{"parameter": "Last Modified Date", "operator": "OnOrAfter", "value": "2025-07-14"}]


def test_changed_without_the_parameter_reads_everything() -> None:
    """Not every organization has Last Modified Date (Virtuous facts 9)."""
    listed = {"list": [{"id": 4}], "total": 1}
    crm, script = scripted(said(200, {"options": [{"parameter": "Contact Id"}]}), said(200, listed))
    assert run(crm.changes("changed", START, "3")).records == (("4", {"id": 4}),)
    assert b"Modified" not in script.asked[1][2]


@pytest.mark.switch("virtuous", "modified-parameter", "absent")
def test_where_the_stand_in_has_no_such_parameter_nobody_is_missed() -> None:
    world = World(modified_parameter="absent")
    made = [world.add(email=f"p{number}@example.org") for number in range(3)]
    assert ids(run(pages(world, "changed", world.clock.at + 30 * DAY))) == made


def option(parameter: str, *operators: str) -> dict[str, Any]:
    return {"parameter": parameter, "operatorOptions": [{"operator": one} for one in operators]}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([option("Last Modified Date", "Is", "Before", "OnOrAfter")], "Last Modified Date OnOrAfter"),
        ([option("last modified date", "Is After", "Is After Or On")], "last modified date Is After Or On"),
        ([option("Last Modified Date", "Is", "After")], "Last Modified Date After"),
        ([option("Last Modified Date", "GreaterThan", "GreaterThanOrEqual")], "Last Modified Date GreaterThanOrEqual"),
        ([option("Last Modified DateTime UTC", "OnOrAfter")], "Last Modified DateTime UTC OnOrAfter"),
        ([{"parameter": "Last Modified Date"}], "Last Modified Date OnOrAfter"),
        ([option("Last Modified Date", "Is", "Before")], None),
        ([option("Create Date", "OnOrAfter")], None),
        ([], None),
    ],
)
def test_changes_are_asked_for_in_the_organizations_own_spelling(options: list[Any], found: str | None) -> None:
    """Parameters differ, and operators are spelled in several ways (Virtuous facts 9, 17)."""
    zone, listed = {"organizationUserId": 1, "organizationTimeZone": "UTC"}, {"list": [], "total": 0}
    crm, script = scripted(said(200, {"options": options}), *([said(200, zone)] if found else []), said(200, listed))
    assert run(crm.finds_changes()) == found
    run(crm.changes("changed", START, None))
    groups = json.loads(script.asked[-1][2])["groups"]
    asked = groups[0]["conditions"][0] if groups else {}
    assert (f"{asked['parameter']} {asked['operator']}" if asked else None) == found


def test_a_key_that_may_not_read_the_options_asks_as_everybody_does() -> None:
    crm, _ = scripted(said(403))
    assert run(crm.finds_changes()) == "Last Modified Date OnOrAfter"


def test_source_time_is_the_vendors() -> None:
    """HTTP Date, else the highest stamp; without Z it is UTC (Virtuous facts 6)."""
    rows = [{"id": 1, "modifiedDateTimeUtc": "2025-06-15T15:06:40.2933333"}, {"id": 2, "modifiedDateTimeUtc": 3}]
    crm, _ = scripted(said(200, {"list": rows}), said(200, {"list": rows}, date="Sun, 15 Jun 2025 15:06:41 GMT"))
    assert run(crm.changes("sweep", None, None)).source_time == pytest.approx(START + 0.293, abs=0.001)
    assert run(crm.changes("sweep", None, None)).source_time == START + 1


@pytest.mark.parametrize("rows", [[{"id": 8}, {"id": 7}], [{"id": 3}, {"id": 9}], [{}] * 500])
def test_a_page_out_of_order_is_no_page(rows: list[Any]) -> None:
    """The cursor rests on the order of ids: going on would lose people."""
    crm, _ = scripted(said(200, {"list": rows}))
    with pytest.raises(Permanent):
        run(crm.changes("sweep", None, "5"))


def test_rows_that_cannot_be_read_are_counted() -> None:
    crm, _ = scripted(said(200, {"list": [{"id": 1}, None, {"id": "x"}, {}], "total": 4}))
    page = run(crm.changes("sweep", None, None))
    assert (len(page.records), page.poison, page.cursor) == (1, 3, None)


def test_read_many_is_one_call_for_hundreds() -> None:
    """OR-ed groups of ids (Virtuous facts 9); archived ones are read, unknown ones are absent."""
    world = World()
    made = [world.add(email=f"p{number}@example.org") for number in range(600)]
    world.vendor.staff_archives(ORGANIZATION, made[0], START)
    found = run(world.crm.read_many([*map(str, made), "999999", "no-id"]))
    assert [int(name) for name, _ in found] == made
    assert len(world.requests) == 2


def test_find_gives_everyone_with_an_address() -> None:
    """Two contacts may share an e-mail; case does not matter (Virtuous facts 8, 18.4)."""
    world = World()
    two = [world.add(email="Shared@example.org"), world.add(email="shared@example.org")]
    one = world.add(email="o'hara+x@example.org")
    world.vendor.staff_archives(ORGANIZATION, two[1], START)
    found = run(world.crm.find(["shared@example.org", "o'hara+x@example.org", "nobody@example.org"]))
    assert sorted(int(name) for name, _ in found) == sorted([*two, one])
    run(world.crm.find(["x@example.org"]))
    assert len(world.sent("GET", "/api/Contact/QueryOptions")) == 1


@pytest.mark.parametrize("options", [said(403), said(200, {"options": []})])
def test_find_without_the_parameter_asks_one_by_one(options: Any) -> None:
    """QueryOptions differs per organization (Virtuous facts 9)."""
    crm, script = scripted(options, said(200, {"id": 5}), said(404))
    assert run(crm.find(["a+b@example.org", "no@example.org"])) == [("5", {"id": 5})]
    assert script.asked[1][1] == "/api/Contact/Find?email=a%2Bb%40example.org"


def test_by_reference() -> None:
    """The source's space is encoded; 404 is nobody yet (Virtuous facts 8)."""
    world = World()
    made = world.add(contactReferences=[{"source": "Constant Contact", "id": "cc/1"}])
    found = run(world.crm.by_reference("cc/1"))
    assert found is not None and found[0] == str(made)
    assert world.requests[-1].path == "/api/Contact/Constant%20Contact/cc%2F1"
    assert run(world.crm.by_reference("cc-2")) is None


def test_the_home_of_an_individual_is_asked_for_by_its_id() -> None:
    """It names its contact wherever staff have moved it (Virtuous facts 8)."""
    world = World()
    made, other = world.add(), world.add()
    number = world.person(made)["id"]
    assert run(world.crm.home_of(str(number))) == str(made)
    world.vendor.staff_moves_individual(ORGANIZATION, number, other, START)
    assert run(world.crm.home_of(str(number))) == str(other)
    assert run(world.crm.home_of("999999")) is None
    crm, _ = scripted(said(200, text=b"[]"))
    assert run(crm.home_of("1")) is None


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}"])
def test_an_answer_that_is_no_contact_is_not_nobody(body: bytes) -> None:
    """Unknown is never absent: that would create a person twice."""
    crm, _ = scripted(said(200, text=body))
    with pytest.raises(Transient):
        run(crm.by_reference("cc-1"))


def test_tags_of_all_pages() -> None:
    """Names are not unique; the default page holds ten (Virtuous facts 6, 11)."""
    world = World()
    made = [world.vendor.add_tag(ORGANIZATION, f"CC: {number // 2}", START) for number in range(1010)]
    assert run(world.crm.tags()) == [(str(tag), f"CC: {at // 2}") for at, tag in enumerate(made)]


def test_subscription() -> None:
    """Every event is asked for; the vendor tells the secret and we do not pass it on (Virtuous facts 13.1)."""
    world = World()
    made = run(world.crm.subscribe("https://keepstep.example.org/hook", "made-up-secret"))
    seen = run(world.crm.subscription(made))
    assert seen is not None and seen["payloadUrl"] == "https://keepstep.example.org/hook"
    assert [name for name, value in seen.items() if value is False] == []
    assert sum(value is True for value in seen.values()) == 16
    assert "made-up-secret" not in json.dumps(seen)
    assert run(world.crm.subscription("999999")) is None


URL, SIGNS = "https://keepstep.example.org/hook", "made-up-secret"


def test_a_good_subscription_is_left_alone_and_one_that_is_gone_is_said_to_be() -> None:
    world = World()
    made = run(world.crm.subscribe(URL, SIGNS))
    assert run(world.crm.resubscribe(made, URL, SIGNS)) == "good"
    assert world.sent("PUT") == []
    assert run(world.crm.resubscribe("999999", URL, SIGNS)) == "gone"
    crm, _ = scripted(said(200, {"id": 5, "active": False}), said(404))
    assert run(crm.resubscribe("5", URL, SIGNS)) == "gone"


@pytest.mark.parametrize(
    ("name", "value"), [("active", False), ("eventDelete", False), ("payloadUrl", "https://else.org"), ("secret", "x")]
)
def test_a_subscription_that_is_another_one_is_written_whole(name: str, value: Any) -> None:
    """An omitted toggle would become false (Virtuous facts 13.1)."""
    world = World()
    made = run(world.crm.subscribe(URL, SIGNS))
    subscription = world.vendor._organizations[ORGANIZATION].subscriptions[int(made)]
    whole = dict(subscription.fields)
    subscription.fields[name] = value
    assert run(world.crm.resubscribe(made, URL, SIGNS)) == "repaired"
    assert subscription.fields == whole
    assert run(world.crm.resubscribe(made, URL, SIGNS)) == "good"


def test_a_secret_that_the_vendor_hides_is_no_difference() -> None:
    world = World()
    made = run(world.crm.subscribe(URL, SIGNS))
    shown = run(world.crm.subscription(made))
    crm, script = scripted(said(200, shown))
    assert run(crm.resubscribe(made, URL, SIGNS)) == "good" and len(script.asked) == 1


def test_a_contact_that_carries_another_reference_is_not_the_one_asked_for() -> None:
    """The route shares its pattern with others (Virtuous facts 8)."""
    mine = {"id": 5, "contactReferences": [{"source": "Raise", "id": "7"}, {"source": "Constant Contact", "id": "c1"}]}
    crm, _ = scripted(said(200, mine), said(200, mine), said(200, {"id": 5, "contactReferences": None}))
    assert run(crm.by_reference("c1")) == ("5", mine)
    with pytest.raises(Transient):
        run(crm.by_reference("c2"))
    assert run(crm.by_reference("c3")) is not None, "old answers have no references (Virtuous facts 7.1)"


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\uD83Dx", "\\\\\\ud83d"])
def test_half_a_character_does_not_make_a_page_unreadable_for_ever(half: str) -> None:
    """A name that was cut at its column's end."""
    page = '{"list":[{"id":1,"name":"A' + half + '"},{"id":2,"name":"\\ud83d\\ude00 \\\\ud83d"}],"total":2}'
    crm, _ = scripted(said(200, text=page.encode()))
    [first, second] = run(crm.changes("sweep", None, None)).records
    assert "\ufffd" in first[1]["name"] and second[1]["name"] == "\U0001f600 \\ud83d"


def test_pages_that_repeat_are_not_read_for_ever() -> None:
    """Where `skip` is ignored the first page comes again (Virtuous facts 6)."""
    full = {"list": [{"id": number, "tagName": f"T{number}"} for number in range(1, 1001)], "total": 1500}
    crm, script = scripted(*[said(200, full)] * 50)
    with pytest.raises(Transient):
        run(crm.tags())
    assert len(script.asked) == 2
