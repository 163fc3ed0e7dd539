"""Who is in a collection of contacts: read page after page over several pieces, since a large one takes minutes and
nobody may hold a customer's slot so long.

How far a roll was read lives in memory only: after a crash it is read from its start, which costs calls and nothing
else. What is read is kept for a while, so that the jobs of one feed share it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepstep.connectors.constant_contact.api import Api, Reply
from keepstep.connectors.constant_contact.source import LIMIT, next_href, rows_of
from keepstep.model.canonical import email
from keepstep.model.errors import Permanent
from keepstep.model.feed_decide import deleted_by
from keepstep.model.instant import Instant, parse_instant
from keepstep.ports import Clock

PIECE = 20.0  # seconds of reading at a time
# What was read whole so long ago is read anew: the jobs of one feed follow each other within seconds. One that nobody
# asks for any more is forgotten.
FRESH, FORGOTTEN = 120.0, 3600.0
AT_ONCE = 25  # lists in one filter (CC facts 5.1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a contact says of lists and permission."""

    lists: frozenset[str]
    permission: str | None
    deleted: bool
    deleted_at: Instant | None
    created_at: Instant | None
    updated_at: Instant | None
    by_account: bool

    @property
    def out(self) -> bool:
        return self.permission == "unsubscribed"


@dataclass(slots=True)
class _Roll:
    """One collection as far as it was read: `hrefs` are the queries or next links still to be followed."""

    queries: list[Mapping[str, str]]
    began: Instant
    href: str | None = None
    found: dict[str, Standing] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    ended: Instant | None = None

    def is_old(self, now: Instant) -> bool:
        return now - self.began > FORGOTTEN if self.ended is None else now - self.ended > FRESH


class Rolls:
    """The collections of one account."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._rolls: dict[object, _Roll] = {}

    async def deleted(self, until: Instant) -> Mapping[str, Standing] | None:
        """Every deleted contact by its address; None while it is still being read. No poll shows a deletion before the
        next sweep, and an import revives whom it meets (CC facts 5.4, 5.5)."""
        return await self._read("deleted", [{"status": "deleted", "limit": LIMIT}], until)

    async def members(self, list_ids: Sequence[str], until: Instant, proof: str = "") -> Mapping[str, Standing] | None:
        """Everybody on any of these lists. `proof`: a word of one job, for which nothing read before counts."""
        some = [",".join(list_ids[at : at + AT_ONCE]) for at in range(0, len(list_ids), AT_ONCE)]
        queries = [{"lists": one, "status": "all", "include": "list_memberships", "limit": LIMIT} for one in some]
        return await self._read((proof, tuple(list_ids)), queries, until)

    def done(self, list_ids: Sequence[str], proof: str) -> None:
        """Nobody asks for this proof again."""
        self._rolls.pop((proof, tuple(list_ids)), None)

    async def _read(
        self, key: object, queries: Sequence[Mapping[str, str]], until: Instant
    ) -> Mapping[str, Standing] | None:
        now = self._clock.now()
        self._rolls = {other: roll for other, roll in self._rolls.items() if not roll.is_old(now)}
        roll = self._rolls.setdefault(key, _Roll(list(queries), now))
        try:
            while roll.queries and self._clock.now() < until:
                await self._page(roll)
        except Permanent:  # a cursor that is not taken any more: from the start, with the next piece
            self._rolls.pop(key)
            raise
        if roll.queries:
            return None
        roll.ended = self._clock.now() if roll.ended is None else roll.ended
        return roll.found

    async def _page(self, roll: _Roll) -> None:
        asked = roll.href
        reply = await (self._api.follow(asked) if asked else self._api.get("/contacts", roll.queries[0]))
        roll.found.update(_standings(reply))
        roll.href = next_href(reply, asked)
        if roll.href is None or roll.href in roll.seen:  # a link that leads back ends a collection as well
            roll.queries.pop(0)
            roll.href = None
        else:
            roll.seen.add(roll.href)


def may_come_back(found: Standing, payload: Mapping[str, Any], now: Instant) -> bool:
    """Is the row's permission newer than this deletion, which may be another one than it was decided by?"""
    said = payload.get("permission_at")
    return bool(payload["revive"]) and said is not None and said > deleted_by(found.deleted_at, now)


def _standings(reply: Reply) -> dict[str, Standing]:
    rows = [row for row in rows_of(reply, "contacts") if isinstance(row, dict)]
    return {email(address): standing(row) for row in rows if (address := address_of(row))}


def address_of(row: Mapping[str, Any]) -> str | None:
    mail = row.get("email_address")
    found = mail.get("address") if isinstance(mail, dict) else None
    return found if isinstance(found, str) else None


def standing(row: Mapping[str, Any]) -> Standing:
    """A raw contact's."""
    mail, lists = row.get("email_address"), row.get("list_memberships")
    return Standing(
        lists=frozenset(one for one in lists if isinstance(one, str)) if isinstance(lists, list) else frozenset(),
        permission=mail.get("permission_to_send") if isinstance(mail, dict) else None,
        deleted=bool(row.get("deleted_at")),
        deleted_at=parse_instant(row.get("deleted_at")),
        created_at=parse_instant(row.get("created_at")),
        updated_at=parse_instant(row.get("updated_at")),
        by_account=row.get("create_source") in (None, "Account"),
    )
