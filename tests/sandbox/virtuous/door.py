"""A client for the tests: one organization, one key, a clock moved by hand."""

import json
from collections.abc import Mapping
from typing import Any

from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.virtuous import Delivery, Virtuous

ORG, KEY = "org-a", "key-a"
START = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC, 15:13:20 in Phoenix
HOOK = "https://hooks.example.org/in"
SECRET = "s" * 32
CC = "Constant Contact"


class Door:
    def __init__(self, switches: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self.machine = Virtuous(switches, seed)
        self.now = START
        self.machine.add_organization(ORG, KEY, self.now)

    def send(self, method: str, path: str, body: Any = None, query: str = "", key: str = KEY) -> Response:
        raw = b"" if body is None else json.dumps(body).encode()
        return self.machine.handle(Request(method, path, query, {"authorization": f"Bearer {key}"}, raw), self.now)

    def get(self, path: str, query: str = "") -> Any:
        response = self.send("GET", path, query=query)
        assert response.status == 200, response
        return response.json()

    def submit(self, **row: Any) -> Response:
        return self.send("POST", "/api/Contact/Transaction", {"referenceSource": CC, **row})

    def night(self) -> dict[str, int]:
        self.now += 3600
        return self.machine.run_batch(ORG, self.now)

    def imported(self, **row: Any) -> dict[str, Any]:
        """Submit a row, run the night, read the contact by its reference."""
        assert self.submit(**row).status == 200
        self.night()
        contact: dict[str, Any] = self.get(f"/api/Contact/Constant%20Contact/{row['referenceId']}")
        return contact

    def person(self, email: str = "ann@example.org", **raw: Any) -> int:
        """A contact of one person with one e-mail address, made by staff."""
        methods = [{"type": "Home Email", "value": email, "isOptedIn": True}] if email else []
        names = {"firstName": raw.pop("first", "Ann"), "lastName": raw.pop("last", "Bell")}
        return self.machine.add_contact(ORG, self.now, individuals=[{**names, "methods": methods}], **raw)

    def contact(self, number: int) -> dict[str, Any]:
        value: dict[str, Any] = self.get(f"/api/Contact/{number}")
        return value

    def subscribe(self, **fields: Any) -> int:
        every = {"payloadUrl": HOOK, "secret": SECRET, "contactCreate": True, "contactUpdate": True, "active": True}
        response = self.send("POST", "/api/Webhook", {**every, **fields})
        assert response.status == 200, response
        return int(response.json()["id"])

    def deliveries(self, later: float = 60) -> list[Delivery]:
        self.now += later
        return self.machine.due_deliveries(self.now)

    def query(self, *conditions: dict[str, Any], **rest: Any) -> list[int]:
        """Ids found by one group of conditions."""
        body = {"groups": [{"conditions": list(conditions)}], **rest}
        response = self.send("POST", "/api/Contact/Query", body, "take=1000")
        assert response.status == 200, response
        return [row["id"] for row in response.json()["list"]]


def asks(parameter: str, operator: str, value: Any = None, **rest: Any) -> dict[str, Any]:
    return {"parameter": parameter, "operator": operator, "value": value, **rest}


def emails(contact: Mapping[str, Any]) -> dict[str, bool]:
    """Address to consent."""
    methods = [m for person in contact["contactIndividuals"] for m in person["contactMethods"]]
    return {m["value"]: m["isOptedIn"] for m in methods if "Email" in m["type"]}


def method_id(contact: Mapping[str, Any], value: str) -> int:
    methods = [m for person in contact["contactIndividuals"] for m in person["contactMethods"]]
    return next(int(m["id"]) for m in methods if m["value"] == value)
