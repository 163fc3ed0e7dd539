"""What the CRM's import overwrote, with the values read before, for staff who put them back by hand."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as Tx

from keepstep.model.canonical import text
from keepstep.model.contact import CrmContact
from keepstep.model.instant import Instant, format_instant
from keepstep.model.overwritten import Place, values
from keepstep.state import journal, parties, snapshots
from keepstep.submit.overwritten import KIND, before_of, readings_of
from keepstep.wiring.between import known_customer

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

Row = dict[str, Any]
MOST = 1000
# So long a contact whose values before nobody knows is counted: nobody can see that it was put right.
UNKNOWN_FOR = 30 * 86_400.0
PUT_BACK = "put the value before back in the CRM, if it was right"
LOOK = "nobody read this contact before: compare it with the CRM's own history"


async def listed(service: "Service", customer_id: str, record: str | None = None) -> list[Row]:
    """One row a value, of one person or of all, newest finding first. Holds personal data."""
    return await service.db.run(_listed, await service.desk(customer_id), record)


def _listed(tx: Tx, desk: "Desk", record: str | None) -> list[Row]:
    known_customer(tx, desk.customer_id)
    return found(tx, desk, record)


def found(tx: Tx, desk: "Desk", record: str | None = None) -> list[Row]:
    """The rows of one person, or of all."""
    rows: list[Row] = []
    told: set[tuple[str, str]] = set()
    for line in journal.latest(tx, desk.customer_id, (KIND,), MOST):
        data, pair = line["data"], (line["data"]["record"], line["data"]["contact"])
        if pair not in told and record in (None, data["record"]):
            told.add(pair)
            rows += _of_line(tx, desk, data, line["at"])
    return rows


def counted(tx: Tx, desk: "Desk", now: Instant) -> Row:
    """How many values are still overwritten, on how many contacts nobody knows what was there, and what to do."""
    rows = found(tx, desk)
    count = sum(row["state"] == "overwritten" for row in rows)
    fresh = format_instant(now - UNKNOWN_FOR)
    unknown = {row["contact"] for row in rows if row["state"] == "unknown" and row["at"] >= fresh}
    then = "`keepstep parked overwritten` lists them, with the values before" if count or unknown else ""
    return {"count": count, "unknown": len(unknown), "next": then}


def _of_line(tx: Tx, desk: "Desk", data: Mapping[str, Any], at: Instant) -> list[Row]:
    record, contact = str(data["record"]), str(data["contact"])
    home = parties.party_of(tx, desk.customer_id, desk.route.audience, [record]).get(record)
    rows = readings_of(tx, desk.customer_id, home, at) if home else []
    before = before_of(desk, rows, contact, record) if data["known"] else None
    then = [desk.crm.snapshot(row.body, row.at) for row in rows if (row.platform, row.record_id) == _key(desk, contact)]
    read = snapshots.get(tx, desk.customer_id, desk.route.crm, [contact]).get(contact)
    now = desk.crm.snapshot(read[0], read[1]) if read else None
    places = [Place(*pair) for pair in data["fields"]]
    head = {"at": format_instant(at), "record": record, "contact": contact}
    return [{**head, **_row(one, before, then[-1] if then else None, now)} for one in places]


def _key(desk: "Desk", contact: str) -> tuple[str, str]:
    return desk.route.crm, contact


def _row(place: Place, before: CrmContact | None, after: CrmContact | None, now: CrmContact | None) -> Row:
    was, written, stands = (values(one).get(place) if one else None for one in (before, after, now))
    state = _state(before, was, written, stands)
    then = {"overwritten": PUT_BACK, "unknown": LOOK}.get(state)
    said = {"before": was, "after": written, "now": stands, "state": state, "next": then}
    return {"individual": place.individual or None, "field": place.field, **said}


def _state(before: CrmContact | None, was: str | None, written: str | None, stands: str | None) -> str:
    """unknown: nobody read it before. overwritten; put_back; changed: somebody gave it a third value since."""
    if before is None:
        return "unknown"
    if text(stands) == text(was):
        return "put_back"
    return "overwritten" if text(stands) == text(written) else "changed"


def of_person(rows: Sequence[Row]) -> list[Row]:
    """What `parked show` says of it."""
    return [
        {name: row[name] for name in ("contact", "individual", "field", "before", "after", "state")} for row in rows
    ]
