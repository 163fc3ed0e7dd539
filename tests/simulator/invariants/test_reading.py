"""I22 to I26: hand-made stories in which they are broken, and their neighbours in which they are not."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from keepstep_simulator.invariants.reading import bound_account, braked, loads_everybody, seen_in_two_polls
from keepstep_simulator.invariants.rounds import OVERLAP, cursor_and_mark
from keepstep_simulator.story import Final
from tests.simulator.invariants.telling import (
    CC,
    DATED,
    Told,
    V,
    act,
    contact,
    eff,
    ended,
    household,
    out,
    plan,
    rsp,
    story,
    tx,
)

PAGE = "/v3/contacts"
MARK = DATED - OVERLAP


def page(call: str, *ids: str, following: str | None = None, cursor: str = "", **more: Any) -> tuple[Told, Told]:
    """A page of contacts, asked for and answered."""
    body = {
        "contacts": [{"contact_id": one} for one in ids],
        "_links": {"next": {"href": following}} if following else {},
    }
    return out(call, PAGE, vendor=CC, query=cursor and f"cursor={cursor}"), rsp(call, body=json.dumps(body), **more)


def kept(
    name: str,
    *ids: str,
    mark: float | None = None,
    cursor: str | None = None,
    stamp: str | None = None,
    at: float | None = None,
) -> Told:
    """The commit of a page."""
    rows = [("snapshot", "INSERT", {"platform": CC, "record_id": one, "stamp": stamp}) for one in ids]
    return tx(("mark", "UPDATE", {"platform": CC, "name": name, "mark": mark, "cursor": cursor}), *rows, at=at)


def whole(name: str, call: str, *ids: str, mark: float) -> tuple[Told, ...]:
    """A round of one page whose answer came a second later in the vendor's time for each second of the mark."""
    date = f"Mon, 02 Mar 2026 15:00:{int(mark - MARK):02} GMT"
    return *page(call, *ids, date=date), kept(name, *ids, mark=mark)


# --- I22 -------------------------------------------------------------------------------------------------------------

FIRST = whole("changed", "1", "ana", mark=MARK)
SECOND, THIRD = whole("changed", "2", mark=MARK + 1), whole("changed", "3", mark=MARK + 2)
RENAMED = eff("contact:ana", "first_name", "Ana", "Anna", "person")
LEFT = eff("contact:ana", "email_address.permission_to_send", "implicit", "unsubscribed", "person")
BACK = eff("contact:ana", "email_address.permission_to_send", "unsubscribed", "explicit", "person")
OUTS = [whole("opted_out", str(n), mark=MARK + n) for n in range(4)]
SEEN = {
    "seen by the next round": ((*FIRST, RENAMED, *whole("changed", "2", "ana", mark=MARK + 1)), 0, 1),
    "seen by the second one": ((*FIRST, RENAMED, *SECOND, *whole("changed", "3", "ana", mark=MARK + 2)), 0, 1),
    "seen by none of two": ((*FIRST, RENAMED, *SECOND, *THIRD), 1, 1),
    "the first one had begun before": ((*FIRST, SECOND[0], RENAMED, *SECOND[1:], *THIRD), 0, 1),
    "two rounds of another poll": ((*FIRST, RENAMED, *OUTS[1], *OUTS[2]), 0, 1),
    "seen by another road": (
        (*FIRST, RENAMED, *SECOND, *page("9", "ana"), kept("sweep", "ana", mark=MARK), *THIRD),
        0,
        1,
    ),
    "a reading that was asked for before it": (
        (*FIRST, *page("9", "ana"), RENAMED, kept("sweep", "ana", mark=MARK), *SECOND, *THIRD),
        1,
        1,
    ),
    "our own write": ((*FIRST, eff("contact:ana", "first_name", "Ana", "Anna"), *SECOND, *THIRD), 0, 0),
    "a round given up is no round": (
        (
            *FIRST,
            RENAMED,
            *page("2", following="f"),
            kept("changed", mark=MARK, cursor="f"),
            kept("changed", mark=MARK),
            *THIRD,
        ),
        0,
        1,
    ),
    "an opt-out that no poll shows": ((*OUTS[0], LEFT, *OUTS[1], *OUTS[2]), 1, 1),
    "an opt-out that was taken back": ((*OUTS[0], LEFT, BACK, *OUTS[1], *OUTS[2]), 0, 1),
    "what an older disk says is not known": ((*FIRST, RENAMED, Told("RESTORE"), *SECOND, *THIRD), 0, 1),
}


@pytest.mark.parametrize(("facts", "broken", "premise"), SEEN.values(), ids=SEEN)
def test_seen_in_two_polls(facts: tuple[Told, ...], broken: int, premise: int) -> None:
    found, count = seen_in_two_polls(story(*facts))
    assert [one.invariant for one in found] == ["I22"] * broken
    assert count == premise


# --- I23 -------------------------------------------------------------------------------------------------------------

ONE, TWO = page("1", "ana", following="f"), page("2", "ben", cursor="f")
HALF = (*ONE, kept("sweep", "ana", cursor="f"))
MOVED = {
    "a round of one page": (FIRST, 0, 1),
    "a round of two": ((*HALF, *TWO, kept("sweep", "ben", mark=MARK)), 0, 2),
    "a cursor that is not the page's": ((*ONE, kept("sweep", "ana", cursor="g")), 1, 1),
    "a row is not in the commit": ((*page("1", "ana", "ben"), kept("sweep", "ana", mark=MARK)), 1, 1),
    "moved without a page": ((kept("sweep", mark=MARK),), 1, 1),
    "before the last page": ((*ONE, kept("sweep", "ana", mark=MARK)), 1, 1),
    "the mark moves with a page": ((*ONE, kept("sweep", "ana", mark=MARK, cursor="f")), 1, 1),
    "without the overlap": ((*page("1"), kept("sweep", mark=DATED)), 1, 1),
    "further back than the overlap": ((*page("1"), kept("sweep", mark=MARK - 60)), 1, 1),
    "further back, by a clock that is wrong": (
        (Told("SKEW", data={"ahead": -3600.0}), *page("1"), kept("sweep", mark=MARK - 60)),
        0,
        1,
    ),
    "ahead, by a clock that is wrong": (
        (Told("SKEW", data={"ahead": 3600.0}), *page("1"), kept("sweep", mark=MARK + 60)),
        1,
        1,
    ),
    "to the end of the round, not its start": (
        (
            *HALF,
            *page("2", "ben", cursor="f", date="Mon, 02 Mar 2026 15:30:00 GMT"),
            kept("sweep", "ben", mark=MARK + 1800),
        ),
        1,
        2,
    ),
    "given up": ((*HALF, kept("sweep")), 0, 2),
    "a poll begins with the first sweep": (
        (*ONE, tx(("mark", "INSERT", {"platform": CC, "name": "changed", "mark": MARK, "cursor": None}))),
        0,
        1,
    ),
    "a poll begins later than that": (
        (*ONE, tx(("mark", "INSERT", {"platform": CC, "name": "changed", "mark": DATED, "cursor": None}))),
        1,
        1,
    ),
    "nobody knows where an older disk was": ((*FIRST, Told("RESTORE"), *page("2"), kept("changed", mark=1.0)), 0, 1),
    "no date in the answer": ((*page("1", date=""), kept("sweep", mark=5.0)), 0, 1),
    "an answer that is no page": ((out("1", PAGE, vendor=CC), rsp("1", body="<html>"), kept("sweep", mark=MARK)), 1, 1),
}


@pytest.mark.parametrize(("facts", "broken", "premise"), MOVED.values(), ids=MOVED)
def test_cursor_and_mark(facts: tuple[Told, ...], broken: int, premise: int) -> None:
    found, count = cursor_and_mark(story(*facts))
    assert [one.invariant for one in found] == ["I23"] * broken
    assert count == premise


def query(call: str, total: int, *rows: tuple[int, bool]) -> tuple[Told, Told]:
    """A page of Virtuous: ids, and whether they carry our reference."""
    ours = [{"source": "Constant Contact", "id": "x"}]
    found = [{"id": number, "contactReferences": ours if mine else None} for number, mine in rows]
    asked = out(call, "/api/Contact/Query/FullContact", "POST", body="{}")
    return asked, rsp(call, body=json.dumps({"list": found, "total": total}))


def kept_there(*ids: str, mark: float | None = None, cursor: str | None = None) -> Told:
    rows = [("snapshot", "INSERT", {"platform": V, "record_id": one, "stamp": None}) for one in ids]
    return tx(("mark", "UPDATE", {"platform": V, "name": "crm_sweep", "mark": mark, "cursor": cursor}), *rows)


THERE = {
    "strangers are not stored": ((*query("1", 2, (7, True), (8, False)), kept_there("7", mark=MARK)), 0),
    "one of ours is not": ((*query("1", 2, (7, True), (8, True)), kept_there("7", mark=MARK)), 1),
    "there is more, after the last id": ((*query("1", 9, (7, True), (8, False)), kept_there("7", cursor="8")), 0),
    "there is more, and the round ends": ((*query("1", 9, (7, True)), kept_there("7", mark=MARK)), 1),
}


@pytest.mark.parametrize(("facts", "broken"), THERE.values(), ids=THERE)
def test_cursor_and_mark_of_virtuous(facts: tuple[Told, ...], broken: int) -> None:
    found, _ = cursor_and_mark(story(*facts))
    assert [one.invariant for one in found] == ["I23"] * broken


# --- I24 -------------------------------------------------------------------------------------------------------------

ANA, BEN = act("ana", "add_person"), act("ben", "add_person")
OLD, NEW = "2026-03-02T10:00:00Z", "2026-03-02T05:00:01.5-05:00"
READ = page("1", "ana")
EMPTY = page("2", cursor="f")
LOADED = {
    "everybody": ((ANA, BEN, *page("1", "ana", "ben"), kept("sweep", "ana", "ben", mark=MARK)), 0, 1),
    "not everybody": ((ANA, BEN, *page("1", "ana"), kept("sweep", "ana", mark=MARK)), 1, 1),
    "who changed meanwhile is on a page before": (
        (ANA, BEN, *HALF, eff("contact:ben", "first_name", "Ben", "Bo", "person"), *EMPTY, kept("sweep", mark=MARK)),
        0,
        1,
    ),
    "who changed before it began": (
        (ANA, BEN, eff("contact:ben", "first_name", "Ben", "Bo", "person"), *HALF, *EMPTY, kept("sweep", mark=MARK)),
        1,
        1,
    ),
    "somebody else changed meanwhile": (
        (ANA, BEN, *HALF, eff("contact:ana", "first_name", "Ana", "An", "person"), *EMPTY, kept("sweep", mark=MARK)),
        1,
        1,
    ),
    "who came meanwhile": ((ANA, page("1", "ana")[0], BEN, page("1", "ana")[1], kept("sweep", "ana", mark=MARK)), 0, 1),
    "over two pages": ((ANA, BEN, *HALF, *TWO, kept("sweep", "ben", mark=MARK)), 0, 1),
    "the second page without the first": (
        (ANA, BEN, *ONE, kept("sweep", cursor="f"), *TWO, kept("sweep", "ben", mark=MARK)),
        1,
        1,
    ),
    "begins again from its cursor": ((*HALF, *page("2", "ana", following="g"), kept("sweep", "ana", cursor="g")), 1, 0),
    "begins again after it was given up": (
        (*HALF, kept("sweep"), *page("2", "ana", following="f"), kept("sweep", "ana", cursor="f")),
        0,
        0,
    ),
    "a poll need not load everybody": ((ANA, BEN, *READ, kept("changed", "ana", mark=MARK)), 0, 0),
    "a newer version": ((*READ, kept("changed", "ana", stamp=OLD), kept("changed", "ana", stamp=NEW)), 0, 0),
    "an older version": ((*READ, kept("changed", "ana", stamp=NEW), kept("changed", "ana", stamp=OLD)), 1, 0),
    "the same second in another form": (
        (*READ, kept("changed", "ana", stamp=NEW), kept("changed", "ana", stamp="2026-03-02T10:00:01Z")),
        0,
        0,
    ),
    "an older disk": (
        (*READ, kept("changed", "ana", stamp=NEW), Told("RESTORE"), kept("changed", "ana", stamp=OLD)),
        0,
        0,
    ),
}
REFERRED = eff("reference:Constant Contact/ana", "contactId", None, 7, "batch")
MERGED = eff("contact:7", "mergedIntoContactId", None, 9, "staff", side=V)
THERE_TOO = {
    "ours": ((REFERRED, *query("1", 1, (7, True)), kept_there("7", mark=MARK)), 0),
    "ours, not loaded": ((REFERRED, *query("1", 0), kept_there(mark=MARK)), 1),
    "merged away": ((REFERRED, MERGED, *query("1", 0), kept_there(mark=MARK)), 0),
    "the reference moved": (
        (REFERRED, eff("reference:Constant Contact/ana", "contactId", 7, None), *query("1", 0), kept_there(mark=MARK)),
        0,
    ),
}


@pytest.mark.parametrize(("facts", "broken", "premise"), LOADED.values(), ids=LOADED)
def test_loads_everybody(facts: tuple[Told, ...], broken: int, premise: int) -> None:
    found, count = loads_everybody(story(*facts))
    assert [one.invariant for one in found] == ["I24"] * broken
    assert count == premise


@pytest.mark.parametrize(("facts", "broken"), THERE_TOO.values(), ids=THERE_TOO)
def test_loads_everybody_of_virtuous(facts: tuple[Told, ...], broken: int) -> None:
    found, _ = loads_everybody(story(*facts))
    assert [one.invariant for one in found] == ["I24"] * broken


# --- I25 -------------------------------------------------------------------------------------------------------------

DAY = 86_400.0
NARROW = plan(brake_floor=1, brake_share=0.0)
WHO = ("ana", "ben", "eve")
PEOPLE = [contact(one, f"{one}@x.org") for one in WHO]
HOMES = [household(number * 10, f"{one}@x.org", one) for number, one in enumerate(WHO, 1)]
FINAL = ended(PEOPLE, HOMES)


def shut(number: int, at: float | None = None) -> Told:
    """We opt one method out."""
    return eff(f"method:{number * 10 + 2}", "isOptedIn", True, False, at=at)


def deleted(*who: str) -> Sequence[Told]:
    return [act(one, "delete", actor="staff") for one in who]


UNTAGGED = [eff(f"contact:{n}", "tags", ("CC: News",), (), side=V) for n in (10, 20)]
BRAKE = {
    "one of one": ((NARROW, *deleted("ana"), shut(1)), 0),
    "two of one": ((NARROW, *deleted("ana", "ben"), shut(1), shut(2)), 1),
    "two of twenty": ((plan(), *deleted("ana", "ben"), shut(1), shut(2)), 0),
    "the second one approved": (
        (NARROW, *deleted("ana", "ben"), shut(1), Told("OPERATE", "approve", {"done": "approved"}), shut(2)),
        0,
    ),
    "the second one by its own act": (
        (NARROW, *deleted("ana", "ben"), act("ben", "person_opts_out"), shut(1), shut(2)),
        0,
    ),
    "the second one a day later": ((NARROW, *deleted("ana", "ben"), shut(1), shut(2, at=DAY + 100)), 0),
    "the same one twice": ((NARROW, *deleted("ana"), shut(1), shut(1)), 0),
    "nobody knows why": ((NARROW, shut(1), shut(2)), 0),
    "two tags": ((NARROW, *UNTAGGED), 1),
    "a tag that comes": ((NARROW, eff("contact:10", "tags", (), ("CC: News",), side=V), UNTAGGED[0]), 0),
    "taken off by staff": ((NARROW, *(eff(f"contact:{n}", "tags", ("x",), (), "staff", side=V) for n in (10, 20))), 0),
    "back to Constant Contact": (
        (
            NARROW,
            act("12", "staff_opts", V, "staff", opted_in=False),
            act("22", "staff_opts", V, "staff", opted_in=False),
            *(eff(f"contact:{one}", "email_address.permission_to_send", "implicit", "unsubscribed") for one in WHO[:2]),
        ),
        1,
    ),
    "a clock that jumps": ((NARROW, Told("SKEW", data={"ahead": DAY}), *UNTAGGED), 0),
    "an older disk": ((NARROW, UNTAGGED[0], Told("RESTORE"), UNTAGGED[1]), 0),
}


@pytest.mark.parametrize(("facts", "broken"), BRAKE.values(), ids=BRAKE)
def test_braked(facts: tuple[Told, ...], broken: int) -> None:
    found, _ = braked(story(*facts, final=FINAL))
    assert [one.invariant for one in found] == ["I25"] * broken


def test_the_brake_had_something_to_do() -> None:
    """At the limit, and where something is held."""
    held = tx(("inferred", "INSERT", {"state": "held"}), ("inferred", "UPDATE", {"state": "counted"}))
    assert braked(story(NARROW, *deleted("ana"), shut(1), final=FINAL))[1] == 1
    assert braked(story(plan(), *deleted("ana"), shut(1), final=FINAL))[1] == 0
    assert braked(story(held, final=Final()))[1] == 1


# --- I26 -------------------------------------------------------------------------------------------------------------

WRONG = Told("OPERATE", "wrong_account", {"done": "done"})


def at(account: str, method: str = "POST", vendor: str = CC) -> tuple[Told, Told]:
    """A call, and whose account it met."""
    return out("1", "/v3/activities/add_list_memberships", method, vendor), rsp("1", account=account)


BOUND = {
    "the bound one": ((*at("A"), *at("A")), 0, 0),
    "another one is read": ((*at("A", "GET"), WRONG, *at("B", "GET")), 0, 1),
    "another one is written": ((*at("A", "GET"), WRONG, *at("B")), 1, 1),
    "back at the bound one": ((*at("A", "GET"), WRONG, *at("B", "GET"), *at("A")), 0, 1),
    "the other side has its own": ((*at("A"), *at("O", vendor=V)), 0, 0),
    "a call that does not arrive reaches nobody": ((*at("A"), *at("")), 0, 0),
}


@pytest.mark.parametrize(("facts", "broken", "premise"), BOUND.values(), ids=BOUND)
def test_bound_account(facts: tuple[Told, ...], broken: int, premise: int) -> None:
    found, count = bound_account(story(*facts))
    assert [one.invariant for one in found] == ["I26"] * broken
    assert count == premise


def test_two_customers_have_two_accounts() -> None:
    """What one of them is bound to is nothing to the other."""
    other = [Told(one.kind, "1", one.data, customer="customer-1") for one in at("B")]
    assert bound_account(story(*at("A"), *other)) == ([], 0)
