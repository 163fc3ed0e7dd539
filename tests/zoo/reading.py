"""Mistakes of reading: what is never asked for, what is asked for wrongly, and what is believed: one for each of I22 to
I26."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import source
from keepstep.state import brake
from tests.planted import reading
from tests.zoo import staged


def updated_after_only(patch: MonkeyPatch) -> None:
    """I22: opt-outs are polled by the change stamp, which they do not move."""
    reading.updated_after_only(patch)


def wall_clock_mark(patch: MonkeyPatch) -> None:
    """I23: the mark is our own clock, read after the round."""
    reading.wall_clock_mark(patch)


def loads_who_may_be_mailed(patch: MonkeyPatch) -> None:
    """I24: whoever is out or deleted is nobody to load."""
    right = source._query

    def query(poll: str, since: Any, size: Any) -> dict[str, str]:
        return right(poll, since, size) | ({"status": "active"} if poll == "sweep" else {})

    patch.setattr(source, "_query", query)


def a_limit_of_a_turn(patch: MonkeyPatch) -> None:
    """I25: what went out in an earlier turn is out, and counts no more."""
    patch.setattr(brake, "counted", lambda _tx, _customer_id, _since: 0)


def any_account_will_do(patch: MonkeyPatch) -> None:
    """I26: a new consent is a new consent, whoever was signed in."""
    reading.any_account_will_do(patch)


PLANS = {a_limit_of_a_turn: staged.UNTAGGED, any_account_will_do: staged.WRONG_ACCOUNT}
