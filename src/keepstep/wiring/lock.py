"""One worker process for one SQLite file: a lock that the kernel frees, so that no pid file can outlive its process."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from keepstep.model.errors import Transient


class Served(Transient):
    """Another process is the worker of this database."""


@contextlib.contextmanager
def only_worker(database: str) -> Iterator[None]:
    """Hold the file's lock for the length of a block. Raises Served while another process holds it; on PostgreSQL
    any number of workers may run."""
    url = make_url(database)
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    with Path(f"{url.database}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Served("another keepstep serve or work holds this database; it does the work") from None
        yield


def is_served(database: str) -> bool:
    """May another process be the worker of this database? On PostgreSQL nobody can tell."""
    url = make_url(database)
    if url.get_backend_name() != "sqlite" or not url.database:
        return url.get_backend_name() != "sqlite"
    if not Path(f"{url.database}.lock").exists():
        return False
    try:
        with only_worker(database):
            return False
    except Served:
        return True
