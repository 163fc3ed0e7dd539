"""An account behind the stand-in, and short ways to call it. Each call comes one second after the one before."""

import base64
import json
from typing import Any

from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.http import Effect, Request, Response

START = 1_750_000_000.0
TOKEN = "/oauth2/default/v1/token"
ALL = "custom_fields,list_memberships,phone_numbers,street_addresses,taggings,notes"
FORM = "application/x-www-form-urlencoded"


class Door:
    def __init__(self, **switches: str) -> None:
        self.cc = ConstantContact(switches)
        self.now = START
        self.refresh = self.cc.add_account("a1", "key", "secret", self.now)["refresh_token"]
        granted = self.token(self.refresh).json()
        self.bearer, self.refresh = granted["access_token"], granted["refresh_token"]

    def token(self, refresh: str, wait: float = 1.0) -> Response:
        self.now += wait
        basic = base64.b64encode(b"key:secret").decode()
        body = f"grant_type=refresh_token&refresh_token={refresh}".encode()
        headers = {"authorization": f"Basic {basic}", "content-type": FORM}
        return self.cc.handle(Request("POST", TOKEN, "", headers, body), self.now)

    def call(self, method: str, path: str, body: Any = None, wait: float = 1.0) -> Response:
        self.now += wait
        path, _, query = path.partition("?")
        headers = {"authorization": f"Bearer {self.bearer}", "content-type": "application/json"}
        raw = b"" if body is None else json.dumps(body).encode()
        return self.cc.handle(Request(method, path, query, headers, raw), self.now)

    def get(self, path: str, wait: float = 1.0) -> Any:
        answer = self.call("GET", path, wait=wait)
        assert answer.status == 200, answer.body
        return answer.json()

    def one(self, contact_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v3/contacts/{contact_id}?include={ALL}")
        return found

    def ids(self, query: str) -> list[str]:
        return [one["contact_id"] for one in self.get(f"/v3/contacts?{query}")["contacts"]]

    def person(self, **values: Any) -> str:
        self.now += 1.0
        return self.cc.add_person("a1", self.now, **values)

    def list(self, name: str) -> str:
        return self.cc.add_list("a1", name, self.now)


def changed(effects: tuple[Effect, ...]) -> dict[str, tuple[Any, Any]]:
    return {one.field: (one.before, one.after) for one in effects}
