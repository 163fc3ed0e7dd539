"""What a reading of the engine found: each of these was broken once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from keepstep import queue, rounds, worker
from keepstep.connectors.virtuous.destination import Destination
from keepstep.desk import CALL_TIMEOUT
from keepstep.model.change import Lane, Unknown
from keepstep.model.errors import Transient
from keepstep.model.party import Party
from keepstep.ports import Page
from keepstep.queue import Job, StepRow
from keepstep.state import marks, parties, readings, submissions
from keepstep.submit import calls, load
from keepstep.wire.permits import SharedPermits
from keepstep_sandbox.http import Request, Response, answer
from tests.flows.crossing import CUSTOMER, DAY, SOURCE, Crossing
from tests.flows.test_consent import linked


def test_a_chore_that_failed_for_days_is_still_only_waited_for() -> None:
    with Crossing() as c:
        ann = linked(c)
        tired = marks.Mark("constant_contact", "lists", due=c.now(), data={"tries": 5000})
        c.ask(c.service.db.run(marks.put, CUSTOMER, tired))
        c.faults.arm("503", vendor="constant_contact", path="/v3/contact_lists", count=100_000)
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_bug_in_one_chore_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crossing() as c:
        ann = linked(c)

        async def broken(_self: Any, *_given: Any) -> str:
            raise KeyError("active")

        monkeypatch.setattr(Destination, "subscribe", broken)
        c.ask(c.service.db.run(_due, "virtuous", "subscription", c.now()))
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_look_that_the_credential_stops_leaves_the_fate_unknown() -> None:
    """A call that may have taken effect is not sent again because nobody can look."""
    with Crossing() as c:
        c.connect()
        c.v.revoke_key("v_key")
        desk = c.ask(c.service.desk(CUSTOMER))
        for kind, count in (("create", 1), ("submit", 3)):
            steps = tuple(_row(n, kind) for n in range(count))
            job = Job("j", "crm", kind, "g", "unknown", None, None, c.now(), None, steps)
            result = c.ask(calls._call(desk, job, looking=True))
            assert {type(outcome) for outcome in result.outcomes} == {Unknown}
            assert result.blocked == "unauthorized"


def test_one_look_that_fails_makes_no_other_creation_look_undone() -> None:
    with Crossing() as c:
        c.connect()
        desk = c.ask(c.service.desk(CUSTOMER))
        c.faults.arm("503", vendor="virtuous", count=1, skip=1)
        steps = tuple(_row(n, "submit") for n in range(4))
        job = Job("j", "crm", "submit", "g", "unknown", None, None, c.now(), None, steps)
        result = c.ask(calls._call(desk, job, looking=True))
        assert {type(outcome) for outcome in result.outcomes} == {Unknown}


def _row(n: int, kind: str) -> StepRow:
    record = f"r{n}"
    given = {"record_id": record, "email": f"{record}@example.org"}
    return StepRow(n, f"p{n}", "crm", kind, f"create:{record}", 1, "g", 0.0, 0.0, 0, None, record, given, "j")


def test_a_creation_that_was_given_back_unsent_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its person changes before it is sent: the new decision sees a creation under way that nobody will ever make."""
    with Crossing() as c:
        c.connect()
        monkeypatch.setattr(calls, "TURN", -1.0)
        ann = c.person()
        _until_intended(c, ann)
        monkeypatch.undo()
        c.ask(c.service.db.run(_mark, _party_of(c, ann)))
        c.wait(minutes=5)
        c.night()
        assert c.standing(ann) == ("in_step", "")


def _until_intended(c: Crossing, record: str) -> None:
    for _ in range(400):
        if c.ask(c.service.db.run(submissions.of_records, CUSTOMER, [record])):
            return
        if c.ask(worker.work(c.service, "me")) is None:
            c.clock.at = max(c.clock.at, c.ask(c.service.db.run(queue.next_claim)))
    raise AssertionError("nothing was intended")


def _party_of(c: Crossing, record: str, platform: str = "constant_contact") -> str:
    found: dict[str, str] = c.ask(c.service.db.run(parties.party_of, CUSTOMER, platform, [record]))
    return found[record]


def _mark(tx: Connection, party_id: str, lane: Lane = Lane.changes, due: float = 0.0) -> None:
    queue.put(tx, CUSTOMER, [(party_id, lane, due)], due)


def test_an_entry_of_a_party_that_is_gone_does_not_keep_the_slot_busy() -> None:
    with Crossing() as c:
        c.connect()
        c.ask(c.service.db.run(_mark, "merged-away"))
        c.wait(minutes=1)


def test_news_of_a_page_name_the_party_that_is_left_after_a_merge() -> None:
    """One page: a contact of the one party, then a contact that unites it with the other."""
    with Crossing() as c:
        first, second = c.person(), c.person("bo@example.org", "Bo", "Lee")
        c.connect()
        homes = sorted([(_party_of(c, first), first), (_party_of(c, second), second)])
        single = _contact(c, "901", homes[1][1])
        both = _contact(c, "902", homes[0][1], homes[1][1])
        desk = c.ask(c.service.desk(CUSTOMER))
        rows = [(str(raw["id"]), raw, desk.crm.snapshot(raw, c.now())) for raw in (single, both)]
        news = c.ask(c.service.db.run(_filed, desk, rows, c.now()))
        assert news == [homes[0][0]]


def _filed(tx: Connection, desk: Any, rows: Any, now: float) -> list[str]:
    return readings.file_crm(tx, desk.shelf, rows, now, now, desk.chance.id)


def _contact(c: Crossing, contact: str, *records: str) -> dict[str, Any]:
    references = [{"source": SOURCE, "id": record} for record in records]
    return {"id": int(contact), "contactType": "Household", "contactReferences": references, "contactIndividuals": []}


def test_a_party_that_a_look_up_made_part_of_another_is_not_decided() -> None:
    with Crossing() as c:
        people = [c.person(), c.person("bo@example.org", "Bo", "Lee")]
        c.connect()
        kept, gone = sorted(_party_of(c, one) for one in people)
        desk = c.ask(c.service.desk(CUSTOMER))
        moved = c.ask(c.service.db.run(_adopted, desk, _contact(c, "903", *people), [kept, gone], c.now()))
        assert moved == {kept, gone}


def _adopted(tx: Connection, desk: Any, raw: Any, party_ids: list[str], now: float) -> set[str]:
    _mark(tx, party_ids[0])
    slot = queue.claim(tx, "me", now, 300.0, CUSTOMER)
    assert slot is not None
    cases = [load.Case(queue.Entry(one, 1, now, now, 1, 0), Party(party_id=one)) for one in party_ids]
    found = [(str(raw["id"]), raw, desk.crm.snapshot(raw, now))]
    return load._adopt(tx, desk, slot, found, cases, now)


def test_a_contact_that_we_linked_is_known_by_its_own_id() -> None:
    with Crossing() as c:
        contact = c.household("ann@example.org")
        ann = c.person()
        c.connect()
        c.wait(minutes=10)
        assert c.standing(ann) == ("in_step", "")
        assert _party_of(c, str(contact), "virtuous") == _party_of(c, ann)


def test_one_person_who_cannot_be_read_keeps_nobody_waiting() -> None:
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", "Lee") for n in range(5)]
        c.connect()
        c.night()
        homes = {_party_of(c, one): one for one in people}
        poison = homes[min(homes)]
        c.faults.arm("500", vendor="constant_contact", method="GET", path=f"/v3/contacts/{poison}", count=100_000)
        c.ask(c.service.db.run(_outdated, list(homes)))
        c.wait(minutes=30)
        found = c.ask(c.service.db.run(readings.load, CUSTOMER, list(homes)))
        waiting = {each.record_id for party in found.values() for each in party.people if each.reread}
        assert waiting == {poison}
        assert len(c.made("GET", f"/v3/contacts/{poison}")) < 60


def _outdated(tx: Connection, party_ids: list[str]) -> None:
    found = readings.load(tx, CUSTOMER, party_ids)
    old = [replace(one, people=tuple(replace(each, reread=True) for each in one.people)) for one in found.values()]
    readings.save(tx, CUSTOMER, old)
    queue.put(tx, CUSTOMER, [(party_id, Lane.changes, 0.0) for party_id in party_ids], 0.0)


def test_a_refused_credential_blocks_its_own_connection() -> None:
    with Crossing() as c:
        linked(c)
        c.v.revoke_key("v_key")
        c.ask(c.service.db.run(_due, "constant_contact", "lists", c.now()))
        c.wait(minutes=2)
        assert c.status()["connections"] == {"constant_contact": "ok", "virtuous": "unauthorized"}


def _due(tx: Connection, platform: str, name: str, now: float) -> None:
    marks.put(tx, CUSTOMER, marks.Mark(platform, name, due=now))
    queue.wake(tx, CUSTOMER, now)


def test_a_gate_that_cannot_be_opened_does_not_hurry_the_poll_that_fails() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.faults.arm("503", vendor="constant_contact", method="GET", path="/v3/contacts", count=100_000)
        c.wait(minutes=20)
        made = len(c.calls)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=30)
        assert len(c.calls) - made < 200


def _forbidden(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
    return answer(403) if vendor == "constant_contact" and request.path.startswith("/v3/contact") else handle()


def test_a_blocked_audience_with_a_closed_gate_is_quiet() -> None:
    with Crossing() as c:
        c.a_list("Newsletter")
        ann = linked(c)
        c.wire = _forbidden
        c.wait(hours=1)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(hours=2)
        assert c.status()["connections"]["constant_contact"] == "forbidden"


def test_an_opt_out_that_cannot_be_decided_holds_nobody_else_at_the_gate() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.ask(c.service.db.run(_mark, _party_of(c, ann), Lane.consent, c.now() + DAY))
        c.v.staff_adds_tag(CUSTOMER, c.there(bob)["id"], "CC: Newsletter", c.now())
        c.wait(minutes=20)
        assert c.here(bob)["list_memberships"] == [news]


def test_people_who_came_before_the_first_labels_are_looked_at_again() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        contact = c.household("ann@example.org")
        c.person(lists=[news])
        c.faults.arm("503", vendor="constant_contact", path="/v3/contact_lists", count=12)
        c.connect()
        c.wait(minutes=30)
        [there] = [one for one in c.everybody() if one["id"] == contact]
        assert there["tags"] and "CC: Newsletter" in str(there["tags"])


def test_a_wait_for_a_permit_is_never_longer_than_a_lease() -> None:
    with Crossing() as c:
        permits = SharedPermits(c.db, c.clock)
        c.ask(permits.stop("key", c.now() + DAY))
        with pytest.raises(Transient) as refused:
            c.ask(permits.take("key"))
        assert refused.value.retry_after == DAY
        c.ask(permits.stop("other", c.now() + CALL_TIMEOUT - 1))
        assert c.ask(permits.take("other")) is not None


def test_a_secret_that_another_process_stored_is_used() -> None:
    with Crossing() as c:
        c.consent(c.refresh_tokens[CUSTOMER])
        serving = c.service
        assert c.ask(serving.desk(CUSTOMER)).hook_secret is None
        c.open()
        c.key("v_key")
        assert c.ask(serving.desk(CUSTOMER)).hook_secret is not None


def test_a_crm_without_a_clock_gets_a_mark_that_ours_cannot_overtake() -> None:
    with Crossing() as c:
        c.connect()
        page = Page(records=(), cursor=None, source_time=None)
        for since in (None, c.now() - DAY):
            moved = rounds.moved(marks.Mark("virtuous", "crm_changed", mark=since), page, c.now(), lambda _pages: DAY)
            assert moved.mark is not None and moved.mark <= c.now() - DAY
