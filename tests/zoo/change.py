"""Mistakes after something changed: one each for I39 to I41. (I37 is in twins.py, I38 waits.)"""

from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import exists

from keepstep.queue import jobs, slots
from keepstep.state import chain
from keepstep.submit.calls import _Tally
from tests.planted import forgetting
from tests.zoo import plans


def decides_before_it_reads(patch: MonkeyPatch) -> None:
    """I39: whatever one side says is decided at once, before the other one could explain it."""
    forgetting.decides_before_it_reads(patch)


def pausing_is_for_writers(patch: MonkeyPatch) -> None:
    """I40: a customer who is paused is served on; only its state says otherwise."""
    patch.setattr(jobs, "guard_active", slots.guard)
    patch.setattr(slots, "sql_exists", lambda: _Anybody(exists()))
    claimed = {(why, anybody): slots._claim(why, anybody) for why in ("wake", "unread") for anybody in (True, False)}
    patch.setattr(slots, "_CLAIMED", claimed)
    patch.setattr(slots, "_NEXT_CLAIM", slots._next_claim())
    patch.setattr(slots, "sql_exists", exists)


class _Anybody:
    """Asks for a customer's state and does not mind it."""

    def __init__(self, asked: Any) -> None:
        self._asked = asked

    def where(self, *conditions: Any) -> Any:
        """Without the state."""
        return self._asked.where(*[one for one in conditions if "customer.state" not in str(one)])


def ends_untold(patch: MonkeyPatch) -> None:
    """I41: how a call ended is not written down."""
    patch.setattr(_Tally, "_line", lambda _self, _row, _outcome: None)


def every_row_is_the_first(patch: MonkeyPatch) -> None:
    """I41: rows of the ledger are sealed for themselves, and nobody sees that one is missing."""
    patch.setattr(chain, "head", lambda _tx, _customer_id: "")


PLANS = {decides_before_it_reads: plans.restored}
