"""What the vendor offers its technology partners: topics of webhooks in two editions, and the plan of an account.

Nothing of it is about contacts (CC facts 9, 10).
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from keepstep_sandbox.constant_contact.notices import PartnerNotices
from keepstep_sandbox.constant_contact.refusals import Refusal, forbidden, invalid, missing, unauthorized
from keepstep_sandbox.constant_contact.webhooks import ContactDelivery
from keepstep_sandbox.http import Request, Response, answer

TOKEN_PATH = "/partners/oauth2/default/v1/token"
KEYS_PATH = "/.well-known/jwks.json"
TOKEN_LIFE = 3600.0  # the guide: an hour, and it cannot be refreshed
LONGEST_URI = 512
EXAMPLE_ACCOUNT = "a07e1my9tbw0"
TOPICS = {
    1: ("Billing Tier Upgrade", "tier.increase"),
    2: ("Billing Tier Downgrade", "tier.decrease"),
    3: ("Account Cancelled", "account.cancel"),
    4: ("Account Disabled", "account.disable"),
}


@dataclass(slots=True)
class Plan:
    """What an account pays for. `shut`: its API answers 403."""

    plan_type: str = "GOLD"
    tier: int = 1
    billing_status: str = "Open"
    shut: bool = False


@dataclass(slots=True)
class Partner:
    """One technology partner, whose every account this is."""

    seed: int = 0
    known: dict[str, str] = field(default_factory=dict)  # user, password, api_key, api_secret, client_id, client_secret
    topics: dict[int, tuple[str, str]] = field(default_factory=lambda: dict(TOPICS))
    hooks: dict[int, tuple[str, str]] = field(default_factory=dict)  # topic -> edition, uri
    plans: dict[str, Plan] = field(default_factory=dict)
    notices: PartnerNotices = field(default_factory=PartnerNotices)
    _tokens: dict[str, float] = field(default_factory=dict)

    # what staff of the vendor and owners of accounts do

    def register_partner(self, **known: str) -> None:
        """The contract: user, password, api_key, api_secret, client_id, client_secret."""
        self.known = known

    def change_tier(self, account_id: str, tier: int, now: float) -> None:
        """An account grows or shrinks into another tier."""
        plan = self._plan(account_id)
        topic = 1 if tier > plan.tier else 2
        plan.tier = tier
        self.send_topic(account_id, topic, now)

    def cancel_account(self, account_id: str, now: float) -> None:
        """The owner cancels."""
        plan = self._plan(account_id)
        plan.billing_status, plan.shut = "Canceled", True
        self.send_topic(account_id, 3, now)

    def disable_account(self, account_id: str, now: float, billing_status: str = "Open") -> None:
        """Suspension, compliance, payment; what the plan says then is documented nowhere."""
        plan = self._plan(account_id)
        plan.billing_status, plan.shut = billing_status, True
        self.send_topic(account_id, 4, now)

    def enable_account(self, account_id: str) -> None:
        """It works again; no topic tells."""
        plan = self._plan(account_id)
        plan.billing_status, plan.shut = "Open", False

    def set_billing_status(self, account_id: str, billing_status: str) -> None:
        """A change that no topic tells of, or whose webhook was lost."""
        self._plan(account_id).billing_status = billing_status

    def add_topic(self, topic_id: int, name: str, event_type: str) -> None:
        """The vendor continues to add topics."""
        self.topics[topic_id] = (name, event_type)

    def rotate_partner_keys(self) -> None:
        """From now on another key signs; the old one is published no more."""
        self.notices.rotate()

    def send_topic(self, account_id: str, topic_id: int, now: float) -> None:
        """One event, in the edition that its topic is subscribed in; nobody subscribed, nothing sent."""
        if topic_id in self.hooks:
            edition, uri = self.hooks[topic_id]
            self.notices.queue(edition, uri, self.body(edition, account_id, topic_id), self.known, now)

    def body(self, edition: str, account_id: str, topic_id: int) -> bytes:
        """One JSON object, with the account in the path of `url` and nowhere else (CC facts 10.1)."""
        host = "api.cc.email/v3" if edition == "v3" else "api.constantcontact.com/v2"
        event = {"url": f"https://{host}/partner/accounts/{account_id}/plan"}
        event |= {"api_key": self.known.get("api_key", "")} if edition == "v3" else {}
        return json.dumps({**event, "event_type": self.topics[topic_id][1]}, indent=1).encode()

    def shut(self, account_id: str) -> Response | None:
        """What every call for a cancelled or disabled account gets; documented nowhere, 403 as for no privilege."""
        plan = self.plans.get(account_id)
        return forbidden().response("object") if plan is not None and plan.shut else None

    # the API

    def handle(self, request: Request, now: float) -> Response | None:
        """The answer, None where it is no call of a partner's."""
        if request.path == KEYS_PATH:
            return answer(200, self.notices.published())
        if request.path == TOKEN_PATH:
            return self._token(request, now)
        if not request.path.startswith(("/v3/partner/", "/v2/webhooks/partner/", "/v2/partner/")):
            return None
        edition, parts = request.path[1:3], request.path.removeprefix("/").split("/")[1:]
        if not self._allowed(edition, request, now):
            return unauthorized()
        try:
            return self._routed(edition, request.method, parts, request, now)
        except Refusal as refusal:
            return refusal.response("array")

    def _token(self, request: Request, now: float) -> Response:
        values = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        pair = _basic(request)
        if pair != (self.known.get("client_id"), self.known.get("client_secret")) or not pair[0]:
            return answer(400, {"error": "invalid_client"})
        if values.get("grant_type") != "client_credentials":
            return answer(400, {"error": "unsupported_grant_type"})
        token = hashlib.sha256(f"{self.seed}:partner:{len(self._tokens)}".encode()).hexdigest()
        self._tokens[token] = now + TOKEN_LIFE
        return answer(200, {"access_token": token, "expires_in": int(TOKEN_LIFE), "token_type": "Bearer"})

    def _allowed(self, edition: str, request: Request, now: float) -> bool:
        if edition == "v2":
            right = (self.known.get("user"), self.known.get("password"))
            return _basic(request) == right and request.params().get("api_key") == self.known.get("api_key")
        token = request.headers.get("authorization", "").partition(" ")[2]
        key = request.headers.get("x-api-key", "")
        return bool(key) and key == self.known.get("api_key") and self._tokens.get(token, 0.0) > now

    def _routed(self, edition: str, method: str, parts: list[str], request: Request, now: float) -> Response:
        match [edition, method, *parts]:
            case [_, "GET", "partner", "accounts", account_id, "plan"]:
                return self._plan_of(account_id)
            case ["v2", "GET", "webhooks", "partner", "topics"]:
                return answer(200, [self._topic("v2", one) for one in self.topics if _wanted(self, request, one)])
            case ["v3", "GET", "partner", "webhooks", "subscriptions"]:
                return answer(200, [self._topic("v3", one) for one in self.topics])
            case ["v2", _, "webhooks", "partner", "topics", topic] | [
                "v3",
                _,
                "partner",
                "webhooks",
                "subscriptions",
                topic,
            ]:
                return self._one(edition, method, self._id(topic), request, now)
            case ["v3", "POST", "partner", "webhooks", "subscriptions", topic, "tests"]:
                return self._test(edition, self._id(topic), now)
        raise missing()

    def _one(self, edition: str, method: str, topic_id: int, request: Request, now: float) -> Response:
        if method == "GET":
            return answer(200, self._topic(edition, topic_id))
        if method == "POST" and edition == "v2":
            return self._test(edition, topic_id, now)
        said = _object(request) if method == "PUT" else {}
        if method == "DELETE" or said.get("is_subscribed") is False:
            self.hooks.pop(topic_id, None)
            return Response(204)
        if method != "PUT":
            raise Refusal(405, "partner.method", "Unsupported method used.")
        uri = said.get("callback_uri" if edition == "v2" else "hook_uri")
        self.hooks[topic_id] = (edition, _uri(uri))
        return answer(200, self._topic(edition, topic_id))

    def _test(self, edition: str, topic_id: int, now: float) -> Response:
        if topic_id not in self.hooks:
            raise invalid("The topic is not subscribed.")
        self.send_topic(EXAMPLE_ACCOUNT, topic_id, now)
        return answer(201 if edition == "v3" else 200, self._topic(edition, topic_id))

    def _id(self, topic: str) -> int:
        if not topic.isdecimal() or int(topic) not in self.topics:
            raise missing()
        return int(topic)

    def _topic(self, edition: str, topic_id: int) -> dict[str, Any]:
        name, event_type = self.topics[topic_id]
        words = f"Executes on {event_type}"
        subscribed, uri = self.hooks.get(topic_id, ("", ""))
        mine = subscribed == edition
        if edition == "v2":
            told = {"id": str(topic_id), "name": name, "description": words, "is_subscribed": mine}
            return {**told, "callback_uri": uri} if mine else told
        return {"topic_id": topic_id, "hook_uri": uri if mine else None, "topic_name": name, "topic_description": words}

    def _plan_of(self, account_id: str) -> Response:
        if account_id not in self.plans:
            raise missing()
        plan = self.plans[account_id]
        most = 500.0 * 2 ** (plan.tier - 1)
        tier = {"usage_type": "CONTACTS", "current_usage": most / 2, "tier": plan.tier, "tier_min": 0.0}
        body = {"plan_type": plan.plan_type, "current_tiers": [{**tier, "tier_max": most}]}
        return answer(200, {**body, "billing_status": plan.billing_status, "billing_day_of_month": None})

    def _plan(self, account_id: str) -> Plan:
        return self.plans.setdefault(account_id, Plan())

    # deliveries

    def due(self, now: float) -> list[ContactDelivery]:
        """Take what is due."""
        return self.notices.due(now)


def _wanted(partner: Partner, request: Request, topic_id: int) -> bool:
    chosen = request.params().get("subscription_status", "ALL")
    subscribed = partner.hooks.get(topic_id, ("", ""))[0] == "v2"
    return chosen == "ALL" or subscribed == (chosen == "SUBSCRIBED")


def _basic(request: Request) -> tuple[str, str]:
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (name, secret) if kind.lower() == "basic" else ("", "")


def _object(request: Request) -> Mapping[str, Any]:
    try:
        said = request.json()
    except ValueError:
        raise invalid("The body is not JSON.") from None
    if not isinstance(said, dict):
        raise invalid("The body is no object.")
    return said


def _uri(uri: Any) -> str:
    """https only, 512 characters (CC facts 10.2); this machine is let through, where nobody has a certificate."""
    allowed = ("https://", "http://127.0.0.1:", "http://localhost:")
    if not isinstance(uri, str) or not uri.startswith(allowed) or len(uri) > LONGEST_URI:
        raise invalid("hook_uri must be an https URI of at most 512 characters.")
    return uri
