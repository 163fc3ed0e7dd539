"""① Source event capture: everything that the audience side can tell (CC facts 5.4).

| chore | what only it finds |
|---|---|
| account | that a new consent leads elsewhere |
| lists | lists and tags that were made, renamed or deleted |
| fields | the same for custom fields and their choices |
| opted_out | opt-outs, which move no change stamp |
| reports | bounces, and opt-outs by a mailing |
| deleted | deletions, which need not move one |
| changed | edits |
| sweep | whatever moves nothing: memberships, tags, re-subscribes, and who fell through a page that shifted |
"""

from functools import partial

from sqlalchemy import Connection

from keepstep import filing, rounds
from keepstep.capture import pace
from keepstep.capture.account import read_account
from keepstep.capture.catalogue import read_fields, read_labels
from keepstep.capture.reports import read_reports
from keepstep.desk import Chore, Desk, Left
from keepstep.model.change import Lane
from keepstep.model.instant import Instant
from keepstep.queue import Slot
from keepstep.rounds import Poll
from keepstep.state import marks
from keepstep.state.marks import Mark

POLLS = ("opted_out", "deleted", "changed", "sweep")
SHARES = pace.SHARES
# A page that cannot be delivered is asked for so; the first size is the vendor's most (CC facts 3.2).
SMALLER = (100, 20)


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What capture wants done, most urgent first."""
    platform = desk.route.audience
    opted_out, *others = (Chore(platform, name, partial(poll_page, name=name), first=name == "sweep") for name in POLLS)
    read = {"account": read_account, "lists": read_labels, "fields": read_fields}
    kept = (Chore(platform, name, run) for name, run in read.items())
    return (*kept, opted_out, Chore(platform, "reports", read_reports), *others)


async def poll_page(desk: Desk, slot: Slot, name: str) -> Left | None:
    """Read and store one page of a poll."""
    return await rounds.poll_page(desk, slot, _poll(desk, name))


def _poll(desk: Desk, name: str) -> Poll:
    asked, part, share = float(getattr(desk.route.cadence, name)), desk.calls_a_day, SHARES[name]
    return Poll(
        platform=desk.route.audience,
        name=name,
        read=lambda since, cursor, size: desk.audience.changes(name, since, cursor, size),
        file=lambda tx, mark, rows, read_at, now: filing.people(
            tx, desk, rows, read_at, now, _lane(mark), urgent=mark.mark is not None
        ),
        every=lambda calls: pace.every(asked, calls, part, share),
        carried=lambda calls: pace.carried(calls, part, share),
        smaller=SMALLER,
        answers=desk.audience.lists,
        first=partial(_begin_polls, desk) if name == "sweep" else None,
    )


def _begin_polls(desk: Desk, tx: Connection, since: Instant, now: Instant) -> None:
    """The polls begin where the first sweep began: what changes while it runs is theirs. A sweep that begins again
    leaves them where they are; a poll that came with a new version begins with the next sweep."""
    for name in POLLS[:-1]:
        if marks.get(tx, desk.customer_id, desk.route.audience, name).mark is not None:
            continue
        due = now + float(getattr(desk.route.cadence, name))
        marks.put(tx, desk.customer_id, Mark(desk.route.audience, name, mark=since, due=due))


def _lane(mark: Mark) -> Lane:
    if mark.name != "sweep":
        return Lane.changes
    return Lane.bulk if mark.mark is None else Lane.sweep
