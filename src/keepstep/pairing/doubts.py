"""What a plan says of who is who: the evidence of every link, and every question with its candidates; ids and words, no
values."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model.likeness import Likeness
from keepstep.model.party import Person
from keepstep.state import parties, readings

Row = dict[str, Any]


def people(tx: Connection, desk: Desk, records: Iterable[str]) -> dict[str, Person]:
    """Record id to the person as known now."""
    homes = parties.party_of(tx, desk.customer_id, desk.route.audience, sorted(records))
    found = readings.load(tx, desk.customer_id, sorted(set(homes.values()))).values()
    return {person.record_id: person for party in found for person in party.people if person.record_id in homes}


def links(tx: Connection, desk: Desk, targets: Mapping[str, str]) -> dict[str, Row]:
    """Record id to the candidate that it will be linked to. `targets`: record id to individual."""
    known = people(tx, desk, targets)
    return {
        record: _row(one)
        for record, individual in targets.items()
        for one in (known[record].compared if record in known else ())
        if one.individual == individual
    }


def questions(tx: Connection, desk: Desk, later: Mapping[str, str]) -> list[Row]:
    """Who is parked, or would be (`later`: record id to the reason), with everybody who was compared."""
    waiting = parties.standings(tx, desk.customer_id, "parked")
    mine = {one.record_id: one.reason or "" for one in waiting if one.platform == desk.route.audience} | dict(later)
    known = people(tx, desk, mine)
    return [
        {"record": record, "reason": mine[record], "candidates": [_row(one) for one in known[record].compared]}
        for record in sorted(mine)
        if record in known
    ]


def _row(one: Likeness) -> Row:
    plain = {"contact": one.contact, "individual": one.individual, "evidence": list(one.evidence)}
    return plain | {"score": one.score, "why_not": list(one.why_not)}
