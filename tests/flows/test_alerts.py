"""Whoever must act is told once a cause, by the recipient of that customer and nobody else's."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import update
from typer.main import get_command

from keepstep import cli
from keepstep.model.alerts import WORDS, Kind
from keepstep.model.errors import Refused, Transient
from keepstep.schema.tables import secret
from keepstep.state import alerts as rows
from keepstep.state.alerts import OPERATOR
from keepstep.state.vault import Secret
from keepstep.wiring import alerts, brake, letters
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.ears import ears
from tests.flows.test_brake import made
from tests.flows.test_consent import linked
from tests.flows.test_letters import refused_for_an_option
from tests.flows.test_partner import Partners

SHORT = {"access_token_lifetime": "short"}
CC = "constant_contact"


def recipient(x: Crossing, url: str, customer: str | None = None) -> Any:
    return x.ask(alerts.set_recipient(x.service, customer, Secret(url)))


def told(x: Crossing) -> int:
    return int(x.ask(alerts.once(x.service)))


def listed(x: Crossing, customer: str | None = None, over: bool = False) -> dict[str, Any]:
    return dict(x.ask(alerts.listed(x.service, customer, over)))


def up(x: Crossing, kind: Kind = Kind.turn_failed, customer: str = CUSTOMER, subject: str = "turn") -> None:
    x.ask(x.service.db.run(rows.raise_alert, customer, kind, subject, {"error": "Oddity"}, x.now()))


def stands(x: Crossing, customer: str = CUSTOMER) -> list[str]:
    """The kinds of what lasts."""
    return [one["kind"] for one in listed(x)["alerts"] if one["closed"] is None and one["customer"] == customer]


# --- the walk --------------------------------------------------------------------------------------------------------


def test_a_revoked_grant_is_told_once_with_what_waits_and_what_to_type_and_again_when_it_works() -> None:
    with ears() as there, Crossing(cc=SHORT) as x:
        recipient(x, there.url("default"))
        x.a_list("Newsletter")
        ann = linked(x)
        x.cc.revoke_grant(CUSTOMER)
        x.wait(minutes=10)
        x.v.staff_adds_tag(CUSTOMER, x.there(ann)["id"], "CC: Newsletter", x.now())
        for _ in range(5):
            x.wait(hours=5)
            told(x)
        assert [one["title"] for one in there.heard] == ["Keepstep, acme: connection blocked"]
        said = there.heard[0]["message"]
        assert "constant_contact is blocked (reauthorize)" in said and "Writes that wait: 1." in said
        assert "`keepstep connect constant_contact --customer acme`" in said
        assert x.status()["alerts"] == {"open": 1, "unheard": 0, "failing": 0}
        x.consent(x.cc.add_account(CUSTOMER, "client", "secret", x.now())["refresh_token"])
        assert told(x) == 1 and there.heard[1]["title"] == "Keepstep, acme: connection works"
        assert x.status()["alerts"] == {"open": 0, "unheard": 0, "failing": 0}
        x.cc.revoke_grant(CUSTOMER)
        x.wait(hours=5)
        assert told(x) == 1 and there.heard[2]["title"] == "Keepstep, acme: connection blocked"


def test_no_recipient_hears_of_another_customer() -> None:
    with ears() as there, Crossing(cc=SHORT, customers=(CUSTOMER, "other")) as x:
        x.connect()
        for customer in (CUSTOMER, "other", None):
            recipient(x, there.url(customer or "default"), customer)
        x.cc.revoke_grant(CUSTOMER)
        x.wait(hours=5)
        told(x)
        assert len(there.at(CUSTOMER)) == len(there.heard) == 1 and "other" not in str(there.heard)
        x.ask(alerts.clear_recipient(x.service, "other"))
        x.cc.revoke_grant("other")
        x.wait(hours=5)
        told(x)
        assert [one["title"] for one in there.at("default")] == ["Keepstep, other: connection blocked"]
        assert len(there.at(CUSTOMER)) == 1 and there.at("other") == []


def test_a_recipient_that_fails_is_asked_again_ever_slower_until_it_takes_it() -> None:
    with ears() as there, Crossing() as x:
        recipient(x, there.url("default"))
        there.status = 503
        up(x)
        began = x.now()
        while len(there.asked) < 5:
            told(x)
            x.clock.at += 10
        assert 60 + 120 + 240 + 480 <= x.now() - began < 60 + 120 + 240 + 480 + 60
        assert [one["state"] for one in listed(x)["alerts"]] == ["failing"]
        there.status = 200
        x.clock.at += 3600
        assert told(x) == 1 and told(x) == 0 and len(there.heard) == 1


def test_what_nobody_is_there_to_hear_is_unheard_and_heard_once_somebody_is() -> None:
    with ears() as there, Crossing() as x:
        x.connect()
        up(x, Kind.brake_holds, subject="brake")
        up(x)
        x.ask(x.service.db.run(rows.close, CUSTOMER, Kind.brake_holds, "brake", x.now()))
        up(x, Kind.feed_rows_parked, subject="donors")
        assert told(x) == 0 and x.status()["alerts"]["unheard"] >= 2
        assert listed(x)["told"] == "none"
        assert [one["state"] for one in doctor(x)] == ["person"] and "keepstep alerts set" in doctor(x)[0]["next"]
        assert recipient(x, there.url("w"))["service"] == "JSON"
        assert [one["state"] for one in doctor(x)] == ["ok"]


def doctor(x: Crossing) -> list[dict[str, Any]]:
    return [one for one in x.ask(x.service.check(CUSTOMER)) if one["check"] == "alerts"]


def test_what_lasts_is_told_to_the_first_recipient_there_is() -> None:
    with ears() as there, Crossing(cc=SHORT) as x:
        x.connect()
        x.cc.revoke_grant(CUSTOMER)
        x.wait(hours=5)
        assert told(x) == 0
        recipient(x, there.url("late"), CUSTOMER)
        assert told(x) == 1 and len(there.at("late")) == 1


def test_what_keeps_coming_is_one_message_a_day_for_each_customer() -> None:
    with ears() as there, Crossing(customers=(CUSTOMER, "other")) as x:
        recipient(x, there.url("default"))
        for _ in range(48):
            for customer in (CUSTOMER, "other"):
                up(x, customer=customer)
                up(x, Kind.partner_plan, customer, "constant_contact")
            told(x)
            x.clock.at += 3600
        titles = [one["title"] for one in there.heard]
        assert sorted(set(titles)) == sorted(
            f"Keepstep, {who}: {what}"
            for who in (CUSTOMER, "other")
            for what in ("turn failed", "partner plan", "2 things that keep coming")
        )
        digests = [one for one in there.heard if "2 things" in one["title"]]
        assert len(digests) == 4 and len(there.heard) == 8
        assert all(("other" in one["title"]) == ("other" in one["message"]) for one in digests)


def test_in_virtual_time_nobody_far_away_is_called() -> None:
    with ears() as there, Crossing() as x:
        service = replace(x.service.settings.service, clock="http://127.0.0.1:1")
        x.service.settings = replace(x.service.settings, service=service)
        for url in ("json://example.org/hook", "slack://TokenA123/TokenB456/TokenC789", "mailto://u:p@localhost"):
            recipient(x, url)
            up(x)
            assert told(x) == 0
            assert x.ask(alerts.test(x.service, None)) == {"customer": None, "told": "default", "sent": False}
        recipient(x, there.url("near"))
        assert x.ask(alerts.test(x.service, None))["sent"] and len(there.heard) == 1


def test_an_address_that_nobody_can_read_is_refused_without_being_quoted() -> None:
    with Crossing() as x:
        with pytest.raises(Refused) as refused:
            recipient(x, "hunter2")
        assert "hunter2" not in str(refused.value)
        with pytest.raises(Refused, match="no customer nobody"):
            recipient(x, "json://127.0.0.1:9/x", "nobody")


def test_the_operators_own_id_has_no_recipient_but_the_default() -> None:
    with ears() as there, Partners() as x, pytest.raises(Refused, match="without --customer"):
        recipient(x, there.url("w"), "_partner")


def test_a_recipient_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def forever(*_: Any) -> bool:
        return await held.wait()

    monkeypatch.setattr(alerts, "SEND_SECONDS", -0.9)
    monkeypatch.setattr(asyncio, "to_thread", forever)
    assert asyncio.run(alerts.by_apprise(Secret("json://127.0.0.1:9/x"), "head", "words")) is False


def test_a_recipient_whose_key_is_lost_leaves_it_to_the_default() -> None:
    with ears() as there, Crossing() as x:
        x.connect()
        recipient(x, there.url("own"), CUSTOMER)
        x.ask(x.service.db.run(_foreign_key))
        x.service.alert_url = Secret(there.url("environment"))
        assert x.ask(alerts.test(x.service, CUSTOMER))["told"] == "environment"


def test_a_recipient_whose_provider_is_silent_holds_up_nobody_elses_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(service: Any, customer_id: str) -> Secret | None:
        if customer_id == CUSTOMER:
            raise Transient("parameter_store: a secret is not there, or cannot be read yet")
        return await found(service, customer_id)

    found = alerts._recipient
    monkeypatch.setattr(alerts, "_recipient", asked)
    with ears() as there, Crossing(customers=(CUSTOMER, "other")) as x:
        x.connect()
        recipient(x, there.url("default"))
        up(x)
        up(x, customer="other")
        assert told(x) == 1 and there.heard[0]["title"] == "Keepstep, other: turn failed"
        assert [one["state"] for one in listed(x, CUSTOMER)["alerts"]] == ["failing"]
        monkeypatch.setattr(alerts, "_recipient", found)
        x.clock.at += 60
        assert told(x) == 1 and there.heard[1]["title"] == "Keepstep, acme: turn failed"


def _foreign_key(tx: Any) -> None:
    tx.execute(update(secret).where(secret.c.field == "alert_url").values(key_id="gone"))


# --- the loop --------------------------------------------------------------------------------------------------------


class Rounds:
    """A clock for the loop: so many waits, then the service is stopping. Each wait takes as long as it is told to."""

    def __init__(self, x: Crossing, rounds: int) -> None:
        self.x, self.left, self.waits = x, rounds, list[float | None]()

    def now(self) -> float:
        return self.x.clock.at

    async def until(self, at: float | None, _woken: object) -> None:
        await self.sleep(0.0 if at is None else at - self.x.clock.at)
        self.waits.append(at)

    async def sleep(self, seconds: float) -> None:
        self.x.clock.at += max(seconds, 0.0)
        self.left -= 1
        self.x.service.stopping = self.left <= 0


def looped(x: Crossing, rounds: int) -> list[float | None]:
    clock = Rounds(x, rounds)
    x.service.clock, before = clock, x.service.clock  # type: ignore[assignment]
    x.ask(alerts.run(x.service))
    x.service.clock = before
    return clock.waits


def test_the_loop_sends_what_is_due_and_sleeps_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "ended", lambda *_: False)
    with ears() as there, Crossing() as x:
        recipient(x, there.url("default"))
        up(x, Kind.feed_rows_parked, subject="donors")
        began = x.now()
        waits = looped(x, 2)
        assert len(there.heard) == 1 and waits[0] == began + alerts.LOOK_EVERY
        x.ask(x.service.db.run(rows.close, CUSTOMER, Kind.feed_rows_parked, "donors", x.now()))
        x.service.stopping = False
        assert looped(x, 1) == [None]


def test_the_loop_outlives_a_database_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with ears() as there, Crossing() as x:
        recipient(x, there.url("default"))
        up(x)
        failures = iter([OSError("no"), None])

        def claim(tx: Any, now: float) -> Any:
            if (failure := next(failures, None)) is not None:
                raise failure
            return whole(tx, now)

        whole = rows.claim
        monkeypatch.setattr(rows, "claim", claim)
        looped(x, 3)
        assert len(there.heard) == 1


# --- what is told ----------------------------------------------------------------------------------------------------


def test_every_command_that_a_message_names_is_one() -> None:
    top: Any = get_command(cli.app)
    for kind, words in WORDS.items():
        for text in (words.then, *alerts_reasons()):
            for command in text.split("keepstep ")[1:]:
                one, two = [*command.replace("`", " ").split(), ""][:2]
                assert one in top.commands, (kind, one)
                group = getattr(top.commands.get(one), "commands", None)
                assert group is None or two in group, (kind, one, two)


def alerts_reasons() -> list[str]:
    from keepstep.model import alerts as model

    return [*model._REASONS.values(), model._FEED]


def test_a_dead_letter_is_told_until_somebody_has_answered_it() -> None:
    with ears() as there, Crossing() as x:
        recipient(x, there.url("default"))
        refused_for_an_option(x)
        assert told(x) == 1 and "The crm side refused a change for good (set_custom)" in there.heard[0]["message"]
        assert stands(x) == ["dead_letters"]
        for letter in x.letters():
            x.ask(letters.discarded(x.service, CUSTOMER, letter["id"], "ops"))
        assert stands(x) == []


def test_what_the_brake_holds_is_told_until_it_is_let_go() -> None:
    with made() as town:
        for one in town.people[:25]:
            town.c.cc.delete(CUSTOMER, one, town.c.now())
        town.c.wait(hours=2)
        assert stands(town.c) == ["brake_holds"]
        checksum = town.c.ask(brake.shown(town.c.service, CUSTOMER))["checksum"]
        town.c.ask(brake.discard(town.c.service, CUSTOMER, checksum, "ops"))
        town.c.wait(hours=1)
        assert stands(town.c) == []


@pytest.mark.parametrize("event", ["account.cancel", "tier.increase"])
def test_what_the_vendor_tells_a_partner_is_told(event: str) -> None:
    shuts = event == "account.cancel"
    with ears() as there, Partners() as x:
        recipient(x, there.url("default"))
        x.subscribe()
        x.cc.partner.cancel_account(CUSTOMER, x.now()) if shuts else x.cc.partner.change_tier(CUSTOMER, 4, x.now())
        x.wait(minutes=2)
        told(x)
        assert [one["message"] for one in there.heard if event in one["message"]]
        assert stands(x) == (["partner_shut"] if shuts else [])
        x.ask(x.service.resume(CUSTOMER))
        assert stands(x) == []


def test_a_used_up_day_is_the_operators_to_hear() -> None:
    with ears() as there, Crossing() as x:
        ann = linked(x)
        recipient(x, there.url("own"), CUSTOMER)
        recipient(x, there.url("default"))
        x.faults.arm("quota_exceeded", vendor=CC, path="/v3/contacts")
        x.opts_out(ann)
        x.wait(hours=1)
        told(x)
        assert [one["title"] for one in there.at("default")] == [f"Keepstep, {OPERATOR}: quota used"]
        assert there.at("own") == []


def test_a_read_that_fails_for_an_hour_is_told_and_is_over_once_it_works() -> None:
    with Crossing() as x:
        linked(x)
        x.faults.arm("503", vendor=CC, path="/v3/contacts", count=10_000)
        x.wait(hours=3)
        assert set(stands(x)) == {"reading_fails"}
        x.faults = type(x.faults)()
        x.wait(hours=2)
        assert stands(x) == []


def test_a_turn_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from keepstep import worker

    with Crossing() as x:
        x.connect()
        monkeypatch.setattr(worker, "_turn", broken)
        x.wait(hours=1)
        told(x)
        assert [(one["kind"], one["state"]) for one in listed(x)["alerts"]] == [("turn_failed", "unheard")]


async def broken(*_: object) -> None:
    raise ZeroDivisionError("Ann Lee divided by nobody")
