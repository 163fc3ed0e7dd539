"""What becomes known of a party and what was decided of it, kept as it was: `timeline --at` reads it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from keepstep.database import canonical_json
from keepstep.desk import Desk
from keepstep.model.change import Step
from keepstep.model.decide import Decision
from keepstep.model.instant import Instant
from keepstep.model.party import Party
from keepstep.state import history
from keepstep.state.history import Past

DECIDED, SETTLED = "decided", "settled"


def remember(tx: Connection, desk: Desk, decided: Sequence[tuple[Decision, Sequence[Step]]], now: Instant) -> None:
    """Keep these decisions, where one says anything else than the last one did."""
    last = history.latest(tx, desk.customer_id, [one.party.party_id for one, _ in decided])
    rows = []
    for decision, steps in decided:
        party_id = decision.party.party_id
        body = {"party": document(decision.party), "steps": [_wanted(step) for step in steps]}
        body["notes"] = [msgspec.to_builtins(note) for note in decision.notes]
        before = last.get(party_id)
        if body["notes"] or before is None or before.kind != DECIDED or _differs(before.body, body):
            rows.append(Past(at=now, party_id=party_id, kind=DECIDED, body=body))
    history.append(tx, desk.customer_id, rows)


def _differs(before: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return any(canonical_json(before.get(name)) != canonical_json(body[name]) for name in ("party", "steps"))


def settled(tx: Connection, desk: Desk, changed: Iterable[Party], done: Iterable[dict[str, Any]], now: Instant) -> None:
    """Keep what a call made us know. `done`: the steps that are wanted no more, {party, side, target}."""
    ended = list(done)
    rows = [
        Past(
            at=now,
            party_id=party.party_id,
            kind=SETTLED,
            body={"party": document(party), "done": [one for one in ended if one["party"] == party.party_id]},
        )
        for party in changed
    ]
    history.append(tx, desk.customer_id, rows)


def document(party: Party) -> Any:
    """A party as it is kept: without the marks that say which readings are to be had again."""
    people = tuple(replace(one, reread=False) for one in party.people)
    return msgspec.to_builtins(replace(party, reread=False, people=people))


def _wanted(step: Step) -> dict[str, Any]:
    plain = {"kind": step.kind, "side": str(step.side), "target": step.target, "member": step.member}
    return plain | {"hold": step.hold}
