"""The right to make one call now, shared by everybody who uses one application key: `rows` permits, each good for one
call at a time.

A permit in use is free again one second after the answer, so that never more than `rows` calls arrive in a second;
after a crash, when its
hold ends. Each call runs in a transaction of its own and touches one row. The day's limit is shared out over the rows
in equal parts, so
that no claim has to read a row which somebody else holds.
"""

from typing import Any

from sqlalchemy import Connection, bindparam, case, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from keepstep.database import upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import permit

# CC facts 9: 4 calls a second and 10,000 a UTC day for an application key.
ROWS = 4
DAY_LIMIT = 10_000

_DAY = 86_400
# How long to wait when every free permit is being claimed by others at this moment.
_SOON = 0.02


def _take() -> ReturningUpdate[Any]:
    """In one statement: the inner select locks one free permit, passing over those that others are claiming."""
    free, today = permit.alias("free"), bindparam("today", type_=permit.c.day.type)
    mine = free.c.key == bindparam("of")
    unused = or_(free.c.day != today, free.c.used < bindparam("share"))
    wanted = select(free.c.n).where(mine, free.c.free_at <= bindparam("now"), free.c.stop <= bindparam("now"), unused)
    first = wanted.order_by(free.c.free_at, free.c.n).limit(1).with_for_update(skip_locked=True, of=free)
    used = case((permit.c.day == today, permit.c.used + 1), else_=1)
    return (
        update(permit)
        .where(permit.c.key == bindparam("of"), permit.c.n == first.scalar_subquery())
        .values(free_at=bindparam("until"), day=today, used=used)
        .returning(permit.c.n)
    )


# Built once: every call asks these.
_TAKEN = _take()
_BACK_AT = (
    update(permit)
    .where(permit.c.key == bindparam("of"), permit.c.n == bindparam("which"))
    .values(free_at=bindparam("until"))
)
_BACK_IF_OURS = _BACK_AT.where(permit.c.free_at == bindparam("held"))


def claim(
    tx: Connection, key: str, now: Instant, hold: float, *, rows: int = ROWS, limit: int = DAY_LIMIT
) -> tuple[int | None, Instant]:
    """(permit, when its hold ends), or (None, when to ask again). `hold` is the call's timeout and a second."""
    day = int(now // _DAY)
    asked = {"of": key, "now": now, "today": day, "share": limit // rows, "until": now + hold}
    row = tx.execute(_TAKEN, asked).first()
    if row is None:
        made = _make_rows(tx, key, rows)
        return (
            claim(tx, key, now, hold, rows=rows, limit=limit)
            if made
            else (None, _next_free(tx, key, now, limit // rows))
        )
    return row.n, now + hold


def _make_rows(tx: Connection, key: str, rows: int) -> bool:
    if tx.execute(select(permit.c.n).where(permit.c.key == key).limit(1)).first() is not None:
        return False
    upsert(tx, permit, [{"key": key, "n": n} for n in range(rows)])
    return True


def _next_free(tx: Connection, key: str, now: Instant, share: int) -> Instant:
    day = int(now // _DAY)
    columns = (permit.c.free_at, permit.c.stop, permit.c.day, permit.c.used)
    moments: list[float] = [
        max(row.free_at, row.stop, (day + 1.0) * _DAY if row.day == day and row.used >= share else 0.0)
        for row in tx.execute(select(*columns).where(permit.c.key == key))
    ]
    return max(min(moments), now + _SOON)


def give_back(tx: Connection, key: str, n: int, at: Instant, held: Instant | None = None) -> None:
    """Free again at `at`, a second after the answer. With `held`, the end of hold that `claim` told, a permit whose
    hold ran out and
    which somebody else has claimed since is left to them.
    """
    these = {"of": key, "which": n, "until": at}
    if held is None:
        tx.execute(_BACK_AT, these)
    else:
        tx.execute(_BACK_IF_OURS, these | {"held": held})


def used_today(tx: Connection, key: str, now: Instant) -> int:
    """Calls of this UTC day."""
    mine = (permit.c.key == key, permit.c.day == int(now // _DAY))
    return int(tx.execute(select(func.coalesce(func.sum(permit.c.used), 0)).where(*mine)).scalar_one())


def stop_until(tx: Connection, key: str, instant: Instant, *, rows: int = ROWS) -> None:
    """No call before this instant: the vendor says that the day's quota is exceeded. A later stop stays."""
    _make_rows(tx, key, rows)
    # One order for everybody who locks several rows, so that two stops do not wait for each other.
    tx.execute(select(permit.c.n).where(permit.c.key == key).order_by(permit.c.n).with_for_update())
    tx.execute(update(permit).where(permit.c.key == key, permit.c.stop < instant).values(stop=instant))
