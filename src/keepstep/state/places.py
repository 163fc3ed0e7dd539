"""Secrets that a provider keeps: where each lies, what waits to go there, and what is left there of secrets that are
gone.

    sealed here, no place            nobody sent it anywhere
    sealed here, a place             it was begun to be sent, or it lay there in an earlier value: what is sealed counts
    a place alone                    the provider has it, and gave it back once: this version of it, which never changes
    a leftover (customer LEFTOVER)   a name at a provider whose value is to be deleted
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select, text, tuple_, update
from sqlalchemy.exc import NoResultFound

from keepstep.database import upsert
from keepstep.model.instant import Instant
from keepstep.schema.tables import secret as table
from keepstep.schema.tables import slot

# No customer's id begins so; the row's platform is the provider, its field the name there.
LEFTOVER = "_leftover"
# Whose slot the keeper of all secrets holds; it never has a wake, so no worker takes it.
KEEPER = "_vault"
HERE = "database"
MOST_ROWS = 200

# Virtuous facts 16.9: `virtuous/{env}/{customer}/api_token`, `.../webhook_secret`.
_NAMED_THERE = {"api_key": "api_token"}
_NAMED_HERE = {there: here for here, there in _NAMED_THERE.items()}
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """One immutable value at a provider. `mark` tells it from any other that ever had this name and version; version
    and mark are empty while it was only begun to be sent."""

    provider: str
    name: str
    version: str = ""
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.provider} {self.name} {self.version} {self.mark}"

    @property
    def whole(self) -> bool:
        return bool(self.version)

    def same_name(self, other: "Place | None") -> bool:
        """Is it the same name at the same provider, in whatever version?"""
        return other is not None and (self.provider, self.name) == (other.provider, other.name)


def read_place(text: str | None) -> Place | None:
    """What `str` of a place was."""
    return Place(*text.split(" ")) if text else None


def name_of(env: str, row: Row) -> str:
    """Under which name a secret (customer, platform, field) is kept: `{platform}/{env}/{customer}/{field}`."""
    customer, platform, field = row
    return "/".join(_plain(part) for part in (platform, env, customer, _NAMED_THERE.get(field, field)))


def whose(name: str) -> Row:
    """Whose secret has this name: (customer, platform, field), in whatever env."""
    platform, _env, customer, field = (_unplain(part) for part in name.split("/"))
    return customer, platform, _NAMED_HERE.get(field, field)


def _plain(part: str) -> str:
    """Letters, digits, - and _ are what every provider takes in a name; anything else is spelled out, so that no two
    names become one."""
    return "".join(one if _PLAIN.fullmatch(one) else "".join(f".{byte:02x}" for byte in one.encode()) for one in part)


def _unplain(part: str) -> str:
    spelled = re.sub(rb"\.([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), part.encode())
    return spelled.decode()


def at(row: Row) -> tuple[ColumnElement[bool], ...]:
    """The row of one secret."""
    customer, platform, field = row
    return table.c.customer_id == customer, table.c.platform == platform, table.c.field == field


_LOCKED = select(slot.c.fence).where(slot.c.customer_id == bindparam("customer")).with_for_update()


def lock(tx: Connection, customer_id: str) -> None:
    """The slot first, in every transaction; somebody who was removed has none."""
    tx.execute(_LOCKED, {"customer": customer_id})


# --- what lies elsewhere -------------------------------------------------------------------------------------------

_ELSEWHERE = and_(table.c.ciphertext.is_(None), table.c.customer_id != LEFTOVER)


def elsewhere(tx: Connection, customer_id: str | None = None, like: Row | None = None) -> list[Place]:
    """Places of one customer's secrets, or of everybody's that have the platform and field of `like`."""
    wanted = table.c.customer_id == customer_id
    if like is not None:
        wanted = and_(table.c.platform == like[1], table.c.field == like[2])
    found = tx.execute(select(table.c.place).where(_ELSEWHERE, wanted).order_by(*_KEY)).scalars()
    return [place for one in found if (place := read_place(one)) is not None]


_KEY = (table.c.customer_id, table.c.platform, table.c.field)


def away_from(tx: Connection, provider: str, after: Row | None = None) -> list[tuple[Row, Place]]:
    """Secrets that another provider keeps, at most MOST_ROWS behind a row."""
    return _elsewhere_behind(tx, after, ~_at_provider(provider))


def kept(tx: Connection, after: Row | None = None) -> list[tuple[Row, Place]]:
    """Secrets that providers keep, at most MOST_ROWS behind a row."""
    return _elsewhere_behind(tx, after)


def _elsewhere_behind(tx: Connection, after: Row | None, *more: ColumnElement[bool]) -> list[tuple[Row, Place]]:
    wanted = select(*_KEY, table.c.place).where(_ELSEWHERE, _behind(after), *more).order_by(*_KEY).limit(MOST_ROWS)
    found = [((one.customer_id, one.platform, one.field), read_place(one.place)) for one in tx.execute(wanted)]
    return [(row, place) for row, place in found if place is not None]


def first_at(tx: Connection, provider: str) -> Place | None:
    """Any one of the secrets that this provider keeps."""
    wanted = select(table.c.place).where(_ELSEWHERE, _at_provider(provider)).order_by(*_KEY).limit(1)
    return read_place(tx.execute(wanted).scalar_one_or_none())


def _at_provider(provider: str) -> ColumnElement[bool]:
    return table.c.place.startswith(f"{provider} ", autoescape=True)


def _behind(after: Row | None) -> ColumnElement[bool]:
    return tuple_(*_KEY) > after if after is not None else table.c.customer_id.is_not(None)


def sealed_rows(
    tx: Connection, before: Instant | None = None, after: Row | None = None
) -> list[tuple[Row, str, bytes, bytes, str | None]]:
    """Secrets that lie here, at most MOST_ROWS behind a row: (row, key id, nonce, ciphertext, place). `before`: only
    those stored until then."""
    wanted = [table.c.ciphertext.is_not(None), _behind(after)]
    if before is not None:
        wanted.append(table.c.updated <= before)
    found = tx.execute(
        select(*_KEY, table.c.key_id, table.c.nonce, table.c.ciphertext, table.c.place)
        .where(*wanted)
        .order_by(*_KEY)
        .limit(MOST_ROWS)
    )
    return [((one[0], one[1], one[2]), one[3], one[4], one[5], one[6]) for one in found]


def begin(tx: Connection, row: Row, nonce: bytes, place: Place) -> bool:
    """Note where a sealed value may lie from now on, before it is sent there; False where it was changed meanwhile. A
    name it had elsewhere is left over."""
    lock(tx, row[0])
    found = tx.execute(select(table.c.place).where(*at(row), table.c.nonce == nonce)).one_or_none()
    if found is None:
        return False
    former = read_place(found.place)
    if former is not None and not place.same_name(former):
        leave(tx, former)
    tx.execute(update(table).where(*at(row), table.c.nonce == nonce).values(place=str(place)))
    return True


def placed(tx: Connection, row: Row, nonce: bytes, place: Place) -> bool:
    """The provider has given it back: from now on the place alone is kept. False where the row was changed meanwhile,
    and what is sealed counts."""
    lock(tx, row[0])
    gone = {"key_id": None, "nonce": None, "ciphertext": None, "place": str(place)}
    return tx.execute(update(table).where(*at(row), table.c.nonce == nonce).values(**gone)).rowcount == 1


# --- what is left there --------------------------------------------------------------------------------------------


def leave(tx: Connection, place: Place) -> None:
    """The value under this name is to be deleted."""
    row = {"customer_id": LEFTOVER, "platform": place.provider, "field": place.name, "updated": 0.0}
    upsert(tx, table, [{**row, "place": str(Place(place.provider, place.name))}])


def forget(tx: Connection, customer_id: str, keep: Sequence[tuple[str, str]]) -> None:
    """A customer goes: what providers keep of it is left over, but for the (platform, field) pairs that stay. Call it
    before the rows are deleted, in that transaction."""
    found = tx.execute(
        select(*_KEY, table.c.place).where(table.c.customer_id == customer_id, table.c.place.is_not(None))
    )
    for one in found.all():
        place = read_place(one.place)
        if place is not None and (one.platform, one.field) not in keep:
            leave(tx, place)


def leftovers(tx: Connection) -> list[Place]:
    """Names at providers whose values are to be deleted, at most MOST_ROWS."""
    wanted = select(table.c.place).where(table.c.customer_id == LEFTOVER).order_by(*_KEY).limit(MOST_ROWS)
    return [place for one in tx.execute(wanted).scalars() if (place := read_place(one)) is not None]


def left_of(tx: Connection, customer_id: str) -> int:
    """How many of the names whose values are to be deleted are this customer's."""
    names = tx.execute(select(table.c.field).where(table.c.customer_id == LEFTOVER)).scalars()
    return sum(whose(name)[0] == customer_id for name in names)


def still_wanted(tx: Connection, place: Place) -> bool:
    """Was a new secret sent under a name that was left over? Then it must not be deleted."""
    try:
        found = tx.execute(select(table.c.place).where(*at(whose(place.name)))).scalar_one()
    except NoResultFound:
        return False
    return place.same_name(read_place(found))


def cleared(tx: Connection, place: Place) -> None:
    """Nothing is left over under this name."""
    tx.execute(delete(table).where(*at((LEFTOVER, place.provider, place.name))))


# --- one keeper at a time ------------------------------------------------------------------------------------------


def hold(tx: Connection, holder: str, now: Instant, until: Instant) -> bool:
    """Be the one keeper until then; False while another one is. A deletion that lands after the next value was sent
    would take that one."""
    upsert(tx, slot, [{"customer_id": KEEPER}])
    mine = or_(slot.c.lease_until <= now, slot.c.holder == holder)
    held = update(slot).where(slot.c.customer_id == KEEPER, mine)
    return tx.execute(held.values(lease_until=until, holder=holder, fence=slot.c.fence + 1)).rowcount == 1


def let_go(tx: Connection, holder: str) -> None:
    """Somebody else may be the keeper."""
    mine = (slot.c.customer_id == KEEPER, slot.c.holder == holder)
    tx.execute(update(slot).where(*mine).values(lease_until=0.0, holder=None))


# --- counts --------------------------------------------------------------------------------------------------------


def by_key(tx: Connection) -> Mapping[str, int]:
    """How many secrets each key id seals."""
    wanted = select(table.c.key_id, func.count()).where(table.c.ciphertext.is_not(None)).group_by(table.c.key_id)
    return {str(key_id): count for key_id, count in sorted(tuple(row) for row in tx.execute(wanted))}


def sealed_by(tx: Connection, keys: Sequence[str], after: str = "") -> list[str]:
    """Customers with secrets that these keys seal, at most MOST_ROWS behind one."""
    mine = (table.c.key_id.in_(keys), table.c.customer_id > after)
    wanted = select(table.c.customer_id).where(*mine).distinct().order_by(table.c.customer_id).limit(MOST_ROWS)
    return list(tx.execute(wanted).scalars())


def nobody_seals(tx: Connection) -> None:
    """Until this transaction ends nobody stores a secret; on SQLite that is so in any transaction."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("LOCK TABLE secret IN EXCLUSIVE MODE"))


def by_place(tx: Connection) -> Mapping[str, int]:
    """How many secrets each provider keeps, and how many lie here."""
    sealed = tx.execute(select(func.count()).select_from(table).where(table.c.ciphertext.is_not(None))).scalar_one()
    counts = {HERE: sealed}
    for place in tx.execute(select(table.c.place).where(_ELSEWHERE)).scalars():
        provider = (place or "").partition(" ")[0]
        counts[provider] = counts.get(provider, 0) + 1
    return counts


def left_over(tx: Connection) -> int:
    """How many names at providers wait to be deleted."""
    wanted = select(func.count()).select_from(table).where(table.c.customer_id == LEFTOVER)
    return int(tx.execute(wanted).scalar_one())


def here(tx: Connection) -> list[str]:
    """Which secrets lie here: customer/platform/field, no values."""
    wanted = select(*_KEY).where(table.c.ciphertext.is_not(None)).order_by(*_KEY)
    return ["/".join(row) for row in tx.execute(wanted)]
