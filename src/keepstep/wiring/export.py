"""Everything that is kept of a customer, as files: one table a file, one row a line of JSON. No secrets."""

import base64
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection as Tx
from sqlalchemy import Table, select, tuple_

from keepstep.model.errors import Refused
from keepstep.state import customers

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

_PAGE = 500
_PACKED = (".tar.gz", ".tgz")
# Its values are secrets; what it is worth ends with the customer.
_LEFT_OUT = ("secret",)


def refuse_existing(path: Path) -> None:
    """Raises Refused where something is there already, or there is no folder for it."""
    if path.exists():
        raise Refused(400, f"{path}: is there already; name another file or folder")
    if not path.parent.is_dir():
        raise Refused(400, f"{path.parent}: is no folder; make it first")


async def export(service: "Service", customer_id: str, path: Path, tell: Callable[[str], None]) -> dict[str, int]:
    """Write `path`, a folder or a .tar.gz, whole or not at all; rows by table. Only its owner can read it."""
    counts: dict[str, int] = {}
    with _appearing(path) as folder:
        for table in customers.tables():
            if table.name not in _LEFT_OUT:
                tell(f"exporting {table.name}")
                if rows := await _written(service, customer_id, table, folder / f"{table.name}.jsonl"):
                    counts[table.name] = rows
    return counts


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A folder that gets its name, or becomes an archive of that name, once it is complete."""
    folder = path.with_name(f".{path.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it holds people; nobody looks for hidden folders
        raise
    if not path.name.endswith(_PACKED):
        folder.rename(path)
        return
    packed = path.with_name(f".{path.name}.packed")
    with os.fdopen(os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for each in sorted(folder.iterdir()):
                archive.add(each, arcname=each.name)
        file.flush()
        os.fsync(file.fileno())
    packed.rename(path)
    shutil.rmtree(folder)


async def _written(service: "Service", customer_id: str, table: Table, file: Path) -> int:
    """One table, page by page in the order of its key; no file where there is no row."""
    count, after = 0, None
    while page := await service.db.run(_page, table, customer_id, after):
        with file.open("ab") as out:
            out.write(b"".join(_line(row) for row in page))
        count, after = count + len(page), tuple(page[-1][key.name] for key in table.primary_key.columns)
    return count


def _page(tx: Tx, table: Table, customer_id: str, after: tuple[Any, ...] | None) -> list[dict[str, Any]]:
    keys = list(table.primary_key.columns)
    rows = select(table).where(table.c.customer_id == customer_id).order_by(*keys).limit(_PAGE)
    if after is not None:
        rows = rows.where(tuple_(*keys) > after)
    return [dict(row) for row in tx.execute(rows).mappings()]


def _line(row: dict[str, Any]) -> bytes:
    """A body that is text stays readable; surrogates and other oddities of vendors go through as \\u escapes."""
    plain = {name: _plain(value) if isinstance(value, bytes) else value for name, value in row.items()}
    try:
        return msgspec.json.encode(plain) + b"\n"
    except (UnicodeEncodeError, TypeError):
        return json.dumps(plain).encode() + b"\n"


def _plain(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
