"""④ The inbound handler: reads what deliveries of either side name, polls and sweeps of the CRM side, and files what is
ours.

A delivery is a hint, never a value: the records it names are read again (design section 4, the door writes no links).
Our own echoes are dropped by comparison: a reading that says nothing new marks nobody.
"""

from functools import partial

from sqlalchemy import Connection

from keepstep import filing, queue, rounds
from keepstep.desk import ACCOUNT, DELIVERIES, Chore, Desk, Left
from keepstep.filing import Road
from keepstep.inbound import retention, subscription
from keepstep.inbound.deliveries import read_again, read_deliveries
from keepstep.inbound.hints import read_hints
from keepstep.inbound.subscription import keep_subscription
from keepstep.model.change import Lane
from keepstep.model.decide import NO_CRM
from keepstep.model.errors import Blocked
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.rounds import Poll
from keepstep.state import marks, parties, strangers
from keepstep.state.marks import Mark

__all__ = ["chores", "read_again", "read_deliveries", "read_hints"]

POLLS = {"crm_sweep": "sweep", "crm_changed": "changed"}
ROADS = {"crm_sweep": Road("sweep"), "crm_changed": Road("poll")}
# What one page of a poll of the CRM side takes of it: a tenth of the hour's 1,200 calls (Virtuous facts 4).
PAGE_SECONDS = 30.0


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What inbound wants done, most urgent first."""
    crm, audience = desk.route.crm, desk.route.audience
    return (
        Chore(crm, ACCOUNT, read_account),
        Chore(crm, "subscription", keep_subscription),
        *(
            Chore(platform, DELIVERIES, partial(read_again, platform=platform), first=False)
            for platform in (crm, audience)
        ),
        *(Chore(crm, name, partial(poll_page, name=name), first=name == "crm_sweep") for name in POLLS),
        Chore(retention.PLATFORM, retention.NAME, retention.forget),
    )


async def read_account(desk: Desk, slot: Slot) -> None:
    """Bind the connection to its organization, once. Raises Blocked where it leads to another one later: ids are unique
    only inside one, so that each of ours would name a stranger there (Virtuous facts 6)."""
    names = await desk.crm.names()
    if not await desk.db.run(filing.account, desk, slot, desk.route.crm, names, desk.clock.now()):
        raise Blocked("wrong_account", "the connection leads to another organization than before")


async def poll_page(desk: Desk, slot: Slot, name: str) -> Left | None:
    """Read and store one page of the CRM side. Each round of what changed ends with a look at who told of it."""
    kept = await desk.mark(desk.route.crm, subscription.NAME)
    cadence = float(getattr(desk.route.cadence, name))
    blind = name == "crm_changed" and await desk.crm.finds_changes() is None
    every = subscription.every(kept.data, cadence) if name == "crm_changed" else cadence
    return await rounds.poll_page(desk, slot, _poll(desk, slot, name, every, blind))


def _poll(desk: Desk, slot: Slot, name: str, cadence: float, blind: bool) -> Poll:
    return Poll(
        platform=desk.route.crm,
        name=name,
        read=lambda since, cursor, _size: desk.crm.changes(POLLS[name], since, cursor),
        file=lambda tx, mark, rows, read_at, now: _file(desk, tx, mark, rows, read_at, now),
        every=lambda pages: max(cadence, pages * PAGE_SECONDS),
        carried=lambda pages: pages * PAGE_SECONDS,
        first=partial(_begin_changed, desk) if name == "crm_sweep" else None,
        ended=(lambda tx, now: subscription.listen(tx, desk, slot, now)) if name == "crm_changed" else None,
        remark="reads_everything" if blind else None,
    )


def _file(desk: Desk, tx: Connection, mark: Mark, rows: filing.Rows, read_at: Instant, now: Instant) -> None:
    lane = Lane.bulk if mark.mark is None else Lane.changes
    if desk.shelf.under != desk.route.policy.crm_only:
        strangers.under(tx, desk.customer_id, desk.route.crm, desk.route.policy.crm_only, now)
    filing.contacts(tx, desk, rows, read_at, now, lane, source=ROADS[mark.name])


def _begin_changed(desk: Desk, tx: Connection, since: Instant, now: Instant) -> None:
    """The poll begins where the first sweep began; a sweep that begins again leaves it where it is."""
    if marks.get(tx, desk.customer_id, desk.route.crm, "crm_changed").mark is not None:
        return
    due = now + desk.route.cadence.crm_changed
    marks.put(tx, desk.customer_id, Mark(desk.route.crm, "crm_changed", mark=since, due=due))
    # Whoever was known before there was a CRM is looked for in it now.
    before = [one.party_id for one in parties.standings(tx, desk.customer_id, "left_out") if one.reason == NO_CRM]
    queue.put(tx, desk.customer_id, [(one, Lane.bulk, now) for one in dict.fromkeys(before)], now)
