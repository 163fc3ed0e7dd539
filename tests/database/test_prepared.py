"""Whatever the product executes on the simulator's disk is answered as SQLAlchemy itself would answer it."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from keepstep.database.engines import memory_engine
from keepstep.database.prepared import Driver
from keepstep.database.statements import upsert
from keepstep.schema.tables import delivery, journal, mark, metadata

Work = Callable[[Connection], Any]
ROWS = [{"customer_id": "c", "at": float(n), "kind": f"k{n % 2}", "data": {"n": n}, "party_id": None} for n in range(5)]
IN = select(journal.c.id, journal.c.data).where(journal.c.at.in_(bindparam("some", expanding=True))).order_by("id")
ONE = select(journal.c.kind).where(journal.c.customer_id == bindparam("customer"), journal.c.at >= 2)
MARKED = mark.c.customer_id == "c"


def filled(tx: Connection) -> None:
    tx.execute(insert(journal), ROWS)


def replaced(tx: Connection) -> object:
    row = {"customer_id": "c", "platform": "p", "name": "n", "due": 1.0, "data": {"a": [1]}}
    rows = [{"mark": None, "cursor": None, **row}, {"mark": 2.0, "cursor": "x", **row, "name": "m"}]
    for _ in range(2):
        upsert(tx, mark, rows, lambda new: {"due": new.due + 1})
    return sorted(tuple(one) for one in tx.execute(select(mark.c.name, mark.c.due, mark.c.data, mark.c.mark)))


WORKS: dict[str, Work] = {
    "all": lambda tx: [tuple(row) for row in tx.execute(select(journal))],
    "mappings": lambda tx: [dict(row) for row in tx.execute(select(journal).order_by(journal.c.id)).mappings()],
    "names": lambda tx: [(row.kind, row.data["n"]) for row in tx.execute(select(journal))],
    "scalar": lambda tx: tx.execute(select(func.count()).select_from(journal)).scalar_one(),
    "nothing": lambda tx: tx.execute(select(journal).where(journal.c.at > 99)).first(),
    "scalars": lambda tx: list(tx.execute(ONE, {"customer": "c"}).scalars()),
    "none of a list": lambda tx: tx.execute(IN, {"some": []}).all(),
    "some of a list": lambda tx: [tuple(row) for row in tx.execute(IN, {"some": [1.0, 3.0]})],
    "more of a list": lambda tx: [tuple(row) for row in tx.execute(IN, {"some": [1.0, 3.0, 4.0]})],
    "pairs": lambda tx: list(
        tx.execute(
            select(journal.c.id).where(tuple_(journal.c.kind, journal.c.at).in_([("k0", 0.0), ("k1", 1.0)]))
        ).scalars()
    ),
    "made anew": lambda tx: [
        list(tx.execute(select(journal.c.id).where(journal.c.kind == kind)).scalars()) for kind in ("k0", "k1", "k2")
    ],
    "changed": lambda tx: (
        tx.execute(update(journal).where(journal.c.kind == "k0").values(data={"x": 1})).rowcount,
        [row.data for row in tx.execute(select(journal.c.data))],
    ),
    "deleted": lambda tx: tx.execute(delete(journal).where(journal.c.at < 2)).rowcount,
    "returned": lambda tx: [tuple(one) for one in tx.execute(delete(journal).returning(journal.c.at, journal.c.data))],
    "replaced": replaced,
    "bytes": lambda tx: (
        tx.execute(
            insert(delivery),
            {
                "customer_id": "c",
                "id": "d",
                "platform": "p",
                "received": 1.0,
                "body": b"\x00\xff",
                "headers": {},
                "state": "new",
            },
        ),
        tx.execute(select(delivery.c.body)).scalar_one(),
    )[1],
}


@pytest.mark.parametrize("name", WORKS)
def test_the_answer_is_the_one_of_sqlalchemy(name: str) -> None:
    """Twice each, since the second time the statement is known."""
    work = WORKS[name]
    for _ in range(2):
        engine, other = memory_engine(), memory_engine()
        metadata.create_all(engine)
        metadata.create_all(other)
        driver = Driver(other)
        driver.begin()
        filled(cast(Connection, driver))
        with engine.begin() as tx:
            filled(tx)
            assert work(cast(Connection, driver)) == work(tx)
        driver.commit()
        with engine.connect() as tx, other.connect() as same:
            assert tx.execute(select(journal)).all() == same.execute(select(journal)).all()


def test_what_is_rolled_back_is_not_there() -> None:
    engine = memory_engine()
    metadata.create_all(engine)
    driver = Driver(engine)
    driver.begin()
    filled(cast(Connection, driver))
    driver.rollback()
    driver.begin()
    assert driver.execute(select(func.count()).select_from(journal)).scalar_one() == 0
    driver.commit()


def test_a_value_that_is_missing_is_missed_and_a_refusal_is_sqlalchemys() -> None:
    engine = memory_engine()
    metadata.create_all(engine)
    driver = Driver(engine)
    driver.begin()
    for _ in range(2):
        with pytest.raises((KeyError, InvalidRequestError), match="customer"):
            driver.execute(ONE)
    with pytest.raises(IntegrityError):
        driver.execute(insert(journal), {"customer_id": None, "at": 1.0, "kind": "k"})
    driver.rollback()
