"""How far a route goes, and when it may do bulk work. Pure: what is withheld is held by submit/holds.py."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from keepstep.model.customer import Policy
from keepstep.model.instant import Instant

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)\s*")
# Two clock changes lie inside a fortnight nowhere: the next opening is found by looking at each quarter of an hour.
_QUARTER, _FORTNIGHT = 900.0, 1_209_600.0


def hours_of(text: str) -> tuple[int, int] | None:
    """Minutes of the day at which a span `22:00-06:00` begins and ends; None for anything else, and for no span."""
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    begin, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    return (begin, end) if begin != end else None


def has_window(policy: Policy) -> bool:
    """Is bulk work bound to days or hours at all?"""
    return bool(policy.bulk_days or policy.bulk_hours)


def bulk_may_run(policy: Policy, at: Instant) -> bool:
    """Is a moment inside the route's bulk window? Hours that go over midnight belong to the day on which they begin."""
    local = datetime.fromtimestamp(at, ZoneInfo(policy.bulk_zone))
    minute, span = local.hour * 60 + local.minute, hours_of(policy.bulk_hours)
    if span is not None:
        begin, end = span
        over_midnight = end < begin and minute < end
        inside = begin <= minute < end if begin < end else minute >= begin or over_midnight
        if not inside:
            return False
        local -= timedelta(days=1) if over_midnight else timedelta()
    return not policy.bulk_days or DAYS[local.weekday()] in policy.bulk_days


def bulk_opens(policy: Policy, at: Instant) -> Instant | None:
    """When bulk work may go on, to a quarter of an hour; `at` where it may now, None where no moment fits."""
    if bulk_may_run(policy, at):
        return at
    quarter = at - at % _QUARTER
    while quarter < at + _FORTNIGHT:
        quarter += _QUARTER
        if bulk_may_run(policy, quarter):
            return quarter
    return None
