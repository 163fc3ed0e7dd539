"""Which account the audience connection leads to. Consent belongs to the person who gave it (CC facts 2.3): given anew
by somebody who was signed in elsewhere, it must not swap the people of two customers."""

from keepstep import filing
from keepstep.desk import Desk
from keepstep.model.errors import Blocked
from keepstep.queue import Slot


async def read_account(desk: Desk, slot: Slot) -> None:
    """Bind the connection to its account, once. Raises Blocked where it leads to another one later."""
    account = await desk.audience.account()
    if not await desk.db.run(filing.account, desk, slot, desk.route.audience, [account], desk.clock.now()):
        raise Blocked("wrong_account", "the connection leads to another account than before")
