"""What is only inferred: what was counted, what is held, what somebody has seen of it and approved.

A row is one step by what it says: party, side, target and the fingerprint of its payload. A step that changes its words
is another one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, and_, bindparam, delete, func, select, update
from sqlalchemy import exists as sql_exists

from keepstep.database import portions, replacing, upsert
from keepstep.model.instant import Instant
from keepstep.schema.oversight import inferred
from keepstep.schema.tables import alias

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Inferred:
    """One change that is only inferred. state: counted, held, approved, overdue."""

    party_id: str
    side: str
    target: str
    fingerprint: str
    kind: str
    why: str
    since: Instant
    state: str
    shown: str | None = None

    @property
    def key(self) -> Key:
        return (self.party_id, self.side, self.target, self.fingerprint)


_NAMES = ("party_id", "side", "target", "fingerprint", "kind", "why", "since", "state", "shown")
_ROWS = select(*(inferred.c[name] for name in _NAMES)).where(inferred.c.customer_id == bindparam("customer"))
_OF_PARTIES = _ROWS.where(inferred.c.party_id.in_(bindparam("some", expanding=True)))
_IN_STATE = _ROWS.where(inferred.c.state == bindparam("in_state"))
_OLDEST = select(func.min(inferred.c.since)).where(
    inferred.c.customer_id == bindparam("customer"), inferred.c.state == "held"
)
_OLDEST_OF = _OLDEST.where(inferred.c.kind.in_(bindparam("kinds", expanding=True)))
_COUNTED = (
    select(func.count())
    .select_from(inferred)
    .where(
        inferred.c.customer_id == bindparam("customer"),
        inferred.c.state == "counted",
        inferred.c.since > bindparam("moment"),
    )
)
_THIS = and_(*(inferred.c[name] == bindparam(f"of_{name}") for name in ("customer_id", *_NAMES[:4])))


def of_parties(tx: Connection, customer_id: str, party_ids: Sequence[str]) -> dict[Key, Inferred]:
    """What is known of the steps of these parties."""
    found = [
        Inferred(*row)
        for some in portions(party_ids)
        for row in tx.execute(_OF_PARTIES, {"customer": customer_id, "some": some})
    ]
    return {one.key: one for one in found}


def held(tx: Connection, customer_id: str) -> dict[Key, Inferred]:
    """Everything that is held, whether its step is there at this moment or not."""
    found = [Inferred(*row) for row in tx.execute(_IN_STATE, {"customer": customer_id, "in_state": "held"})]
    return {one.key: one for one in found}


def counted(tx: Connection, customer_id: str, since: Instant) -> int:
    """How many went out since then without anybody having seen them."""
    found: int = tx.execute(_COUNTED, {"customer": customer_id, "moment": since}).scalar_one()
    return found


def oldest(tx: Connection, customer_id: str, kinds: Collection[str] = ()) -> Instant | None:
    """Since when something is held, of these kinds or of any."""
    mine = {"customer": customer_id}
    asked = (_OLDEST_OF, mine | {"kinds": sorted(kinds)}) if kinds else (_OLDEST, mine)
    found: Instant | None = tx.execute(*asked).scalar_one()
    return found


def put(tx: Connection, customer_id: str, rows: Sequence[Inferred]) -> None:
    """Store rows as given."""
    values = [{"customer_id": customer_id, **{name: getattr(row, name) for name in _NAMES}} for row in rows]
    upsert(tx, inferred, values, replacing(*_NAMES[4:]))


def show(tx: Connection, customer_id: str, keys: Iterable[Key], checksum: str) -> None:
    """A person is shown these, under this checksum."""
    _change(tx, customer_id, keys, shown=checksum)


def set_state(tx: Connection, customer_id: str, keys: Iterable[Key], state: str, now: Instant) -> None:
    """These are in this state from now on."""
    _change(tx, customer_id, keys, state=state, since=now)


def _change(tx: Connection, customer_id: str, keys: Iterable[Key], **values: object) -> None:
    named = [_named(customer_id, key) for key in keys]
    if named:
        tx.execute(update(inferred).where(_THIS).values(values), named)


def forget(tx: Connection, customer_id: str, keys: Iterable[Key]) -> None:
    """Nothing is known of these any more."""
    named = [_named(customer_id, key) for key in keys]
    if named:
        tx.execute(delete(inferred).where(_THIS), named)


def follow(tx: Connection, customer_id: str, gone: str, into: str) -> None:
    """One party became part of another one: what was counted, held or approved for it keeps its age there."""
    known = of_parties(tx, customer_id, [gone, into])
    moved = {key: replace(one, party_id=into) for key, one in known.items() if one.party_id == gone}
    put(tx, customer_id, [one for one in moved.values() if one.key not in known])
    forget(tx, customer_id, moved)


def _named(customer_id: str, key: Key) -> dict[str, str]:
    names = ("customer_id", *_NAMES[:4])
    return {f"of_{name}": value for name, value in zip(names, (customer_id, *key), strict=True)}


def prune(tx: Connection, customer_id: str, before: Instant) -> None:
    """Forget what was let go before that."""
    old = (inferred.c.customer_id == customer_id, inferred.c.state != "held", inferred.c.since < before)
    tx.execute(delete(inferred).where(*old))


def linked(tx: Connection, customer_id: str, audience: str, crm: str) -> int:
    """How many people of the audience side are in a party that the CRM has."""
    theirs = alias.alias("theirs")
    there = sql_exists().where(
        theirs.c.customer_id == customer_id, theirs.c.party_id == alias.c.party_id, theirs.c.platform == crm
    )
    mine = (alias.c.customer_id == customer_id, alias.c.platform == audience, there)
    return tx.execute(select(func.count()).select_from(alias).where(*mine)).scalar_one()
