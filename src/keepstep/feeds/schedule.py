"""When a feed is read next: a cadence ("1d", "15m", "hourly"), or a cron line in the feed's zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from keepstep.model.feed import Feed
from keepstep.model.instant import Instant
from keepstep.settings.values import cadence


def following(feed: Feed, meant: Instant | None, now: Instant) -> Instant:
    """The first moment of the schedule after now; what was missed before is missed, however often. meant: a moment of
    the schedule, past or to come; None where there was none yet.

    A cadence begins at once and keeps to its hour; a cron line waits for its first moment.
    """
    every = _cadence(feed.schedule)
    if every is None:
        return _cron(feed, now)
    if meant is None:
        return now
    return meant if meant > now else meant + every * (int((now - meant) // every) + 1)


def _cadence(schedule: str) -> float | None:
    """Seconds; None for a cron line. The settings took it for one of them already."""
    try:
        return cadence(schedule)
    except ValueError:
        return None


def _cron(feed: Feed, now: Instant) -> Instant:
    # Where the clock is put back an hour comes twice: the line's moment in it is its first one, which may be over.
    moments = (at.timestamp() for at in CronSim(feed.schedule, datetime.fromtimestamp(now, ZoneInfo(feed.zone))))
    return next(at for at in moments if at > now)
