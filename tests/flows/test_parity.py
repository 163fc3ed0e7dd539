"""Webhook against poll: what each told, whether it came to the same; and a subscription that goes quiet."""

import random
from typing import Any

import pytest

from keepstep.state import snapshots
from keepstep.wiring import parity
from tests.flows.crossing import CUSTOMER, DAY, HOUR, Crossing, emails

# Everything that is not looked at here comes once a day.
SLOW = dict.fromkeys(("changed", "deleted", "reports", "lists", "opted_out"), DAY)


def begun(c: Crossing, people: int) -> list[int]:
    """So many people, linked; their contacts in the CRM."""
    made = [c.person(f"p{n}@example.org", f"F{n}", f"Lee{n}") for n in range(people)]
    c.connect()
    c.night()
    assert c.standings() == {"in_step": people}
    return [int(c.there(one)["id"]) for one in made]


def staff_act(c: Crossing, contact: int, number: int) -> None:
    c.v.staff_adds_tag(CUSTOMER, contact, f"Board {number}", c.now())


def report(c: Crossing, days: float = 14) -> dict[str, Any]:
    found: dict[str, Any] = c.ask(parity.parity(c.service, CUSTOMER, days))
    return found


def not_as_stored(c: Crossing, contacts: list[int]) -> list[int]:
    """The contacts whose stored reading has other tags than the vendor."""
    stored = c.ask(c.service.db.run(snapshots.get, CUSTOMER, "virtuous", [str(one) for one in contacts]))
    there = {one["id"]: one for one in c.v.contacts(CUSTOMER)}
    tags = {one: set(stored[str(one)][0]["tags"]) for one in contacts}
    return [one for one in contacts if tags[one] != set(there[one]["tags"])]


def at_work(c: Crossing, contacts: list[int], days: int, seed: int, losses: float) -> int:
    """Days of staff at work, with nights and weekends; how many webhooks were lost."""
    luck, lost, began = random.Random(seed), 0, c.now()
    for day in range(days):
        for number in range(luck.randint(8, 16) if day % 7 not in (5, 6) else 0):
            c.until(began + day * DAY + 9 * HOUR + number * 1800)
            if luck.random() < losses:
                c.v.lose_next(1)
                lost += 1
            staff_act(c, luck.choice(contacts), 100 * day + number)
    c.until(began + days * DAY)
    return lost


def test_with_daily_polls_and_lost_webhooks_everything_is_found_within_two_weeks() -> None:
    with Crossing(cadence={**SLOW, "crm_changed": DAY}) as c:
        contacts = begun(c, 30)
        lost = at_work(c, contacts, 14, seed=8, losses=0.01)
        assert lost >= 1
        c.wait(days=1, hours=1)
        assert not_as_stored(c, contacts) == []
        found = report(c, 16)
        total = found["total"]
        assert total["seen"] > 80 and total["agree"] + total["missed_by_hook"] == total["seen"]
        assert total["missed_by_hook"] <= lost and total["missed_by_poll"] == 0
        assert found["stored_behind"] == [] and set(found["events"]) == {"contactupdate"}
        assert total["median_seconds"]["hook"] < 60 < total["median_seconds"]["poll"]
        assert (found["verdict"], found["why"]) == ("daily", [])
        assert c.lines("subscription_quiet") == []


def test_too_many_losses_keep_the_poll_as_it_is() -> None:
    with Crossing(cadence={**SLOW, "crm_changed": 6 * HOUR}) as c:
        contacts = begun(c, 20)
        assert at_work(c, contacts, 5, seed=3, losses=0.2) > 10
        c.wait(hours=13)
        found = report(c, 16)
        assert not_as_stored(c, contacts) == []
        assert found["verdict"] == "keep" and "losses" in found["why"]
        assert found["missed"]["hook"] != [] and found["missed"]["poll"] == []


def test_the_echo_of_our_own_writes_is_no_activity_of_others() -> None:
    """Ten edits at Constant Contact are ten webhooks of Virtuous that say nothing of staff."""
    with Crossing() as c:
        people = [c.person(f"p{n}@example.org", f"F{n}", f"Lee{n}") for n in range(10)]
        c.connect()
        c.night()
        for n, one in enumerate(people):
            c.cc.person_opts_out(CUSTOMER, one, c.now() + n, None)
        c.wait(hours=3)
        assert [c.consents(one) for one in people] == [[False]] * 10
        found = report(c)
        assert (found["total"]["seen"], found["ours"]) == (0, 20)
        assert found["verdict"] == "keep" and "too_few_events" in found["why"]
        staff_act(c, int(c.there(people[0])["id"]), 1)
        c.wait(hours=2)
        assert (report(c)["total"]["seen"], report(c)["ours"]) == (1, 20)


def test_a_subscription_that_goes_quiet_is_noticed_and_polled_for() -> None:
    """Told once, looked at at once, polled four times as often, until something is heard again."""
    with Crossing(cadence=SLOW) as c:
        contacts = begun(c, 8)
        for n, one in enumerate(contacts):
            staff_act(c, one, n)
            c.wait(minutes=30)
        assert c.status()["subscription"]["state"] == "good"
        looked = len(c.made("GET", "/api/Webhook"))
        c.v.silence_webhooks(CUSTOMER, True)
        for n, one in enumerate(contacts[:4]):
            staff_act(c, one, 100 + n)
        c.wait(hours=3)
        said = c.status()["subscription"]
        assert (said["state"], said["missed"], len(c.lines("subscription_quiet"))) == ("quiet", 4, 1)
        assert len(c.made("GET", "/api/Webhook")) == looked + 1
        assert not_as_stored(c, contacts) == []
        assert polls(c, 4) >= 14
        assert "quiet" in report(c)["why"]
        c.v.silence_webhooks(CUSTOMER, False)
        staff_act(c, contacts[0], 200)
        c.wait(hours=2)
        assert c.status()["subscription"]["state"] == "good"
        assert [set(one) for one in c.lines("subscription_heard")] == [{"quiet_seconds"}]
        assert polls(c, 4) <= 5
        assert len(c.lines("subscription_quiet")) == 1


def polls(c: Crossing, hours: float) -> int:
    """How often the CRM is asked for what changed, in so many hours."""
    before = len(asked(c))
    c.wait(hours=hours)
    return len(asked(c)) - before


def asked(c: Crossing) -> list[Any]:
    return [one for one in c.made("POST", "/api/Contact/Query/FullContact") if b"Last Modified" in one.request.body]


def test_a_subscription_that_is_lost_while_nobody_works_is_not_called_quiet() -> None:
    with Crossing(cadence=SLOW) as c:
        contacts = begun(c, 5)
        for n, one in enumerate(contacts):
            staff_act(c, one, n)
            c.wait(minutes=30)
        c.v.silence_webhooks(CUSTOMER, True)
        c.wait(days=3)
        staff_act(c, contacts[0], 50)
        c.wait(days=1)
        assert c.status()["subscription"]["state"] == "good"
        assert not_as_stored(c, contacts) == []


@pytest.mark.switch("virtuous", "modified-parameter", "absent")
def test_an_organization_that_cannot_be_asked_for_changes_is_read_whole_and_says_so() -> None:
    with Crossing(v={"modified-parameter": "absent"}) as c:
        [ann] = begun(c, 1)
        c.v.lose_next(1)
        method = emails(next(one for one in c.v.contacts(CUSTOMER) if one["id"] == ann))[0]["id"]
        c.v.staff_opts(CUSTOMER, method, False, c.now())
        c.wait(hours=1, minutes=10)
        assert c.permission(c.cc.contacts(CUSTOMER)[0]["contact_id"]) == "unsubscribed"
        assert c.status()["polls"]["virtuous.crm_changed"]["trouble"] == "reads_everything"
        [row] = [one for one in c.ask(c.service.check(CUSTOMER)) if one["check"] == "changes"]
        assert row["state"] == "ok" and "reads everybody" in row["detail"]


def test_whoever_only_observes_makes_no_subscription_and_is_polled() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        c.person()
        c.connect()
        assert c.made("POST", "/api/Webhook") == []
        assert c.status()["subscription"]["state"] == "none"
        assert "no_subscription" in report(c)["why"]


def test_a_door_that_was_never_reached_is_noticed() -> None:
    """The subscription is good, and everything that it sends is lost on the way."""
    with Crossing(cadence=SLOW) as c:
        c.v.silence_webhooks(CUSTOMER, True)
        contacts = begun(c, 12)
        c.wait(hours=2)
        for n, one in enumerate(contacts):
            staff_act(c, one, n)
        c.wait(hours=3)
        assert c.status()["subscription"]["state"] == "quiet"
