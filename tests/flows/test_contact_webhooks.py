"""Webhooks about contacts of Constant Contact: no document of the vendor has them, so a route must ask for them, and
everything works without."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from sqlalchemy import Connection, select

from keepstep.schema.tables import delivery
from keepstep.state import customers
from tests.flows.crossing import CUSTOMER, HOUR, Crossing

CC = "constant_contact"
ON = {"contact_webhooks": True}
RARE = dict.fromkeys(("changed", "opted_out", "deleted", "reports", "sweep"), 30 * 24 * HOUR)


def hooked(shape: str = "array", **more: Any) -> Crossing:
    """A route with the door, at a vendor that knocks; its polls come once a month."""
    return Crossing(cc={"contact_webhooks": shape}, policy=ON, cadence=RARE, **more)


def knocking(c: Crossing) -> None:
    """The customer's door and secret were told to the vendor."""
    path, secret = c.hook(CC)
    c.cc.set_contact_webhook(CUSTOMER, f"http://127.0.0.1:9{path}", secret.decode())


def in_step(c: Crossing, **more: Any) -> str:
    ann = c.person(**more)
    c.connect()
    c.night()
    assert c.standing(ann) == ("in_step", "")
    knocking(c)
    return ann


def event(record: str, account: str = CUSTOMER, kind: str = "contact.updated") -> dict[str, str]:
    return {"account_id": account, "contact_id": record, "event_type": kind}


def knock(c: Crossing, body: Any, secret: bytes | None = None, path: str | None = None) -> int:
    """One delivery as the vendor's earlier webhooks signed it; the status of the answer."""
    own, key = c.hook(CC)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = base64.b64encode(hmac.new(secret or key, raw, hashlib.sha256).digest()).decode()
    return int(c.ask(c.post(path or own, {"X-Ctct-Hmac-SHA256": signed}, raw)))


def states(c: Crossing) -> list[str]:
    def read(tx: Connection) -> list[str]:
        rows = select(delivery.c.state).where(delivery.c.platform == CC).order_by(delivery.c.received, delivery.c.id)
        return list(tx.execute(rows).scalars())

    return list(c.ask(c.service.db.run(read)))


@pytest.mark.switch("constant_contact", "contact_webhooks", "object", "array")
@pytest.mark.parametrize("shape", ["array", "object"])
def test_a_change_crosses_within_seconds_and_the_contact_is_read_again(shape: str) -> None:
    with hooked(shape) as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        knocking(c)
        c.opts_out(ann)
        c.edits(bob, first_name="Rob")
        c.wait(minutes=1)
        assert c.consents(ann) == [False]
        assert c.there(bob)["contactIndividuals"][0]["firstName"] == "Rob"
        assert set(states(c)) == {"parsed"} and set(c.answered) == {200}


def test_somebody_new_is_captured_and_somebody_gone_is_out() -> None:
    with hooked() as c:
        ann = in_step(c)
        bob = c.person("bob@example.org", "Bob", "Roe")
        c.cc.delete(CUSTOMER, ann, c.now())
        c.wait(minutes=1)
        assert c.consents(ann) == [False]
        c.night()
        assert c.standing(bob) == ("in_step", "")


@pytest.mark.parametrize("wrong", ["secret", "virtuous", "raw", "none"])
def test_a_delivery_that_is_not_signed_with_this_doors_secret_changes_nothing(wrong: str) -> None:
    with hooked() as c:
        ann = in_step(c)
        c.cc.set_contact_webhook(CUSTOMER, "", "")
        c.opts_out(ann)
        body = json.dumps(event(ann)).encode()
        if wrong == "none":
            assert c.ask(c.post(c.hook(CC)[0], {}, body)) == 401
        elif wrong == "raw":
            own, key = c.hook(CC)
            signed = base64.b64encode(hmac.new(key, body + b" ", hashlib.sha256).digest()).decode()
            assert c.ask(c.post(own, {"x-ctct-hmac-sha256": signed}, body)) == 401
        else:
            assert knock(c, body, secret=c.hook("virtuous")[1] if wrong == "virtuous" else b"guessed") == 401
        c.wait(minutes=5)
        assert states(c) == [] and c.consents(ann) == [True]


@pytest.mark.parametrize(
    "body",
    [[event("x", "other")], event("x", "other"), [event("x"), event("x", "other")]],
    ids=["array", "object", "among ours"],
)
def test_a_delivery_about_a_foreign_account_is_refused_though_it_is_signed(body: Any) -> None:
    with hooked() as c:
        in_step(c)
        assert knock(c, body) == 401
        assert states(c) == []


def test_an_unknown_path_and_a_platforms_other_door_are_not_there() -> None:
    with hooked() as c:
        ann = in_step(c)
        crm = c.hook("virtuous")[0].rsplit("/", 1)[1]
        for path in ("/hooks/constant_contact/guessed", f"/hooks/constant_contact/{crm}"):
            assert knock(c, event(ann), path=path) == 404
        assert states(c) == []


def test_a_replay_has_no_second_effect_and_order_none_at_all() -> None:
    with hooked("object") as c:
        ann = in_step(c)
        c.cc.duplicate_next(1)
        c.cc.delay_next(1, 60.0)
        c.edits(ann, first_name="Anna")
        c.edits(ann, first_name="Annie")
        c.wait(minutes=5)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Annie"
        body = event(ann, kind="contact.unsubscribed")
        writes = len(c.writes())
        for _ in range(3):
            assert knock(c, body) == 200
            c.wait(minutes=1)
        assert len(c.writes()) == writes and c.consents(ann) == [True]


def test_a_contact_that_is_not_there_is_asked_for_once_and_makes_nobody() -> None:
    with hooked() as c:
        ann = in_step(c)
        gone = "00000000-0000-4000-8000-000000000000"
        c.cc.set_contact_webhook(CUSTOMER, "", "")
        c.edits(ann, first_name="Anna")
        assert knock(c, [event(gone), event(ann), event(gone)]) == 200
        c.wait(minutes=10)
        assert len(c.made("GET", f"/v3/contacts/{gone}")) == 1
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert c.standings() == {"in_step": 1} and states(c) == ["parsed"]


def test_a_contact_that_can_never_be_read_keeps_the_others_waiting_for_a_while_only() -> None:
    with hooked() as c:
        ann = in_step(c)
        broken = "11111111-0000-4000-8000-000000000000"
        c.faults.arm("500", path=f"/v3/contacts/{broken}", count=1000)
        c.edits(ann, first_name="Anna")
        assert knock(c, [event(broken), event(ann)]) == 200
        c.wait(minutes=30)
        assert c.there(ann)["contactIndividuals"][0]["firstName"] == "Anna"
        assert set(states(c)) == {"parsed"}
        assert len(c.made("GET", f"/v3/contacts/{broken}")) < 20


def test_a_delivery_that_names_many_is_read_in_pieces_and_to_its_end() -> None:
    with hooked() as c:
        in_step(c)
        c.cc.set_contact_webhook(CUSTOMER, "", "")
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}") for n in range(120)]
        assert knock(c, [event(one) for one in people]) == 200
        assert knock(c, event(people[0])) == 200
        c.wait(minutes=5)
        assert states(c) == ["parsed", "parsed"]
        assert sum(c.standings().values()) == 121
        read = [one.request.path for one in c.made("GET", "/v3/contacts/")]
        assert max(read.count(f"/v3/contacts/{one}") for one in people[1:]) == 1


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"no": "event"}'])
def test_what_is_signed_and_not_understood_is_set_down_and_stops_nothing(body: bytes) -> None:
    with hooked() as c:
        ann = in_step(c)
        assert knock(c, body) == 200
        c.opts_out(ann)
        c.wait(minutes=1)
        assert c.consents(ann) == [False]
        assert "refused" in states(c)


def test_deliveries_of_a_blocked_connection_are_set_aside_and_those_of_the_other_are_read() -> None:
    with hooked() as c:
        ann = in_step(c)
        c.ask(c.service.db.run(customers.block, CUSTOMER, CC, "reauthorize"))
        c.opts_out(ann)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "Volunteer", c.now())
        c.wait(minutes=5)
        assert states(c) == ["aside"]
        assert "Volunteer" in str(c.status()) or c.mark("virtuous", "deliveries").due is None
        c.ask(c.service.resume(CUSTOMER))
        c.wait(hours=1, minutes=5)
        assert states(c) == ["parsed"]
        assert c.consents(ann) == [False]


@pytest.mark.switch("constant_contact", "contact_webhooks", "off")
@pytest.mark.parametrize("knocks", ["off", "array"])
def test_with_the_switch_off_there_is_no_door_and_polling_is_enough(knocks: str) -> None:
    with Crossing(cc={"contact_webhooks": knocks}) as c:
        ann = c.person()
        c.connect()
        c.night()
        assert "constant_contact.door_token" not in c.ask(c.service.customer(CUSTOMER))["stored"]
        c.cc.set_contact_webhook(CUSTOMER, "http://127.0.0.1:9/hooks/constant_contact/guessed", "s")
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert set(c.answered) <= {200, 404} and states(c) == []


def test_a_door_that_the_route_gave_up_is_as_unknown_as_any() -> None:
    with hooked() as c:
        ann = in_step(c)
        path, secret = c.hook(CC)
        c.policy = type(c.policy)()
        c.open()
        signed = base64.b64encode(hmac.new(secret, b"{}", hashlib.sha256).digest()).decode()
        assert c.ask(c.post(path, {"x-ctct-hmac-sha256": signed}, b"{}")) == 404
        c.opts_out(ann)
        c.wait(minutes=5)
        assert states(c) == []
