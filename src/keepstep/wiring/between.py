"""A command's change of what the slot's holder owns waits until no turn is under way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection as Tx

from keepstep import queue
from keepstep.model.errors import Refused, Transient
from keepstep.state import customers

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

P = ParamSpec("P")
T = TypeVar("T")
# A turn makes calls for a few seconds and ends; one whose process died holds its lease longer than anybody waits.
PATIENCE, PAUSE = 60.0, 0.25


async def between_turns(
    service: "Service",
    customer_id: str,
    work: Callable[Concatenate[Tx, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """One transaction in which nobody else changes this customer, then a wake-up. Raises Transient."""
    until = service.clock.now() + PATIENCE
    while True:
        try:
            done = await service.db.run(_between, service, customer_id, lambda tx: work(tx, *args, **kwargs))
        except queue.UnderWay:
            if service.clock.now() >= until:
                raise Transient("the customer's turn does not end; is a process of the service stuck?") from None
            await service.clock.sleep(PAUSE)
        except Exception:
            service.woken.set()  # where only the answer of the commit is lost there is work, and nobody else says so
            raise
        else:
            service.woken.set()
            return done


def _between(tx: Tx, service: "Service", customer_id: str, work: Callable[[Tx], T]) -> T:
    known_customer(tx, customer_id)
    queue.visit(tx, customer_id, service.clock.now())
    return work(tx)


def known_customer(tx: Tx, customer_id: str) -> None:
    """Raises Refused where nobody is served under this id."""
    if customers.get(tx, customer_id) is None:
        raise Refused(404, f"no customer {customer_id}; `keepstep customer list` shows who there is")
