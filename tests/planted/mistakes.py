"""Mistakes that the recipe's code, its anti-patterns and ordinary haste would make, as patches of the real product.

Each is planted by a function that takes a MonkeyPatch; no switch for any of them exists in the product.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep import inbound, rounds, tokens, worker
from keepstep.capture import catalogue
from keepstep.connectors.constant_contact import api as cc_api
from keepstep.connectors.constant_contact import destination, source
from keepstep.connectors.virtuous import api as v_api
from keepstep.connectors.virtuous import mapping, submission
from keepstep.model import consent, identify, membership
from keepstep.model.contact import Consent
from keepstep.model.errors import Permanent, Transient
from keepstep.state import deliveries, marks, readings
from keepstep.submit import calls, decided
from keepstep.wire.permits import SharedPermits
from keepstep.wiring import service

Plant = Callable[[MonkeyPatch], None]


# --- reading Constant Contact ---


def first_page_only(patch: MonkeyPatch) -> None:
    """The recipe's poll has no loop."""
    patch.setattr(source, "next_href", lambda _reply, _cursor: None)


def href_as_cursor(patch: MonkeyPatch) -> None:
    """The recipe sends `_links.next.href`, a whole path, as the value of `cursor`."""

    async def follow(self: cc_api.Api, href: str) -> Any:
        return await self.get("/contacts", {"cursor": href, "limit": "500"})

    patch.setattr(cc_api.Api, "follow", follow)


def wall_clock_mark(patch: MonkeyPatch) -> None:
    """The recipe's checkpoint is our own clock, read after the loop."""
    true_moved = rounds.moved

    def moved(mark: Any, page: Any, now: float, every: Any) -> Any:
        found = true_moved(mark, page, now, every)
        return found if found.cursor else replace(found, mark=now)

    patch.setattr(rounds, "moved", moved)


def updated_after_only(patch: MonkeyPatch) -> None:
    """The recipe polls `updated_after`, which no opt-out moves."""
    patch.setattr(source, "POLLS", {**source.POLLS, "opted_out": ("all", "updated_after")})


def no_include(patch: MonkeyPatch) -> None:
    """The recipe asks for no subresources, so that memberships, phones and addresses never come."""
    patch.setattr(source, "INCLUDES", "")


def import_without_checkpoint(patch: MonkeyPatch) -> None:
    """The recipe's bulk import keeps its place in memory."""

    async def poll_page(desk: Any, slot: Any, poll: Any) -> None:
        mark = await desk.db.run(marks.get, desk.customer_id, poll.platform, poll.name)
        page = await poll.read(mark.mark, None, None)
        records, cursor = page.records, page.cursor
        while cursor:
            more = await poll.read(mark.mark, cursor, None)
            records, cursor = records + more.records, more.cursor
        whole = replace(page, records=records, cursor=None)
        await desk.db.run(rounds.store_page, desk, slot, poll, mark, whole, desk.clock.now())

    patch.setattr(rounds, "poll_page", poll_page)


def lists_by_name(patch: MonkeyPatch) -> None:
    """The recipe finds a list by the name of its tag: a renamed list looks like everybody leaving."""
    true_bind = catalogue.bind

    def bind(known: Any, lists: Any, tags: Any, prefix: str) -> Any:
        found = true_bind(known, lists, tags, prefix)
        return [replace(one, tag_name=f"{prefix}{one.list_name}", state="live", reason=None) for one in found]

    patch.setattr(catalogue, "bind", bind)


# --- writing Virtuous ---


def tags_by_comma(patch: MonkeyPatch) -> None:
    """The recipe joins tags with a comma."""
    patch.setattr(submission, "TAG_SEPARATOR", ", ")


def tags_are_objects(patch: MonkeyPatch) -> None:
    """The recipe reads `t.tag` of tags that are strings."""

    def tags(read: mapping.Reader) -> tuple[str, ...]:
        return tuple(sorted(one["tag"] for one in read.values("tags") if isinstance(one, dict)))

    patch.setattr(mapping, "_tags", tags)


def country_is_us(patch: MonkeyPatch) -> None:
    """The recipe writes "US" where nobody said a country."""
    true_address = submission._address

    def address(payload: Any) -> Any:
        parts = true_address(payload)
        return parts and {"country": "US", **parts}

    patch.setattr(submission, "_address", address)


def everybody_by_transaction(patch: MonkeyPatch) -> None:
    """The recipe submits every contact, also the opted out, by a call that carries no consent."""
    true_create = identify._create

    def create(party: Any, person: Any, contact: Any, setting: Any) -> Any:
        mailable = replace(contact, consent=Consent.opted_in, opt_in_source=None)
        return true_create(party, replace(person, acts=()), mailable, setting)

    patch.setattr(identify, "_create", create)


def no_seen(patch: MonkeyPatch) -> None:
    """The no-state anti-pattern: what was last seen on each side is not kept."""
    true_save = readings.save

    def save(tx: Any, customer_id: str, changed: Any) -> None:
        blank = [replace(p, people=tuple(replace(one, audience=None, crm=None) for one in p.people)) for p in changed]
        true_save(tx, customer_id, blank)

    patch.setattr(readings, "save", save)


def repeats_unanswered_writes(patch: MonkeyPatch) -> None:
    """A write without an answer is taken for one that did not happen."""
    patch.setattr(calls, "Unanswered", type("Never", (Exception,), {}))


def retries_for_ever(patch: MonkeyPatch) -> None:
    """The infinite-retry anti-pattern: a refusal is tried again without end."""
    true_refused = v_api.Api._refused

    def refused(self: Any, call: Any, answer: Any) -> Any:
        try:
            true_refused(self, call, answer)
        except Permanent as problem:
            raise Transient(problem.detail) from None

    patch.setattr(v_api.Api, "_refused", refused)
    patch.setattr(calls, "TRIES", 10**9)


def one_limiter_for_all(patch: MonkeyPatch) -> None:
    """The global-limiter anti-pattern: one customer's budget is everybody's."""
    shared: list[Any] = []
    true_init = v_api.Api.__init__

    def init(self: Any, conn: Any) -> None:
        true_init(self, conn)
        shared[:] = shared or [self._pace]
        self._pace = shared[0]

    patch.setattr(v_api.Api, "__init__", init)


def no_headroom(patch: MonkeyPatch) -> None:
    """The whole hour's budget is taken for ours."""
    patch.setattr(v_api, "HEADROOM", 0.0)


def retry_after_is_ignored(patch: MonkeyPatch) -> None:
    """A 429 is tried again when it suits us."""
    patch.setattr(v_api, "_retry_after", lambda _text, _now: 1.0)


def one_kind_of_429(patch: MonkeyPatch) -> None:
    """A used-up day is taken for a moment's throttling."""

    async def stop(_self: Any, _key: str, _until: float) -> None:
        return None

    patch.setattr(SharedPermits, "stop", stop)
    patch.setattr(cc_api, "_pause", lambda _key, _now: 1.0)


# --- the door ---


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

    async def read_deliveries(desk: Any, slot: Any, parse: Any) -> int:
        waiting = await desk.db.run(deliveries.unread, desk.customer_id, desk.route.crm)
        named = {row["id"]: parse(row["body"]) for row in waiting}
        records = [(str(one["id"]), one) for row in waiting for one in [json.loads(row["body"])["contact"]]]
        await desk.db.run(inbound._store_deliveries, desk, slot, named, records, desk.clock.now())
        return len(waiting)

    patch.setattr(inbound, "read_deliveries", read_deliveries)


# --- consent ---


def put_of_what_changed(patch: MonkeyPatch) -> None:
    """A PUT with only the changed value: Constant Contact empties the rest."""

    def body(raw: Any, _payload: Any) -> Any:
        address = raw["email_address"]["address"]
        return {
            "email_address": {"address": address, "permission_to_send": "unsubscribed"},
            "update_source": "Account",
        }

    patch.setattr(destination, "opt_out_body", body)


def last_writer_wins_consent(patch: MonkeyPatch) -> None:
    """Whoever is subscribed now is taken for somebody who subscribed again."""

    def way_back(contact: Any, acts: Any) -> Any:
        out = consent._standing(acts)
        if not out or contact.consent is not Consent.opted_in:
            return None
        known_by = max(act.before for act in out)
        return replace(
            out[-1], id="", side=out[-1].side, kind="choice", direction="in", before=contact.read_at, after=known_by
        )

    patch.setattr(consent, "_way_back", way_back)


def widens_unread(patch: MonkeyPatch) -> None:
    """Somebody is put on a list without a look at who opted out meanwhile."""

    async def closed(_self: Any, _contacts: Any) -> dict[str, Any]:
        return {}

    patch.setattr(decided, "gate_is_fresh", lambda _tx, _desk, _now: True)
    patch.setattr(destination.Destination, "_closed", closed)


def removes_without_base(patch: MonkeyPatch) -> None:
    """A tag that is not there yet is taken for one that was removed."""
    true_init = membership._Want.__init__

    def init(self: Any, *args: Any) -> None:
        true_init(self, *args)
        self.fresh, self.was_tagged = False, True

    patch.setattr(membership._Want, "__init__", init)
    patch.setattr(membership.Seat, "ours", lambda self, list_id: self.readable and list_id in self.now)


def old_refresh_token(patch: MonkeyPatch) -> None:
    """The rotated refresh token is used once and not stored."""
    true_put = tokens.Vault.put

    def put(self: Any, tx: Any, customer_id: str, platform: str, name: str, secret: Any, now: float) -> None:
        if name == "refresh_token" and self.get(tx, customer_id, platform, name) is not None:
            return
        true_put(self, tx, customer_id, platform, name, secret, now)

    patch.setattr(tokens.Vault, "put", put)
