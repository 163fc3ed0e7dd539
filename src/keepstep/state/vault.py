"""Secrets at rest: AES-256-GCM under keys that live outside the database.

A ciphertext is bound to its customer, platform and field (associated data), so that one moved to another row does not
open.
"""

import base64
import binascii
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from keepstep.model.errors import Misconfigured
from keepstep.model.instant import Instant
from keepstep.schema.tables import secret as table

_KEY_BYTES = 32
_NONCE_BYTES = 12
_HIDDEN = "***"
# Built once: a grant is read again every minute.
_SEALED = select(table.c.key_id, table.c.nonce, table.c.ciphertext).where(
    table.c.customer_id == bindparam("customer"),
    table.c.platform == bindparam("of"),
    table.c.field == bindparam("named"),
)


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


@dataclass(frozen=True, slots=True, repr=False)
class Vault:
    """Keys by id; new secrets are sealed under `current`, old ones open under the key they name. `token` makes
    nonces."""

    keys: Mapping[str, bytes]
    current: str
    token: Callable[[int], bytes]

    def put(self, tx: Connection, customer: str, platform: str, field: str, value: Secret, now: Instant) -> None:
        """Keep one secret, in place of what that field held."""
        nonce = self.token(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.current]).encrypt(
            nonce, value.reveal().encode("utf-8"), _bound(customer, platform, field)
        )
        row = {"key_id": self.current, "nonce": nonce, "ciphertext": sealed, "updated": now}
        kept = tx.execute(update(table).where(*_place(customer, platform, field)).values(**row))
        if not kept.rowcount:
            tx.execute(insert(table).values(customer_id=customer, platform=platform, field=field, **row))

    def get(self, tx: Connection, customer: str, platform: str, field: str) -> Secret | None:
        """One secret, None where that field is empty. Raises Misconfigured if no key of ours opens it."""
        row = tx.execute(_SEALED, {"customer": customer, "of": platform, "named": field}).one_or_none()
        if row is None:
            return None
        key = self.keys.get(row.key_id)
        if key is None:
            raise Misconfigured(
                (f"key file: no key {row.key_id}, which sealed {customer}/{platform}/{field}; add it again",)
            )
        try:
            opened = AESGCM(key).decrypt(row.nonce, row.ciphertext, _bound(customer, platform, field))
        except InvalidTag:
            raise Misconfigured(
                (f"secret {customer}/{platform}/{field} does not open; store the credential again",)
            ) from None
        return Secret(opened.decode("utf-8"))

    def drop(self, tx: Connection, customer: str, platform: str, field: str) -> None:
        """Forget one secret; forgetting what is not there is fine."""
        tx.execute(delete(table).where(*_place(customer, platform, field)))

    def fields(self, tx: Connection, customer: str) -> list[tuple[str, str]]:
        """Which (platform, field) pairs this customer has, in order; no values."""
        found = tx.execute(
            select(table.c.platform, table.c.field)
            .where(table.c.customer_id == customer)
            .order_by(table.c.platform, table.c.field)
        )
        return [(row.platform, row.field) for row in found]

    def stored(self, tx: Connection, customer: str) -> dict[tuple[str, str], Instant]:
        """When each (platform, field) of this customer was stored last; no values."""
        found = tx.execute(
            select(table.c.platform, table.c.field, table.c.updated).where(table.c.customer_id == customer)
        )
        return {(row.platform, row.field): row.updated for row in found}


def _place(customer: str, platform: str, field: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.customer_id == customer, table.c.platform == platform, table.c.field == field


def _bound(customer: str, platform: str, field: str) -> bytes:
    # JSON, because plain concatenation would let ("a", "bc") stand for ("ab", "c").
    return json.dumps([customer, platform, field]).encode("ascii")


def write_key_file(path: Path, token: Callable[[int], bytes]) -> str:
    """Make a key file that only its owner can read; the id of its key. Raises FileExistsError: a lost key is lost
    secrets."""
    key_id = token(4).hex()
    line = f"{key_id}:{base64.b64encode(token(_KEY_BYTES)).decode()}\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return key_id


def read_key_file(path: Path) -> tuple[dict[str, bytes], str]:
    """Keys by id and the current one's id (the first line's). Raises Misconfigured, naming what to do."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        raise Misconfigured((f"{path}: key file cannot be read; make one with `keepstep init`",)) from None
    if mode & 0o077:
        raise Misconfigured((f"{path}: key file has mode {mode:04o}, others can read it; run `chmod 600 {path}`",))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    keys = dict(_key(path, line) for line in lines)
    if not keys:
        raise Misconfigured((f"{path}: key file is empty; restore it from a backup or make one with `keepstep init`",))
    return keys, next(iter(keys))


def _key(path: Path, line: str) -> tuple[str, bytes]:
    key_id, _, encoded = line.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key_id or len(key) != _KEY_BYTES:
        # The line itself is a key: it is not quoted.
        raise Misconfigured(
            (f"{path}: a line is no `id:base64 of {_KEY_BYTES} bytes`; restore the key file from a backup",)
        )
    return key_id, key
