"""Bounces and opt-outs as the reports of recent mailings show them: a contact has no bounce state (CC facts 8).

A round asks which mailings are recent, what was sent of each, and two reports of everything that was sent. Its cursor
says what is still to be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from keepstep.connectors.constant_contact.api import DAY, Api, Reply, href, segment
from keepstep.connectors.constant_contact.source import LIMIT, next_href
from keepstep.model.contact import Report
from keepstep.model.errors import Blocked, Missing, NotGranted, Permanent, Transient
from keepstep.model.instant import Instant, format_instant, parse_instant
from keepstep.ports import Clock, ReportPage

# Bounces arrive for days after a send (CC facts 8): young mailings are read in every round, older ones in the first
# round of a quarter of a day, since each costs three calls of a budget that many customers share (CC facts 3.1).
YOUNG, WINDOW, QUARTER = 3 * DAY, 14 * DAY, DAY / 4
# Lines so much older than the mark were read before: by that quarter's first round, and with more than a day for
# reports to catch up.
LATE = 2 * DAY
CALLS = 5  # of one piece
FAILURES = 3  # of one task, before it is left to the next round
MOST_PAGES = 1000  # of one collection; a chain of links that is longer leads nowhere
SENT = ("primary_email", "resend")
# Of every code that is known; another one is soft (CC facts 8).
STRENGTHS: Mapping[str, Literal["hard", "soft", "delivered"]] = {
    **dict.fromkeys("BS", "hard"),
    **dict.fromkeys("DFXZ", "soft"),
    "V": "delivered",
}
TYPES = {"bounces": "em_bounces", "optouts": "em_optouts"}


@dataclass(frozen=True, slots=True)
class Task:
    """A page to ask for. What it is of: recent mailings, one mailing, or a report of the activity `activity_id`."""

    what: Literal["mailings", "mailing", "bounces", "optouts"]
    href: str
    activity_id: str = ""
    page: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """What is still to be asked, and since when lines are wanted."""

    todo: tuple[Task, ...]
    floor: Instant | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What one call gave: tasks to do next, tasks to do again after all others. `at` is the vendor's own time."""

    tasks: tuple[Task, ...] = ()
    reports: tuple[Report, ...] = ()
    poison: int = 0
    at: Instant | None = None
    again: tuple[Task, ...] = ()


class Reports:
    """Reads a few pages at a time. Needs a scope and a privilege of its own, which some owners do not give."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def read(self, since: Instant | None, cursor: str | None) -> ReportPage:
        """The next piece of a round. Raises NotGranted where reports may not be read, Permanent for a cursor that is
        not ours any more."""
        here = _resumed(cursor) if cursor else begun(since, self._clock.now())
        found: list[Found] = []
        while here.todo and len(found) < CALLS:
            task, *rest = here.todo
            found.append(await self._done(task, here.floor))
            here = replace(here, todo=(*found[-1].tasks, *rest, *found[-1].again))
        return ReportPage(
            reports=tuple(report for each in found for report in each.reports),
            cursor=msgspec.json.encode(here).decode() if here.todo else None,
            source_time=next((each.at for each in found if each.at is not None), None),
            poison=sum(each.poison for each in found),
            calls=max(len(found), 1),
        )

    async def _done(self, task: Task, floor: Instant | None) -> Found:
        """One that is gone says nothing; one that cannot be read is counted and must not keep the others from us."""
        try:
            reply = await self._asked(task)
        except NotGranted:
            raise
        except Transient as problem:
            named = problem.retry_after is not None or problem.status in (None, 202, 429)
            if task.what == "mailings" or named:
                raise
            return await self._put_off(task)
        except Permanent as problem:
            if task.what == "mailings" or task.page:
                raise
            return Found(poison=0 if isinstance(problem, Missing) else 1)
        reader = {"mailings": _mailings, "mailing": _mailing}.get(task.what)
        return replace(reader(task, reply) if reader else self._lines(task, reply, floor), at=reply.at)

    async def _put_off(self, task: Task) -> Found:
        """After the others, so that it keeps none of them from us; what it says of the last two days the next round
        asks again. Raises what the vendor answers to anything, where it delivers nothing at all."""
        await self._api.get("/emails", {"limit": "1"})
        again = replace(task, failures=task.failures + 1)
        return Found(again=(again,)) if again.failures < FAILURES else Found(poison=1)

    async def _asked(self, task: Task) -> Reply:
        try:
            return await self._api.follow(task.href)
        except Blocked as problem:  # a missing scope or privilege answers alike (CC facts 2.2, 4): contacts go on
            if problem.reason != "forbidden":
                raise
            raise NotGranted(403, str(problem)) from problem

    def _lines(self, task: Task, reply: Reply, floor: Instant | None) -> Found:
        rows = _rows(reply, "tracking_activities")
        if rows is None:
            return Found(poison=1)
        now = reply.at if reply.at is not None else self._clock.now()
        read = [_report(task, row, now) for row in rows if not _other_type(task, row)]
        known = [each for each in read if each is not None]
        wanted = tuple(each for each in known if floor is None or each.at >= floor)
        # Newest first: what follows an old line is older still (CC facts 8).
        more = _next(task, reply) if len(wanted) == len(known) else ()
        return Found(more, wanted, poison=len(read) - len(known))


def begun(since: Instant | None, now: Instant) -> Round:
    """A new round. Without a mark it reads all lines of the window; after an outage the window reaches back as far."""
    first = since is None or since // QUARTER != now // QUARTER
    start = (now if since is None else since) - (WINDOW if first else YOUNG)
    query = {"limit": LIMIT, "after_date": format_instant(start)}
    return Round((Task("mailings", href("/emails", query)),), None if since is None else since - LATE)


def _resumed(cursor: str) -> Round:
    try:
        return msgspec.json.decode(cursor, type=Round)
    except msgspec.DecodeError as problem:
        raise Permanent(0, "the cursor of a round of reports cannot be read") from problem


def _mailings(task: Task, reply: Reply) -> Found:
    """The next page comes first, while its link is young; a draft was never sent."""
    rows = _rows(reply, "campaigns")
    if rows is None:
        raise Transient("a page without campaigns")
    ids = [_text(row, "campaign_id") for row in rows]
    sent = [one for one, row in zip(ids, rows, strict=True) if one and row.get("current_status") != "Draft"]
    tasks = [Task("mailing", href(f"/emails/{segment(one)}")) for one in dict.fromkeys(sent)]
    return Found((*_next(task, reply), *tasks), poison=ids.count(None))


def _mailing(_task: Task, reply: Reply) -> Found:
    """Opt-outs before bounces. Other roles, such as the web page of a mailing, are sent to nobody (CC facts 8)."""
    rows = _rows(reply, "campaign_activities")
    if rows is None:
        return Found(poison=1)
    sent = [_text(row, "campaign_activity_id") for row in rows if _text(row, "role") in SENT]
    return Found(
        tuple(_report_task(what, one) for one in dict.fromkeys(sent) if one for what in ("optouts", "bounces")),
        poison=sent.count(None),
    )


def _report_task(what: Literal["optouts", "bounces"], activity_id: str) -> Task:
    path = f"/reports/email_reports/{segment(activity_id)}/tracking/{what}"
    return Task(what, href(path, {"limit": LIMIT}), activity_id)


def _next(task: Task, reply: Reply) -> tuple[Task, ...]:
    """The next page; the link may be missing although it is declared (CC facts 8)."""
    link = next_href(reply, task.href)
    if link is not None and task.page >= MOST_PAGES:
        raise Transient("a chain of next links has no end")
    return () if link is None else (replace(task, href=link, page=task.page + 1),)


def _report(task: Task, row: Any, now: Instant) -> Report | None:
    """A line, None where it names nobody. Its id is the same whichever dialect the date comes in; a line without a
    date is as new as its first reading."""
    contact = _text(row, "contact_id")
    if contact is None:
        return None
    at = parse_instant(row.get("created_time"))
    stamp = "" if at is None else format_instant(at)
    code = _text(row, "bounce_code") if task.what == "bounces" else None
    return Report(
        id=":".join((task.activity_id, TYPES[task.what], contact, stamp)),
        record_id=contact,
        kind="bounce" if task.what == "bounces" else "opt_out",
        at=now if at is None else at,
        address=_text(row, "email_address"),  # the one that was written to; the present one may be newer (CC facts 8)
        strength=STRENGTHS.get((code or "").upper(), "soft") if task.what == "bounces" else None,
        code=code,
        reason=_text(row, "opt_out_reason"),
    )


def _other_type(task: Task, row: Any) -> bool:
    """Of another channel, such as text messages."""
    named = _text(row, "tracking_activity_type")
    return named is not None and named != TYPES[task.what]


def _rows(reply: Reply, name: str) -> Sequence[Any] | None:
    rows = reply.value.get(name) if isinstance(reply.value, dict) else None
    return rows if isinstance(rows, list) else None


def _text(row: Any, key: str) -> str | None:
    value = row.get(key) if isinstance(row, dict) else None
    return value.strip() or None if isinstance(value, str) else None
