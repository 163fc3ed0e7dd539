"""Campaigns, bounces and opt-outs from campaigns: CC facts 8."""

from typing import Any

import pytest

from keepstep_sandbox.log import CONSTANT_CONTACT
from tests.sandbox.constant_contact.door import Door, changed
from tests.sandbox.vendor import faults, needs_documents

SUMMARIES = "/v3/reports/summary_reports/email_campaign_summaries"


def activity(door: Door, campaign: str) -> str:
    rows = door.get(f"/v3/emails/{campaign}")["campaign_activities"]
    return str(next(one["campaign_activity_id"] for one in rows if one["role"] == "primary_email"))


def report(door: Door, activity_id: str, what: str = "bounces", query: str = "") -> list[dict[str, Any]]:
    path, rows = f"/v3/reports/email_reports/{activity_id}/tracking/{what}?{query}", []
    while path:
        page = door.get(path)
        rows += page["tracking_activities"]
        path = ((page.get("_links") or {}).get("next") or {}).get("href") or ""
    return rows


def bounced(door: Door, *codes: str) -> tuple[str, list[str]]:
    """One person a code, all mailed and all bounced one second after another. The activity and the people."""
    people = [door.person(email=f"p{at}@example.org", first_name=f"P{at}") for at in range(len(codes))]
    campaign = door.cc.send_campaign("a1", door.now)
    for at, code in enumerate(codes):
        door.cc.bounce("a1", people[at], code, door.now + 1 + at)
    door.now += len(codes) + 1
    return activity(door, campaign), people


def test_a_campaign_has_a_mail_and_a_permanent_link_that_has_no_report() -> None:
    door = Door()
    door.person(email="a@example.org")
    campaign = door.cc.send_campaign("a1", door.now)
    shown = door.get(f"/v3/emails/{campaign}")
    assert [one["role"] for one in shown["campaign_activities"]] == ["primary_email", "permalink"]
    assert shown["current_status"] == "Done"
    link = shown["campaign_activities"][1]["campaign_activity_id"]
    refused = door.call("GET", f"/v3/reports/email_reports/{link}/tracking/bounces")
    assert refused.status == 404
    assert refused.json()["error_key"].startswith("reportingsvc.")


def test_a_campaign_sent_again_is_a_resend_with_a_report_of_its_own() -> None:
    door = Door()
    a, b = door.person(email="a@example.org"), door.person(email="b@example.org")
    campaign = door.cc.send_campaign("a1", door.now, [a, b])
    assert door.cc.send_campaign("a1", door.now + 60, [b], campaign) == campaign
    door.now += 60
    rows = door.get(f"/v3/emails/{campaign}")["campaign_activities"]
    assert [one["role"] for one in rows] == ["primary_email", "permalink", "resend"]
    door.cc.bounce("a1", b, "F", door.now)
    assert [one["contact_id"] for one in report(door, rows[2]["campaign_activity_id"])] == [b]
    assert report(door, rows[0]["campaign_activity_id"]) == []


def test_campaigns_are_found_by_when_they_were_updated_and_a_bounce_updates_none() -> None:
    door = Door()
    a = door.person(email="a@example.org")
    old = door.cc.send_campaign("a1", door.now)
    door.now += 3600
    new = door.cc.send_campaign("a1", door.now + 1)
    draft = door.cc.draft_campaign("a1", "Not yet", door.now + 2)
    door.now += 10
    door.cc.bounce("a1", a, "B", door.now)
    stamp = "2025-06-15T16:06:42Z"
    assert [one["campaign_id"] for one in door.get("/v3/emails")["campaigns"]] == [draft, new, old]
    assert [one["campaign_id"] for one in door.get(f"/v3/emails?after_date={stamp}")["campaigns"]] == [draft, new]
    assert [one["campaign_id"] for one in door.get(f"/v3/emails?before_date={stamp}")["campaigns"]] == [old]
    assert door.call("GET", "/v3/emails?after_date=soon").status == 400
    assert door.call("GET", "/v3/emails/nothing").status == 404
    first = door.get("/v3/emails?limit=2")
    assert first["_links"]["next"]["href"].startswith("/v3/emails?cursor=")
    assert [one["campaign_id"] for one in door.get(first["_links"]["next"]["href"])["campaigns"]] == [old]


def test_bounces_come_newest_first_and_page_by_next() -> None:
    door = Door()
    sent, people = bounced(door, "B", "F", "V")
    page = door.get(f"/v3/reports/email_reports/{sent}/tracking/bounces?limit=2")
    href = page["_links"]["next"]["href"]
    assert href.startswith(f"/v3/reports/email_reports/{sent}/tracking/bounces?next=")
    assert [one["contact_id"] for one in page["tracking_activities"]] == [people[2], people[1]]
    last = door.get(href)
    assert [one["bounce_code"] for one in last["tracking_activities"]] == ["B"]
    assert "_links" not in last


def test_codes_are_chosen_by_repeating_the_parameter_also_on_later_pages() -> None:
    door = Door()
    sent, _people = bounced(door, "B", "F", "V", "B")
    rows = report(door, sent, query="bounce_code=B&bounce_code=V&limit=1")
    assert [one["bounce_code"] for one in rows] == ["B", "V", "B"]
    assert door.call("GET", f"/v3/reports/email_reports/{sent}/tracking/bounces?bounce_code=Q").status == 400


def test_a_bounce_names_the_address_that_was_mailed_and_the_one_of_today() -> None:
    """CC facts 8: do not punish the new one. The contact's record does not change."""
    door = Door()
    a = door.person(email="old@example.org", first_name="Ann")
    sent = activity(door, door.cc.send_campaign("a1", door.now))
    door.cc.edit("a1", a, door.now + 1, email="new@example.org")
    before = door.one(a)
    assert changed(door.cc.bounce("a1", a, "B", door.now + 1)) == {"bounce": (None, "B")}
    assert door.one(a) == before
    row = report(door, sent)[0]
    assert (row["email_address"], row["current_email_address"]) == ("old@example.org", "new@example.org")
    assert (row["first_name"], row["tracking_activity_type"]) == ("Ann", "em_bounces")
    assert "last_name" not in row
    assert "deleted_at" not in row


def test_a_deleted_contact_stays_in_the_report_with_a_date() -> None:
    door = Door()
    sent, people = bounced(door, "Z")
    door.cc.delete("a1", people[0], door.now)
    assert report(door, sent)[0]["deleted_at"] == "2025-06-15"


@pytest.mark.switch("constant_contact", "hard_bounce_holds", "no", "yes")
def test_a_hard_bounce_may_put_the_contact_on_hold() -> None:
    """CC facts 8: relation of temp_hold, unconfirmed."""
    door = Door(hard_bounce_holds="yes")
    _sent, people = bounced(door, "B", "F")
    assert [door.one(one)["email_address"]["permission_to_send"] for one in people] == ["temp_hold", "implicit"]


def test_somebody_never_mailed_is_mailed_before_the_mail_bounces() -> None:
    door = Door()
    a = door.person(email="a@example.org")
    door.cc.bounce("a1", a, "S", door.now)
    assert [
        one["bounce_code"] for one in report(door, activity(door, next(iter(door.cc.campaigns("a1")))["campaign_id"]))
    ] == ["S"]
    with pytest.raises(ValueError, match="no address"):
        door.cc.bounce("a1", door.person(first_name="Sms"), "B", door.now)
    with pytest.raises(ValueError, match="no bounce code"):
        door.cc.bounce("a1", a, "Q", door.now)


def test_an_opt_out_from_a_campaign_is_in_its_report_and_on_the_contact() -> None:
    door = Door()
    a = door.person(email="a@example.org")
    sent = activity(door, door.cc.send_campaign("a1", door.now))
    updated = door.one(a)["updated_at"]
    door.now += 100.25
    door.cc.campaign_opt_out("a1", a, door.now, "Too many mails")
    row = report(door, sent, "optouts")[0]
    assert (row["tracking_activity_type"], row["opt_out_reason"]) == ("em_optouts", "Too many mails")
    assert row["created_time"].endswith(".250Z")
    contact = door.one(a)
    assert contact["email_address"]["opt_out_source"] == "Contact"
    assert contact["email_address"]["opt_out_reason"] == "Too many mails"
    assert contact["updated_at"] == updated
    assert report(door, sent, "sends")[0]["contact_id"] == a


@pytest.mark.parametrize(
    ("way", "permission", "reason"),
    [
        ("unsubscribes_with_reason", "unsubscribed", "Spam complaint"),
        ("unsubscribes", "unsubscribed", None),
        ("count_only", "implicit", None),
    ],
)
def test_a_complaint_is_a_count_and_perhaps_an_opt_out(way: str, permission: str, reason: str | None) -> None:
    door = Door(complaint=way, report_counts="numbers")
    a = door.person(email="a@example.org")
    sent = activity(door, door.cc.send_campaign("a1", door.now))
    door.cc.complain("a1", a, door.now + 1)
    email = door.one(a)["email_address"]
    assert (email["permission_to_send"], email.get("opt_out_reason")) == (permission, reason)
    assert report(door, sent, "optouts") == []
    assert door.get(f"/v3/reports/stats/email_campaign_activities/{sent}")["results"][0]["stats"]["em_abuse"] == 1
    assert door.get(SUMMARIES)["bulk_email_campaign_summaries"][0]["unique_counts"]["abuse"] == 1


def test_summaries_show_what_was_sent_last_first_and_count_in_strings() -> None:
    """CC facts 8, type drift."""
    door = Door()
    bounced(door, "B", "F")
    door.cc.draft_campaign("a1", "Never", door.now)
    later = door.cc.send_campaign("a1", door.now)
    page = door.get(SUMMARIES)
    rows = page["bulk_email_campaign_summaries"]
    assert rows[0]["campaign_id"] == later
    assert [one["unique_counts"]["bounces"] for one in rows] == ["0", "2"]
    assert {"bounce": "50.0"} in page["aggregate_percents"]
    door.cc.switches.choose("report_counts", "numbers")
    page = door.get(f"{SUMMARIES}?limit=1")
    assert page["aggregate_percents"]["bounce"] == 0.0
    assert page["_links"]["next"]["href"].startswith(f"{SUMMARIES}?next=")


def test_statistics_of_several_activities_tell_the_unknown_ones_as_errors() -> None:
    door = Door()
    sent, _people = bounced(door, "B", "F", "F")
    found = door.get(f"/v3/reports/stats/email_campaign_activities/{sent},nothing")
    stats = found["results"][0]["stats"]
    assert (stats["em_bounces"], stats["em_bounces_mailbox_full"], stats["em_bounces_nonexistent_address"]) == (
        "3",
        "2",
        "1",
    )
    assert [one["error_key"] for one in found["errors"]] == ["reportingsvc.not_found.invalid_path_param.nothing."]
    assert door.call("GET", "/v3/reports/stats/email_campaign_activities/nothing").status == 404
    assert door.call("GET", f"/v3/reports/stats/email_campaign_activities/{','.join(['x'] * 11)}").status == 400


def test_one_contact_has_a_report_that_needs_no_campaign_scope() -> None:
    door = Door()
    _sent, people = bounced(door, "B")
    door.cc.campaign_opt_out("a1", people[0], door.now, None)
    door.cc.switches.choose("reports_scope", "missing")
    path = f"/v3/reports/contact_reports/{people[0]}/activity_details"
    rows = door.get(path)["tracking_activities"]
    assert [one["tracking_activity_type"] for one in rows] == ["em_optouts", "em_bounces", "em_sends"]
    asked = door.get(f"{path}?tracking_activities_list=em_bounces,em_optouts&limit=1")
    assert "?next=" in asked["_links"]["next"]["href"]
    assert door.get(asked["_links"]["next"]["href"])["tracking_activities"][0]["bounce_code"] == "B"
    assert door.call("GET", f"{path}?limit=101").status == 400
    assert door.call("GET", f"{path}?tracking_activities_list=em_naps").status == 400
    assert door.call("GET", "/v3/reports/contact_reports/nobody/activity_details").status == 404


@pytest.mark.parametrize("value", ["missing", "no_privilege"])
def test_without_scope_or_privilege_campaigns_are_forbidden(value: str) -> None:
    """CC facts 2.2, 4."""
    door = Door(reports_scope=value)
    for path in ("/v3/emails", SUMMARIES, "/v3/emails/x", "/v3/reports/email_reports/x/tracking/bounces"):
        answer = door.call("GET", path)
        assert (answer.status, answer.json()["error_message"]) == (403, "Forbidden")
    granted = door.token(door.refresh).json()["scope"].split()
    assert ("campaign_data" in granted) is (value == "no_privilege")
    names = [one["privilege_name"] for one in door.get("/v3/account/user/privileges")]
    assert ("ui:campaign:metrics" in names) is (value == "missing")


@pytest.mark.parametrize(("form", "rest"), [("empty_links", {}), ("href_null", {"next": {"href": None}})])
def test_the_last_page_of_a_report_has_three_forms(form: str, rest: dict[str, Any]) -> None:
    door = Door(report_last_page=form)
    sent, _people = bounced(door, "B")
    assert door.get(f"/v3/reports/email_reports/{sent}/tracking/bounces")["_links"] == rest


@pytest.mark.parametrize(
    ("dialect", "end"), [("z", ".000Z"), ("millis", ".000Z"), ("offset", "-05:00"), ("mixed", ".000Z")]
)
def test_reports_speak_every_dialect_of_dates(dialect: str, end: str) -> None:
    """CC facts 1: campaigns and reports have fractions."""
    door = Door(date_dialect=dialect)
    sent, _people = bounced(door, "B")
    assert report(door, sent)[0]["created_time"].endswith(end)


@needs_documents
def test_campaigns_and_reports_are_what_the_document_says_but_for_keys_of_tomorrow() -> None:
    """With the counts as numbers; the strings of the guide break the document, as the guide does (CC facts 8, 12)."""
    door = Door(report_counts="numbers", report_last_page="empty_links")
    sent, people = bounced(door, "B", "F")
    door.cc.campaign_opt_out("a1", people[0], door.now, "Why")
    campaign = door.cc.campaigns("a1")[0]["campaign_id"]
    tracking = f"/v3/reports/email_reports/{sent}/tracking"
    for path, novel in (
        ("/v3/emails", ["unknown campaigns[].archived"]),
        (f"/v3/emails/{campaign}", ["unknown archived"]),
        (SUMMARIES, []),
        (f"{tracking}/bounces", ["unknown tracking_activities[].device_type"]),
        (f"{tracking}/optouts", ["unknown tracking_activities[].device_type"]),
        (f"/v3/reports/stats/email_campaign_activities/{sent}", []),
    ):
        assert faults(CONSTANT_CONTACT, "GET", path, door.get(path)) == novel, path
