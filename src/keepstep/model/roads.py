"""Which road told of a change in the CRM: a webhook, or a poll (the sweep is one too). Pure.

A road told of a change where it showed the record with this change's stamp or a later one: whoever reads a record again
sees everything that came before. So what one road missed does no harm once it has told of something later.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Literal

from keepstep.model.instant import Instant

Source = Literal["hook", "poll", "sweep"]
Verdict = Literal["daily", "keep"]

CREATED, UPDATED = "contactcreate", "contactupdate"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# A webhook may be so late and is not lost; where most are later, four times as long as nineteen of twenty take.
LEAST_GRACE = 1800.0
# So many changes that webhooks told of make a rhythm; so many in a row that none told of are the least that break it.
LEAST_TOLD = LEAST_MISSED = 3
# The same where no webhook ever came: nothing is known of the rhythm then.
NEVER_TOLD = 10
# That so many in a row were lost by mere bad luck must be less likely than this.
BAD_LUCK = 0.001
# Fewer changes by others than this prove nothing for a verdict; a larger share of lost webhooks asks for polls.
ENOUGH, LOSSES = 30, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One change of a record as one source showed it, for the first time `at`. stamp: the record's own change stamp as
    text, or `#` and a hash of its body. ours: it answers a write of our own."""

    record_id: str
    stamp: str
    source: Source
    at: Instant
    event: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a record: when each road showed exactly it, and whether each has told of it or of a later one.
    dated: `when` is the record's own word."""

    record_id: str
    event: str
    when: Instant
    hook: Instant | None
    poll: Instant | None
    by_hook: bool
    by_poll: bool
    dated: bool = True
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """No webhook told of `missed` changes by others, the first of which was made at `since`."""

    since: Instant
    missed: int


def changes(sightings: Iterable[Sighting]) -> list[Change]:
    """The changes that these sightings show, oldest first."""
    ordered = sorted(sightings, key=lambda one: (one.record_id, one.stamp, one.at))
    found: list[Change] = []
    for _, of_record in groupby(ordered, key=lambda one: one.record_id):
        stamps = [list(same) for _, same in groupby(of_record, key=lambda one: one.stamp)]
        found += _of_record(sorted(stamps, key=_when))
    return sorted(found, key=lambda one: (one.when, one.record_id))


def _of_record(stamps: Sequence[Sequence[Sighting]]) -> list[Change]:
    found: list[Change] = []
    by_hook = by_poll = False
    for same in reversed(stamps):
        hooks = [one for one in same if one.source == "hook"]
        polls = [one for one in same if one.source != "hook"]
        by_hook, by_poll = by_hook or bool(hooks), by_poll or bool(polls)
        words = [one.event for one in (*hooks, *polls) if one.event]
        found.append(
            Change(
                record_id=same[0].record_id,
                event=words[0] if words else UPDATED,
                when=_when(same),
                hook=min((one.at for one in hooks), default=None),
                poll=min((one.at for one in polls), default=None),
                by_hook=by_hook,
                by_poll=by_poll,
                dated=not same[0].stamp.startswith("#"),
                ours=any(one.ours for one in same),
            )
        )
    return found


def _when(same: Sequence[Sighting]) -> Instant:
    """The moment that the record names, else the one at which it was first seen so."""
    return min(one.at for one in same) if same[0].stamp.startswith("#") else float(same[0].stamp)


def latency(found: Iterable[Change], road: Literal["hook", "poll"]) -> list[float]:
    """Seconds from the change to its first showing, for changes that the record dates."""
    shown = [(one.when, getattr(one, road)) for one in found if one.dated]
    return sorted(max(at - when, 0.0) for when, at in shown if at is not None)


def grace(found: Iterable[Change]) -> float:
    """How long a webhook may take before it counts as lost, by what they took so far."""
    took = latency(found, "hook")
    usual = took[math.ceil(0.95 * len(took)) - 1] if took else 0.0
    return min(max(LEAST_GRACE, 4 * usual), DAY)


# --- silence ---------------------------------------------------------------------------------------------------------


def silence(found: Sequence[Change], heard: Instant | None, began: Instant, now: Instant) -> Silence | None:
    """Has the subscription gone quiet against its own rhythm?

    The rhythm is counted in changes, not in hours: at night, on a Sunday and in a tiny organization nothing is missed.
    heard: when a webhook came last; began: since when the subscription is as it is.
    """
    since = max(heard, began) if heard is not None else began
    others = [one for one in found if not one.ours and one.poll is not None]
    late = [one for one in others if since < one.when <= now - grace(found) and not one.by_hook]
    missed = {one.record_id: one.when for one in reversed(late)}
    before = [one for one in others if one.when <= since]
    told = sum(one.by_hook for one in before)
    if len(missed) < _too_many(told, len(before)):
        return None
    return Silence(min(missed.values()), len(missed))


def _too_many(told: int, of: int) -> int:
    """So many lost in a row are no bad luck, for a subscription that has lost what it lost until now."""
    if told < LEAST_TOLD:
        return NEVER_TOLD
    lost = min(max((of - told) / of, 0.01), 0.9)
    return max(LEAST_MISSED, math.ceil(math.log(BAD_LUCK) / math.log(lost)))


# --- parity ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of the changes of one kind of event: how many each road showed, how many only one of them did, and what came of
    it. agree: the reading that is stored is the same whichever road told; missed: it was not told by that road, nor
    anything later, in time; open: it still has time to."""

    seen: int = 0
    hook: int = 0
    poll: int = 0
    only_hook: int = 0
    only_poll: int = 0
    agree: int = 0
    missed_by_hook: int = 0
    missed_by_poll: int = 0
    open: int = 0


def tally(found: Sequence[Change], now: Instant, hook_grace: float, poll_grace: float) -> Tally:
    """Count these changes. A road that told of nothing so late has missed the change once its grace is over."""
    said = [_said(one, now, hook_grace, poll_grace) for one in found]
    return Tally(
        seen=len(found),
        hook=sum(one.hook is not None for one in found),
        poll=sum(one.poll is not None for one in found),
        only_hook=sum(one.poll is None for one in found),
        only_poll=sum(one.hook is None for one in found),
        agree=said.count("agree"),
        missed_by_hook=said.count("missed_by_hook"),
        missed_by_poll=said.count("missed_by_poll"),
        open=said.count("open"),
    )


def _said(one: Change, now: Instant, hook_grace: float, poll_grace: float) -> str:
    if one.by_hook and one.by_poll:
        return "agree"
    if not one.by_hook:
        return "missed_by_hook" if one.when <= now - hook_grace else "open"
    return "missed_by_poll" if one.when <= now - poll_grace else "open"


def by_event(found: Iterable[Change]) -> Mapping[str, list[Change]]:
    """The changes by the webhook's own word for them."""
    kinds: dict[str, list[Change]] = {}
    for one in found:
        kinds.setdefault(one.event, []).append(one)
    return dict(sorted(kinds.items()))


def verdict(
    found: Sequence[Change], said: Tally, *, subscribed: bool, quiet: bool, days: float
) -> tuple[Verdict, list[str]]:
    """May the poll be made daily? And why not. `found` and `said` are of changes by others only.

    Losses of webhooks then wait for a day; so there must be few of them, the polls must be a net that holds, and there
    must be enough to tell.
    """
    settled = said.seen - said.open
    hooks = latency(found, "hook")
    doubts = {
        "no_subscription": not subscribed,
        "quiet": quiet,
        "too_few_events": settled < ENOUGH,
        "too_few_days": days < 7,
        "losses": said.missed_by_hook > LOSSES * settled,
        "polls_missed": said.missed_by_poll > 0,
        "slow_webhooks": bool(hooks) and median(hooks) > HOUR,
    }
    why = [name for name, holds in doubts.items() if holds]
    return ("keep" if why else "daily"), why
