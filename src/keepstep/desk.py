"""The desk: everything that one customer's work needs while its slot is held. Every block gets it and nothing else."""

import contextlib
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from keepstep.database import Database
from keepstep.model.canonical import email
from keepstep.model.customer import Route
from keepstep.model.errors import Blocked
from keepstep.model.instant import Instant
from keepstep.model.retention import Retention
from keepstep.ports import Audience, Chance, Clock, Crm, Table
from keepstep.queue import Fenced, Slot
from keepstep.state import marks, strangers
from keepstep.state.marks import Mark
from keepstep.state.readings import Shelf
from keepstep.state.vault import Secret

P = ParamSpec("P")
# The database itself is in trouble, and what became of a commit is not known.
DOUBTFUL = (OperationalError, InterfaceError)
# The marks of all chores, by platform and name.
Marks = Mapping[tuple[str, str], Mark]
LEASE = 300.0
BLOCKED_PAUSE = 3600.0
CALL_TIMEOUT = 30.0
LONGEST_PAUSE = 60.0
# Of a pause that the vendor named: callers do not come back together, and little of a long one is lost.
LONGEST_JITTER = 60.0
# The chore that reads what the door stored; in the state a delivery is new, and set aside while it cannot be read.
DELIVERIES = "deliveries"
# The chore that reads which account a connection leads to; whatever else is due comes after it.
ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Left:
    """Whether the turn ended in the last transaction of its chore, the slot given away; if not there is work to do.
    `following`: what the worker does then."""

    away: bool
    following: Any = None


@dataclass(slots=True)
class Lease:
    """Until when the slot of the turn under way is this process's; None where no turn is."""

    until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """One customer's open route: both connectors, the ports and the database.

    `hook_url` is where its webhooks arrive, `hook_secret` signs them; None where nobody can reach us. `ledger_key` is
    the key of the address hashes in the consent ledger. `calls_a_day`: this customer's equal part of the calls that its
    application key has a day, None where nobody counts them. `tables`: what its feeds read, by their names.
    `retention`: how long what is not kept for good is kept. `marks`: of all chores, as the turn read them with the
    chore that it does now; `leave` ends the turn where nothing else is to be done. `lease`: what the HTTP ports of both
    connectors look at before they write.
    """

    route: Route
    audience: Audience
    crm: Crm
    db: Database
    clock: Clock
    chance: Chance
    hook_url: str | None = None
    hook_secret: Secret | None = None
    ledger_key: Secret | None = None
    calls_a_day: float | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    marks: Marks | None = None
    leave: Callable[[Connection], Left] | None = None
    lease: Lease = field(default_factory=Lease)

    @property
    def customer_id(self) -> str:
        return self.route.customer_id

    @property
    def shelf(self) -> Shelf:
        """Where this customer's readings are filed."""
        route, policy = self.route, self.route.policy
        under = None if self.marks is None else strangers.policy_of(self.marks.get((route.crm, strangers.POLICY)))
        return Shelf(route.customer_id, route.audience, route.crm, policy.reference_source, policy.crm_only, under)

    async def mark(self, platform: str, name: str) -> Mark:
        """What a chore begins with: as the turn has read it, so that it is not read again."""
        if self.marks is None:
            return await self.db.run(marks.get, self.customer_id, platform, name)
        return self.marks.get((platform, name)) or Mark(platform, name)

    def known(self, tx: Connection, platform: str, name: str) -> Mark:
        """The same within a transaction, of a mark that the chore has not changed itself."""
        if self.marks is None:
            return marks.get(tx, self.customer_id, platform, name)
        return self.marks.get((platform, name)) or Mark(platform, name)

    async def last(
        self, fn: Callable[Concatenate[Connection, P], object], *args: P.args, **kwargs: P.kwargs
    ) -> Left | None:
        """The last transaction of a chore. Within a turn it ends the turn as well, where nothing is to be decided or
        sent; None where it was not asked to.

        What goes wrong with that end must not be taken for what is wrong with the chore, whose part is stored alone
        then.
        """
        leave = self.leave
        if leave is None:
            await self.db.run(fn, *args, **kwargs)
            return None

        @wraps(fn)
        def both(tx: Connection) -> Left:
            fn(tx, *args, **kwargs)
            return leave(tx)

        try:
            return await self.db.run(both)
        except (Fenced, *DOUBTFUL):
            raise
        except Exception:
            await self.db.run(fn, *args, **kwargs)
            return None

    def hashed(self, address: str) -> str | None:
        """An address as the consent ledger knows it; None where the customer has no ledger key."""
        if self.ledger_key is None:
            return None
        return hmac.new(self.ledger_key.reveal().encode(), email(address).encode(), hashlib.sha256).hexdigest()


@contextlib.contextmanager
def asking(platform: str) -> Iterator[None]:
    """Say whose connection is blocked, in a piece of work that asks both."""
    try:
        yield
    except Blocked as problem:
        problem.platform = problem.platform or platform
        raise


def pause_after(tries: int, longest: float = LONGEST_PAUSE) -> float:
    """How long to wait after so many tries: a second, doubling to a minute, or as long as said."""
    return min(longest, 2.0 ** min(tries, 12))  # no float holds what a day of tries would come to


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do at a cadence. `run` does one bounded piece under the slot and sets its own next due; it may give
    what Desk.last gives.

    platform: whose chore it is, so that a blocked connection stops its own chores only. `first`: due at once for a new
    customer; the others are begun by another chore.
    """

    platform: str
    name: str
    run: Callable[[Desk, Slot], Awaitable[object]]
    first: bool = True
