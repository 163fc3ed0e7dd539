"""The stored readings of contacts whose memberships one large, verified job has just changed.

A record that we wrote is read again before the next decision. Of a job for hundreds of contacts that would be a call
each, for something that the look at the job has just read: what moved is moved in the stored reading instead. An
opt-out that fell into the job is found by the next poll of opt-outs, as any other.
"""

from dataclasses import replace

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model.contact import Side
from keepstep.model.instant import Instant
from keepstep.model.party import Party
from keepstep.queue import StepRow
from keepstep.state import readings

MANY = 20  # a job for fewer costs no more calls than a page of people


def moved(tx: Connection, desk: Desk, row: StepRow, before: Party, after: Party, now: Instant) -> Party:
    """The party after the step, whose stored reading says what the step did, where it was up to date before."""
    old, new = before.person(row.member or ""), after.person(row.member or "")
    if row.side != Side.audience or old is None or new is None or old.reread or not new.reread:
        return after
    step = row.as_step()
    if not readings.changed_by(
        tx, desk.shelf, after.party_id, old.record_id, lambda raw: desk.audience.moved(step, raw), now
    ):
        return after
    return after.with_person(replace(new, reread=False))
