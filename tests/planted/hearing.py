"""Mistakes in hearing the CRM: what a late delivery may do, and what is done when nothing is heard."""

import json
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.virtuous.source import Source
from keepstep.inbound import deliveries, subscription
from keepstep.state import sightings


def stale_delivery_wins(patch: MonkeyPatch) -> None:
    """What the newest delivery says is taken for what is so now, however late it came."""
    true_named, true_read = deliveries.named_in, Source.read_many
    said: dict[str, Any] = {}

    def named(body: bytes, parse: Any) -> Any:
        found = true_named(body, parse)
        said.update({found[0].record_id: json.loads(body)["contact"]} if found else {})
        return found

    async def read_many(self: Any, record_ids: Any) -> Any:
        found = dict(await true_read(self, record_ids))
        return list({one: said.get(one, raw) for one, raw in found.items()}.items())

    patch.setattr(deliveries, "named_in", named)
    patch.setattr(deliveries, "_stale", lambda *_asked: [])
    patch.setattr(Source, "read_many", read_many)


def every_delivery_is_read(patch: MonkeyPatch) -> None:
    """A retried delivery costs a call each time, long after a poll has shown more."""
    patch.setattr(deliveries, "_stale", lambda *_asked: [])


def subscribed_again_and_nothing_more(patch: MonkeyPatch) -> None:
    """A subscription that was gone is made anew, and what happened meanwhile is left to the next poll."""
    patch.setattr(subscription, "reread", lambda *_asked: None)


def toggles_of_the_guide(patch: MonkeyPatch) -> None:
    """Active is all that is looked at: a toggle that somebody took away stays away."""
    true = Source.resubscribe

    async def resubscribe(self: Any, vendor_id: str, url: str, secret: str) -> Any:
        found = await self.subscription(vendor_id)
        return "good" if found and found["active"] else await true(self, vendor_id, url, secret)

    patch.setattr(Source, "resubscribe", resubscribe)


def own_echo_is_activity(patch: MonkeyPatch) -> None:
    """Webhooks that answer our own writes are counted as evidence that staff's are told."""
    patch.setattr(sightings, "_ours", lambda *_asked: set())


def quiet_is_good_news(patch: MonkeyPatch) -> None:
    """Active by the vendor's word is taken for working."""
    patch.setattr(subscription, "_silence", lambda *_asked: None)


def unknown_events_each_time(patch: MonkeyPatch) -> None:
    """A new kind of event fills the journal."""
    true = deliveries._new_words
    patch.setattr(deliveries, "_new_words", lambda tx, desk, said, _known, now: true(tx, desk, said, [], now))
