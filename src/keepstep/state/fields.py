"""Which custom field goes with which: definitions of both sides, bound by name. state: live, paused, gone."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, bindparam, select

from keepstep.database import replacing, upsert
from keepstep.model.custom import CustomField
from keepstep.schema.tables import field


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field of the audience side and the CRM's, None where there is none of that name."""

    audience: CustomField
    crm: CustomField | None = None
    state: str = "live"
    reason: str | None = None


_COLUMNS = (field.c.audience, field.c.crm, field.c.state, field.c.reason)
# Built once: every decision asks it.
_EVERY = select(*_COLUMNS).where(field.c.customer_id == bindparam("customer")).order_by(field.c.field_id)


def every(tx: Connection, customer_id: str) -> list[Field]:
    """All of the customer, by field id."""
    found = tx.execute(_EVERY, {"customer": customer_id})
    return [msgspec.convert(row, Field, from_attributes=True) for row in found]


def put(tx: Connection, customer_id: str, known: Sequence[Field]) -> None:
    """Add or replace, by field id."""
    rows = [
        {"customer_id": customer_id, "field_id": one.audience.field_id, **msgspec.to_builtins(one)} for one in known
    ]
    upsert(tx, field, rows, replacing("audience", "crm", "state", "reason"))
