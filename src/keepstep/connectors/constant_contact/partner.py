"""What the vendor offers technology partners, in both editions (CC facts 9, 10).

v2: the partner's user and password, and the application's key in the query. v3: a token of the partner's own client,
and the key in a header. Both tell of the same four topics.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from keepstep.connectors.constant_contact.api import decode, read, segment
from keepstep.model.errors import Misconfigured, Permanent, Transient, Unanswered
from keepstep.model.plan import Plan
from keepstep.ports import Connection, HttpAnswer, OAuth, PartnerNotice, Partnership, Topic

EVENTS = {"1": "tier.increase", "2": "tier.decrease", "3": "account.cancel", "4": "account.disable"}
# The two hosts that sources name (CC facts 10.1); neither is ever called because a body says so.
HOSTS = frozenset({"api.cc.email", "api.constantcontact.com"})
PATH = re.compile(r"/v[23]/partner/accounts/([A-Za-z0-9_-]{1,64})/plan")
EVENT = re.compile(r"[a-z][a-z0-9_]{0,30}(?:\.[a-z][a-z0-9_]{0,30}){1,3}")
LARGEST = 65_536
_TOPICS = {"v2": "/webhooks/partner/topics", "v3": "/partner/webhooks/subscriptions"}


def notice_of(body: bytes) -> PartnerNotice | None:
    """What a delivery says, None for every shape but the documented one (CC facts 10.1): one object, whose `url` is the
    address of an account's plan and nothing more."""
    try:
        said = decode(body) if len(body) <= LARGEST else None
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    account, event, key = account_at(said.get("url")), said.get("event_type"), said.get("api_key")
    if account is None or not isinstance(event, str) or not EVENT.fullmatch(event):
        return None
    return PartnerNotice(account, event, key if isinstance(key, str) else None)


def account_at(url: object) -> str | None:
    """The account in the address of its plan, None for any other address."""
    if not isinstance(url, str) or len(url) > 512 or not url.isascii() or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    # Compared whole: a user, a port or a look-alike are another text.
    found = PATH.fullmatch(parts.path) if parts.scheme == "https" and parts.netloc in HOSTS else None
    return found[1] if found and not parts.query and not parts.fragment and url.endswith("/plan") else None


class PartnerApi:
    """Calls for the operator (`keepstep.ports.Partner`). Each raises the classes of `keepstep.model.errors`.

    `settings` of the connection: application_key (whose budget it is), v2_url, and the secrets api_key, user, password.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bases = {
            "v2": str(connection.settings.get("v2_url") or "").rstrip("/"),
            "v3": connection.base_url.rstrip("/").removesuffix("/v3") + "/v3",
        }

    async def topics(self, edition: str) -> Sequence[Topic]:
        query = {"subscription_status": "ALL"} if edition == "v2" else {}
        rows = await self._call(edition, "GET", _TOPICS[edition], query)
        if not isinstance(rows, list):
            raise Transient("the list of topics is no list")
        return [_topic(row) for row in rows if isinstance(row, dict)]

    async def subscribe(self, edition: str, topic_id: str, uri: str) -> None:
        said = {"callback_uri": uri, "is_subscribed": True} if edition == "v2" else {"hook_uri": uri}
        await self._call(edition, "PUT", self._one(edition, topic_id), body=said)

    async def unsubscribe(self, edition: str, topic_id: str) -> None:
        await self._call(edition, "DELETE", self._one(edition, topic_id))

    async def test(self, edition: str, topic_id: str) -> None:
        path = self._one(edition, topic_id) + ("/tests" if edition == "v3" else "")
        await self._call(edition, "POST", path)

    async def plan(self, account_id: str) -> Plan:
        """In whichever edition the operator has."""
        edition = "v3" if self._connection.settings.get("has_v3") else "v2"
        said = await self._call(edition, "GET", f"/partner/accounts/{segment(account_id)}/plan")
        if not isinstance(said, dict):
            raise Transient("a plan that is no object")
        return _plan(said)

    def _one(self, edition: str, topic_id: str) -> str:
        return f"{_TOPICS[edition]}/{segment(topic_id)}"

    async def _call(
        self,
        edition: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        text = json.dumps(body).encode() if body is not None else b""
        token = await self._connection.grant.bearer() if edition == "v3" else ""
        answer = await self._sent(edition, method, path, query or {}, text, token)
        if answer.status == 401 and edition == "v3":
            token = await self._connection.grant.bearer(refused=token)
            answer = await self._sent(edition, method, path, query or {}, text, token)
        if 200 <= answer.status < 300 and not answer.body.strip():
            return None
        if 300 <= answer.status < 400:  # nobody is followed anywhere with our credentials
            raise Permanent(answer.status, f"{method} {path}: a redirect")
        return read(method, path, answer, self._connection.clock.now()).value

    async def _sent(
        self, edition: str, method: str, path: str, query: Mapping[str, str], body: bytes, token: str
    ) -> HttpAnswer:
        permits, key = self._connection.permits, str(self._connection.settings.get("application_key", ""))
        permit = await permits.take(key) if permits else 0
        try:
            return await self._exchange(edition, method, path, query, body, token)
        finally:
            if permits:
                await permits.give_back(key, permit)

    async def _exchange(
        self, edition: str, method: str, path: str, query: Mapping[str, str], body: bytes, token: str
    ) -> HttpAnswer:
        headers = {"accept": "application/json"} | ({"content-type": "application/json"} if body else {})
        key = self._secret("api_key")
        if edition == "v2":
            pair = f"{self._secret('user')}:{self._secret('password')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            query = {**query, "api_key": key}
        else:
            headers |= {"authorization": f"Bearer {token}", "x-api-key": key}
        tail = f"?{urlencode(query)}" if query else ""
        try:
            return await self._connection.http(method, self._bases[edition] + path + tail, headers, body)
        except Unanswered as lost:
            if method == "POST":  # a test is a mail more; whatever else is asked for may be asked for again
                raise
            raise Transient(str(lost), lost.retry_after, lost.status) from None

    def _secret(self, name: str) -> str:
        found = self._connection.settings.get(name)
        if found is None:
            raise Misconfigured((f"partner: no {name} is stored; `keepstep partner connect` asks for it",))
        return str(found.reveal())


def _topic(row: Mapping[str, Any]) -> Topic:
    """v2: id, name, callback_uri, is_subscribed; v3: topic_id, topic_name, hook_uri (CC facts 10.2)."""
    uri = row.get("hook_uri") or (row.get("callback_uri") if row.get("is_subscribed") is not False else None)
    named = str(row.get("topic_id", row.get("id", "")))
    name = row.get("topic_name", row.get("name"))
    return Topic(named, name if isinstance(name, str) else "", uri if isinstance(uri, str) and uri else None)


def _plan(said: Mapping[str, Any]) -> Plan:
    """The tier of contacts is the one that matters; where there are several, the highest."""
    rows = said.get("current_tiers")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    tiers = [row["tier"] for row in found if isinstance(row.get("tier"), int) and not isinstance(row["tier"], bool)]
    words = [said.get(name) if isinstance(said.get(name), str) else None for name in ("plan_type", "billing_status")]
    return Plan(words[0], max(tiers, default=None), words[1])


PARTNERSHIP = Partnership(
    open=PartnerApi,
    notice_of=notice_of,
    events=EVENTS,
    shuts=frozenset({"account.cancel", "account.disable"}),
    hmac="x-ctct-hmac-sha256",
    jws="x-ctct-webhook-sig",
    oauth=OAuth(exchange="", scopes=("v3api/general.partner",)),
)
