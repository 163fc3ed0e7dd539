"""Secrets at rest: AES-256-GCM under keys that live outside the database, or kept by a provider (`places`).

A ciphertext is bound to its customer, platform and field (associated data), so that one moved to another row does not
open. A value is always sealed here first, so that it is durable at once whatever a provider does.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from keepstep.model.errors import Misconfigured, Transient
from keepstep.model.instant import Instant
from keepstep.schema.tables import secret as table
from keepstep.state import places
from keepstep.state.keys import KeyFile, Ring
from keepstep.state.places import Place, Row

_NONCE_BYTES = 12
_HIDDEN = "***"
# Transactions side by side may see a secret's value before last; older ones are not kept in memory.
_LAST_KNOWN = 4
# Built once: every turn asks these.
_COLUMNS = (table.c.key_id, table.c.nonce, table.c.ciphertext, table.c.place)
_MINE = table.c.customer_id == bindparam("customer")
_SEALING: Mapping[str, Any] = {name: bindparam(f"to_{name}") for name in ("key_id", "nonce", "ciphertext")}
_ONE = (_MINE, table.c.platform == bindparam("of"), table.c.field == bindparam("named"))
_SEALED = select(*_COLUMNS).where(*_ONE)
_AGAIN = update(table).where(*_ONE).values(**_SEALING)
_PUT = update(table).where(*_ONE).values(**_SEALING, updated=bindparam("to_updated"))
_DROPPED = delete(table).where(*_ONE).returning(table.c.place)
_OF_CUSTOMER = select(table.c.platform, table.c.field, *_COLUMNS).where(_MINE)
_NEW = insert(table)
_FIELDS = select(table.c.platform, table.c.field).where(_MINE).order_by(table.c.platform, table.c.field)
_STORED = select(table.c.platform, table.c.field, table.c.updated).where(_MINE)


class Secret:
    """A text that only `reveal` shows: not repr, str, format, copies, pickles or JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where it goes on the wire and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not pickled")


class Elsewhere(Exception):
    """A provider keeps what a transaction needs: `place` must be fetched, and the transaction run again."""

    def __init__(self, row: Row, place: Place) -> None:
        super().__init__(f"{place.provider} keeps a secret that this process has not read yet")
        self.row = row
        self.place = place


class Known:
    """Values that this process has seen, by the mark of each: a mark stands for one value for ever. The last few of
    each secret. `absent`: marks that a provider has just been asked for and did not give."""

    def __init__(self) -> None:
        self.absent: set[str] = set()
        self._values: dict[str, Secret] = {}
        self._marks: dict[Row, list[str]] = {}

    def get(self, mark: str) -> Secret | None:
        return self._values.get(mark)

    def add(self, row: Row, mark: str, value: Secret) -> None:
        if mark in self._values:
            return
        self._values[mark] = value
        marks = self._marks.setdefault(row, [])
        marks.append(mark)
        while len(marks) > _LAST_KNOWN:
            self._values.pop(marks.pop(0), None)


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """A secret as it lies here, opened. `nonce` tells whether the row was changed since."""

    row: Row
    value: Secret
    nonce: bytes
    place: Place | None

    @property
    def mark(self) -> str:
        return mark_of(self.row, self.nonce)


@dataclass(frozen=True, slots=True, repr=False)
class Drawer:
    """One customer's secrets as they lay in one transaction."""

    customer: str
    rows: Mapping[tuple[str, str], tuple[Any, ...]]
    read: Callable[..., Secret]

    def get(self, platform: str, field: str) -> Secret | None:
        """See Vault.get."""
        row = self.rows.get((platform, field))
        return None if row is None else self.read((self.customer, platform, field), *row)

    def sealed(self, platform: str, fields: Sequence[str]) -> list[tuple[Any, ...] | None]:
        """How they are stored; not opened."""
        return [self.rows.get((platform, field)) for field in fields]

    def readable(self, platform: str, field: str) -> Secret | None:
        """See Vault.readable."""
        try:
            return self.get(platform, field)
        except Misconfigured:
            return None


@dataclass(slots=True, repr=False)
class Vault:
    """Keys by id; new secrets are sealed under `current`, old ones open under the key they name. `token` makes nonces.

    `file`: where the keys come from, looked at again when it was changed. `known`: what a provider's values are
    answered from.
    """

    keys: Mapping[str, bytes]
    current: str
    token: Callable[[int], bytes]
    file: KeyFile | None = None
    known: Known | None = None
    _ring: Ring = field(init=False)

    def __post_init__(self) -> None:
        self._ring = Ring(self.keys, self.current)

    def put(self, tx: Connection, customer: str, platform: str, field: str, value: Secret, now: Instant) -> None:
        """Keep one secret, in place of what that field held. Where it lay elsewhere stays noted."""
        row = (customer, platform, field)
        self._keep(tx, row, {**self._seal(row, value), "updated": now})
        if self._renewed():
            # The key was replaced before our lock on the table; whoever takes the old key out waits for our end.
            self._keep(tx, row, self._seal(row, value))

    def _keep(self, tx: Connection, row: Row, values: Mapping[str, Any]) -> None:
        customer, platform, field = row
        asked = {"customer": customer, "of": platform, "named": field} | {
            f"to_{key}": one for key, one in values.items()
        }
        if not tx.execute(_PUT if "updated" in values else _AGAIN, asked).rowcount:
            tx.execute(_NEW, {"customer_id": customer, "platform": platform, "field": field, **values})

    def _seal(self, row: Row, value: Secret) -> dict[str, Any]:
        ring, nonce = self._ring, self.token(_NONCE_BYTES)
        sealed = AESGCM(ring.keys[ring.current]).encrypt(nonce, value.reveal().encode("utf-8"), _bound(row))
        self._learn(row, nonce, value)
        return {"key_id": ring.current, "nonce": nonce, "ciphertext": sealed}

    def get(self, tx: Connection, customer: str, platform: str, field: str) -> Secret | None:
        """One secret, None where that field is empty. Raises Misconfigured if no key of ours opens it, Elsewhere where
        a provider keeps it and this process has not read it yet, Transient where the provider does not have it."""
        row = (customer, platform, field)
        found = tx.execute(_SEALED, {"customer": customer, "of": platform, "named": field}).one_or_none()
        return None if found is None else self._read(row, *found)

    def drawer(self, tx: Connection, customer: str) -> "Drawer":
        """All of a customer's secrets in one look; each is opened when it is asked for."""
        found = tx.execute(_OF_CUSTOMER, {"customer": customer})
        return Drawer(customer, {(of, named): tuple(rest) for of, named, *rest in found}, self._read)

    def _read(self, row: Row, key_id: str, nonce: bytes, ciphertext: bytes | None, place: str | None) -> Secret:
        if ciphertext is None:
            return self._placed(row, place)
        value = self._opened(row, key_id, nonce, ciphertext)
        self._learn(row, nonce, value)
        return value

    def readable(self, tx: Connection, customer: str, platform: str, field: str) -> Secret | None:
        """The same, where under a lost key it is as good as gone."""
        try:
            return self.get(tx, customer, platform, field)
        except Misconfigured:
            return None

    def _placed(self, row: Row, text: str | None) -> Secret:
        place = places.read_place(text)
        if place is None or not place.whole or places.whose(place.name) != row:
            raise Misconfigured((f"secret {'/'.join(row)} is kept nowhere; store the credential again",))
        value = self.known.get(place.mark) if self.known is not None else None
        if value is not None:
            return value
        if self.known is not None and place.mark in self.known.absent:
            raise Transient(f"{place.provider}: a secret is not there, or cannot be read yet")
        raise Elsewhere(row, place)

    def _opened(self, row: Row, key_id: str, nonce: bytes, ciphertext: bytes) -> Secret:
        key = self._ring.keys.get(key_id)
        if key is None and self._renewed():
            key = self._ring.keys.get(key_id)
        if key is None:
            raise Misconfigured((f"key file: no key {key_id}, which sealed {'/'.join(row)}; add it again",))
        try:
            opened = AESGCM(key).decrypt(nonce, ciphertext, _bound(row))
        except InvalidTag:
            raise Misconfigured((f"secret {'/'.join(row)} does not open; store the credential again",)) from None
        return Secret(opened.decode("utf-8"))

    def _renewed(self) -> bool:
        """Were the keys replaced? Then those of the file count from now on."""
        ring = self.file.changed() if self.file is not None else None
        if ring is not None:
            self._ring = ring
        return ring is not None

    def _learn(self, row: Row, nonce: bytes, value: Secret) -> None:
        # Once a provider keeps it, it is known here without a call: who received a token must be able to store it.
        if self.known is not None:
            self.known.add(row, mark_of(row, nonce), value)

    def drop(self, tx: Connection, customer: str, platform: str, field: str) -> None:
        """Forget one secret; forgetting what is not there is fine. What a provider keeps of it is left over."""
        gone = tx.execute(_DROPPED, {"customer": customer, "of": platform, "named": field})
        place = places.read_place(gone.scalar_one_or_none())
        if place is not None:
            places.leave(tx, place)

    def sealed(
        self, tx: Connection, before: Instant | None = None, after: Row | None = None
    ) -> dict[Row, Sealed | None]:
        """What lies here, at most places.MOST_ROWS behind a row, in order; None for what no key of ours opens.
        `before`: only what was stored until then."""
        found = places.sealed_rows(tx, before, after)
        return {row: self._unsealed(row, key_id, nonce, sealed, place) for row, key_id, nonce, sealed, place in found}

    def _unsealed(self, row: Row, key_id: str, nonce: bytes, ciphertext: bytes, place: str | None) -> Sealed | None:
        try:
            return Sealed(row, self._opened(row, key_id, nonce, ciphertext), nonce, places.read_place(place))
        except Misconfigured:
            return None

    def bring(self, tx: Connection, row: Row, place: Place) -> bool:
        """Seal here what a provider keeps, and leave the value there over. False where the row was changed meanwhile;
        raises Elsewhere where it was not fetched."""
        places.lock(tx, row[0])
        mine = (*places.at(row), table.c.place == str(place), table.c.ciphertext.is_(None))
        if tx.execute(select(table.c.place).where(*mine).with_for_update()).one_or_none() is None:
            return False
        self._renewed()  # under the lock: nobody takes a key out until our end
        values = {**self._seal(row, self._placed(row, str(place))), "place": None}
        tx.execute(update(table).where(*mine).values(**values))
        places.leave(tx, place)
        return True

    def reseal(self, tx: Connection, customer: str) -> int:
        """Seal up to places.MOST_ROWS of a customer's secrets anew that another key of ours sealed; how many. What does
        not open stays as it is."""
        places.lock(tx, customer)
        ring = self.ring
        wanted = select(table.c.platform, table.c.field, table.c.key_id, table.c.nonce, table.c.ciphertext).where(
            table.c.customer_id == customer, table.c.key_id.in_([one for one in ring.keys if one != ring.current])
        )
        some = wanted.order_by(table.c.platform, table.c.field).limit(places.MOST_ROWS).with_for_update()
        rows = tx.execute(some).all()
        self._renewed()  # under the lock: nobody takes a key out until our end
        return sum(self._resealed(tx, (customer, one.platform, one.field), one) for one in rows)

    def _resealed(self, tx: Connection, row: Row, old: Any) -> int:
        one = self._unsealed(row, old.key_id, old.nonce, old.ciphertext, None)
        if one is None:
            return 0
        mine = (*places.at(row), table.c.nonce == old.nonce)
        return tx.execute(update(table).where(*mine).values(**self._seal(row, one.value))).rowcount

    @property
    def ring(self) -> Ring:
        """The keys as they are now."""
        self._renewed()
        return self._ring

    def fields(self, tx: Connection, customer: str) -> list[tuple[str, str]]:
        """Which (platform, field) pairs this customer has, in order; no values."""
        found = tx.execute(_FIELDS, {"customer": customer})
        return [(row.platform, row.field) for row in found]

    def stored(self, tx: Connection, customer: str) -> dict[tuple[str, str], Instant]:
        """When each (platform, field) of this customer was stored last; no values."""
        found = tx.execute(_STORED, {"customer": customer})
        return {(row.platform, row.field): row.updated for row in found}


def mark_of(row: Row, nonce: bytes) -> str:
    """What stands for one value for ever: no nonce is used twice."""
    return hashlib.sha256(_bound(row) + nonce).hexdigest()


def _bound(row: Row) -> bytes:
    # JSON, because plain concatenation would let ("a", "bc") stand for ("ab", "c").
    return json.dumps(row).encode("ascii")
