"""The simulated week: its plan, its quiet end, its kills."""

import pytest

from keepstep_sandbox import people
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.week import Week
from keepstep_sandbox.week.plan import _PERSONAL, Span
from keepstep_sandbox.world import START, World

KINDS = {row[0] for row in _PERSONAL} | {
    *("edit_before_batch", "edit_after_batch", "resubscribe", "comma_list", "late_tag", "new_person"),
    *("rate_storm_cc", "rate_storm_virtuous", "reset_after_effect", "webhook_lost", "webhook_duplicate"),
}


def week_of(seed: int, count: int = 40, days: int = 3, kills: object = 1) -> Week:
    world = World(seed)
    people.first_customer(world)
    return Week(world, people.generated(seed, count), days, kills)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_of_event_is_planned_even_for_forty_people_and_three_days(seed: int) -> None:
    week = week_of(seed)
    assert {event.what for event in week.events} >= KINDS
    assert sorted(week.scene.planted.values()) == ["name_differs", "several_matches"]


def test_the_same_seed_is_the_same_week_and_another_one_is_not() -> None:
    first, again, other = (
        [(event.at, event.what, event.record) for event in week_of(seed).events] for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(("count", "days"), [(40, 3), (120, 5), (300, 8)])
def test_nothing_happens_in_the_last_two_nights(count: int, days: int) -> None:
    week = week_of(2, count, days)
    assert week.span.quiet < week.span.midnights[-2] < week.span.midnights[-1] < week.span.end
    assert max(max(event.at, event.until) for event in week.events) <= week.span.quiet - 10 * 3600


def test_what_only_a_daily_sweep_shows_happens_a_day_before_the_quiet() -> None:
    week = week_of(3, 300, 5)
    hidden = ("list_join", "list_leave", "phone_edit_cc", "address_edit_cc", "contact_deleted", "resubscribe")
    ats = [event.at for event in week.events if event.what in hidden]
    assert max(ats) <= week.span.quiet - 25 * 3600


def test_a_week_of_two_days_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 days"):
        Span.of(START, 2)


def test_more_people_have_more_events() -> None:
    assert len(week_of(1, 400, 5).events) > len(week_of(1, 60, 5).events) + 20


def test_one_tag_comes_late_and_no_tag_lacks_its_prefix() -> None:
    week = week_of(1)
    tags = {one["tagName"] for one in week.world.virtuous.tags(people.ORGANIZATION)}
    assert tags == {f"CC: {name}" for name in week.scene.list_ids if name not in week.scene.late}
    assert len(week.scene.late) == 1


def test_staff_acts_wait_until_the_record_exists_and_are_counted_as_skipped_if_it_never_does() -> None:
    week = week_of(1)
    while not week.done:
        dues = [due for due in (week.world.next_due(), week.next_due(), week.span.end) if due is not None]
        week.world.advance(max(week.world.now + 0.001, min(dues)))
        week.run_due()
        week.world.due_deliveries()
    assert not week.world.faults.armed
    assert week.skipped["tag_added"] == 1
    assert week.counts()["tag_added"] == 0
    assert week.counts()["opt_out_cc"] == 1
    assert week.counts()["list_join"] == 1


def test_kills_are_spread_and_take_turns_between_held_writes_and_calm_moments() -> None:
    week = week_of(1, kills=3)
    assert [kill.mode for kill in week.kills] == ["hold_after", "", "hold_before"]
    assert week.kills[1].at == week.span.midnights[0] + 1
    assert week.kills[-1].at < week.span.quiet


def test_exact_kills_are_armed_at_once() -> None:
    week = week_of(1, kills=[{"write": 3}, {"write": 5, "effect": False}])
    assert [(fault.kind, fault.skip) for fault in week.world.faults.armed] == [("hold_after", 2), ("hold_before", 3)]


def test_an_opt_out_at_constant_contact_moves_no_updated_at_of_the_contact() -> None:
    week = week_of(1)
    world = week.world
    event = next(one for one in week.events if one.what == "opt_out_waiting")
    before = {one["contact_id"]: one["updated_at"] for one in world.constant_contact.contacts(people.ACCOUNT)}
    world.advance(event.at)
    event.run()
    after = next(o for o in world.constant_contact.contacts(people.ACCOUNT) if o["contact_id"] == event.record)
    assert after["email_address"]["permission_to_send"] == "unsubscribed"
    assert after["updated_at"] == before[event.record]
    assert {act.side for act in world.log.acts if act.kind == "person_opts_out"} == {CONSTANT_CONTACT}
    assert VIRTUOUS not in {act.side for act in world.log.acts[-1:]}
