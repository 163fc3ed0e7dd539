"""Limits and credentials: obeyed as the vendors say them, and a connection that is blocked keeps its work."""

from collections.abc import Callable
from typing import Any

from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, DAY, Crossing, Wire, emails
from tests.flows.test_consent import linked

PLACE = {"kind": "home", "street": "1 Main St", "city": "Everett", "state": "WA", "postal_code": "98201"}


def test_throttling_is_waited_out() -> None:
    with Crossing() as c:
        ann = c.person()
        c.faults.arm("throttled", vendor="constant_contact", path="/v3/contacts", count=3)
        c.connect()
        c.night()
        assert c.standing(ann) == ("in_step", "")
        refused = [one for one in c.made("GET", "/v3/contacts") if one.answer.status == 429]
        assert len(refused) == 3
        for one in refused:
            later = [other.at for other in c.made("", "/v3/") if other.at > one.at]
            assert min(later) - one.at >= 0.9


def test_throttling_is_waited_out_by_every_call_of_the_key() -> None:
    """A step's own read is as much too early as the poll that was told to wait; and so is another customer's call."""
    with Crossing(customers=(CUSTOMER, "beta")) as c:
        ann = c.person()
        c.connect()
        c.night()
        throttled = Response(429, {"Retry-After": "20"}, b'{"error_key":"throttled"}')
        c.wire = _once(throttled)
        c.opts_out(ann)
        c.wait(hours=2)
        [refused] = [one for one in c.made("", "/v3/") if one.answer.status == 429]
        assert [one for one in c.made("", "/v3/") if refused.at < one.at < refused.at + 20] == []
        assert c.consents(ann) == [False]


def _once(answer: Response) -> Wire:
    """The first call of Constant Contact is answered so."""
    left = [answer]

    def wire(vendor: str, _request: Request, handle: Callable[[], Response]) -> Response:
        return left.pop() if left and vendor == "constant_contact" else handle()

    return wire


def test_an_hour_that_is_refused_stays_so_where_the_other_side_is_connected_anew() -> None:
    with Crossing() as c:
        linked(c)
        before: Any = c.ask(c.service.desk(CUSTOMER)).crm
        before.api._pace.stop(c.now() + 20)
        c.consent(c.refresh_tokens[CUSTOMER])
        after: Any = c.ask(c.service.desk(CUSTOMER)).crm
        assert after is not before
        assert after.api._pace.take(c.now(), urgent=True) == 20


def test_a_used_up_day_stops_every_call_until_midnight_utc() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("quota_exceeded", vendor="constant_contact", path="/v3/contacts")
        c.opts_out(ann)
        midnight = (c.now() // DAY + 1) * DAY
        c.until(midnight - 1)
        stopped = [one for one in c.made("", "/v3/") if one.answer.status == 429]
        assert len(stopped) == 1
        assert [one for one in c.made("", "/v3/") if stopped[0].at < one.at < midnight] == []
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_a_limit_of_virtuous_is_waited_out_as_it_says() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.faults.arm("rate_limited", vendor="virtuous", method="PUT", seconds=120)
        c.opts_out(ann)
        c.wait(minutes=25)
        assert c.consents(ann) == [False]
        [refused] = [one for one in c.made("", "/api/") if one.answer.status == 429]
        assert [one for one in c.made("", "/api/") if refused.at < one.at < refused.at + 120] == []


def test_no_call_of_ours_meets_a_limit_that_nobody_scripted() -> None:
    with Crossing() as c:
        tags = [c.a_list(f"List {n}") for n in range(3)]
        people = [c.person(f"p{n}@example.org", f"F{n}", f"L{n}", lists=tags, addresses=[PLACE]) for n in range(25)]
        c.connect()
        c.night()
        for one in people:
            c.edits(one, first_name="New", phones=[("mobile", f"202-555-{1000 + people.index(one)}")])
        c.wait(hours=2)
        assert [one for one in c.calls if one.answer.status == 429] == []
        assert c.standings() == {"in_step": 25}


def test_budget_that_others_use_is_left_to_them_but_consent_passes() -> None:
    with Crossing() as c:
        ann, bob = c.person(), c.person("bob@example.org", "Bob", "Roe")
        c.connect()
        c.night()
        c.v.spend(CUSTOMER, 1250, c.now())
        made = len(c.made("", "/api/"))
        c.opts_out(ann)
        c.edits(bob, first_name="Bobby")
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        assert len(c.made("", "/api/")) - made == 2


def test_the_budget_that_one_customer_used_up_is_nobody_elses() -> None:
    with Crossing(customers=(CUSTOMER, "beta")) as c:
        news = c.cc.add_list("beta", "Newsletter", c.now())
        c.v.add_tag("beta", "CC: Newsletter", c.now())
        bea = c.cc.add_person("beta", c.now(), first_name="Bea", last_name="Lee", email="bea@example.org")
        ann = c.person()
        c.connect()
        c.night()
        c.v.spend(CUSTOMER, 1450, c.now())
        c.opts_out(ann)
        c.wait(minutes=16)
        assert c.consents(ann) == [False]
        [contact] = c.v.contacts("beta")
        c.v.staff_adds_tag("beta", contact["id"], "CC: Newsletter", c.now())
        c.wait(minutes=5)
        assert next(one for one in c.cc.contacts("beta") if one["contact_id"] == bea)["list_memberships"] == [news]


def test_a_delivery_that_cannot_be_read_now_waits_without_spinning() -> None:
    with Crossing() as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.faults.arm("503", vendor="virtuous", count=10_000)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        made = len(c.calls)
        c.wait(minutes=30)
        assert set(c.answered) == {200}
        assert len(c.calls) - made < 60
        c.faults.clear()
        c.wait(minutes=10)
        assert c.here(ann)["list_memberships"] == [news]


def test_a_delivery_of_a_blocked_connection_is_read_when_the_connection_works_again() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v.revoke_key("v_key")
        c.v.staff_opts(CUSTOMER, emails(c.there(ann))[0]["id"], False, c.now())
        c.wait(minutes=30)
        assert c.status()["connections"]["virtuous"] == "unauthorized"
        c.v.add_organization(CUSTOMER, "v_key", c.now())
        c.key("v_key")
        c.wait(minutes=5)
        assert c.permission(ann) == "unsubscribed"


def test_a_revoked_key_blocks_the_connection_and_keeps_the_work() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.v.revoke_key("v_key")
        c.opts_out(ann)
        c.wait(hours=2)
        assert c.status()["connections"]["virtuous"] == "unauthorized"
        tried = len(c.made("", "/api/"))
        c.wait(hours=3)
        assert len(c.made("", "/api/")) - tried <= 6
        c.v.add_organization(CUSTOMER, "v_key_2", c.now())
        c.key("v_key_2")
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert c.letters() == []


def test_a_revoked_grant_blocks_constant_contact_and_a_new_consent_resumes() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.cc.revoke_grant(CUSTOMER)
        c.wait(days=1)
        c.opts_out(ann)
        c.wait(hours=1)
        assert c.consents(ann) == [True]
        assert c.status()["connections"]["constant_contact"] != "ok"
        again = c.cc.add_account(CUSTOMER, "client", "secret", c.now())
        c.consent(again["refresh_token"])
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_rotating_refresh_tokens_carry_a_week() -> None:
    with Crossing(cc={"refresh_reuse": "revokes_family"}) as c:
        ann = linked(c)
        for _ in range(3):
            c.wait(days=1)
            c.open()
        tokens = [one for one in c.made("POST", "/oauth2") if one.answer.status == 200]
        assert len(tokens) >= 3
        assert [one for one in c.made("", "/oauth2") if one.answer.status != 200] == []
        c.opts_out(ann)
        c.wait(minutes=20)
        assert c.consents(ann) == [False]


def test_an_expired_access_token_is_renewed_once() -> None:
    with Crossing() as c:
        ann = linked(c)
        c.opts_out(ann)
        seen = {"left": 1}

        def wire(vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
            if vendor == "constant_contact" and request.path.startswith("/v3/") and seen["left"]:
                seen["left"] -= 1
                return Response(401, {}, b'{"error_key":"unauthorized","error_message":"expired"}')
            return handle()

        c.wire = wire
        before = len(c.made("POST", "/oauth2"))
        c.wait(minutes=20)
        assert c.consents(ann) == [False]
        assert len(c.made("POST", "/oauth2")) == before + 1
