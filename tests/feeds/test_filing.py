"""Somebody's reading changes while a row of theirs waits: it is decided anew."""

from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from keepstep import filing
from keepstep.desk import Desk
from keepstep.model.change import Lane
from keepstep.model.contact import AudienceContact
from keepstep.model.feed import row_id
from keepstep.state import feeds as kept
from tests.feeds.reading import ME, Reading, row


class People:
    """An audience side of which only the mapping is asked."""

    def snapshot(self, raw: Any, read_at: float) -> AudienceContact:
        return AudienceContact(record_id=raw["id"], email=raw["email"], read_at=read_at)


def filed(r: Reading, desk: Desk, *emails: str) -> None:
    rows = [(one, {"id": one, "email": one}) for one in emails]

    def file(tx: Connection) -> None:
        filing.people(tx, desk, rows, r.clock.at, r.clock.at, Lane.changes)

    r.do(file)
    r.turn()


def with_people(r: Reading) -> Desk:
    return replace(r.desk, audience=cast(Any, People()))


def test_rows_that_wait_for_a_person_are_marked_again_when_their_reading_changes() -> None:
    r = Reading()
    r.sheet.put(row("ann"), row("bob"), row("cid"))
    r.read()
    waits = (ME, [kept.Settled(party_id=f"row:members:{row_id('ann')}", version="v1", state="waiting")], r.clock.at)
    r.do(kept.set_states, *waits)
    filed(r, with_people(r), "Ann@Example.org", "bob@example.org", "zoe@example.org")
    assert r.marked("ann", "bob", "cid") == [2, 1, 1]
    r.do(kept.set_states, *waits)
    filed(r, with_people(r), "Ann@Example.org")
    assert r.marked("ann") == [2], "a reading that says nothing new marks nobody"


def test_a_customer_without_feeds_is_not_asked_about_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    r = Reading()
    desk = with_people(r)

    def asked(*_: Any) -> Any:
        raise AssertionError("rows were asked for")

    monkeypatch.setattr(kept, "waiting_of", asked)
    filed(r, replace(desk, route=replace(desk.route, feeds={})), "ann@example.org")
    with pytest.raises(AssertionError):
        filed(r, desk, "bob@example.org")
