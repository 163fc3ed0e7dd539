"""Rows of a feed become people on lists of Constant Contact, once, and what people did since stands."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from keepstep.connectors.constant_contact.imports import AROUND, BYTES, ROWS
from keepstep.database import Inline
from keepstep.model.customer import NO_CRM
from keepstep.schema.feeds import feed_row
from keepstep.state import consent, feeds, marks
from keepstep.submit import rows
from tests.flows import crossing
from tests.flows.crossing import CUSTOMER, DAY
from tests.flows.importing import EVIDENCE, Fed, a_feed, a_row, all_are, people

# --- the way there ---------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_person_on_its_list_by_one_import() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        c.rows(a_row(phone="(415) 555-2671", street="1 Main St", city="Mesa", state="AZ", postal="85201"))
        c.wait(minutes=20)
        assert c.ended() == ("done", None)
        [bob] = c.by_address("bob@example.org")
        assert (bob["first_name"], bob["last_name"], bob["list_memberships"]) == ("Bob", "Poe", [news])
        assert bob["email_address"]["permission_to_send"] == "implicit"
        assert [one["phone_number"] for one in bob["phone_numbers"]] == ["(415) 555-2671"]
        assert bob["street_addresses"][0]["city"] == "Mesa"
        assert len(c.imports()) == 1
        [said] = c.lines("rows_sent")
        assert said["evidence"] == EVIDENCE and said["lists"] == [news] and said["rows"] == 1


def test_a_re_run_imports_nothing_again_and_a_new_version_only_its_fields() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        c.rows(a_row())
        c.wait(minutes=20)
        c.rows(a_row())
        c.wait(hours=1)
        assert len(c.imports()) == 1
        c.rows(a_row(first_name="Robert"))
        c.wait(minutes=20)
        assert len(c.imports()) == 2
        [bob] = c.by_address("bob@example.org")
        assert (bob["first_name"], bob["list_memberships"]) == ("Robert", [news])
        c.rows(a_row(first_name="Robert"))
        c.wait(hours=1)
        assert len(c.imports()) == 2 and c.ended() == ("done", None)


def test_a_person_who_left_the_list_is_not_put_back_but_by_a_newer_permission() -> None:
    """The vendor shows the leaving in no poll: only who reads the list itself before the import knows of it."""
    with Fed() as c:
        news, other = c.a_list("News"), c.a_list("Other")
        c.begun()
        c.rows(a_row())
        c.wait(minutes=20)
        [bob] = c.by_address("bob@example.org")
        c.cc.person_leaves(CUSTOMER, bob["contact_id"], news, c.now())
        left_at = c.now()
        c.rows(a_row(first_name="Robert"))
        c.wait(minutes=20)
        assert c.lists_of("bob@example.org") == [] and len(c.imports()) == 1
        assert c.ended() == ("left_out", "left")
        c.rows(a_row(first_name="Rob", lists=("News", "Other")))
        c.wait(minutes=20)
        assert c.lists_of("bob@example.org") == [other] and c.by_address("bob@example.org")[0]["first_name"] == "Rob"
        c.rows(a_row(first_name="Rob", lists=("News", "Other"), permission_at=left_at - 60))
        c.wait(minutes=20)
        assert c.lists_of("bob@example.org") == [other]
        c.rows(a_row(first_name="Rob", lists=("News", "Other"), permission_at=c.now()))
        c.wait(minutes=20)
        assert c.lists_of("bob@example.org") == sorted([news, other])


@pytest.mark.parametrize("crm", [NO_CRM, "virtuous"])
def test_who_was_deleted_stays_deleted_but_for_a_newer_permission(crm: str) -> None:
    with Fed(crm=crm, cadence={"sweep": 1800.0}) as c:
        news = c.a_list("News")
        gone = c.person("bob@example.org", "Bob", "Poe")
        c.begun()
        c.cc.delete(CUSTOMER, gone, c.now())
        c.rows(a_row())
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "deleted") and c.imports() == []
        assert c.by_address("bob@example.org")[0].get("deleted_at")
        c.wait(hours=1)
        c.rows(a_row(first_name="Robert"))
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "deleted")
        c.rows(a_row(first_name="Robert", permission_at=c.now() + 2 * DAY))  # the vendor tells the day of a deletion
        c.wait(minutes=20)
        assert c.ended() == ("done", None)
        assert c.lists_of("bob@example.org") == [news] and not c.by_address("bob@example.org")[0].get("deleted_at")


@pytest.mark.parametrize("where", ["before", "deleted too"])
def test_who_opted_out_is_never_imported_whatever_the_permission(where: str) -> None:
    with Fed() as c:
        c.a_list("News")
        bob = c.person("bob@example.org", "Bob", "Poe")
        c.opts_out(bob)
        if where == "deleted too":
            c.cc.delete(CUSTOMER, bob, c.now())
        c.begun()
        c.rows(a_row(permission_at=c.now() + 1e6))
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "opted_out") and c.imports() == []
        assert c.permission(bob) == "unsubscribed"


def test_who_opted_out_in_the_crm_is_never_imported() -> None:
    with Fed(crm="virtuous") as c:
        c.a_list("News")
        c.person("bob@example.org", "Bob", "Poe")
        c.household("bob@example.org", "Bob", "Poe", opted_in=False)
        c.begun()
        c.rows(a_row())
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "opted_out") and c.imports() == []


def test_whom_only_the_crm_has_and_who_opted_out_there_is_never_imported() -> None:
    """Nobody linked them, so no poll of ours has kept their opt-out: the CRM is asked before anybody is new."""
    with Fed(crm="virtuous") as c:
        c.a_list("News")
        c.household("bob@example.org", "Bob", "Poe", opted_in=False)
        c.household("ann@example.org", "Ann", "Lee")
        c.begun()
        c.rows(a_row(), a_row("2", "ann@example.org"))
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "opted_out") and c.by_address("bob@example.org") == []
        assert c.ended("2") == ("done", None)


def test_more_rows_than_one_question_carries_are_all_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ASKED", 2)
    with Fed(crm="virtuous") as c:
        c.a_list("News")
        c.household("p3@example.org", "Bob", "Poe", opted_in=False)
        c.begun()
        c.rows(*(a_row(str(n), f"p{n}@example.org") for n in range(7)))
        c.wait(minutes=20)
        assert [c.ended(str(n))[0] for n in range(7)] == ["left_out" if n == 3 else "done" for n in range(7)]


def test_who_waits_for_a_confirmation_is_imported_once_it_is_given() -> None:
    with Fed() as c:
        news = c.a_list("News")
        bob = c.person("bob@example.org", "Bob", "Poe", permission="pending_confirmation")
        c.begun()
        c.rows(a_row())
        c.wait(minutes=20)
        assert c.ended() == ("left_out", "not_mailable") and c.imports() == []
        c.cc.person_opts_in(CUSTOMER, bob, c.now())
        c.edits(bob, job_title="so that a poll shows it")
        c.wait(hours=2)
        assert c.ended() == ("done", None) and c.lists_of("bob@example.org") == [news]


def test_who_opts_out_between_the_decision_and_the_call_is_not_imported() -> None:
    """The step waits at the gate for a reading of the opt-outs, and that reading marks its row."""
    with Fed(policy={"gate": 300.0}) as c:
        c.a_list("News")
        bob = c.person("bob@example.org", "Bob", "Poe")
        c.begun()
        c.wait(minutes=10)
        c.opts_out(bob)
        c.rows(a_row())
        c.wait(minutes=30)
        assert c.ended() == ("left_out", "opted_out") and c.imports() == []
        assert c.permission(bob) == "unsubscribed" and c.lists_of("bob@example.org") == []


def held_back(c: Fed) -> None:
    """A row that is decided, and waits for the others of its round."""
    mark = c.ask(c.db.run(feeds.mark, CUSTOMER, "donors"))
    c.ask(c.db.run(marks.put, CUSTOMER, replace(mark, cursor="more", due=None)))
    c.rows(a_row())
    c.wait(minutes=5)
    assert c.imports() == [] and c.ended() == ("waiting", None)


def acts(c: Fed, *directions: str) -> None:
    """What the ledger has on Bob's address, and no record of his shows."""
    hashed = c.ask(c.service.desk(CUSTOMER)).hashed("bob@example.org")
    said = {"party_id": "p", "platform": "constant_contact", "record_id": "1", "kind": "choice", "source": "poll"}
    for one in directions:
        c.clock.at += 1
        act = {**said, "direction": one, "address_hash": hashed, "at": c.now(), "seen_at": c.now()}
        c.ask(c.db.run(consent.append, CUSTOMER, [act]))


def test_whom_the_ledger_shuts_after_the_decision_is_not_imported() -> None:
    """The jobs are looked at once more before they go."""
    with Fed() as c:
        c.a_list("News")
        c.begun()
        held_back(c)
        acts(c, "out")
        c.wait(minutes=30)
        assert c.imports() == [] and c.ended() == ("left_out", "opted_out")


def test_who_goes_out_and_comes_back_before_the_call_is_decided_anew_and_imported() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        held_back(c)
        acts(c, "out", "in")
        c.wait(minutes=30)
        assert c.ended() == ("done", None) and c.lists_of("bob@example.org") == [news] and len(c.imports()) == 1


# --- what the import does not take -----------------------------------------------------------------------------------


LONG = f"{'b' * 44}@example.org"  # 56 characters


@pytest.mark.parametrize(
    ("fields", "address"),
    [({"phone": "+44 20 7946 0958"}, "bob@example.org"), ({}, LONG), ({"phone": "ask her"}, "bob@example.org")],
)
@pytest.mark.parametrize("there", [False, True])
def test_what_an_import_does_not_take_goes_by_a_call_of_its_own(
    fields: dict[str, Any], address: str, there: bool
) -> None:
    with Fed() as c:
        news, old = c.a_list("News"), c.a_list("Old")
        if there:
            c.person(address, "Bobby", "P", lists=[old], job_title="Boss", phones=[("home", "555 0100")])
        c.begun()
        c.rows(a_row(address=address, street="1 Main St", city="Mesa", **fields))
        c.wait(minutes=20)
        assert c.ended() == ("done", None) and c.imports() == []
        [bob] = c.by_address(address)
        assert (bob["first_name"], bob["street_addresses"][0]["city"]) == ("Bob", "Mesa")
        assert sorted(bob["list_memberships"]) == sorted([news, old] if there else [news])
        phones = {one["phone_number"] for one in bob["phone_numbers"]}
        assert phones == {*fields.values(), *(["555 0100"] if there else [])}
        assert not there or bob["job_title"] == "Boss"
        written = len(c.made("PUT", "/v3/")) + len(c.made("POST", "/v3/"))
        c.rows(a_row(address=address, street="1 Main St", city="Mesa", **fields))
        c.wait(hours=1)
        assert len(c.made("PUT", "/v3/")) + len(c.made("POST", "/v3/")) == written


@pytest.mark.switch("constant_contact", "import_unknown_field", "row", "400", "dropped")
@pytest.mark.parametrize("unknown", ["row", "400", "dropped"])
def test_a_custom_field_travels_by_its_label_and_an_unknown_one_costs_nobody_the_row(unknown: str) -> None:
    with Fed(cc={"import_unknown_field": unknown}) as c:
        c.a_list("News")
        field = c.cc.add_custom_field(CUSTOMER, "Shoe Size", c.now())
        c.begun()
        c.rows(a_row(**dict[str, Any]({"custom:Shoe Size": "44", "custom:Unheard": "x"})))
        c.wait(minutes=20)
        assert c.ended() == ("done", "unknown_field")
        [bob] = c.by_address("bob@example.org")
        assert [(one["custom_field_id"], one["value"]) for one in bob["custom_fields"]] == [(field, "44")]
        assert c.lines("unknown_field") == [{"feed": "donors", "fields": ["Unheard"]}]
        assert [len(body["import_data"]) for body in c.bodies()] == [1] and "Unheard" not in str(c.bodies())


def test_a_name_that_is_too_long_is_cut_and_says_so() -> None:
    with Fed() as c:
        c.a_list("News")
        c.begun()
        c.rows(a_row(first_name="B" * 300))
        c.wait(minutes=20)
        assert c.ended() == ("done", "name_cut")
        assert c.by_address("bob@example.org")[0]["first_name"] == "B" * 50


def test_rows_that_cannot_go_are_parked_with_their_reason_and_the_others_go() -> None:
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        c.rows(a_row("1", None), a_row("2", "x@example.org", lists=("Nowhere",)), a_row("3", lists=(news,)))
        c.wait(minutes=20)
        assert [c.ended(key) for key in "123"] == [("parked", "no_email"), ("parked", "unknown_list"), ("done", None)]
        assert c.lines("unknown_list") == [{"feed": "donors", "lists": ["Nowhere"]}]


def test_an_import_is_cut_at_what_the_vendor_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows.BYTES + AROUND <= BYTES < 4_000_000 and rows.ROWS <= ROWS == 40_000
    monkeypatch.setattr(rows, "BYTES", 200)
    with Fed() as c:
        news = c.a_list("News")
        c.begun()
        several = people(c, 5)
        c.rows(*several)
        c.wait(minutes=30)
        assert len(c.imports()) > 1 and all_are(c, several, news)
        assert max(len(json.dumps(one["import_data"])) for one in c.bodies()) <= 200 + 50


def test_a_name_that_no_list_or_two_have_waits_for_a_person() -> None:
    """A list that staff have renamed or deleted since has the name of no list; its id stays what it was."""
    with Fed() as c:
        c.a_list("Twice")
        c.a_list("twice ")
        news, old = c.a_list("News"), c.a_list("Old")
        c.begun()
        c.cc.rename_list(CUSTOMER, news, "Updates", c.now())
        c.cc.delete_list(CUSTOMER, old, c.now())
        c.wait(hours=2)
        names = ("Twice", "News", "Old", old, news)
        c.rows(*(a_row(str(n), f"p{n}@example.org", lists=(name,)) for n, name in enumerate(names)))
        c.wait(minutes=20)
        assert [c.ended(str(n)) for n in range(5)] == [*[("parked", "unknown_list")] * 4, ("done", None)]
        assert c.lists_of("p4@example.org") == [news]


# --- who has the same address ----------------------------------------------------------------------------------------


def test_of_two_rows_of_one_address_the_newer_speaks_and_lists_of_both_are_joined() -> None:
    with Fed(a_feed(), a_feed("events")) as c:
        news, other = c.a_list("News"), c.a_list("Other")
        c.begun()
        c.rows(a_row("1", first_name="Old", lists=("News", "Other")), a_row("2", "ann@example.org"))
        c.clock.at += 1
        c.rows(a_row("9", first_name="New", lists=("News",)), feed="events")
        c.wait(minutes=30)
        assert [c.ended("1"), c.ended("2"), c.ended("9", "events")] == [("done", None)] * 3
        [bob] = c.by_address("bob@example.org")
        assert bob["first_name"] == "New" and sorted(bob["list_memberships"]) == sorted([news, other])
        sent = [one for body in c.bodies() for one in body["import_data"] if one["email"] == "bob@example.org"]
        assert sorted(one.get("first_name", "") for one in sent) == ["", "New"]


def test_of_two_rows_of_one_address_and_list_the_older_is_a_duplicate() -> None:
    with Fed() as c:
        c.a_list("News")
        c.begun()
        c.rows(a_row("1", first_name="Old"))
        c.clock.at += 1
        c.rows(a_row("2", first_name="New"))
        c.wait(minutes=20)
        assert c.ended("1") == ("left_out", "duplicate") and c.ended("2") == ("done", None)
        assert len(c.imports()) == 1 and len(c.bodies()[0]["import_data"]) == 1


def test_on_postgresql_as_well(monkeypatch: pytest.MonkeyPatch, postgres_engine: Engine) -> None:
    monkeypatch.setattr(crossing, "Inline", partial(Inline, disk=postgres_engine))
    test_of_two_rows_of_one_address_the_newer_speaks_and_lists_of_both_are_joined()
    with postgres_engine.begin() as tx:
        assert tx.execute(select(func.count()).select_from(feed_row)).scalar_one() == 3
