"""What kind of record a JSON object of Constant Contact is, and what we read in each that is no contact.

Total: any object has a kind, `unknown` at worst. Values of tokens are never read.
"""

from collections.abc import Callable, Mapping
from typing import Any

from keepstep.connectors.constant_contact.api import KEY
from keepstep.connectors.constant_contact.catalogue import KINDS as FIELD_KINDS
from keepstep.connectors.constant_contact.catalogue import custom_field
from keepstep.connectors.constant_contact.delivery import account_in, text_of
from keepstep.connectors.constant_contact.destination import ENDED
from keepstep.connectors.constant_contact.reports import SENT, STRENGTHS

Row = Mapping[str, Any]
Read = tuple[dict[str, Any], list[str]]

# (the keys that tell a record, its kind, the key of its id). The narrower come first: a report's line also carries a
# contact's id, a phone number also who updated it (CC facts 2, 4-10).
KINDS: tuple[tuple[str, str, str], ...] = (
    ("error_key", "error", ""),
    ("error", "error", ""),
    ("access_token", "token", ""),
    ("refresh_token", "token", ""),
    ("id_token", "token", ""),
    ("device_code", "device_code", ""),
    ("iss aud", "token_claims", ""),
    ("keys", "signing_keys", ""),
    ("tracking_activity_type", "tracking_activity", ""),
    ("event_type contact_id", "contact_event", "contact_id"),
    ("event_type", "partner_event", ""),
    ("encoded_account_id", "account", "encoded_account_id"),
    ("email_id", "account_email", "email_id"),
    ("privilege_id", "user_privilege", "privilege_id"),
    ("unique_counts", "campaign_summary", "campaign_id"),
    ("stats", "campaign_stats", "campaign_activity_id"),
    ("activity_id", "activity", "activity_id"),
    ("contact_id campaign_activities", "contact_report", "contact_id"),
    ("contact_id average_open_rate", "contact_report", "contact_id"),
    ("campaign_activity_id", "campaign_activity", "campaign_activity_id"),
    ("campaign_id", "campaign", "campaign_id"),
    ("sequence_id", "id_pair", "sequence_id"),
    ("contact_id action", "sign_up_answer", "contact_id"),
    ("sms_channel_history_id", "sms_history", "sms_channel_history_id"),
    ("topic_id", "webhook_subscription", "topic_id"),
    ("hook_uri", "webhook_subscription", ""),
    ("is_subscribed", "webhook_subscription", "id"),
    ("import_data", "import_request", ""),
    ("source list_ids", "bulk_request", ""),
    ("source tag_ids", "bulk_request", ""),
    ("phone_number_id", "phone_number", "phone_number_id"),
    ("street_address_id", "street_address", "street_address_id"),
    ("note_id", "note", "note_id"),
    ("sms_channel_id", "sms_channel", "sms_channel_id"),
    ("address permission_to_send", "email_address", ""),
    ("contact_id", "contact", "contact_id"),
    ("email_address", "contact", "contact_id"),
    ("sms_channel", "contact", "contact_id"),
    ("create_source", "contact", "contact_id"),
    ("update_source", "contact", "contact_id"),
    ("list_id", "list", "list_id"),
    ("tag_id", "tag", "tag_id"),
    ("choice_id", "custom_field_choice", "choice_id"),
    ("custom_field_id value", "custom_field_value", "custom_field_id"),
    ("custom_field_id choice_ids", "custom_field_value", "custom_field_id"),
    ("custom_field_id", "custom_field", "custom_field_id"),
    ("segment_id", "segment", "segment_id"),
    ("explicit implicit", "contact_counts", ""),
    ("unsubscribed_count", "unsubscribed_count", ""),
    ("current_tiers", "partner_plan", ""),
    ("account_operation_url", "partner_operation", ""),
    ("address_line1", "account_address", ""),
    ("page status", "service_status", ""),
    ("list_ids", "resubscribe_request", ""),
    ("message", "error", ""),
    ("_links", "links", ""),
    ("next", "links", ""),
    ("status", "not_ready", ""),
)  # fmt: skip


def kind_of(row: Row) -> tuple[str, str]:
    """The kind of a record and the key of its id, "" where it has none."""
    known = (one for one in KINDS if row.keys() >= set(one[0].split()))
    return next(((kind, key) for _, kind, key in known), ("unknown", ""))


def read(row: Row) -> dict[str, Any]:
    """A record that is no contact: its kind, id, what we use of it, and stable keys of what is strange."""
    kind, key = kind_of(row)
    record_id = row.get(key) if key else None
    named = isinstance(record_id, str | int) and not isinstance(record_id, bool)
    values, warnings = READERS.get(kind, _nothing)(row)
    missing = ["missing_id"] if key and not named else []
    return {
        "record_type": kind,
        "record_id": str(record_id) if named else None,
        **values,
        "warnings": [*(["unknown_record"] if kind == "unknown" else []), *missing, *warnings],
    }


def _nothing(_row: Row) -> Read:
    return {}, []


def _error(row: Row) -> Read:
    """Array, object, gateway and token service (CC facts 4); only the key, since messages name addresses."""
    found = next((row[key] for key in ("error_key", "error") if isinstance(row.get(key), str)), None)
    key = found if found is not None and KEY.fullmatch(found) else None
    return {"error_key": key}, [] if key else ["no_error_key"]


def _token(row: Row) -> Read:
    """Both documented forms of `expires_in` (CC facts 2.1). What a token is worth is never shown."""
    return {"expires_in": _number(row.get("expires_in")), "scope": _text(row.get("scope"))}, ["token_values_hidden"]


def _device_code(row: Row) -> Read:
    return {"expires_in": _number(row.get("expires_in"))}, ["token_values_hidden"]


def _signing_keys(row: Row) -> Read:
    keys = row["keys"]
    return ({"keys": len(keys)}, []) if isinstance(keys, list) else ({"keys": None}, ["wrong_type:keys"])


def _line(row: Row) -> Read:
    """A line of a report (CC facts 8)."""
    kind = {"em_bounces": "bounce", "em_optouts": "opt_out"}.get(str(row["tracking_activity_type"]))
    code, address, now = (_text(row.get(key)) for key in ("bounce_code", "email_address", "current_email_address"))
    strange = [] if kind else ["not_synced"]
    if kind == "bounce" and (code or "").upper() not in STRENGTHS:
        strange.append("unknown_bounce_code")
    if address and now and address.casefold() != now.casefold():
        strange.append("address_changed_since")
    values = {
        "kind": kind,
        "contact": _text(row.get("contact_id")),
        "email": address,
        "strength": STRENGTHS.get((code or "").upper(), "soft") if kind == "bounce" else None,
        "code": code,
        "reason": _text(row.get("opt_out_reason")),
        "at": _text(row.get("created_time")),
    }
    return values, strange


def _event(row: Row) -> Read:
    values = {"event": _text(row.get("event_type")), "account": account_in(row), "contact": text_of(row, "contactid")}
    return values, [] if values["contact"] else ["names_no_contact"]


def _campaign(row: Row) -> Read:
    found = row.get("campaign_activities")
    rows = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    activities = [{"id": _text(one.get("campaign_activity_id")), "role": _text(one.get("role"))} for one in rows]
    return {**_names(row), "status": _text(row.get("current_status")), "activities": activities}, []


def _mailing(row: Row) -> Read:
    """One activity of a campaign; reports come of two roles only (CC facts 8)."""
    role = _text(row.get("role"))
    return {"role": role}, [] if role is None or role in SENT else ["has_no_reports"]


def _summary(row: Row) -> Read:
    """Counts are numbers or text (CC facts 8, type drift)."""
    counts = row["unique_counts"] if isinstance(row["unique_counts"], dict) else {}
    names = {"bounces": "bounces", "opt_outs": "optouts", "complaints": "abuse"}
    return {name: _number(counts.get(key)) for name, key in names.items()}, []


def _activity(row: Row) -> Read:
    """`completed` is not success (CC facts 7.2)."""
    state, status, errors = _text(row.get("state")), row.get("status"), row.get("activity_errors")
    counts = status if isinstance(status, dict) else {}
    bad = [key for key in ("error_count", "correctable_count", "cannot_add_to_list_count") if _number(counts.get(key))]
    strange = bad + (["activity_errors"] if errors else [])
    known = state in (*ENDED, "initialized", "processing")
    return {"state": state, "ended": state in ENDED}, [*strange, *([] if known else ["unknown_state"])]


def _field(row: Row) -> Read:
    found = custom_field(row)
    kind = row.get("type")
    strange = [] if isinstance(kind, str) and kind.lower() in FIELD_KINDS else ["unknown_type"]
    if found is None:
        return {"names": [], "kind": "other", "choices": {}}, ["missing_name", *strange]
    return {"names": list(found.names), "kind": found.kind, "choices": dict(found.choices)}, strange


def _names(row: Row) -> dict[str, Any]:
    return {"name": _text(row.get("name"))}


def _label(row: Row) -> Read:
    return _names(row), [] if _text(row.get("name")) else ["missing_name"]


def _privilege(row: Row) -> Read:
    return {"name": _text(row.get("privilege_name"))}, []


def _account(row: Row) -> Read:
    return {"name": _text(row.get("organization_name"))}, []


def _counts(row: Row) -> Read:
    names = ("total", "explicit", "implicit", "pending", "unsubscribed", "new_subscriber")
    return {name: _number(row.get(name)) for name in names}, []


def _answer(row: Row) -> Read:
    return {"action": _text(row.get("action"))}, []


def _not_ready(_row: Row) -> Read:
    """Asked again, not an empty result (CC facts 5.1)."""
    return {}, ["ask_again"]


READERS: Mapping[str, Callable[[Row], Read]] = {
    "error": _error,
    "token": _token,
    "device_code": _device_code,
    "signing_keys": _signing_keys,
    "tracking_activity": _line,
    "contact_event": _event,
    "partner_event": _event,
    "account": _account,
    "user_privilege": _privilege,
    "campaign": _campaign,
    "campaign_activity": _mailing,
    "campaign_summary": _summary,
    "activity": _activity,
    "sign_up_answer": _answer,
    "list": _label,
    "tag": _label,
    "custom_field": _field,
    "contact_counts": _counts,
    "not_ready": _not_ready,
}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) else None
