"""Which function answers which call under /v3."""

from collections.abc import Callable
from urllib.parse import unquote

from keepstep_sandbox.constant_contact import (
    catalogue,
    contacts,
    custom_fields,
    imports,
    jobs,
    lists,
    reports,
    search,
    tags,
)
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.refusals import INVALID, Refusal, forbidden, missing
from keepstep_sandbox.http import Request, Response

Handler = Callable[..., Response]


def _activity(account: Account, request: Request, now: float, activity_id: str) -> Response:
    return account.activities.get(request, now, activity_id)


def _activities(account: Account, request: Request, now: float) -> Response:
    return account.activities.find(request, now)


# fixed paths come before those with an id (*)
_ROUTES: dict[tuple[str, ...], dict[str, Handler]] = {
    ("account", "summary"): {"GET": catalogue.summary},
    ("account", "user", "privileges"): {"GET": catalogue.privileges},
    ("contacts",): {"GET": search.find, "POST": contacts.post},
    ("contacts", "sign_up_form"): {"POST": contacts.sign_up},
    ("contacts", "counts"): {"GET": contacts.counts},
    ("contacts", "resubscribe", "*"): {"PUT": contacts.resubscribe},
    ("contacts", "*"): {"GET": contacts.get, "PUT": contacts.put, "DELETE": contacts.delete},
    ("contact_lists",): {"GET": lists.find, "POST": lists.post},
    ("contact_lists", "*"): {"GET": lists.get, "PUT": lists.put, "DELETE": jobs.delete_list},
    ("contact_tags",): {"GET": tags.find, "POST": tags.post},
    ("contact_tags", "*"): {"GET": tags.get, "PUT": tags.put, "DELETE": jobs.delete_tag},
    ("contact_custom_fields",): {"GET": custom_fields.find, "POST": custom_fields.post},
    ("contact_custom_fields", "*"): {
        "GET": custom_fields.get,
        "PUT": custom_fields.put,
        "DELETE": custom_fields.delete,
    },
    ("emails",): {"GET": reports.find},
    ("emails", "*"): {"GET": reports.get},
    ("reports", "summary_reports", "email_campaign_summaries"): {"GET": reports.summaries},
    ("reports", "email_reports", "*", "tracking", "bounces"): {"GET": reports.bounces},
    ("reports", "email_reports", "*", "tracking", "optouts"): {"GET": reports.opt_outs},
    ("reports", "email_reports", "*", "tracking", "sends"): {"GET": reports.sends},
    ("reports", "contact_reports", "*", "activity_details"): {"GET": reports.details},
    ("reports", "stats", "email_campaign_activities", "*"): {"GET": reports.stats},
    ("activities",): {"GET": _activities},
    ("activities", "add_list_memberships"): {"POST": jobs.add},
    ("activities", "remove_list_memberships"): {"POST": jobs.remove},
    ("activities", "contacts_taggings_add"): {"POST": jobs.tag},
    ("activities", "contacts_taggings_remove"): {"POST": jobs.untag},
    ("activities", "contacts_json_import"): {"POST": imports.post},
    ("activities", "*"): {"GET": _activity},
}


def route(account: Account, request: Request, now: float) -> Response:
    """Answer one authorised call. Raises Refusal (404, 405, 415 and whatever the function raises)."""
    parts = tuple(unquote(one) for one in request.path.removeprefix("/v3").strip("/").split("/"))
    known, ids = _found(parts)
    handler = _ROUTES[known].get(request.method)
    if handler is None:
        raise Refusal(405, INVALID, "Method not allowed.")
    if request.body and not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Refusal(415, INVALID, "Unsupported Media Type.")  # CC facts 1
    if known[0] == "emails" or (known[0] == "reports" and known[1] != "contact_reports"):
        _campaign_data(account)
    return handler(account, request, now, *ids)


def _found(parts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The route and what stands for its id. Raises Refusal (404)."""
    if parts in _ROUTES and "*" not in parts:
        return parts, ()
    for place in (len(parts) - 1, 2):
        wild = (*parts[:place], "*", *parts[place + 1 :])
        if wild in _ROUTES:
            return wild, (parts[place],)
    raise missing()


def _campaign_data(account: Account) -> None:
    """Campaigns and their reports need scope and privilege of their own (CC facts 2.2, 8). Raises Refusal (403)."""
    if account.switches["reports_scope"] != "granted":
        raise forbidden()
