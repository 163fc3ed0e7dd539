"""What a dead letter is about now: the party that it belongs to, the mark that keeps its write from being asked for
again, and whether its cause is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from keepstep.model import enrol
from keepstep.model.canonical import fingerprint
from keepstep.model.feed import is_row
from keepstep.model.party import Party, Person
from keepstep.schema.tables import journal
from keepstep.state import feeds, history, readings, snapshots

Letter = Mapping[str, Any]
REFUSALS = {
    400: "value_refused",
    422: "value_refused",
    403: "not_permitted",
    404: "record_gone",
    409: "clash",
}


def cause(letter: Letter) -> str:
    """The class of reason, by which letters are grouped."""
    if letter["kind"] in ("poison", "decide"):
        return "record_unreadable" if letter["kind"] == "poison" else "decision_failed"
    if str(letter["reason"]).startswith("gave up after"):
        return "gave_up"
    status = (letter["answer"] or {}).get("status")
    return REFUSALS.get(int(status or 0), "refused")


@dataclass(frozen=True, slots=True)
class About:
    """Whose letter it is: the party as stored, and the person whose mark it left, with the words that were refused; or
    the individual who was not to be created."""

    party: Party | None = None
    person: Person | None = None
    words: str | None = None
    individual: str | None = None

    def freed(self) -> Party | None:
        """The party without the mark, so that the next decision decides anew; None where there is none. The same words
        may be marked twice: together with others there was nothing else left to say."""
        if self.party is not None and self.individual is not None:
            others = tuple(pair for pair in self.party.kept_out if pair[0] != self.individual)
            return replace(self.party, kept_out=others)
        if self.party is None or self.person is None:
            return None
        kept = tuple(pair for pair in self.person.refused if pair[1] != self.words)
        return self.party.with_person(replace(self.person, refused=kept))


def about(tx: Connection, customer_id: str, letter: Letter) -> About:
    """A letter names no target: the mark says it, as the fingerprint of the words that were refused."""
    party_id = survivor(tx, customer_id, letter["party_id"])
    party = readings.load(tx, customer_id, [party_id]).get(party_id) if party_id else None
    if party is None or letter["payload"] is None:
        return About(party)
    if letter["kind"] == enrol.KIND:
        one = str(letter["payload"]["individual"])
        return About(party, individual=one if one in dict(party.kept_out) else None)
    words = fingerprint(letter["payload"])
    marked = [one for one in party.people if any(refused == words for _, refused in one.refused)]
    return About(party, marked[0], words) if marked else About(party)


def survivor(tx: Connection, customer_id: str, party_id: str | None) -> str | None:
    """The party that this one is part of by now."""
    merged = select(journal.c.party_id, journal.c.data).where(
        journal.c.customer_id == customer_id, journal.c.kind == "merged"
    )
    into = {row.data["from"]: row.party_id for row in tx.execute(merged.order_by(journal.c.id)) if row.data}
    walked: list[str] = []
    while party_id is not None and party_id in into and party_id not in walked:
        walked.append(party_id)
        party_id = into[party_id]
    return party_id


def is_moot(tx: Connection, customer_id: str, letter: Letter, platform: str | None = None) -> bool:
    """Is its cause gone? A refused write: nothing is held back for it any more. A decision: there was one since. A
    record (of `platform`): it could be stored since. A feed's row: another thing became of it."""
    if letter["kind"] == "poison":
        record_id = str(letter["payload"]["record_id"])
        read = snapshots.get(tx, customer_id, platform, [record_id]) if platform else {}
        return record_id in read and read[record_id][1] > letter["at"]
    if is_row(letter["party_id"] or ""):
        row = feeds.load(tx, customer_id, [letter["party_id"]]).get(letter["party_id"])
        return row is None or row.state != "dead"
    found = about(tx, customer_id, letter)
    if letter["kind"] == "decide":
        last = history.latest(tx, customer_id, [found.party.party_id]) if found.party else {}
        return any(one.at > letter["at"] for one in last.values())
    return found.person is None and found.individual is None
