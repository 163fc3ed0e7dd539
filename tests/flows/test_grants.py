"""A grant that is void, and one that nobody uses: who is told, what waits, what goes on afterwards."""

from typing import Any

import pytest

from keepstep import telemetry
from keepstep.cli import page
from keepstep.telemetry import Event
from tests.flows.crossing import CUSTOMER, DAY, START, Crossing
from tests.flows.test_consent import linked
from tests.flows.test_lists import lists_of


def test_a_void_grant_is_told_once_and_what_waits_goes_out_after_a_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(telemetry, "report", lambda event, *_, **fields: told.append((event, fields.get("reason"))))
    with Crossing(cc={"access_token_lifetime": "short"}) as c:
        news = c.a_list("Newsletter")
        ann = linked(c)
        c.cc.revoke_grant(CUSTOMER)
        c.wait(minutes=10)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(hours=5)
        status = c.status()
        assert status["connections"] == {"constant_contact": "reauthorize", "virtuous": "ok"}
        blocked = status["blocked"]["constant_contact"]
        assert blocked["steps"] == 1 and blocked["oldest_seconds"] > 4 * 3600 and lists_of(c, ann) == []
        assert f"keepstep connect constant_contact --customer {CUSTOMER}`; then everything" in blocked["next"]
        page.status({"customers": [status]})
        assert "constant_contact, reauthorize: 1 writes wait" in " ".join(capsys.readouterr().out.split())
        assert told.count((Event.blocked, "reauthorize")) == 1
        refused = len(c.made("POST", "/oauth2"))
        c.wait(days=1)
        assert len(c.made("POST", "/oauth2")) - refused <= 50
        c.consent(c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"])
        c.wait(minutes=20)
        assert c.status()["blocked"] == {} and lists_of(c, ann) == [news]


def test_only_a_paused_customers_grant_lies_idle_and_status_warns_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with Crossing() as c:
        c.connect()
        c.wait(hours=1)
        c.ask(c.service.pause(CUSTOMER))
        calls = len(c.calls)
        c.clock.at = START + 149 * DAY
        assert c.status()["idle_grants"] == {}
        c.clock.at = START + 152 * DAY
        warned = c.status()["idle_grants"]["constant_contact"]
        page.status({"customers": [c.status()]})
        assert "constant_contact, for 152 days" in " ".join(capsys.readouterr().out.split())
        assert warned["days"] == 152 and "within 28 days" in warned["next"] and len(c.calls) == calls
        c.clock.at = START + 200 * DAY
        assert "void by now" in c.status()["idle_grants"]["constant_contact"]["next"]
        c.clock.at = START + 152 * DAY
        c.ask(c.service.resume(CUSTOMER))
        c.wait(minutes=5)
        assert c.status()["idle_grants"] == {} and set(c.status()["connections"].values()) == {"ok"}
