"""Reconciliation finds what nothing else would notice, never writes itself, and refuses mass change."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from keepstep import telemetry
from keepstep.model.party import Party, Person
from keepstep.reconcile import compare
from keepstep.schema.oversight import reconciliation
from keepstep.state import marks, parties, readings, snapshots
from keepstep.wiring import reconcile
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY, Crossing, spoilt
from tests.flows.test_consent import linked

Row = dict[str, Any]


def look(c: Crossing) -> Row:
    return dict(c.ask(reconcile.look(c.service, CUSTOMER)))


def apply(c: Crossing, checksum: str) -> Row:
    return dict(c.ask(reconcile.apply(c.service, CUSTOMER, checksum)))


def log(c: Crossing) -> list[Row]:
    with c.db._disk.begin() as tx:
        return [dict(row) for row in tx.execute(select(reconciliation).order_by(reconciliation.c.id)).mappings()]


def known(c: Crossing) -> list[Party]:
    with c.db._disk.begin() as tx:
        return list(readings.load(tx, CUSTOMER, parties.ids(tx, CUSTOMER)).values())


def tampered(c: Crossing, change: Callable[[Person], Person]) -> None:
    """Somebody changes what we know, behind our back."""
    for one in known(c):
        with c.db._disk.begin() as tx:
            readings.save(tx, CUSTOMER, [replace(one, people=tuple(map(change, one.people)))])


def hides_the_name(one: Person) -> Person:
    """As if both sides were known to differ in the first name, and had always been."""
    return replace(one, audience={**(one.audience or {}), "first_name": "Anna"})


def half_known(c: Crossing) -> str:
    """Somebody whose new name was never asked about: what we know says that it was there all the time."""
    ann = linked(c)
    c.wait(days=1)
    tampered(c, hides_the_name)
    c.edits(ann, first_name="Anna")
    c.wait(hours=2)
    assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Ann"
    return ann


def nightly_only(c: Crossing) -> list[Row]:
    """The lines of the nights."""
    return c.lines("reconciled")


def blind(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
    """The poll of Virtuous shows nobody; the sweep, which names no moment, shows everybody."""
    response = handle()
    if request.path == "/api/Contact/Query/FullContact" and b"Last Modified Date" in request.body:
        return spoilt(response, json.dumps({"list": [], "total": 0}).encode())
    return response


# --- the same --------------------------------------------------------------------------------------------------------


def test_a_quiet_night_finds_nothing_and_the_next_one_compares_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: list[int] = []
    true_deeply = compare.deeply

    def deeply(*given: Any) -> Any:
        deep.append(len(given[3]))
        return true_deeply(*given)

    monkeypatch.setattr(compare, "deeply", deeply)
    with Crossing() as c:
        linked(c)
        c.wait(days=2)
        found = look(c)
        assert (found["verdict"], found["findings"], found["pairs"]["linked"]) == ("same", [], 1)
        before = len(deep)
        calls = len(c.calls)
        c.wait(days=1)
        assert len(deep) == before
        assert [one["pairs"]["unchanged"] for one in nightly_only(c)][-1] == 1
        assert look(c)["pairs"]["compared"] == 0
        assert [one for one in c.calls[calls:] if one.answer.effects] == []
        tampered(c, hides_the_name)
        assert look(c)["pairs"]["compared"] == 1


def test_without_a_whole_sweep_nothing_is_proved() -> None:
    with Crossing() as c:
        linked(c)
        c.wait(hours=2)
        mark = c.mark("virtuous", "crm_sweep")
        stale = replace(mark, data={**(mark.data or {}), "finished": c.now() - 3 * DAY})
        c.ask(c.service.db.run(marks.put, CUSTOMER, stale))
        found = look(c)
        assert (found["verdict"], found["sweeps"]["virtuous"]["trouble"]) == ("unproved", "not_whole_since")


# --- drift -----------------------------------------------------------------------------------------------------------


def test_a_difference_that_nothing_explains_is_found_and_repaired_at_night() -> None:
    with Crossing() as c:
        ann = half_known(c)
        [finding] = look(c)["findings"]
        assert (finding["category"], finding["record"], finding["what"]) == ("drift", ann, "field:first_name")
        c.wait(days=1)
        assert [row["resolution"] for row in log(c)] == ["repaired"]
        assert c.lines("conflict") == [{"record": ann, "field": "first_name"}]
        found = look(c)
        assert (found["findings"], found["report"]["conflict"]) == ([], 1)
        rows, writes = len(log(c)), len(c.writes())
        c.wait(days=2)
        assert (len(log(c)), len(c.writes())) == (rows, writes)


def test_a_missing_tag_is_put_on_and_no_membership_and_no_tag_is_taken_off() -> None:
    with Crossing() as c:
        news = c.a_list("News")
        ann = linked(c, lists=[news])
        c.wait(days=1)
        assert c.there(ann)["tags"] == ["CC: News"]
        tampered(c, lambda one: replace(one, lists=()))
        party = known(c)[0]
        with c.db._disk.begin() as tx:
            readings.save(tx, CUSTOMER, [replace(party, tags=())])
        found = look(c)
        c.wait(days=2)
        assert found["found"]["drift"] <= 1
        assert (c.there(ann)["tags"], c.here(ann)["list_memberships"]) == (["CC: News"], [news])
        assert look(c)["findings"] == []


def test_a_reading_that_would_remove_a_tag_removes_none() -> None:
    """What we have stored says that Ann has left the list, and nobody asked what follows from it."""
    with Crossing() as c:
        news = c.a_list("News")
        ann = linked(c, lists=[news])
        c.wait(hours=2)
        with c.db._disk.begin() as tx:
            [(body, read_at, whole)] = snapshots.get(tx, CUSTOMER, "constant_contact", [ann]).values()
            left = {**body, "list_memberships": []}
            snapshots.store(tx, CUSTOMER, "constant_contact", [(ann, left, read_at, whole)])
        found = look(c)
        assert [(one["what"], one["why"], one["repair"]) for one in found["findings"]] == [
            (f"list:{news}", "undecided", "forget")
        ]
        assert apply(c, found["checksum"])["repairs"] == 1
        c.wait(minutes=20)
        assert (c.there(ann)["tags"], c.here(ann)["list_memberships"]) == (["CC: News"], [news])
        assert c.made("DELETE") == [] and look(c)["findings"] == []


def test_an_opt_out_that_the_ledger_lost_is_known_again_and_none_is_lifted_or_invented() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.opts_out(ann)
        c.wait(hours=12)
        before = c.permission(bob)
        tampered(c, lambda one: replace(one, acts=()))
        assert [(one["record"], one["what"], one["repair"]) for one in look(c)["findings"]] == [
            (ann, "consent", "mark")
        ]
        c.wait(days=2)
        assert look(c)["findings"] == []
        assert (c.consents(ann), c.permission(ann)) == ([False], "unsubscribed")
        assert (c.consents(bob), c.permission(bob)) == ([True], before)


def test_who_is_out_stays_out_when_something_else_of_theirs_is_repaired() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.cc.bounce(CUSTOMER, ann, "B", c.now())
        c.wait(hours=2)
        assert c.consents(ann) == [False]
        tampered(c, hides_the_name)
        c.edits(ann, first_name="Anna")
        c.wait(days=2)
        assert [row["resolution"] for row in log(c)] == ["repaired"]
        assert c.consents(ann) == [False]


def test_a_week_old_backup_ends_as_if_it_had_never_been() -> None:
    with Crossing() as c:
        news = c.a_list("News")
        ann = linked(c, lists=[news])
        c.wait(days=1)
        old = known(c)
        c.edits(ann, first_name="Anna")
        c.wait(days=7)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        with c.db._disk.begin() as tx:
            readings.save(tx, CUSTOMER, old)
        c.wait(days=2)
        there = c.there(ann)
        assert (there["contactIndividuals"][0]["firstName"], there["tags"]) == ("Anna", ["CC: News"])
        assert (c.consents(ann), c.here(ann)["list_memberships"]) == ([True], [news])
        assert look(c)["findings"] == []


# --- refusing and applying -------------------------------------------------------------------------------------------


def test_mass_drift_waits_for_a_person_who_gets_exactly_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    true_report = telemetry.report
    monkeypatch.setattr(telemetry, "report", lambda *a, **k: (told.append(k.get("reason")), true_report(*a, **k))[1])
    with Crossing(policy={"brake_floor": 0, "brake_share": 0.5}) as c:
        ann = half_known(c)
        found = look(c)
        assert (found["repairs"], found["limit"], found["mass"]) == (1, 0, True)
        c.wait(days=3)
        assert log(c) == [] and [one["refused"] for one in nightly_only(c)][-1]
        assert told.count("drift_spike") == 1
        assert apply(c, "0" * 16)["state"] == "refused"
        found = look(c)
        done = apply(c, found["checksum"])
        assert (done["state"], done["repairs"]) == ("applied", 1)
        assert apply(c, found["checksum"])["state"] == "refused"
        assert [(row["run"], row["records"], row["resolution"]) for row in log(c)] == [(done["run"], [ann], "repaired")]
        c.wait(hours=1)
        assert look(c)["findings"] == []


def test_a_checksum_of_a_world_that_has_changed_is_refused_and_changes_nothing() -> None:
    with Crossing() as c:
        ann = half_known(c)
        found = look(c)
        tampered(c, lambda one: replace(one, crm={**(one.crm or {}), "first_name": "Nan"}))
        before = known(c)
        done = apply(c, found["checksum"])
        assert (done["state"], done["repairs"], known(c), log(c)) == ("refused", 0, before, [])
        assert ann


# --- the batch, and what was missed ----------------------------------------------------------------------------------


def test_who_is_stuck_is_told_then_shown_for_review_then_found() -> None:
    with Crossing(v={"import-run": "manual"}) as c:
        ann = c.person()
        c.connect()
        c.wait(days=1.5)
        assert look(c)["found"]["stuck"] == 1
        c.wait(days=2)
        found = look(c)
        [finding] = found["findings"]
        assert (finding["category"], finding["next"]) == ("needs_update", "look at it in Virtuous, under Imports")
        assert (found["report"]["needs_review"], found["report"]["submitted_over_24h"]) == (1, 1)
        c.wait(days=1)
        told = [(row["category"], row["resolution"], row["records"]) for row in log(c)]
        assert ("stuck", "waits", [ann]) in told and ("needs_update", "needs_review", [ann]) in told


def test_somebody_stuck_is_found_by_their_reference_and_noted_as_recovered() -> None:
    with Crossing(cadence={"crm_sweep": 7 * DAY}) as c:
        ann = c.person()
        c.connect()
        c.v.lose_next(100)
        c.wire = blind
        c.night()
        assert c.there(ann)
        c.wait(days=2)
        assert c.standing(ann) == ("in_step", "")
        assert look(c)["report"]["recovered"] == 1
        c.wait(days=1)
        assert [row["records"] for row in log(c) if row["resolution"] == "recovered"] == [[ann]]
        assert look(c)["report"]["recovered"] == 1


def test_an_edit_that_only_the_sweep_found_crosses_and_is_named() -> None:
    with Crossing() as c:
        news = c.a_list("News")
        ann = linked(c)
        c.wait(days=2)
        c.v.lose_next(100)
        c.wire = blind
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: News", c.now())
        c.wait(days=3)
        assert c.here(ann)["list_memberships"] == [news]
        assert sum(one["missed"] for one in nightly_only(c)) == 1
        assert [(row["category"], row["resolution"]) for row in log(c)] == [("missed", "marked")]


def test_the_log_is_added_to_and_never_changed() -> None:
    with Crossing() as c:
        half_known(c)
        c.wait(days=1)
        before = log(c)
        assert len(before) == 1
        tampered(c, lambda one: replace(one, audience={**(one.audience or {}), "last_name": "Roe"}))
        c.wait(days=2)
        assert log(c)[:1] == before
