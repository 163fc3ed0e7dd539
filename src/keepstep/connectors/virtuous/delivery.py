"""What a webhook delivery names. Its body is unpublished, so every shape of Virtuous facts 13.3 is read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keepstep.connectors.virtuous.api import decode
from keepstep.connectors.virtuous.mapping import record_id
from keepstep.connectors.virtuous.subscription import EVENTS
from keepstep.model.errors import Refused
from keepstep.model.instant import Instant, parse_instant
from keepstep.ports import Notice

# A working receiver allows 5 MB; bulk actions come as one delivery (Virtuous facts 13.3).
LARGEST = 10_000_000
# The name is unconfirmed, so it is a list (Virtuous facts 13.4).
SIGNATURE_HEADERS = ("X-Virtuous-Signature",)
# The toggles of a subscription that are no contact's (Virtuous facts 13.1), as `event_type` writes them.
OTHER_EVENTS = frozenset(event.lower() for event in EVENTS if event not in ("contactCreate", "contactUpdate"))
CONTACT_EVENTS = ("contactcreate", "contactupdate", "contactmerge", "contactarchive", "contactunarchive")
_TYPES, _RECORDS = ("event", "eventType", "type"), ("contact", "data")


def parse_delivery(body: bytes) -> list[Notice]:
    """What a delivery says of contacts, each named once; an event of something else is said without a record. Nothing
    for a contact's event that names nobody. Raises Refused for what is no delivery."""
    if len(body) > LARGEST:
        raise Refused(413, "the delivery is too large")
    try:
        value = decode(body)
    except ValueError as problem:
        raise Refused(400, "the delivery is no JSON") from problem
    events = value if isinstance(value, list) else [value]
    if not all(is_delivery(event) for event in events):
        raise Refused(400, "the delivery names no event")
    return list({(one.event, one.record_id): one for event in events for one in _notices(event)}.values())


def _notices(event: Mapping[str, Any]) -> Iterator[Notice]:
    word = event_type(event)
    if word not in CONTACT_EVENTS:
        yield Notice(word, known=word in OTHER_EVENTS)
        return
    for name, changed_at in _named(event):
        yield Notice(word, name, changed_at)


def signatures(headers: Mapping[str, str], names: Sequence[str] = SIGNATURE_HEADERS) -> list[str]:
    """The values of the headers that may hold the signature."""
    wanted = [name.lower() for name in names]
    return [value for name, value in headers.items() if name.lower() in wanted]


def is_delivery(value: object) -> bool:
    """Whether this is an envelope: an object that names an event."""
    return event_type(value) != ""


def event_type(value: object) -> str:
    """`ContactUpdate`, `contact.updated` and `contactUpdate` are one (Virtuous facts 13.3); "" where there is none."""
    if not isinstance(value, Mapping):
        return ""
    # A contact method has a `type` too; an event's own record tells them apart.
    known = [value.get(key) for key in _TYPES if key != "type" or any(name in value for name in (*_RECORDS, "models"))]
    word = next((text for text in known if isinstance(text, str)), "")
    return "".join(letter for letter in word.lower() if letter.isalnum()).removesuffix("d")


def records(event: Mapping[str, Any]) -> Iterator[Any]:
    """The records of an envelope, one or many."""
    models = event.get("models")
    for holder in models if isinstance(models, list) else [event]:
        inner = holder
        for key in (*_RECORDS, *_RECORDS):
            inner = inner[key] if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping) else inner
        if inner is not event:
            yield inner


def _named(event: Mapping[str, Any]) -> Iterator[tuple[str, Instant | None]]:
    """The record and, after a merge, the survivor (Virtuous facts 7.6), of which the delivery says nothing more."""
    for record in (*records(event), {"id": event.get("contactId")}):
        if not isinstance(record, Mapping):
            continue
        survivor = record_id(record.get("mergedIntoContactId"))
        if name := record_id(record.get("id")):
            yield name, None if survivor else parse_instant(record.get("modifiedDateTimeUtc"))
        if survivor:
            yield survivor, None
