"""People sent to the CRM to be created and not seen there yet. While one is not resolved, nothing else creates that
person."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, bindparam, delete, select, update

from keepstep.database import portions, replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import submission

Stage = Literal["waiting", "stuck", "review"]
STUCK, REVIEW = 86_400.0, 259_200.0
# Built once: every decision asks these.
_OF_RECORDS = select(submission).where(
    submission.c.customer_id == bindparam("customer"), submission.c.record_id.in_(bindparam("some", expanding=True))
)
_UNRESOLVED = (
    select(submission)
    .where(submission.c.customer_id == bindparam("customer"), submission.c.state != "resolved")
    .order_by(submission.c.since, submission.c.record_id)
)


def open_one(
    tx: Connection,
    customer_id: str,
    record_id: str,
    party_id: str,
    payload: Mapping[str, Any],
    address: str | None,
    now: Instant,
) -> bool:
    """Write down that this person is being created; False if that is under way already, and then nobody may create."""
    known = of_records(tx, customer_id, [record_id]).get(record_id)
    if known is not None and known["state"] != "resolved":
        return False
    values = {"party_id": party_id, "payload": dict(payload), "address": address, "state": "waiting", "since": now}
    key = {"customer_id": customer_id, "record_id": record_id}
    upsert(tx, submission, [key | values], replacing(*values))
    return True


def set_state(tx: Connection, customer_id: str, record_id: str, state: str) -> None:
    """waiting, unknown, resolved or review."""
    tx.execute(update(submission).where(*_is(customer_id, record_id)).values(state=state))


def reopen(tx: Connection, customer_id: str, record_id: str, now: Instant) -> None:
    """It goes out once more, as if it were new: what was known of its first way no longer counts."""
    tx.execute(update(submission).where(*_is(customer_id, record_id)).values(state="waiting", since=now))


def withdraw(tx: Connection, customer_id: str, record_id: str) -> None:
    """It was never sent after all."""
    tx.execute(delete(submission).where(*_is(customer_id, record_id)))


def of_records(tx: Connection, customer_id: str, record_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Audience record id to its submission, resolved ones included."""
    found: dict[str, dict[str, Any]] = {}
    for some in portions(record_ids):
        rows = tx.execute(_OF_RECORDS, {"customer": customer_id, "some": some}).mappings()
        found.update((row["record_id"], dict(row)) for row in rows)
    return found


def unresolved(tx: Connection, customer_id: str) -> list[dict[str, Any]]:
    """Every one that waits, oldest first."""
    return [dict(row) for row in tx.execute(_UNRESOLVED, {"customer": customer_id}).mappings()]


def stage(row: Mapping[str, Any], now: Instant) -> Stage:
    """How long it has waited, in words: a day is a night's batch, after three days a person must look."""
    age = now - row["since"]
    return "review" if row["state"] == "review" or age >= REVIEW else "stuck" if age >= STUCK else "waiting"


def _is(customer_id: str, record_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (submission.c.customer_id == customer_id, submission.c.record_id == record_id)
