"""Rotation of webhook secrets and door tokens: what is in flight is believed, and nothing else for ever."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from keepstep.model.errors import Refused
from keepstep.state.rotations import BELIEVED, TELL_AFTER
from keepstep.wiring import rotation
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing, emails
from tests.flows.test_consent import linked
from tests.flows.test_hooks import subscription

BODY = json.dumps({"event": "ContactUpdate", "contact": {"id": 1}}).encode()
CRM = "virtuous"


def rotate(c: Crossing, *, door: bool = False, overlap: float = DAY, platform: str = CRM) -> Any:
    return c.ask(rotation.rotate(c.service, CUSTOMER, platform, door, overlap))


def knock(c: Crossing, path: str, secret: bytes) -> int:
    """The door's answer to a delivery signed with this secret."""
    signed = base64.b64encode(hmac.new(secret, BODY, hashlib.sha256).digest()).decode()
    return int(c.ask(c.post(path, {"x-virtuous-signature": signed}, BODY)))


def staff_opts_out(c: Crossing, ann: str) -> str:
    """What becomes of it when only a webhook tells."""
    c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
    c.wait(minutes=2)
    return c.permission(ann)


def test_both_secrets_are_believed_before_the_vendor_is_told_and_one_after_the_overlap() -> None:
    with Crossing() as c:
        ann = linked(c)
        path, old = c.hook()
        assert knock(c, path, old) == 200, "the door knows it by heart now"
        assert rotate(c)["rotated"] == "webhook_secret"
        _, new = c.hook()
        assert new != old and len(base64.urlsafe_b64decode(new + b"=")) >= 32
        assert subscription(c).fields["secret"].encode() == old
        c.wait(minutes=(BELIEVED + 1) / 60)
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        assert subscription(c).fields["secret"].encode() == old, "not told yet"
        c.wait(minutes=1)
        assert subscription(c).fields["secret"].encode() == new
        assert len(c.made("PUT", "/api/Webhook")) == len(c.made("POST", "/api/Webhook")) == 1
        c.wait(hours=23)
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        c.wait(hours=1, minutes=3)
        assert [knock(c, path, one) for one in (new, old)] == [200, 401]
        assert staff_opts_out(c, ann) == "unsubscribed"
        assert len(c.lines("rotation_over")) == 1
        assert "virtuous.webhook_secret_previous" not in c.ask(c.service.customer(CUSTOMER))["stored"]


def test_a_delivery_that_was_signed_before_and_comes_late_is_taken() -> None:
    with Crossing() as c:
        ann = linked(c)
        path, _ = c.hook()
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        signed_before = c.v.due_deliveries(c.now() + HOUR)
        rotate(c)
        c.wait(hours=4)
        assert signed_before
        assert {c.ask(c.post(path, one.headers, one.body)) for one in signed_before} == {200}


def test_a_new_address_is_open_beside_the_old_one_for_the_overlap() -> None:
    with Crossing() as c:
        ann = linked(c)
        path, secret = c.hook()
        assert rotate(c, door=True)["rotated"] == "door_token"
        fresh, same = c.hook()
        assert fresh != path and same == secret
        c.wait(minutes=3)
        assert urlsplit(subscription(c).fields["payloadUrl"]).path == fresh
        assert [knock(c, one, secret) for one in (fresh, path)] == [200, 200]
        c.wait(hours=24, minutes=3)
        assert [knock(c, one, secret) for one in (fresh, path)] == [200, 404]
        assert staff_opts_out(c, ann) == "unsubscribed"


@pytest.mark.parametrize("fault", ["503", "drop"])
def test_a_vendor_that_does_not_take_it_leaves_both_believed_and_somebody_is_told(fault: str) -> None:
    with Crossing() as c:
        ann = linked(c)
        path, old = c.hook()
        c.wire = failing(fault)
        rotate(c, overlap=HOUR)
        c.wait(days=2, hours=3)
        _, new = c.hook()
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        assert 2 <= len(c.lines("rotation_not_taken")) <= 3
        c.wire = None
        c.wait(hours=3)
        assert subscription(c).fields["secret"].encode() == new
        assert [knock(c, path, one) for one in (new, old)] == [200, 401]
        assert staff_opts_out(c, ann) == "unsubscribed"


def failing(fault: str) -> Any:
    """PUTs of the subscription fail; those that are dropped have had no effect either."""

    def wire(_vendor: str, request: Request, handle: Any) -> Response:
        if request.method == "PUT" and request.path.startswith("/api/Webhook"):
            return Response(503) if fault == "503" else Response(0, drop=True)
        answer: Response = handle()
        return answer

    return wire


def test_an_answer_that_was_lost_is_found_out_and_the_overlap_runs() -> None:
    """The vendor took it and its answer never came: it is asked again, not told twice."""
    with Crossing() as c:
        linked(c)
        path, old = c.hook()
        lost = [1]

        def wire(_vendor: str, request: Request, handle: Any) -> Response:
            answer: Response = handle()
            if request.method == "PUT" and request.path.startswith("/api/Webhook") and lost:
                lost.clear()
                return Response(0, drop=True)
            return answer

        c.wire = wire
        rotate(c, overlap=HOUR)
        c.wait(minutes=30)
        assert not lost and len(c.made("PUT", "/api/Webhook")) == 1
        c.wait(hours=1)
        _, new = c.hook()
        assert [knock(c, path, one) for one in (new, old)] == [200, 401]


def test_a_vendor_that_hides_the_secret_gets_a_new_subscription_and_forgets_the_old_one() -> None:
    with Crossing() as c:
        ann = linked(c)
        first = subscription(c)

        def wire(_vendor: str, request: Request, handle: Any) -> Response:
            answer: Response = handle()
            if request.method == "GET" and request.path.startswith("/api/Webhook"):
                shown = {name: value for name, value in json.loads(answer.body).items() if name != "secret"}
                return Response(answer.status, answer.headers, json.dumps(shown).encode())
            return answer

        c.wire = wire
        rotate(c, overlap=HOUR)
        c.wait(hours=2)
        left = c.v._organizations[CUSTOMER].subscriptions
        assert len(left) == 1 and first.id not in left
        assert subscription(c).fields["secret"].encode() == c.hook()[1]
        assert staff_opts_out(c, ann) == "unsubscribed"


def test_a_crash_between_any_two_stages_refuses_no_delivery() -> None:
    """Each stage is one commit: a new process over the same database goes on from there."""
    with Crossing() as c:
        ann = linked(c)
        path, old = c.hook()
        rotate(c, overlap=HOUR)
        c.open()
        _, new = c.hook()
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        c.wait(minutes=TELL_AFTER / 60 + 1)
        c.open()
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        c.wait(hours=1, minutes=2)
        c.open()
        assert [knock(c, path, one) for one in (new, old)] == [200, 401]
        assert staff_opts_out(c, ann) == "unsubscribed"


def test_a_second_rotation_waits_for_the_first_or_for_its_end() -> None:
    with Crossing() as c:
        linked(c)
        path, old = c.hook()
        rotate(c)
        with pytest.raises(Refused, match="has not taken"):
            rotate(c)
        with pytest.raises(Refused, match="would be lost"):
            c.ask(rotation.end(c.service, CUSTOMER, CRM))
        c.wait(minutes=3)
        with pytest.raises(Refused, match="believed until"):
            rotate(c)
        assert c.ask(rotation.end(c.service, CUSTOMER, CRM))["ended"] == ["webhook_secret"]
        c.wait(minutes=2)
        assert knock(c, path, old) == 401
        with pytest.raises(Refused, match="nothing to end"):
            c.ask(rotation.end(c.service, CUSTOMER, CRM))
        rotate(c)


def test_where_no_webhooks_arrive_there_is_nothing_to_rotate() -> None:
    with Crossing(public_url=None) as c:
        linked(c)
        with pytest.raises(Refused, match="no webhooks arrive"):
            rotate(c)
        with pytest.raises(Refused, match="no customer"):
            c.ask(rotation.rotate(c.service, "nobody", CRM, False, HOUR))


def test_what_is_set_up_by_hand_says_so_and_its_overlap_runs_at_once() -> None:
    with Crossing(policy={"contact_webhooks": True}) as c:
        c.connect()
        path, old = c.hook("constant_contact")
        told = rotate(c, overlap=HOUR, platform="constant_contact")
        assert told["vendor"] == "by hand" and "--door-secret constant_contact" in told["next"]
        _, new = c.hook("constant_contact")

        def answered(secret: bytes) -> int:
            signed = base64.b64encode(hmac.new(secret, b"{}", hashlib.sha256).digest()).decode()
            return int(c.ask(c.post(path, {"x-ctct-hmac-sha256": signed}, b"{}")))

        c.wait(minutes=3)
        assert [answered(one) for one in (new, old)] == [200, 200]
        c.wait(hours=1)
        assert [answered(one) for one in (new, old)] == [200, 401]


def test_a_paused_customer_is_rotated_and_its_vendor_told_once_it_goes_on() -> None:
    with Crossing() as c:
        linked(c)
        path, old = c.hook()
        c.ask(c.service.pause(CUSTOMER))
        rotate(c, overlap=HOUR)
        c.wait(hours=5)
        _, new = c.hook()
        assert subscription(c).fields["secret"].encode() == old
        assert [knock(c, path, one) for one in (new, old)] == [200, 200]
        c.ask(c.service.resume(CUSTOMER))
        c.wait(minutes=5)
        assert subscription(c).fields["secret"].encode() == new
