"""Mistakes in reading a customer's table: what is new, where a page ends, and when it is read."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim
from pytest import MonkeyPatch
from sqlalchemy import create_engine

from keepstep.connectors import sql_table
from keepstep.connectors.sql_table import mapping, source, stamps
from keepstep.connectors.sql_table.place import Place
from keepstep.connectors.sql_table.statements import Reading
from keepstep.database import guests
from keepstep.feeds import round as rounds
from keepstep.feeds import schedule
from keepstep.state import feeds


def the_last_24_hours(patch: MonkeyPatch) -> None:
    """The recipe fetches the rows of the past day, by the clock of whoever asks: what a missed day held is lost."""

    def begun(self: Any, _since: Any) -> Any:
        self.rest()
        low = datetime.fromtimestamp(time.time() - 86_400, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return Place(part=0, low=low, after=None, high=None, clock=self._foreign.now())

    patch.setattr(source.Source, "_begun", begun)


def on_from_the_last_stamp(patch: MonkeyPatch) -> None:
    """A round goes on where the last one ended, so what was committed late, with an earlier stamp, is never read."""
    patch.setattr(stamps, "low", lambda high, *_: high)


def high_moves_with_every_page(patch: MonkeyPatch) -> None:
    """A page was read, so the next round begins behind it, whether or not this one ends."""
    true_moved = rounds.moved

    def moved(feed: Any, mark: Any, page: Any, changed: int, now: float) -> Any:
        after = true_moved(feed, mark, page, changed, now)
        return replace(after, data={**(after.data or {}), "high": page.high or str(page.source_time)})

    patch.setattr(rounds, "moved", moved)


def equal_stamps_at_a_border(patch: MonkeyPatch) -> None:
    """The next page has what was changed later, and rows of one stamp that a page cut in two are lost."""
    true_from_on = Reading._from_on

    def from_on(self: Any, low: Any, after: Any) -> Any:
        if after is None or self._changed is None:
            return true_from_on(self, low, after)
        return [self._changed > self._value(after[0], self._feed.changed)]

    patch.setattr(Reading, "_from_on", from_on)


def unstamped_rows_never_changed(patch: MonkeyPatch) -> None:
    """What has no stamp was never changed: NULL is later than nothing."""
    patch.setattr(source, "parts", lambda _feed: ("stamped",))


def the_highest_stamp_is_now(patch: MonkeyPatch) -> None:
    """One mistyped year hides every change until it comes."""
    patch.setattr(stamps, "capped", lambda high, *_: high)


def every_row_is_news(patch: MonkeyPatch) -> None:
    """What is read is filed as new, each time."""

    def changed(_tx: Any, _customer: str, _feed: Any, rows: Any) -> Any:
        return [], list({row.row_id: row for row in rows}.values())

    patch.setattr(feeds, "changed", changed)


def a_reader_may_write(patch: MonkeyPatch) -> None:
    """A query is what the settings say; that it only reads is their business."""
    patch.setattr(guests, "_sqlite", create_engine)


def imported_unchecked(patch: MonkeyPatch) -> None:
    """The recipe maps columns by name and finds out at the first import that one is not there."""

    async def check(_self: Any) -> tuple[str, ...]:
        return ()

    patch.setattr(sql_table.SqlTable, "check", check)


def an_address_is_what_stands_there(patch: MonkeyPatch) -> None:
    """Whatever the column holds is sent: one bad address costs its row, or its job."""
    patch.setattr(mapping, "is_address", bool)


def an_empty_column_blanks(patch: MonkeyPatch) -> None:
    """An empty column is an empty field, and takes away what staff have entered."""
    patch.setattr(mapping, "plain", lambda value: "" if value is None else str(value).strip())


def one_bad_row_ends_the_round(patch: MonkeyPatch) -> None:
    """A row that cannot be stored keeps its page, and all pages after it, from being read."""
    patch.setattr(rounds, "rows_fault", lambda _failure: False)


def missed_rounds_are_made_up(patch: MonkeyPatch) -> None:
    """A day without power is twenty-four rounds."""

    def following(feed: Any, meant: float | None, now: float) -> float:
        every = schedule._cadence(feed.schedule) or 86_400.0
        return now if meant is None else meant + every

    patch.setattr(rounds, "following", following)


def cron_is_in_utc(patch: MonkeyPatch) -> None:
    """The recipe's timer knows no zone: three in the morning is an evening in summer and another one in winter."""

    def cron(feed: Any, now: float) -> float:
        return next(CronSim(feed.schedule, datetime.fromtimestamp(now, UTC))).timestamp()

    patch.setattr(schedule, "_cron", cron)
