"""Taking back what we added ourselves: our reference on a contact, a phone, an address. What somebody has changed
since is not taken away.

A DELETE names nothing to compare with, so each is read first, and "not there any more" is as good as done.
"""

from collections.abc import Callable
from typing import Any

from keepstep.connectors.virtuous import edit
from keepstep.connectors.virtuous.api import Api, segment
from keepstep.connectors.virtuous.mapping import Reader, snapshot
from keepstep.model import canonical
from keepstep.model.change import Done, Nothing, Outcome, Retry, Step
from keepstep.model.errors import Missing

AFTER_AN_EDIT = 300.0
_STALE = Retry(AFTER_AN_EDIT, "changed since it was read")
_STILL_THERE = Retry(0.0, "still there")


async def unlink(api: Api, source: str, step: Step) -> Outcome:
    """Our reference off this contact. The call names no contact (Virtuous facts 11): where another one carries the same
    reference as well, nobody can say which of them would lose it, and a person must look."""
    if not await _refers(api, source, step):
        return Nothing()
    found = await api.get(f"/api/Contact/{segment(source)}/{segment(step.payload['record_id'])}")
    if Reader(found, []).id() not in (None, step.payload["contact"]):
        return Retry(AFTER_AN_EDIT, "another contact carries the same reference")
    await api.write("DELETE", _reference(source, step))
    return Done()


async def off_a_loser(api: Api, source: str, step: Step) -> bool:
    """Take our reference off a contact that was merged away, which may have kept it; it may not even be readable by
    then (Virtuous facts 7.6). False, and nothing done, where another contact carries it."""
    try:
        found = await api.get(f"/api/Contact/{segment(source)}/{segment(step.payload['record_id'])}")
    except Missing:
        found = None
    if found is not None and snapshot(found, 0.0).merged_into is None:
        return False
    await api.write("DELETE", _reference(source, step))
    return True


async def look_unlinked(api: Api, source: str, step: Step) -> Outcome:
    return _STILL_THERE if await _refers(api, source, step) else Done()


def _reference(source: str, step: Step) -> str:
    return f"/api/ContactReference/{segment(source)}?referenceId={segment(step.payload['record_id'])}"


async def _refers(api: Api, source: str, step: Step) -> bool:
    raw = await api.get(f"/api/Contact/{segment(step.payload['contact'])}")
    return (source, step.payload["record_id"]) in snapshot(raw, 0.0).references


async def drop_phone(api: Api, step: Step) -> Outcome:
    """The phone that we added, while it has the number that we gave it."""
    was = step.payload["was"]
    return await _dropped(api, _phone(step), lambda raw: canonical.same("phone", Reader(raw, []).text("value"), was))


async def look_phone(api: Api, step: Step) -> Outcome:
    return await _gone(api, _phone(step))


async def drop_address(api: Api, step: Step) -> Outcome:
    """The address that we added, while it says what we gave it."""
    was = step.payload["was"]
    return await _dropped(api, _address(step), lambda raw: canonical.fits("address", was, edit.told_address(raw)))


async def look_address(api: Api, step: Step) -> Outcome:
    return await _gone(api, _address(step))


def _phone(step: Step) -> str:
    return f"/api/ContactMethod/{segment(step.payload['method'])}"


def _address(step: Step) -> str:
    return f"/api/ContactAddress/{segment(step.payload['address'])}"


async def _dropped(api: Api, path: str, is_ours: Callable[[Any], bool]) -> Outcome:
    raw = await _maybe(api, path)
    if raw is None:
        return Nothing()
    if not is_ours(raw):
        return _STALE
    await api.write("DELETE", path)
    return Done()


async def _gone(api: Api, path: str) -> Outcome:
    return Done() if await _maybe(api, path) is None else _STILL_THERE


async def _maybe(api: Api, path: str) -> Any:
    try:
        return await api.get(path)
    except Missing:
        return None
