"""What a door, a delivery or an answer may not do: be lost for somebody else's trouble, spin, or be believed though it
is about another record."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from keepstep.connectors.virtuous.destination import Destination
from keepstep.inbound import deliveries as deliveries_of_the_crm
from keepstep.schema.tables import secret
from keepstep.settings import PLATFORMS
from keepstep.state import deliveries
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing, emails, served
from tests.flows.test_capture import in_step

Handle = Callable[[], Response]
OTHER = "other"


def signed(key: bytes, body: bytes, name: str = "x-virtuous-signature") -> dict[str, str]:
    return {name: base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()}


def naming(*records: int) -> bytes:
    return json.dumps({"event": "ContactUpdate", "models": [{"contact": {"id": one}} for one in records]}).encode()


# --- the door ---


def test_a_secret_of_another_customer_that_does_not_open_closes_no_door_but_that_ones() -> None:
    with Crossing(customers=("aaa", CUSTOMER)) as c:
        c.connect()
        lost = (secret.c.customer_id == "aaa", secret.c.field == "door_token")
        c.ask(c.service.db.run(lambda tx: tx.execute(update(secret).where(*lost).values(key_id="lost"))))
        path, key = c.hook()
        assert c.ask(c.post(path, signed(key, b"{}"), b"{}")) == 200


def test_strangers_who_try_tokens_do_not_have_every_secret_opened_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crossing(customers=(CUSTOMER, OTHER)) as c:
        c.connect()
        opened: list[str] = []
        true = type(c.service.vault).get

        def get(self: Any, tx: Any, customer: str, platform: str, field: str) -> Any:
            opened.append(field)
            return true(self, tx, customer, platform, field)

        monkeypatch.setattr(type(c.service.vault), "get", get)
        for n in range(50):
            assert c.ask(c.post(f"/hooks/virtuous/guess{n}", {}, b"{}")) == 404
        assert len(opened) <= 4
        path, key = c.hook()
        assert c.ask(c.post(path, signed(key, b"{}"), b"{}")) == 200


def test_the_headers_that_the_settings_name_are_those_that_sign() -> None:
    """The name is unconfirmed, so that it is a setting (Virtuous facts 13.4)."""
    with Crossing() as c:
        c.connect()
        known = {**PLATFORMS, "virtuous": replace_platform(("X-Vir-Sig", "X-Other"))}
        c.service.settings = replace_settings(c.service.settings, known)
        c.door = rebuilt(c)
        path, key = c.hook()
        assert c.ask(c.post(path, signed(key, b"{}", "x-vir-sig"), b"{}")) == 200
        assert c.ask(c.post(path, signed(key, b"{}"), b"{}")) == 401


def replace_platform(names: tuple[str, ...]) -> Any:
    return msgspec.structs.replace(PLATFORMS["virtuous"], signature_headers=names)


def replace_settings(settings: Any, platforms: Any) -> Any:
    return msgspec.structs.replace(settings, platforms=platforms)


def rebuilt(c: Crossing) -> Any:
    from keepstep.cli.run import _door
    from keepstep.web import build

    return build(_door(c.service))


def test_show_tells_where_contact_webhooks_arrive_and_the_secret_only_when_asked() -> None:
    with Crossing(policy={"contact_webhooks": True}) as c:
        c.connect()
        path, key = c.hook("constant_contact")
        shown = c.ask(c.service.customer(CUSTOMER))
        assert shown["doors"]["constant_contact"] == f"http://127.0.0.1:9{path}"
        assert key.decode() not in str(shown)
        told = c.ask(c.service.door_secret(CUSTOMER, "constant_contact"))
        assert told == {"url": f"http://127.0.0.1:9{path}", "secret": key.decode()}
        assert c.lines("door_secret_shown") == [{"platform": "constant_contact"}]


# --- deliveries ---


def test_a_bulk_action_of_many_contacts_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """One delivery may name a thousand (Virtuous facts 13.3): all that wait at once would outlast the slot's lease, and
    be read again from the beginning."""
    monkeypatch.setattr(deliveries_of_the_crm, "READ_IDS", 20)
    asked: list[int] = []
    true = Destination.read_many

    async def read_many(self: Destination, record_ids: Any) -> Any:
        asked.append(len(record_ids))
        return await true(self, record_ids)

    with Crossing() as c:
        ann = in_step(c)
        monkeypatch.setattr(Destination, "read_many", read_many)
        path, key = c.hook()
        for n in range(10):
            body = naming(*range(5000 + 10 * n, 5010 + 10 * n))
            assert c.ask(c.post(path, signed(key, body), body)) == 200
        body = naming(c.there(ann)["id"])
        assert c.ask(c.post(path, signed(key, body), body)) == 200
        c.wait(minutes=5)
        assert max(asked) <= 20 and sum(asked) >= 100
        assert not c.ask(c.service.db.run(deliveries.unread, CUSTOMER, "virtuous"))


def test_a_contact_that_cannot_be_filed_keeps_no_delivery_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Destination.snapshot

    with Crossing() as c:
        ann = in_step(c)
        broken = c.household("broken@example.org", "Bro", "Ken")
        c.wait(minutes=5)

        def snapshot(self: Destination, raw: Any, read_at: float) -> Any:
            if raw.get("id") == broken:
                raise ValueError("broken@example.org")
            return true(self, raw, read_at)

        monkeypatch.setattr(Destination, "snapshot", snapshot)
        path, key = c.hook()
        body = naming(broken, c.there(ann)["id"])
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        assert c.ask(c.post(path, signed(key, body), body)) == 200
        c.wait(minutes=5)
        assert c.permission(ann) == "unsubscribed"
        assert not c.ask(c.service.db.run(deliveries.unread, CUSTOMER, "virtuous"))
        [letter] = c.letters()
        assert (letter["kind"], letter["payload"]) == ("poison", {"record_id": str(broken), "poll": "deliveries"})
        assert "broken@" not in str(letter) + str(c.lines("poison"))


def test_a_door_with_a_new_address_or_secret_is_subscribed_to_again() -> None:
    """An old subscription goes on delivering to nobody, or with a signature that nobody believes."""
    with Crossing() as c:
        ann = in_step(c)
        lost = (secret.c.customer_id == CUSTOMER, secret.c.platform == "virtuous", secret.c.field == "webhook_secret")
        c.ask(c.service.db.run(lambda tx: tx.execute(update(secret).where(*lost).values(key_id="lost"))))
        c.key("v_key")
        c.wait(minutes=5)
        assert len(c.made("PUT", "/api/Webhook")) == 1
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=1)
        assert c.permission(ann) == "unsubscribed"
        c.wait(days=3)
        assert len(c.made("POST", "/api/Webhook")) == len(c.made("PUT", "/api/Webhook")) == 1


def test_a_new_address_that_came_while_only_observing_is_subscribed_to_afterwards() -> None:
    with Crossing() as c:
        in_step(c)
        c.policy = replace(c.policy, stage="observe")
        c.open()
        lost = (secret.c.customer_id == CUSTOMER, secret.c.platform == "virtuous", secret.c.field == "webhook_secret")
        c.ask(c.service.db.run(lambda tx: tx.execute(update(secret).where(*lost).values(key_id="lost"))))
        c.key("v_key")
        c.wait(days=2)
        assert c.made("PUT", "/api/Webhook") == []
        c.policy = replace(c.policy, stage="both")
        c.open()
        c.wait(hours=2)
        assert len(c.made("POST", "/api/Webhook")) == len(c.made("PUT", "/api/Webhook")) == 1


# --- another record ---


def organization(**said: Any) -> Callable[[str, Request, Handle], Response]:
    def wire(_vendor: str, request: Request, handle: Handle) -> Response:
        response = handle()
        if request.path != "/api/Organization/Current":
            return response
        return replace(response, body=json.dumps(json.loads(response.body) | said).encode())

    return wire


def test_a_key_of_another_organization_is_no_way_to_swap_people() -> None:
    """Ids are unique only inside one organization (Virtuous facts 6): elsewhere each of ours is a stranger's."""
    with Crossing() as c:
        ann = in_step(c)
        c.wire = organization(organizationUserId=99, organizationName="Somebody Else")
        c.key("v_key")
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.status()["connections"]["virtuous"] == "wrong_account"
        assert c.consents(ann) == [True]


@pytest.mark.parametrize("said", [{"organizationUserId": 99}, {"organizationName": "Renamed"}])
def test_a_key_of_another_user_and_a_new_name_are_the_same_organization(said: dict[str, Any]) -> None:
    with Crossing() as c:
        ann = in_step(c)
        c.wire = organization(**said)
        c.key("v_key")
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.status()["connections"]["virtuous"] == "ok"
        assert c.consents(ann) == [False]


def test_a_method_that_is_another_one_is_not_written() -> None:
    with Crossing() as c:
        ann = in_step(c)

        def wire(_vendor: str, request: Request, handle: Handle) -> Response:
            response = handle()
            if request.method != "GET" or not request.path.startswith("/api/ContactMethod/"):
                return response
            return served(json.dumps(json.loads(response.body) | {"id": 424242, "value": "else@example.org"}).encode())

        c.wire = wire
        c.opts_out(ann)
        c.wait(minutes=30)
        assert c.made("PUT", "/api/ContactMethod") == []
        c.wire = None
        c.wait(hours=2)
        assert c.consents(ann) == [False]
