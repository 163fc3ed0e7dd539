"""Reading Virtuous: polls, look-ups by id, address and reference, tags, the organization, the webhook subscription."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from keepstep.connectors.virtuous import mapping, subscription
from keepstep.connectors.virtuous.api import TAKE, Api, more, rows, segment
from keepstep.connectors.virtuous.mapping import record_id
from keepstep.connectors.virtuous.options import UNTOLD, Options, options_of
from keepstep.connectors.virtuous.origin import Segment
from keepstep.model.contact import CrmContact
from keepstep.model.custom import CustomField
from keepstep.model.errors import Blocked, Missing, Permanent, Transient
from keepstep.model.instant import Instant, parse_instant
from keepstep.ports import Connection, Page

Found = tuple[str, Mapping[str, Any]]
Condition = dict[str, str]
Group = dict[str, list[Condition]]

FULL_CONTACT, OPTIONS = "/api/Contact/Query/FullContact", "/api/Contact/QueryOptions"
# Up to 1,000 groups a call are seen live (Virtuous facts 9); 500 ids leave room for the answer.
IDS_A_CALL, EMAILS_A_CALL, ANSWERS_A_CALL = 500, 200, 1000


class Source:
    """One organization, read. Methods raise Transient, Blocked and Permanent as `api.Api` does."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.api = Api(conn)
        self.reference_source = str(conn.settings.get("reference_source") or "Constant Contact")
        self._zone: str | None = None
        self._options: Options | None = None

    async def account(self) -> str:
        """The organization's id. Raises Blocked("disabled") for one that is switched off (Virtuous facts 2)."""
        return (await self.names())[0]

    async def names(self) -> Sequence[str]:
        """The id, which is of the organization and the key's user, and the organization's name (Virtuous facts 2)."""
        read = mapping.Reader(await self.api.get("/api/Organization/Current"), [])
        if read.flag("isEnabled") is False:
            raise Blocked("disabled", "the Virtuous organization is not enabled")
        self._zone = _zone(read.text("organizationTimeZone"))
        if (name := read.id("organizationUserId")) is None:
            raise Transient("Virtuous does not say which organization this is")
        return tuple(one for one in (name, read.text("organizationName")) if one)

    async def zone(self) -> str:
        """The organization's time zone; UTC where its name is none of IANA's."""
        if self._zone is None:
            await self.account()
        return self._zone or "UTC"

    async def changes(self, poll: str, since: Instant | None, cursor: str | None) -> Page:
        """One page of `changed` or `sweep` in the order of ids; the cursor is the last id (Virtuous facts 9).

        `changed` gives whole days in the organization's zone and one more: the granularity is not known (facts 9).
        Where queries cannot ask for it, it gives everything.
        """
        conditions: list[Condition] = []
        known = (await self._known()).modified if poll == "changed" and since is not None else None
        if known is not None and since is not None:
            conditions.append(_condition(*known, await self._day_before(since)))
        return await self._page([{"conditions": conditions}], cursor, TAKE)

    async def finds_changes(self) -> str | None:
        """Parameter and operator that find what was modified, as this organization spells them (Virtuous facts 9)."""
        known = (await self._known()).modified
        return " ".join(known) if known else None

    async def read_many(self, record_ids: Sequence[str]) -> Sequence[Found]:
        """The contacts of these ids that there are, archived ones too."""
        groups = [_group("Contact Id", name) for name in dict.fromkeys(record_ids) if record_id(name)]
        return await self._any_of(groups, IDS_A_CALL)

    async def unarchived(self, record_ids: Sequence[str]) -> frozenset[str]:
        """Those of these contacts that are not archived: no record need say so, but only they come where archived ones
        are not asked for (Virtuous facts 7.6)."""
        ids, found = [one for one in dict.fromkeys(record_ids) if record_id(one)], set[str]()
        for start in range(0, len(ids), TAKE):
            body = _body([_group("Contact Id", one) for one in ids[start : start + TAKE]], None)
            reply = await self.api.query(FULL_CONTACT, {**body, "includeArchived": False}, skip=0, take=TAKE)
            found |= {name for name, _ in _found(reply.value)}
        return frozenset(found)

    async def find(self, emails: Sequence[str]) -> Sequence[Found]:
        """Every contact that has one of these addresses; only one an address where queries cannot ask for it."""
        wanted = list(dict.fromkeys(email for email in emails if email))
        if name := (await self._known()).email:
            return await self._any_of([_group(name, email) for email in wanted], EMAILS_A_CALL)
        found = [await self._one("/api/Contact/Find", email=email) for email in wanted]
        return list({one[0]: one for one in found if one}.values())

    async def by_reference(self, record_id: str) -> Found | None:
        """The contact that carries our reference; None while an import waits (Virtuous facts 8)."""
        found = await self._one(f"/api/Contact/{segment(self.reference_source)}/{segment(record_id)}")
        carried = mapping.snapshot(found[1], 0.0).references if found else ()
        if carried and (self.reference_source, record_id) not in carried:  # the route shares its pattern with others
            raise Transient("the contact in the answer does not carry the reference that was asked for")
        return found

    async def home_of(self, individual: str) -> str | None:
        """The contact that an individual is of; None where it is gone (Virtuous facts 8)."""
        try:
            raw = await self.api.get(f"/api/ContactIndividual/{segment(individual)}")
        except Missing:
            return None
        return record_id(raw.get("contactId")) if isinstance(raw, dict) else None

    async def tags(self) -> Sequence[tuple[str, str]]:
        """Every tag as id and name. Names are not unique (Virtuous facts 11)."""
        read = [mapping.Reader(row, []) async for row in self.api.pages("/api/Tag", take=1000)]
        pairs = [(one.id(), one.text("tagName")) for one in read]
        return [(name, text) for name, text in pairs if name and text]

    async def fields(self) -> Sequence[CustomField]:
        """The custom fields of contacts (Virtuous facts 7.5)."""
        found = (mapping.field(row) for row in rows(await self.api.get("/api/Contact/CustomFields")))
        return [one for one in found if one]

    async def segment(self, code: str) -> bool:
        """Whether a segment of a campaign has this code (Virtuous facts 10.1)."""
        return await self.segment_of(code) is not None

    async def segment_of(self, code: str) -> Segment | None:
        """The segment with this code, None where there is none."""
        if not code.strip():
            return None
        try:
            raw = await self.api.get(f"/api/Segment/Code/{segment(code)}")
        except Missing:
            return None
        return Segment(code, mapping.Reader(raw, []).id())

    async def subscribe(self, url: str, secret: str) -> str:
        """See subscription.subscribe."""
        return await subscription.subscribe(self.api, url, secret)

    async def subscription(self, vendor_id: str) -> Mapping[str, Any] | None:
        """The subscription as it stands, without the secret that the vendor gives away (Virtuous facts 13.1)."""
        found = await subscription.read(self.api, vendor_id)
        return None if found is None else {key: value for key, value in found.items() if key != "secret"}

    async def resubscribe(self, vendor_id: str, url: str, secret: str) -> Literal["good", "repaired", "gone"]:
        """See subscription.resubscribe."""
        return await subscription.resubscribe(self.api, vendor_id, url, secret)

    async def unsubscribe(self, vendor_id: str) -> Literal["deleted", "gone"]:
        """See subscription.unsubscribe."""
        return await subscription.unsubscribe(self.api, vendor_id)

    def snapshot(self, raw: Mapping[str, Any], read_at: Instant) -> CrmContact:
        """A raw contact in the words of the model; total."""
        return mapping.snapshot(raw, read_at)

    async def _any_of(self, groups: list[Group], size: int) -> list[Found]:
        found: dict[str, Found] = {}
        for start in range(0, len(groups), size):
            cursor, going = None, True
            while going:
                page = await self._page(groups[start : start + size], cursor, ANSWERS_A_CALL)
                found |= {one[0]: (one[0], one[1]) for one in page.records}
                cursor = page.cursor
                going = cursor is not None
        return list(found.values())

    async def _page(self, groups: list[Group], cursor: str | None, take: int) -> Page:
        """Contacts of any of these groups, in the order of ids, after the cursor.

        No `skip`: a large one shifts under inserts (Virtuous facts 9), an ignored one gives the first page again (6).
        """
        reply = await self.api.query(FULL_CONTACT, _body(groups, cursor), skip=0, take=take)
        records = tuple(_found(reply.value))
        ids = [int(cursor or 0), *(int(name) for name, _ in records)]
        if ids != sorted(ids):
            raise Permanent(200, "the page is not in the order of ids that was asked for")
        count = len(rows(reply.value))
        going = more(reply.value, count, take)
        if going and ids[-1] == ids[0]:
            raise Permanent(200, "a whole page of contacts does not move the cursor")
        source_time = reply.date if reply.date is not None else _newest(records)
        return Page(records, str(ids[-1]) if going else None, source_time, count - len(records))

    async def _one(self, path: str, **params: Any) -> Found | None:
        try:
            raw = await self.api.get(path, **params)
        except Missing:
            return None
        found = next(_found([raw]), None)
        if found is None:
            raise Transient(f"GET {path.split('/')[2]}: 200 without a contact")
        return found

    async def _known(self) -> Options:
        """What this organization's queries know: they differ (Virtuous facts 9). Asked once."""
        if self._options is None:
            try:
                value = await self.api.get(OPTIONS)
            except Permanent:
                self._options = UNTOLD
            else:
                self._options = options_of(value)
        return self._options

    async def _day_before(self, since: Instant) -> str:
        local = datetime.fromtimestamp(since, UTC).astimezone(ZoneInfo(await self.zone()))
        return (local.date() - timedelta(days=1)).isoformat()


def _condition(parameter: str, operator: str, value: str) -> Condition:
    """Operators as on the wire, in PascalCase; the guides spell them otherwise (Virtuous facts 9)."""
    return {"parameter": parameter, "operator": operator, "value": value}


def _group(parameter: str, value: str) -> Group:
    return {"conditions": [_condition(parameter, "Is", value)]}


def _body(groups: list[Group], cursor: str | None) -> dict[str, Any]:
    """Groups are OR-ed, their conditions AND-ed, none means everything; archived ones too (Virtuous facts 9, 7.6)."""
    after = [_condition("Contact Id", "GreaterThan", cursor)] if cursor else []
    asked = [{"conditions": [*group["conditions"], *after]} for group in groups]
    asked = [group for group in asked if group["conditions"]]
    return {"includeArchived": True, "groups": asked, "sortBy": "Id", "descending": False}


def _found(value: Any) -> Iterator[Found]:
    for row in rows(value):
        if isinstance(row, dict) and (name := record_id(row.get("id"))):
            yield name, row


def _newest(records: Sequence[Found]) -> Instant | None:
    stamps = (parse_instant(raw.get("modifiedDateTimeUtc")) for _, raw in records)
    return max((stamp for stamp in stamps if stamp is not None), default=None)


def _zone(name: str | None) -> str:
    try:
        return ZoneInfo(name or "UTC").key
    except (LookupError, ValueError, OSError):
        return "UTC"
