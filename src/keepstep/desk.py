"""The desk: everything that one customer's work needs while its slot is held. Every block gets it and nothing else."""

import contextlib
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from keepstep.database import Database
from keepstep.model.canonical import email
from keepstep.model.customer import Route
from keepstep.model.errors import Blocked
from keepstep.ports import Audience, Chance, Clock, Crm
from keepstep.queue import Slot
from keepstep.state.readings import Shelf
from keepstep.state.vault import Secret

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
class Desk:
    """One customer's open route: both connectors, the ports and the database.

    `hook_url` is where its webhooks arrive, `hook_secret` signs them; None where nobody can reach us. `ledger_key` is
    the key of the address hashes in the consent ledger. `calls_a_day`: this customer's equal part of the calls that its
    application key has a day, None where nobody counts them.
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

    @property
    def customer_id(self) -> str:
        return self.route.customer_id

    @property
    def shelf(self) -> Shelf:
        """Where this customer's readings are filed."""
        route = self.route
        policy = route.policy
        return Shelf(route.customer_id, route.audience, route.crm, policy.reference_source, policy.crm_only)

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
    """Something to do at a cadence. `run` does one bounded piece under the slot and sets its own next due.

    platform: whose chore it is, so that a blocked connection stops its own chores only. `first`: due at once for a new
    customer; the others are begun by another chore.
    """

    platform: str
    name: str
    run: Callable[[Desk, Slot], Awaitable[None]]
    first: bool = True
