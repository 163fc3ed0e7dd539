"""Which function answers which call under /v3."""

from collections.abc import Callable
from urllib.parse import unquote

from keepstep_sandbox.constant_contact import catalogue, contacts, imports, jobs, lists, search
from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.refusals import INVALID, Refusal, missing
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
    ("contact_tags",): {"GET": catalogue.tags},
    ("contact_custom_fields",): {"GET": catalogue.custom_fields},
    ("activities",): {"GET": _activities},
    ("activities", "add_list_memberships"): {"POST": jobs.add},
    ("activities", "remove_list_memberships"): {"POST": jobs.remove},
    ("activities", "contacts_json_import"): {"POST": imports.post},
    ("activities", "*"): {"GET": _activity},
}


def route(account: Account, request: Request, now: float) -> Response:
    """Answer one authorised call. Raises Refusal (404, 405, 415 and whatever the function raises)."""
    parts = tuple(unquote(one) for one in request.path.removeprefix("/v3").strip("/").split("/"))
    wild = (*parts[:-1], "*")
    methods = _ROUTES.get(parts) or _ROUTES.get(wild)
    if methods is None:
        raise missing()
    handler = methods.get(request.method)
    if handler is None:
        raise Refusal(405, INVALID, "Method not allowed.")
    if request.body and not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Refusal(415, INVALID, "Unsupported Media Type.")  # CC facts 1
    ids = () if parts in _ROUTES else (parts[-1],)
    return handler(account, request, now, *ids)
