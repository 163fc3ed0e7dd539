"""A customer with a feed, and rows for it, put where the feed's chore would put them."""

import hashlib
import json
from dataclasses import replace
from typing import Any, Self

from msgspec import structs

from keepstep import queue
from keepstep.model.canonical import email
from keepstep.model.change import Lane
from keepstep.model.customer import NO_CRM
from keepstep.model.feed import Feed, Row, party_id, row_id
from keepstep.state import feeds
from tests.flows.crossing import CUSTOMER, Crossing

EVIDENCE = "Everybody in the table ticked the box of the paper form of 2024."
IMPORT = "/v3/activities/contacts_json_import"


def a_feed(name: str = "donors", **more: Any) -> Feed:
    """One that is read on New Year's day only: its rows come by hand here."""
    said = {"columns": {"email": "email"}, "schedule": "0 0 1 1 *", "permission_evidence": EVIDENCE}
    return Feed(name=name, database="sqlite:///nowhere.db", table="people", key="id", **(said | more))


class Fed(Crossing):
    """A customer with a feed; its rows are put where the feed's chore would put them."""

    def __init__(self, *feeds_: Feed, crm: str = NO_CRM, **more: Any) -> None:
        self.feeds = {one.name: one for one in feeds_ or (a_feed(),)}
        super().__init__(crm=crm, **more)

    def begun(self) -> Self:
        """Connected, and everybody at Constant Contact read."""
        if self.crm == NO_CRM:
            self.consent(self.refresh_tokens[CUSTOMER])
        else:
            self.connect()
        self.wait(hours=1)
        return self

    def open(self) -> None:
        super().open()
        known: Any = self.service.settings.customers
        route = replace(known[CUSTOMER].route, feeds=self.feeds)
        known[CUSTOMER] = structs.replace(known[CUSTOMER], route=route)

    def rows(self, *rows: Row, feed: str = "donors") -> None:
        """As read now."""

        def file(tx: Any) -> None:
            changed = feeds.file(tx, CUSTOMER, self.feeds[feed], rows, self.now())
            queue.put(tx, CUSTOMER, [(party_id(feed, one), Lane.bulk, self.now()) for one in changed], self.now())

        self.ask(self.db.run(file))

    def row(self, key: str = "1", feed: str = "donors") -> feeds.FeedRow:
        party = party_id(feed, row_id(key))
        found: feeds.FeedRow = self.ask(self.db.run(feeds.load, CUSTOMER, [party]))[party]
        return found

    def ended(self, key: str = "1", feed: str = "donors") -> tuple[str, str | None]:
        found = self.row(key, feed)
        return found.state, found.reason

    def imports(self) -> list[Any]:
        return self.made("POST", IMPORT)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(one.request.body) for one in self.imports()]

    def by_address(self, address: str) -> list[dict[str, Any]]:
        """Everybody at Constant Contact with this address, deleted ones too."""
        return [one for one in self.cc.contacts(CUSTOMER) if (one.get("email_address") or {}).get("address") == address]

    def lists_of(self, address: str) -> list[str]:
        [one] = self.by_address(address)
        return sorted(one["list_memberships"])


def a_row(
    key: str = "1",
    address: str | None = "bob@example.org",
    lists: tuple[str, ...] = ("News",),
    permission_at: float | None = None,
    **fields: Any,
) -> Row:
    said = {"first_name": "Bob", "last_name": "Poe", **({"email": address} if address else {}), **fields}
    said = {name: value for name, value in said.items() if value}
    version = hashlib.sha256(json.dumps([said, lists, permission_at], sort_keys=True).encode()).hexdigest()[:16]
    return Row(
        row_id=row_id(key),
        version=version,
        address=email(address) if address else None,
        fields=said,
        lists=lists,
        permission_at=permission_at,
        problem=None if address else "no_email",
    )


def people(c: Fed, count: int, **more: Any) -> list[Row]:
    return [a_row(str(n), f"p{n}@example.org", first_name=f"First{n}", **more) for n in range(count)]


def all_are(c: Fed, rows: list[Row], list_id: str) -> bool:
    here = {one["email_address"]["address"]: one for one in c.cc.contacts(CUSTOMER)}
    return all(list_id in here.get(str(one.address), {}).get("list_memberships", ()) for one in rows)
