"""Mistakes at the door: what is believed of a delivery, and what is done before it is answered."""

import json
from typing import Any

from pytest import MonkeyPatch

from keepstep import worker
from keepstep.connectors.constant_contact import delivery
from keepstep.connectors.virtuous.source import Source
from keepstep.inbound import deliveries
from keepstep.wiring import service


def signature_of_parsed_body(patch: MonkeyPatch) -> None:
    """The recipe parses the body first: what is verified is no longer what was sent."""
    from keepstep.web import door

    true_verify = door.verify

    def verify(body: bytes, given: Any, secrets: Any) -> bool:
        return true_verify(json.dumps(json.loads(body), separators=(",", ":")).encode(), given, secrets)

    patch.setattr(door, "verify", verify)


def signature_not_verified(patch: MonkeyPatch) -> None:
    """The recipe leaves verification to a function that nobody wrote."""
    from keepstep.web import door

    patch.setattr(door, "verify", lambda _body, _given, _secrets: True)


def writes_in_the_handler(patch: MonkeyPatch) -> None:
    """The synchronous-write anti-pattern: the webhook's handler does the sync."""
    true_wake = service.Service.wake

    async def wake(self: Any, customer_id: str) -> None:
        await true_wake(self, customer_id)
        await worker.work(self, "door", customer_id)

    patch.setattr(service.Service, "wake", wake)


def acknowledged_before_stored(patch: MonkeyPatch) -> None:
    """200, and the row is lost."""
    from keepstep.database import Inline

    async def append(_self: Any, _table: Any, _row: Any) -> None:
        return None

    patch.setattr(Inline, "append", append)


def values_from_the_event(patch: MonkeyPatch) -> None:
    """The recipe takes the tag set and everything else from the event instead of reading the contact again."""

    said: dict[str, Any] = {}
    true_named, true_read = deliveries.named_in, Source.read_many

    def named(body: bytes, parse: Any) -> Any:
        found = true_named(body, parse)
        said.update({found[0].record_id: json.loads(body)["contact"]} if found else {})
        return found

    async def read_many(self: Any, record_ids: Any) -> Any:
        unsaid = [one for one in record_ids if one not in said]
        known = [(one, said[one]) for one in record_ids if one in said]
        return [*known, *(await true_read(self, unsaid) if unsaid else ())]

    patch.setattr(deliveries, "named_in", named)
    patch.setattr(Source, "read_many", read_many)


def account_in_the_body(patch: MonkeyPatch) -> None:
    """The recipe lets the body say whose delivery it is; whoever holds one customer's secret speaks for all."""
    from keepstep.web.door import Door

    patch.setattr(Door, "_foreign", lambda _self, _platform, _sender, _body: False)


def one_event_a_body(patch: MonkeyPatch) -> None:
    """A body is one event; an array of them is none."""
    patch.setattr(delivery, "_events", lambda value: [value])
