"""Lines of mailings' reports: facts that no reading repeats, so they are kept before anything else is done."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from keepstep.database import portions, upsert
from keepstep.model.contact import Report
from keepstep.model.instant import Instant
from keepstep.schema.tables import report

_COLUMNS = tuple(report.c[name] for name in Report.__dataclass_fields__)
# Built once: every decision asks it.
_OF_RECORDS = (
    select(*_COLUMNS)
    .where(
        report.c.customer_id == bindparam("customer"),
        report.c.platform == bindparam("of"),
        report.c.record_id.in_(bindparam("some", expanding=True)),
    )
    .order_by(report.c.at, report.c.id)
)


def store(tx: Connection, customer_id: str, platform: str, lines: Sequence[Report], now: Instant) -> list[str]:
    """Keep these; the record ids of lines that are new come back, each once. A line that is there already stays."""
    known = _known(tx, customer_id, platform, [line.id for line in lines])
    fresh = {line.id: line for line in lines if line.id not in known}
    shared = {"customer_id": customer_id, "platform": platform, "seen_at": now}
    names = [column.name for column in _COLUMNS]
    rows = [shared | {name: getattr(line, name) for name in names} for line in fresh.values()]
    upsert(tx, report, rows)
    return sorted({line.record_id for line in fresh.values()})


def _known(tx: Connection, customer_id: str, platform: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in portions(ids):
        mine = (report.c.customer_id == customer_id, report.c.platform == platform, report.c.id.in_(some))
        found.update(tx.execute(select(report.c.id).where(*mine)).scalars())
    return found


def of_records(
    tx: Connection, customer_id: str, platform: str, record_ids: Sequence[str]
) -> dict[str, tuple[Report, ...]]:
    """Record id to its lines, oldest first; records without any are not in the answer."""
    found: dict[str, list[Report]] = {}
    for some in portions(record_ids):
        for row in tx.execute(_OF_RECORDS, {"customer": customer_id, "of": platform, "some": some}):
            values: dict[str, Any] = dict(row._mapping)
            found.setdefault(row.record_id, []).append(Report(**values))
    return {record_id: tuple(lines) for record_id, lines in found.items()}
