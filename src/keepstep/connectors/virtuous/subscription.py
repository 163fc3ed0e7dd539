"""The webhook subscription. There is no list of them: its id is all that leads to it (Virtuous facts 13.1)."""

from collections.abc import Mapping
from typing import Any, Literal

from keepstep.connectors.virtuous import mapping
from keepstep.connectors.virtuous.api import Api, segment
from keepstep.model.errors import Missing, Unanswered

# The fifteen toggles; an omitted one would be false, in a PUT too (Virtuous facts 13.1).
EVENTS = (
    *("contactCreate", "contactUpdate", "giftCreate", "giftUpdate", "giftDelete", "projectCreate", "projectUpdate"),
    *("projectDelete", "formSubmission", "contactNoteCreate", "contactNoteUpdate", "contactNoteDelete"),
    *("eventCreate", "eventUpdate", "eventDelete"),
)


async def subscribe(api: Api, url: str, secret: str) -> str:
    """Subscribes to every event and returns the subscription's id; none can be listed (Virtuous facts 13.1)."""
    made = await api.write("POST", "/api/Webhook", _wanted(url, secret))
    if (name := mapping.Reader(made or {}, []).id()) is None:
        raise Unanswered("POST /api/Webhook: no id in the answer")
    return name


async def read(api: Api, vendor_id: str) -> Mapping[str, Any] | None:
    """The subscription as the vendor has it, with its secret; None where it is gone."""
    try:
        found = await api.get(f"/api/Webhook/{segment(vendor_id)}")
    except Missing:
        return None
    return found if isinstance(found, dict) else None


async def resubscribe(api: Api, vendor_id: str, url: str, secret: str) -> Literal["good", "repaired", "gone"]:
    """Every toggle on, active, leading to us and signed with our secret, where it is not so any more."""
    found = await read(api, vendor_id)
    if found is None:
        return "gone"
    # A secret that the vendor hides cannot be compared; everything else it says (Virtuous facts 13.1).
    wanted = {name: value for name, value in _wanted(url, secret).items() if name != "secret" or "secret" in found}
    if all(found.get(name) == value for name, value in wanted.items()):
        return "good"
    try:
        await api.write("PUT", f"/api/Webhook/{segment(vendor_id)}", _wanted(url, secret))
    except Missing:
        return "gone"
    return "repaired"


async def unsubscribe(api: Api, vendor_id: str) -> Literal["deleted", "gone"]:
    """What it still had to deliver is dropped, not queued (Virtuous facts 13.1)."""
    try:
        await api.write("DELETE", f"/api/Webhook/{segment(vendor_id)}")
    except Missing:
        return "gone"
    return "deleted"


def _wanted(url: str, secret: str) -> dict[str, Any]:
    return {"payloadUrl": url, "secret": secret, **dict.fromkeys(EVENTS, True), "active": True}
