"""/v3/emails and /v3/reports: campaigns, what came back of them, and their counts (CC facts 8)."""

from collections.abc import Iterable, Sequence
from typing import Any

from keepstep_sandbox.constant_contact import dates, paging
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.mailings import (
    ABUSE,
    BOUNCES,
    CODES,
    OPT_OUTS,
    SENDS,
    Campaign,
    Mailing,
    Track,
)
from keepstep_sandbox.constant_contact.refusals import Refusal, invalid, missing
from keepstep_sandbox.http import Request, Response, answer

EMAILS = "/v3/emails"
REPORTS = "/v3/reports/email_reports"
SUMMARIES = "/v3/reports/summary_reports/email_campaign_summaries"
CONTACTS = "/v3/reports/contact_reports"
REPORTED = ("primary_email", "resend")
_DETAILS = ("em_sends", "em_opens", "em_clicks", "em_bounces", "em_optouts", "em_forwards")
_NOT_FOUND = "reportingsvc.not_found.invalid_path_param"
_KINDS = {"bounces": BOUNCES, "optouts": OPT_OUTS, "sends": SENDS}


def find(account: Account, request: Request, _now: float) -> Response:
    """A page of campaigns, the last updated first; dates are about `updated_at` (CC facts 8)."""
    query = paging.read(request, account.switches, 50, 500)
    after, before = _bound(query.params, "after_date"), _bound(query.params, "before_date")
    rows = [
        one
        for one in sorted(account.campaigns.values(), key=lambda one: -one.updated)
        if (after is None or one.updated > after) and (before is None or one.updated < before)
    ]
    begin, end = paging.window(len(rows), query, account.switches)
    page = {"campaigns": [_campaign(account, one) for one in rows[begin:end]]}
    return answer(200, page | paging.links(EMAILS, query, end < len(rows), account.switches))


def get(account: Account, _request: Request, _now: float, campaign_id: str) -> Response:
    """One campaign with its activities and their roles."""
    found = account.campaigns.get(campaign_id)
    if found is None:
        raise missing("Campaign not found.")
    rows = [{"campaign_activity_id": one.activity_id, "role": one.role} for one in found.activities]
    return answer(200, {"campaign_activities": rows, **_campaign(account, found)})


def tracking(account: Account, request: Request, _now: float, activity_id: str, what: str) -> Response:
    """Who bounced, opted out or was mailed, newest first. There is no filter by date."""
    query = paging.read(request, account.switches, 500, 500, "next")
    rows = _mailing(account, activity_id).of(_KINDS[what])
    if what == "bounces":
        rows = _with_codes(rows, query.params.get("bounce_code"))
    begin, end = paging.window(len(rows), query, account.switches)
    page = {"tracking_activities": [_row(account, activity_id, one) for one in rows[begin:end]]}
    path = f"{REPORTS}/{activity_id}/tracking/{what}"
    return answer(200, page | paging.report_links(path, query, end < len(rows), account.switches))


def bounces(account: Account, request: Request, now: float, activity_id: str) -> Response:
    """GET .../tracking/bounces; `bounce_code` may be repeated."""
    return tracking(account, request, now, activity_id, "bounces")


def opt_outs(account: Account, request: Request, now: float, activity_id: str) -> Response:
    """GET .../tracking/optouts."""
    return tracking(account, request, now, activity_id, "optouts")


def sends(account: Account, request: Request, now: float, activity_id: str) -> Response:
    """GET .../tracking/sends."""
    return tracking(account, request, now, activity_id, "sends")


def summaries(account: Account, request: Request, _now: float) -> Response:
    """Counts of every campaign that was sent, the last sent first."""
    query = paging.read(request, account.switches, 50, 500, "next")
    rows = [one for one in account.campaigns.values() if one.last_sent() is not None]
    rows.sort(key=lambda one: -(one.last_sent() or 0))
    begin, end = paging.window(len(rows), query, account.switches)
    page: dict[str, Any] = {"bulk_email_campaign_summaries": [_summary(account, one) for one in rows[begin:end]]}
    page["aggregate_percents"] = _percents(account, rows[begin:end])
    return answer(200, page | paging.report_links(SUMMARIES, query, end < len(rows), account.switches))


def details(account: Account, request: Request, _now: float, contact_id: str) -> Response:
    """What one contact did with every mailing, newest first; needs no campaign_data (CC facts 8)."""
    account.contact(contact_id)
    query = paging.read(request, account.switches, 100, 100, "next")
    asked = query.params.get("tracking_activities_list")
    kinds = tuple(asked.split(",")) if asked else tuple(request.params_all("tracking_activity_type")) or _DETAILS
    if not frozenset(kinds) <= frozenset(_DETAILS):
        raise invalid("tracking_activities_list holds an unknown value.")
    named = query.params.get("include_campaign_activity_names") != "false"
    rows = sorted(_of_contact(account, contact_id, kinds), key=lambda row: -row[2].at)
    begin, end = paging.window(len(rows), query, account.switches)
    page = {"tracking_activities": [_detail(account, row, named) for row in rows[begin:end]]}
    path = f"{CONTACTS}/{contact_id}/activity_details"
    return answer(200, page | paging.report_links(path, query, end < len(rows), account.switches))


def stats(account: Account, _request: Request, now: float, activity_ids: str) -> Response:
    """Counts of one to ten activities; unknown ones are told in `errors`."""
    wanted = activity_ids.split(",")
    if len(wanted) > 10:
        raise invalid("At most 10 ids.")
    known = {one.activity_id: (campaign, one) for campaign in account.campaigns.values() for one in campaign.sent()}
    found = [known[one] for one in wanted if one in known]
    if not found:
        raise Refusal(404, f"{_NOT_FOUND}.campaign_activity_ids.", "Could not find any stats.", shape="object")
    lost = [{"error_key": f"{_NOT_FOUND}.{one}.", "error_message": "Not found."} for one in wanted if one not in known]
    return answer(200, {"results": [_stats(account, *one, now) for one in found], "errors": lost})


def _campaign(account: Account, one: Campaign) -> dict[str, Any]:
    return {
        "campaign_id": one.campaign_id,
        "created_at": _stamp(account, one.created, "created_at"),
        "updated_at": _stamp(account, one.updated, "updated_at"),
        "current_status": one.status,
        "name": one.name,
        "type": "CUSTOM_CODE_EMAIL",
        "type_code": 18,
        "archived": False,  # a key that no document knows (CC facts 12)
    }


def _mailing(account: Account, activity_id: str) -> Mailing:
    for campaign in account.campaigns.values():
        for one in campaign.sent():
            if one.activity_id == activity_id and one.role in REPORTED:
                return one
    raise Refusal(404, f"{_NOT_FOUND}.campaign_activity_id.", "No report for this activity.", shape="object")


def _with_codes(rows: Sequence[Track], asked: str | None) -> list[Track]:
    codes = frozenset(asked.split(",")) if asked else frozenset(CODES)
    if not codes <= frozenset(CODES):
        raise invalid("bounce_code holds an unknown value.")
    return [one for one in rows if one.code in codes]


def _row(account: Account, activity_id: str, one: Track) -> dict[str, Any]:
    """`email_address` is the one that was mailed; the contact may have another by now (CC facts 8)."""
    contact = account.contacts[one.contact_id]
    row = {"contact_id": one.contact_id, "campaign_activity_id": activity_id, "tracking_activity_type": one.kind}
    row |= {"email_address": one.address, "created_time": _stamp(account, one.at, "created_time")}
    row |= {name: contact.core[name] for name in ("first_name", "last_name") if name in contact.core}
    row["device_type"] = "unknown"  # a key that no document knows (CC facts 12)
    if one.kind == BOUNCES:
        row["bounce_code"] = str(one.code)
        row |= {"current_email_address": contact.address} if contact.address else {}
    if one.reason is not None:
        row["opt_out_reason"] = one.reason
    if contact.deleted is not None:
        row["deleted_at"] = dates.day(contact.deleted)
    return row


def _of_contact(account: Account, contact_id: str, kinds: Sequence[str]) -> Iterable[tuple[Campaign, Mailing, Track]]:
    for campaign in account.campaigns.values():
        for mailing in campaign.sent():
            for one in mailing.tracks:
                if one.contact_id == contact_id and one.kind in kinds:
                    yield campaign, mailing, one


def _detail(account: Account, found: tuple[Campaign, Mailing, Track], named: bool) -> dict[str, Any]:
    campaign, mailing, one = found
    row = {
        "contact_id": one.contact_id,
        "campaign_activity_id": mailing.activity_id,
        "created_time": _stamp(account, one.at, "created_time"),
        "tracking_activity_type": one.kind,
    }
    if one.kind == BOUNCES:
        row["bounce_code"] = str(one.code)
    return row | ({"campaign_activity_name": campaign.name} if named else {})


def _summary(account: Account, one: Campaign) -> dict[str, Any]:
    names = {"sends": SENDS, "bounces": BOUNCES, "optouts": OPT_OUTS, "abuse": ABUSE}
    counts = {name: sum(mailing.unique(kind) for mailing in one.sent()) for name, kind in names.items()}
    counts |= dict.fromkeys(("opens", "clicks", "forwards"), 0)
    counts["not_opened"] = max(0, counts["sends"] - counts["bounces"])
    return {
        "campaign_id": one.campaign_id,
        "campaign_type": "CUSTOM_CODE_EMAIL",
        "last_sent_date": _stamp(account, one.last_sent() or 0, "last_sent_date"),
        "unique_counts": _counts(account, counts),
    }


def _percents(account: Account, rows: Sequence[Campaign]) -> Any:
    """Of the page; one guide shows an array of texts, another an object of numbers (CC facts 8, type drift)."""
    sent = sum(mailing.unique(SENDS) for one in rows for mailing in one.sent()) or 1
    kinds = {"bounce": BOUNCES, "unsubscribe": OPT_OUTS}
    came = {name: sum(m.unique(kind) for one in rows for m in one.sent()) * 100 / sent for name, kind in kinds.items()}
    found = {"click": 0.0, "open": 0.0, "did_not_open": 100.0, **came}
    values = {name: round(value, 1) for name, value in found.items()}
    if account.switches["report_counts"] == "numbers":
        return values
    return [{name: str(value)} for name, value in values.items()]


def _stats(account: Account, campaign: Campaign, mailing: Mailing, now: float) -> dict[str, Any]:
    found = {kind: mailing.unique(kind) for kind in (SENDS, BOUNCES, OPT_OUTS, ABUSE)}
    codes = {(one.code, one.contact_id) for one in mailing.tracks if one.kind == BOUNCES}
    found |= {name: sum(code == one for one, _contact in codes) for code, name in CODES.items()}
    return {
        "campaign_id": campaign.campaign_id,
        "campaign_activity_id": mailing.activity_id,
        "stats": _counts(account, found),
        "last_refresh_time": _stamp(account, int(now * 1000), "last_refresh_time"),
    }


def _counts(account: Account, counts: dict[str, int]) -> dict[str, Any]:
    """Numbers, or the same as texts (CC facts 8, type drift; CC facts 12)."""
    return counts if account.switches["report_counts"] == "numbers" else {name: str(n) for name, n in counts.items()}


def _bound(params: dict[str, str], name: str) -> float | None:
    if name not in params:
        return None
    try:
        return dates.parse(params[name]) * 1000
    except ValueError as error:
        raise invalid(f"{name} is not a date.") from error


def _stamp(account: Account, millis: int, name: str) -> str:
    return dates.fine_stamp(millis, account.switches["date_dialect"], name)
