"""Mistakes of reading: pages, polls, marks, reports of mailings, and what else the vendors have to be asked for."""

from dataclasses import replace
from typing import Any

import msgspec
from pytest import MonkeyPatch

from keepstep import rounds
from keepstep.connectors.constant_contact import api as cc_api
from keepstep.connectors.constant_contact import catalogue, reports, source
from keepstep.connectors.constant_contact import mapping as cc_mapping
from keepstep.connectors.virtuous import api as v_api
from keepstep.connectors.virtuous import source as v_source
from keepstep.inbound import hints
from keepstep.ports import ReportPage
from keepstep.state import customers, marks, snapshots


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


def mark_moves_with_every_page(patch: MonkeyPatch) -> None:
    """The checkpoint is saved with each page: what a broken round did not reach is behind it."""
    true_moved = rounds.moved

    def moved(mark: Any, page: Any, now: float, every: Any) -> Any:
        found = true_moved(mark, page, now, every)
        return replace(found, mark=page.source_time - rounds.OVERLAP) if found.cursor else found

    patch.setattr(rounds, "moved", moved)


def processing_is_empty(patch: MonkeyPatch) -> None:
    """202 is a success, so its body is the answer."""
    true_read = cc_api.read

    def read(method: str, target: str, answer: Any, now: float) -> Any:
        return cc_api.Reply({"contacts": []}, now) if answer.status == 202 else true_read(method, target, answer, now)

    patch.setattr(cc_api, "read", read)


def one_dialect_of_dates(patch: MonkeyPatch) -> None:
    """Stamps are taken to be as in the first answer that somebody looked at."""
    true_parse = cc_mapping.parse_instant

    def parse(value: Any) -> Any:
        return true_parse(value) if isinstance(value, str) and value.endswith("Z") and "." not in value else None

    patch.setattr(cc_mapping, "parse_instant", parse)


def one_bad_row_fails_its_page(patch: MonkeyPatch) -> None:
    """A page is stored whole or not at all."""

    async def stored(desk: Any, slot: Any, poll: Any, mark: Any, page: Any) -> None:
        await desk.db.run(rounds.store_page, desk, slot, poll, mark, page, desk.clock.now())

    patch.setattr(rounds, "_stored", stored)


def always_the_largest_page(patch: MonkeyPatch) -> None:
    """A page that the vendor cannot deliver is asked for again and again."""

    async def undeliverable(*_: Any) -> bool:
        return False

    patch.setattr(rounds, "_undeliverable", undeliverable)


def sweep_by_updated_at(patch: MonkeyPatch) -> None:
    """A record whose change stamp stands still has not changed."""
    true_differs = snapshots._differs

    def differs(before: Any, after: Any) -> bool:
        stamp = "updated_at" if "updated_at" in after else "modifiedDateTimeUtc"
        return before[stamp] != after[stamp] if stamp in before and stamp in after else true_differs(before, after)

    patch.setattr(snapshots, "_differs", differs)


def deletions_by_date(patch: MonkeyPatch) -> None:
    """Deletions are polled by a stamp that they need not move."""
    patch.setattr(source, "POLLS", {**source.POLLS, "deleted": ("deleted", "updated_after")})


def gone_is_deleted(patch: MonkeyPatch) -> None:
    """The recipe takes a contact that is not found for a deleted one."""

    def there(records: Any) -> Any:
        gone = {"deleted_at": "2025-06-16", "_whole": True}
        return [(key, {"contact_id": key, **gone} if raw is None else raw) for key, raw in records.items()]

    patch.setattr(hints, "_there", there)


def first_page_of_lists(patch: MonkeyPatch) -> None:
    """Lists are asked for without a limit and without a next page."""

    async def rows(api: Any, path: str, _query: Any, name: str) -> Any:
        return source.rows_of(await api.get(path), name)

    patch.setattr(catalogue, "rows_of_all_pages", rows)


def reports_never_read(patch: MonkeyPatch) -> None:
    """The recipe expects bounces on the contact."""

    async def read(self: Any, _since: Any, _cursor: Any) -> ReportPage:
        return ReportPage((), None, self._clock.now())

    patch.setattr(reports.Reports, "read", read)


def bounces_only(patch: MonkeyPatch) -> None:
    """Of the reports only the bounces are read: an opt-out is on the contact, is it not?"""
    true_mailing = reports._mailing

    def mailing(task: Any, reply: Any) -> Any:
        found = true_mailing(task, reply)
        return replace(found, tasks=tuple(one for one in found.tasks if one.what == "bounces"))

    patch.setattr(reports, "_mailing", mailing)


def bounces_without_codes(patch: MonkeyPatch) -> None:
    """A bounce is a bounce: full mailboxes and automatic answers too."""
    patch.setattr(reports, "STRENGTHS", dict.fromkeys("BSDFXZV", "hard"))


def only_hard_bounces(patch: MonkeyPatch) -> None:
    """Whatever is not hard is left to the vendor."""
    patch.setattr(reports, "STRENGTHS", {**dict.fromkeys("DFXZV", "delivered"), **dict.fromkeys("BS", "hard")})


def vacations_bounce(patch: MonkeyPatch) -> None:
    """An automatic answer is among the bounces, so it is one."""
    patch.setattr(reports, "STRENGTHS", {**reports.STRENGTHS, "V": "soft"})


def bounce_of_the_present_address(patch: MonkeyPatch) -> None:
    """The report names the present address as well, and that is the one we know."""
    true_report = reports._report

    def report(task: Any, row: Any, now: float) -> Any:
        found = true_report(task, row, now)
        return found and replace(found, address=row.get("current_email_address") or found.address)

    patch.setattr(reports, "_report", report)


def every_reading_is_a_bounce(patch: MonkeyPatch) -> None:
    """A line of a report has no id, so each reading of it gets a new one."""
    true_report = reports._report

    def report(task: Any, row: Any, now: float) -> Any:
        found = true_report(task, row, now)
        return found and replace(found, id=f"{found.id}:{now}")

    patch.setattr(reports, "_report", report)


def no_scope_no_sync(patch: MonkeyPatch) -> None:
    """403 is 403: where reports may not be read, nothing is."""

    async def asked(self: Any, task: Any) -> Any:
        return await self._api.follow(task.href)

    patch.setattr(reports.Reports, "_asked", asked)


def any_account_will_do(patch: MonkeyPatch) -> None:
    """A new consent is a new consent, whoever was signed in."""
    patch.setattr(customers, "leads_to", lambda _bound, _names: True)


def strict_json(patch: MonkeyPatch) -> None:
    """Half a character makes a page of 500 unreadable."""
    patch.setattr(cc_api, "decode", msgspec.json.decode)


# --- Virtuous ---


def paging_in_the_body(patch: MonkeyPatch) -> None:
    """The guides put skip and take into the body, where they are ignored; a page shorter than asked for is the last."""

    async def query(self: Any, path: str, body: Any, **params: Any) -> Any:
        return await self.send(v_api.Call("POST", path, {**body, **params}, read=True))

    patch.setattr(v_api.Api, "query", query)
    patch.setattr(v_source, "more", lambda value, _seen, take: len(v_api.rows(value)) >= take)


def pages_of_ten(patch: MonkeyPatch) -> None:
    """Collections are read without `take`, and only once: ten rows."""

    async def pages(self: Any, path: str, take: int = 10, urgent: bool = False, **_params: Any) -> Any:
        for row in v_api.rows(await self.get(path, urgent)):
            yield row

    patch.setattr(v_api.Api, "pages", pages)


def operators_of_the_guides(patch: MonkeyPatch) -> None:
    """Operators are spelled as on the screen, with spaces."""
    spelled = {"OnOrAfter": "Is After Or On", "GreaterThan": "Greater Than"}
    true_condition = v_source._condition
    patch.setattr(
        v_source,
        "_condition",
        lambda parameter, operator, value: true_condition(parameter, spelled.get(operator, operator), value),
    )


def abbreviated_rows(patch: MonkeyPatch) -> None:
    """The guides' loop reads the short form of a contact: no stamps, people, references or consent."""
    patch.setattr(v_source, "FULL_CONTACT", "/api/Contact/Query")


def subscribed_for_ever(patch: MonkeyPatch) -> None:
    """A subscription that was made once is never looked at again."""

    async def resubscribe(*_asked: Any) -> str:
        return "good"

    patch.setattr(v_source.Source, "resubscribe", resubscribe)
