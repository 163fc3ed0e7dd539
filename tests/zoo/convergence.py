"""Mistakes that keep both sides from agreeing, or make them agree on what nobody said: one for each of I10 to I14."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import replace
from keepstep.connectors.constant_contact.api import segment
from keepstep.connectors.virtuous import api as v_api
from keepstep.model.change import Done
from keepstep.state import snapshots
from tests.planted import mapping, writing


def new_values_are_no_news(patch: MonkeyPatch) -> None:
    """I10: a reading marks its party only where the record has another shape: another value in it is none."""
    patch.setattr(snapshots, "_differs", lambda before, after: before.keys() != after.keys())


def puts_everything_twice(patch: MonkeyPatch) -> None:
    """I11: to be on the safe side every PUT is made once more, whatever was answered."""
    right = v_api.Api.write

    async def write(self: Any, method: str, path: str, body: Any = None, urgent: bool = False) -> Any:
        if method == "PUT":
            await right(self, method, path, body, urgent)
        return await right(self, method, path, body, urgent)

    patch.setattr(v_api.Api, "write", write)


def latest_wins(patch: MonkeyPatch) -> None:
    """I12: what the poll brings is written over whatever staff have changed since."""
    mapping.latest_wins(patch)


def put_of_what_changed(patch: MonkeyPatch) -> None:
    """I13: an opt-out at Constant Contact is a PUT of the permission alone, which empties the rest."""
    writing.put_of_what_changed(patch)


def who_is_out_is_deleted(patch: MonkeyPatch) -> None:
    """I14: nobody may mail them any more, so they need no contact."""

    async def opt_out(self: replace.Replace, step: Any) -> Any:
        await self._api._call("DELETE", f"/v3/contacts/{segment(step.payload['record_id'])}")
        return Done({"consent": "opted_out"})

    patch.setattr(replace.Replace, "opt_out", opt_out)
