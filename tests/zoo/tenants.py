"""Mistakes between customers: one each for I29 and I30. (I31 is in twins.py.)"""

from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import Connection, update

from keepstep.schema.tables import delivery
from keepstep.state import deliveries
from keepstep.wiring.service import Service


def one_grant_for_all(patch: MonkeyPatch) -> None:
    """I29: a grant that was opened is used again, by a key without the customer."""
    right = Service._grant
    opened: dict[tuple[int, str], Any] = {}

    def grant(self: Service, customer_id: str, platform: str, http: Any) -> Any:
        place = (id(self), platform)
        opened[place] = opened.get(place) or right(self, customer_id, platform, http)
        return opened[place]

    patch.setattr(Service, "_grant", grant)


def read_is_read(patch: MonkeyPatch) -> None:
    """I30: whoever reads deliveries settles all that are new, whoever's they are."""
    right = deliveries.settle

    def settle(tx: Connection, customer_id: str, ids: Any, state: Any) -> None:
        right(tx, customer_id, ids, state)
        tx.execute(update(delivery).where(delivery.c.state == "new").values(state=state))

    patch.setattr(deliveries, "settle", settle)
