"""The whole product over a copy of its database: it makes no call until a person says that this one goes on."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keepstep.database import Database, open_database
from keepstep.database.engines import engine_of
from keepstep.schema.tables import metadata
from keepstep.wiring import adopting
from tests.flows.crossing import Crossing


@contextmanager
def opened(file: Path) -> Iterator[Database]:
    engine = engine_of(f"sqlite:///{file}")
    metadata.create_all(engine)
    engine.dispose()
    db = open_database(f"sqlite:///{file}")
    try:
        yield db
    finally:
        asyncio.run(db.close())


def test_a_copy_makes_no_call_until_it_is_adopted() -> None:
    with tempfile.TemporaryDirectory() as folder:
        original, copied = Path(folder) / "keepstep.db", Path(folder) / "copied.db"
        with opened(original) as db:
            with Crossing(db=db, cc={"refresh_reuse": "revokes_family"}) as c:
                c.connect()
                ann = c.person()
                c.wait(minutes=5)
        shutil.copyfile(original, copied)
        with opened(copied) as db:
            c.db = db
            _goes_on(c, ann)


def _goes_on(c: Crossing, ann: str) -> None:
    c._runner = asyncio.Runner()
    with c:
        c.open()
        before = len(c.calls)
        c.wait(days=2)
        assert len(c.calls) == before
        status = c.status()
        assert status["connections"] == {"constant_contact": "copied", "virtuous": "copied"}
        assert status["blocked"]["constant_contact"]["next"].startswith("stop the other one")
        rows = c.ask(adopting.adopt(c.service))
        assert [row["was_copied"] for row in rows] == [True, True]
        c.wait(days=2)
        assert set(c.status()["connections"].values()) == {"ok"} and c.status()["blocked"] == {}
        assert c.standing(ann)[0] == "in_step"
        assert [row["was_copied"] for row in c.ask(adopting.adopt(c.service))] == [False, False]
