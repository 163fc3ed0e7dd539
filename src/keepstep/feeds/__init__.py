"""Feeds: a customer's SQL tables are read, on schedule, and the rows that are new or changed are marked in the queue.

Nothing here decides: a row is filed as it was read, and `submit` looks at it as at any other mark.

    schedule  when a feed is read next
    round     one bounded piece of a feed's round
"""

from functools import partial

from keepstep.desk import Chore, Desk
from keepstep.feeds.round import read_on
from keepstep.feeds.schedule import following
from keepstep.state import feeds

__all__ = ["chores", "following", "read_on"]


def chores(desk: Desk) -> tuple[Chore, ...]:
    """One a feed, each with a connection of its own: where one database refuses us, the others are read on."""
    return tuple(Chore(feeds.platform(name), feeds.CHORE, partial(read_on, name=name)) for name in desk.route.feeds)
