"""`keepstep explain` understands every payload of the fact sheet; values here are made up, shapes are the vendor's."""

import json
from typing import Any

import pytest

from keepstep.cli.explain import explained
from keepstep.connectors import discover

EXPLAIN = discover()["constant_contact"].explain
ID, OTHER = "0b0b0b0b-1111-4222-a333-444444444444", "0b0b0b0b-5555-4666-a777-888888888888"
SECRET = "eyJ-made-up-token-that-must-not-be-shown"
NEXT = {"_links": {"next": {"href": "/v3/contacts?cursor=bGltaXQ9MSZuZXh0PTI="}}}
STAMPS = {"created_at": "2024-10-30T18:56:35Z", "updated_at": "2016-03-03T10:53:04-05:00"}
CHANNEL = {"address": "ann@example.org", "permission_to_send": "implicit", "opt_in_source": "Account"}
CONTACT = {"contact_id": ID, "email_address": CHANNEL, "taggings": [OTHER], "custom_fields": [{"custom_field_id": "f"}]}
LINE = {
    "contact_id": ID,
    "campaign_activity_id": OTHER,
    "email_address": "ann@example.org",
    "current_email_address": "ANN@example.org",
    "created_time": "2024-11-01T19:19:34.456Z",
    "first_name": "Ann",
    "deleted_at": "2024-11-02",
}
BOUNCE = {**LINE, "tracking_activity_type": "em_bounces", "bounce_code": "B"}
OPT_OUT = {**LINE, "tracking_activity_type": "em_optouts", "opt_out_reason": "too many"}
ACTIVITY = {
    "activity_id": ID,
    "state": "completed",
    "percent_done": 61,
    "activity_errors": [],
    "status": {"items_total_count": 2, "items_completed_count": 2, "error_count": 0},
    "_links": {"self": {"href": f"/v3/activities/{ID}"}},
    **STAMPS,
}
EXPORT = {**ACTIVITY, "_links": {**ACTIVITY["_links"], "results": {"href": f"/v3/contact_exports/{OTHER}"}}}  # type: ignore[dict-item]
CAMPAIGN = {
    "campaign_id": ID,
    "name": "Spring",
    "current_status": "Done",
    "type": "NEWSLETTER",
    "type_code": 10,
    **STAMPS,
}
FIELD = {
    "custom_field_id": ID,
    "label": "Shirt size",
    "name": "Shirt_size",
    "type": "single_select",
    "metadata": {"display_type": "dropdown"},
    "version": 1,
    "choices": [{"choice_id": 1, "choice_label": "Large", "display_order": 1, "deleted_at": "2024-01-01"}],
    **STAMPS,
}
SUMMARY = {
    "campaign_id": ID,
    "campaign_type": "Newsletter",
    "last_sent_date": "2024-11-01T19:19:34.456Z",
    "unique_counts": {"sends": "10", "bounces": "2", "optouts": 1, "abuse": None},
}
STATS = {
    "campaign_id": ID,
    "campaign_activity_id": OTHER,
    "stats": {"em_bounces_suspended": 1},
    "last_refresh_time": "x",
}
ACCOUNT = {
    "encoded_account_id": "a07e1example",
    "organization_name": "Shelter",
    "contact_email": "office@example.org",
    "country_code": "us",
    "time_zone_id": "US/Eastern",
    "physical_address": {"address_line1": "1 Main St"},
}
MAIL = {
    "email_address": "office@example.org",
    "email_id": 3,
    "confirm_status": "CONFIRMED",
    "confirm_time": "2024-10-30T18:56:35Z",
    "confirm_source_type": "SITE_OWNER",
    "roles": ["CONTACT"],
    "pending_roles": [],
}
CLAIMS = {
    "ver": 1,
    "jti": SECRET,
    "iss": "https://identity.example",
    "aud": "https://api.example/v3",
    "cid": "k",
    "scp": [],
}
PARTNER_2 = {"url": "https://api.example/v2/partner/accounts/a07e1example/plan", "event_type": "tier.increase"}
PARTNER_3 = {"url": "https://api.example/v3/partner/accounts/a07e1example/plan", "api_key": "k", "event_type": "x.y"}
EVENT = {"account_id": "a07e1example", "contact_id": ID, "event_type": "contact.updated"}
IMPORT = {
    "import_data": [{"email": "ann@example.org", "cf:Shirt size": "L", "home country": "Canada"}],
    "list_ids": [ID],
}

# payload, its kind, what more must be said of it
ONE: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("contact", CONTACT, "contact", {"record_id": ID, "consent": "opted_in", "email": "ann@example.org"}),
    (
        "deleted contact",
        {"contact_id": ID, "deleted_at": "2015-03-17"},
        "contact",
        {"deleted_at": "2015-03-17T00:00:00Z"},
    ),
    ("contact without address", {"contact_id": ID, "sms_channel": {}}, "contact", {"consent": "unknown"}),
    ("contact to write", {"update_source": "Account", "first_name": "Ann"}, "contact", {"first_name": "Ann"}),
    ("channel", CHANNEL, "email_address", {}),
    (
        "phone",
        {"phone_number_id": ID, "phone_number": "1", "kind": "home", "update_source": "Contact"},
        "phone_number",
        {},
    ),
    ("address", {"street_address_id": ID, "kind": "home"}, "street_address", {}),
    ("note", {"note_id": ID, "created_at": "x", "content": "y"}, "note", {}),
    ("sms", {"sms_channel_id": ID, "sms_address": "1", "sms_channel_consents": []}, "sms_channel", {}),
    ("answer to the form", {"contact_id": ID, "action": "updated"}, "sign_up_answer", {"action": "updated"}),
    ("resubscribe", {"list_ids": [ID]}, "resubscribe_request", {}),
    ("counts", {"total": 5, "explicit": "3", "implicit": 2}, "contact_counts", {"explicit": 3, "pending": None}),
    ("list", {"list_id": ID, "name": "News, daily", "favorite": False}, "list", {"name": "News, daily"}),
    ("tag", {"tag_id": ID, "name": "vip", "contacts_count": 3, "tag_source": "Contact"}, "tag", {"name": "vip"}),
    (
        "field",
        FIELD,
        "custom_field",
        {"names": ["Shirt size", "Shirt_size"], "kind": "single", "choices": {"1": "Large"}, "warnings": []},
    ),
    ("field of tomorrow", {**FIELD, "type": "scent"}, "custom_field", {"kind": "other", "warnings": ["unknown_type"]}),
    ("field value", {"custom_field_id": ID, "value": "x"}, "custom_field_value", {}),
    ("field choices", {"custom_field_id": ID, "choice_ids": ["000001"]}, "custom_field_value", {}),
    ("choice", FIELD["choices"][0], "custom_field_choice", {"record_id": "1"}),  # type: ignore[index]
    ("activity", ACTIVITY, "activity", {"state": "completed", "ended": True, "warnings": []}),
    ("job that is queued", {"activity_id": ID, "state": "initialized"}, "activity", {"ended": False, "warnings": []}),
    (
        "job with errors",
        {**ACTIVITY, "activity_errors": [{"message": "x"}], "status": {"error_count": "2", "correctable_count": 0}},
        "activity",
        {"warnings": ["error_count", "activity_errors"]},
    ),
    ("job of tomorrow", {"activity_id": ID, "state": "pondering"}, "activity", {"warnings": ["unknown_state"]}),
    ("export", EXPORT, "activity", {"record_id": ID}),
    ("import", IMPORT, "import_request", {}),
    (
        "list job",
        {"source": {"contact_ids": [ID]}, "exclude": {"contact_ids": []}, "list_ids": [ID]},
        "bulk_request",
        {},
    ),
    ("tag job", {"source": {"all_active_contacts": True}, "tag_ids": [ID]}, "bulk_request", {}),
    ("bounce", BOUNCE, "tracking_activity", {"kind": "bounce", "strength": "hard", "code": "B", "warnings": []}),
    (
        "bounce of an older address",
        {**BOUNCE, "bounce_code": "Q", "current_email_address": "new@example.org"},
        "tracking_activity",
        {"strength": "soft", "email": "ann@example.org", "warnings": ["unknown_bounce_code", "address_changed_since"]},
    ),
    ("opt-out", OPT_OUT, "tracking_activity", {"kind": "opt_out", "reason": "too many", "strength": None}),
    ("open", {**LINE, "tracking_activity_type": "em_opens"}, "tracking_activity", {"warnings": ["not_synced"]}),
    (
        "campaign",
        {**CAMPAIGN, "campaign_activities": [{"campaign_activity_id": OTHER, "role": "primary_email"}]},
        "campaign",
        {"name": "Spring", "status": "Done", "activities": [{"id": OTHER, "role": "primary_email"}]},
    ),
    ("campaign activity", {"campaign_activity_id": OTHER, "role": "resend"}, "campaign_activity", {"warnings": []}),
    (
        "web page",
        {"campaign_activity_id": OTHER, "role": "permalink"},
        "campaign_activity",
        {"warnings": ["has_no_reports"]},
    ),
    ("summary", SUMMARY, "campaign_summary", {"bounces": 2, "opt_outs": 1, "complaints": None}),
    ("stats", STATS, "campaign_stats", {"record_id": OTHER}),
    ("contact report", {"contact_id": ID, "campaign_activities": []}, "contact_report", {"record_id": ID}),
    ("account", ACCOUNT, "account", {"record_id": "a07e1example", "name": "Shelter"}),
    ("account's mail", MAIL, "account_email", {"record_id": "3"}),
    ("privilege", {"privilege_id": 30, "privilege_name": "contacts:read"}, "user_privilege", {"name": "contacts:read"}),
    ("claims", CLAIMS, "token_claims", {}),
    ("partner event v2", PARTNER_2, "partner_event", {"account": "a07e1example", "warnings": ["names_no_contact"]}),
    ("partner event v3", PARTNER_3, "partner_event", {"account": "a07e1example", "event": "x.y"}),
    ("contact event", EVENT, "contact_event", {"contact": ID, "account": "a07e1example", "warnings": []}),
    ("subscription", {"topic_id": 3, "hook_uri": "https://x.example", "topic_name": "n"}, "webhook_subscription", {}),
    (
        "subscription v2",
        {"id": "3", "is_subscribed": True, "callback_uri": None},
        "webhook_subscription",
        {"record_id": "3"},
    ),
    ("plan", {"plan_type": "TRIAL", "current_tiers": []}, "partner_plan", {}),
    ("bulk opt-out", {"unsubscribed_count": 3}, "unsubscribed_count", {}),
    ("segment", {"segment_id": 7, "name": "Big"}, "segment", {"record_id": "7"}),
    ("refusal", {"error_key": "unauthorized", "error_message": "Unauthorized"}, "error", {"error_key": "unauthorized"}),
    ("over the limit", {"error_key": "quota_exceeded", "error_message": "x"}, "error", {"error_key": "quota_exceeded"}),
    ("gateway", {"message": "Forbidden"}, "error", {"error_key": None, "warnings": ["no_error_key"]}),
    ("token service", {"error": "invalid_grant", "error_description": "x"}, "error", {"error_key": "invalid_grant"}),
    ("no key", {"error_key": "ann@example.org"}, "error", {"error_key": None, "warnings": ["no_error_key"]}),
    ("token", {"access_token": SECRET, "expires_in": "28800", "scope": "contact_data"}, "token", {"expires_in": 28800}),
    ("refreshed", {"refresh_token": SECRET, "access_token": SECRET, "id_token": SECRET}, "token", {"expires_in": None}),
    ("device", {"device_code": SECRET, "user_code": SECRET, "interval": 5}, "device_code", {}),
    ("keys", {"keys": [{"kty": "RSA", "n": SECRET, "e": "AQAB"}]}, "signing_keys", {"keys": 1, "warnings": []}),
    ("strange keys", {"keys": "x"}, "signing_keys", {"warnings": ["wrong_type:keys"]}),
    ("still looking", {"status": "processing"}, "not_ready", {"warnings": ["ask_again"]}),
    ("health of the vendor", {"page": {}, "status": {"indicator": "none"}}, "service_status", {}),
    ("links", NEXT, "links", {}),
    ("no id", {"list_id": None, "name": ""}, "list", {"record_id": None, "warnings": ["missing_id", "missing_name"]}),
    ("no name", {"custom_field_id": ID, "type": "date"}, "custom_field", {"warnings": ["missing_name"]}),
    ("nothing known", {"colour": "red"}, "unknown", {"warnings": ["unknown_record"]}),
]


@pytest.mark.parametrize(("payload", "kind", "more"), [one[1:] for one in ONE], ids=[one[0] for one in ONE])
def test_one_payload_is_one_record(payload: Any, kind: str, more: dict[str, Any]) -> None:
    value, code = explained("constant_contact", EXPLAIN, json.dumps(payload).encode())
    assert (value.get("record_type"), value["platform"], code) == (kind, "constant_contact", 0)
    assert isinstance(value["warnings"], list)
    assert {key: value.get(key) for key in more} == more
    assert SECRET not in json.dumps(value)


MANY: list[tuple[str, Any, list[str]]] = [
    (
        "contacts",
        {"contacts": [CONTACT, {**CONTACT, "contact_id": OTHER}], "contacts_count": 2, **NEXT},
        ["contact"] * 2,
    ),
    ("one contact", {"contacts": [CONTACT], "_links": {}}, ["contact"]),
    ("no contact", {"contacts": [], "_links": {"next": None}}, []),
    ("still looking", {"contacts": [], "status": "processing"}, ["not_ready"]),
    ("lists", {"lists": [{"list_id": ID, "name": "x"}], "lists_count": 1}, ["list"]),
    ("tags", {"tags": [{"tag_id": ID, "name": "x"}], **NEXT}, ["tag"]),
    ("fields", {"custom_fields": [FIELD], "_links": {}}, ["custom_field"]),
    ("activities", {"activities": [ACTIVITY], "_links": {}}, ["activity"]),
    ("campaigns", {"_links": {}, "campaigns": [CAMPAIGN]}, ["campaign"]),
    ("bounces", {"tracking_activities": [BOUNCE]}, ["tracking_activity"]),
    ("opt-outs", {"tracking_activities": [OPT_OUT, OPT_OUT], "_links": {}}, ["tracking_activity"] * 2),
    (
        "summaries",
        {"bulk_email_campaign_summaries": [SUMMARY], "aggregate_percents": [{"click": "1"}]},
        ["campaign_summary"],
    ),
    ("stats", {"results": [STATS], "errors": [{"error_key": "reportingsvc.x"}]}, ["campaign_stats", "error"]),
    ("xrefs", {"xrefs": [{"sequence_id": "1", "contact_id": ID}]}, ["id_pair"]),
    ("privileges", [{"privilege_id": 30, "privilege_name": "campaign:create"}], ["user_privilege"]),
    ("mails", [MAIL], ["account_email"]),
    ("subscriptions", [{"topic_id": 1, "hook_uri": "https://x.example"}], ["webhook_subscription"]),
    ("contact events", [EVENT, EVENT], ["contact_event"] * 2),
    ("errors", [{"error_key": "contacts.api.validation.error", "error_message": "…"}], ["error"]),
    ("old gateway", [{"error_key": "mashery.not.authorized.over.qps"}], ["error"]),
    ("sms history", [{"contact_id": ID, "sms_channel_id": ID, "sms_channel_history_id": ID}], ["sms_history"]),
    ("broken rows", {"contacts": [None, 5]}, ["unknown", "unknown"]),
]


@pytest.mark.parametrize(("payload", "kinds"), [one[1:] for one in MANY], ids=[one[0] for one in MANY])
def test_a_page_or_array_is_a_list_of_records(payload: Any, kinds: list[str]) -> None:
    value, code = explained("constant_contact", EXPLAIN, json.dumps(payload).encode())
    found = value["snapshots"] if kinds != ["not_ready"] else [value]
    assert ([one["record_type"] for one in found], code) == (kinds, 0)
