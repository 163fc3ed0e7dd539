"""The disk of one seed: SQLite in memory that outlives every process, with what each commit touched."""

from collections import Counter
from typing import Any, ClassVar, Literal

from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError

from keepstep.database import Inline
from keepstep.database.engines import memory_engine
from keepstep.schema.tables import delivery
from keepstep_simulator.story import digested

Row = tuple[str, str, dict[str, Any]]
# Only what checkers read: the log of a week holds a hundred thousand statements.
_COLUMNS = {
    "mark": ("customer_id", "platform", "name", "mark", "cursor"),
    "job": ("customer_id", "id", "state", "id_1", "customer_id_1", "state_1"),
    "snapshot": ("customer_id", "platform", "record_id"),
    "submission": ("customer_id", "record_id", "state"),
}


class Disk:
    """One engine for all seeds of this process (its compiled statements are dear), emptied for each."""

    _shared: ClassVar[tuple[Engine, bytes] | None] = None

    def __init__(self) -> None:
        if Disk._shared is None:
            engine = memory_engine()
            template = Inline(disk=engine)
            _create(engine)
            Disk._shared = engine, template.dump()
            event.listen(engine, "begin", lambda _tx: Disk.touched.clear())
            event.listen(engine, "before_cursor_execute", _noted)
        self.engine, empty = Disk._shared
        Inline(disk=self.engine).load(empty)

    touched: ClassVar[list[Row]] = []

    def open(self, at: Any) -> Inline:
        """The database port of one process."""
        return Inline(at, disk=self.engine)

    def deliveries(self) -> dict[str, int]:
        """How often each body is stored, whatever became of it."""
        with self.engine.connect() as tx:
            rows = tx.execute(select(delivery.c.body)).scalars()
            return dict(sorted(Counter(digested(body.decode("utf-8", "replace")) for body in rows).items()))

    @staticmethod
    def rows() -> tuple[Row, ...]:
        """What the transaction that just ended wrote, of the tables that checkers read."""
        return tuple(Disk.touched)


def _create(engine: Engine) -> None:
    from keepstep.schema.tables import metadata

    metadata.create_all(engine)


def _noted(_conn: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    verb = statement[:6]
    if verb == "SELECT" or verb == "BEGIN ":
        return
    words = statement.split(None, 3)
    table = words[2] if verb in ("INSERT", "DELETE") else words[1] if verb == "UPDATE" else ""
    columns = _COLUMNS.get(table)
    if columns is None or context is None:
        return
    for row in context.compiled_parameters:
        Disk.touched.append((table, verb, {name: row[name] for name in columns if name in row}))


def trouble(point: Literal["before", "after"]) -> OperationalError:
    """What a driver raises when a commit fails or its answer is lost."""
    return OperationalError(f"simulated: {point} the commit", None, Exception("disk"))
