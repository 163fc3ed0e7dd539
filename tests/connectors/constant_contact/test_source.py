"""Polls, pages, lists and single reads against the stand-in and its switches (CC facts 1, 5.1, 5.4, 6.1)."""

from typing import Any

import pytest

from keepstep.model.contact import Consent
from keepstep.model.errors import Permanent, Transient
from keepstep.ports import Page
from tests.connectors.constant_contact.world import ACCOUNT, START, World, run, said, scripted


async def pages(world: World, poll: str, since: float | None = None) -> list[Page]:
    found, cursor = list[Page](), None
    while True:
        found.append(await world.cc.changes(poll, since, cursor))
        cursor = found[-1].cursor
        if cursor is None:
            return found


def ids(found: list[Page]) -> set[str]:
    return {record for page in found for record, _ in page.records}


def test_account_is_the_tenant_key() -> None:
    """GET /account/summary, encoded_account_id (CC facts 9)."""
    assert run(World().cc.account()) == ACCOUNT


@pytest.mark.parametrize("value", [{}, [], {"encoded_account_id": ""}, {"encoded_account_id": 7}])
def test_a_summary_without_the_key_names_no_tenant(value: object) -> None:
    """Whose data it is must never be guessed (CC facts 2.3)."""
    cc, _, _ = scripted(said(200, value))
    with pytest.raises(Transient):
        run(cc.account())


@pytest.mark.parametrize("last", ["empty_links", "no_links", "next_null"])
def test_sweep_reads_every_page_and_deleted_contacts(last: str) -> None:
    """Pages end with {} , without _links or with null; status=all shows deletions (CC facts 1, 5.1)."""
    world = World(last_page=last)
    people = {world.person(email=f"p{number}@example.org") for number in range(501)}
    gone = min(people)
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    found = run(pages(world, "sweep"))
    assert [len(page.records) for page in found] == [500, 1]
    assert ids(found) == people
    raw = dict(record for page in found for record in page.records)[gone]
    assert world.cc.snapshot(raw, START).deleted


def test_a_cursor_is_sent_unchanged() -> None:
    """Call host + href, add no parameters (CC facts 1, paging)."""
    world = World(cursor_extra="400")
    for number in range(501):
        world.person(email=f"p{number}@example.org")
    first = run(world.cc.changes("sweep", None, None))
    run(world.cc.changes("sweep", None, first.cursor))
    assert f"{world.requests[-1].path}?{world.requests[-1].query}" == first.cursor


@pytest.mark.parametrize("dialect", ["z", "millis", "offset", "mixed"])
def test_an_opt_out_is_missed_by_changed_and_found_by_opted_out(dialect: str) -> None:
    """An unsubscribe does not move the contact's updated_at (CC facts 5.4)."""
    world = World(date_dialect=dialect)
    person = world.person(email="ann@example.org", permission="explicit")
    world.later(7200)
    world.vendor.person_opts_out(ACCOUNT, person, world.clock.at, "too many")
    since = world.clock.at - 600
    assert ids(run(pages(world, "changed", since))) == set()
    [page] = run(pages(world, "opted_out", since))
    seen = world.cc.snapshot(page.records[0][1], world.clock.at)
    assert (seen.consent, seen.opt_out_source, seen.opt_out_reason) == (Consent.opted_out, "Contact", "too many")
    assert seen.opt_out_at == since + 600


def test_changed_asks_for_everything_since() -> None:
    """Without include only core properties come back (CC facts 5.1)."""
    world = World()
    daily = world.new_list("Daily, weekly")
    old = world.person(email="old@example.org")
    world.later(7200)
    new = world.person(email="new@example.org", phones=[("home", "555 0100")], lists=[daily])
    [page] = run(pages(world, "changed", world.clock.at - 60))
    assert old not in dict(page.records)
    seen = world.cc.snapshot(dict(page.records)[new], START)
    assert (seen.whole, seen.lists, seen.phones[0].raw) == (True, (daily,), "555 0100")


def test_source_time_is_the_vendors() -> None:
    """The Date header, else the highest stamp of the page (CC facts 5.4)."""
    world = World()
    world.person(email="ann@example.org")
    world.later(500)
    assert run(world.cc.changes("sweep", None, None)).source_time == int(world.clock.at)
    row = {"contact_id": "c1", "updated_at": "2025-01-01T00:00:00Z", "email_address": {"opt_out_date": "2025-01-02"}}
    silent, _, _ = scripted(said(200, {"contacts": [row]}))
    assert run(silent.changes("sweep", None, None)).source_time == 1_735_776_000.0


def test_poison_rows_are_counted_and_skipped() -> None:
    """Any key may be missing (CC facts 5.2); one broken row must not stop a page."""
    rows: list[Any] = [{"contact_id": "c1"}, None, 7, {}, {"contact_id": 5}, {"contact_id": ""}, ["x"]]
    cc, _, _ = scripted(said(200, {"contacts": rows}))
    page = run(cc.changes("sweep", None, None))
    assert (len(page.records), page.poison) == (1, 6)


def test_half_a_character_does_not_make_a_page_unreadable() -> None:
    """Rust and C parsers refuse a lone surrogate; the other 499 people of the page are still there."""
    cc, _, _ = scripted(said(200, text=b'{"contacts":[{"contact_id":"c1","first_name":"A\\ud800"}]}'))
    [(_, raw)] = run(cc.changes("sweep", None, None)).records
    assert raw["first_name"] == "A�"


@pytest.mark.parametrize("value", [{}, [], None, {"contacts": None}, {"contacts": {}}])
def test_a_page_without_rows_is_no_empty_page(value: object) -> None:
    """An empty result is `contacts: []` (CC facts 5.1); unknown is never success."""
    cc, _, _ = scripted(said(200, value))
    with pytest.raises(Transient):
        run(cc.changes("sweep", None, None))


def test_202_is_not_an_empty_page() -> None:
    """A search that is still processing is asked again (CC facts 5.1)."""
    cc, _, _ = scripted(said(202, {"contacts": [], "status": "processing"}))
    with pytest.raises(Transient):
        run(cc.changes("sweep", None, None))


def test_a_link_that_leads_back_is_refused() -> None:
    """Loop guard (CC facts 11)."""
    back = {"contacts": [], "_links": {"next": {"href": "/v3/contacts?cursor=x"}}}
    cc, _, _ = scripted(said(200, back))
    with pytest.raises(Transient):
        run(cc.changes("sweep", None, "/v3/contacts?cursor=x"))
    first, second = ({"lists": [], "_links": {"next": {"href": f"/v3/contact_lists?cursor={mark}"}}} for mark in "ab")
    listing, _, _ = scripted(said(200, first), said(200, second), said(200, first), said(200, second))
    with pytest.raises(Transient):
        run(listing.lists())


def test_unknown_polls_are_refused() -> None:
    """A spelling mistake must not become a full sweep."""
    with pytest.raises(Permanent):
        run(World().cc.changes("everything", None, None))


@pytest.mark.parametrize("keeps", ["no", "yes"])
def test_deletions_are_polled_by_status_alone(keeps: str) -> None:
    """A deletion may not move updated_at, and deleted_at is a bare date (CC facts 5.4, 5.5): no bound is safe."""
    world = World(updated_at_on_deletion=keeps)
    [gone, _there] = [world.person(email=f"p{number}@example.org") for number in range(2)]
    world.later(7200)
    world.vendor.delete(ACCOUNT, gone, world.clock.at)
    [page] = run(pages(world, "deleted", world.clock.at + 3600))
    assert [record for record, _ in page.records] == [gone]
    seen = world.cc.snapshot(page.records[0][1], world.clock.at)
    assert (seen.deleted, seen.whole, seen.lists, seen.tags) == (True, True, None, None)
    assert seen.deleted_at is not None and seen.deleted_at % 86_400 == 0
    assert "updated_after" not in world.requests[-1].query


def test_a_page_may_be_smaller_and_a_round_keeps_its_size() -> None:
    """Poison is found by splitting a page; a cursor holds the limit of its first call (CC facts 1, paging)."""
    world = World()
    for number in range(5):
        world.person(email=f"p{number}@example.org")
    first = run(world.cc.changes("sweep", None, None, size=2))
    second = run(world.cc.changes("sweep", None, first.cursor, size=2))
    assert [len(page.records) for page in (first, second)] == [2, 2]
    for size, sent in ((0, "500"), (9999, "500"), (1, "1")):
        run(world.cc.changes("sweep", None, None, size=size))
        assert f"limit={sent}" in world.requests[-1].query.split("&")


def test_one_contact_by_id() -> None:
    """Deleted ones too; None where there is none (CC facts 5.1). Ids are not always UUIDs, so they are escaped (1)."""
    world = World()
    person = world.person(email="ann@example.org")
    world.vendor.delete(ACCOUNT, person, world.clock.at)
    raw = run(world.cc.read(person))
    assert raw is not None
    assert world.cc.snapshot(raw, START).deleted
    assert run(world.cc.read("0b0b0b0b-1111-4222-a333-444444444444")) is None
    assert run(world.cc.read("../contact_lists")) is None
    assert world.requests[-1].path == "/v3/contacts/..%2Fcontact_lists"


def test_another_contact_is_not_believed() -> None:
    """What we decide on must be the record that we asked for."""
    cc, _, _ = scripted(said(200, {"contact_id": "c2"}))
    with pytest.raises(Transient):
        run(cc.read("c1"))
