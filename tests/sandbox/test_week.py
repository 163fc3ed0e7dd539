"""The simulated week: its plan, its quiet end, its kills."""

import pytest

from keepstep_sandbox import people
from keepstep_sandbox.http import Request
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.week import Week, ground
from keepstep_sandbox.week.plan import _ALONE, _CONTACT_TAGS, _COURSES, _FIELDS, _MORE, _MORE_COURSES, _PAIRS
from keepstep_sandbox.week.span import Span
from keepstep_sandbox.world import START, World

PREFIX = "CC Tag: "
ALWAYS = (
    {row[0] for row in _ALONE}
    | {row[0] for _field, row in (*_FIELDS, *_CONTACT_TAGS)}
    | {what for steps, _window, _hours in _COURSES for what, _side, _do in steps}
    | {"edit_before_batch", "edit_after_batch", "comma_list", "late_tag", "new_person", "list_renamed", "campaign_sent"}
    | {"rate_storm_cc", "rate_storm_virtuous", "reset_after_effect", "webhook_lost", "webhook_duplicate"}
    | {"households_merged", "contact_tag_removed", "pending_confirmed", "hold_lifted", "address_given"}
)
SOMETIMES = (
    {row[0] for row in _MORE}
    | {what for what, *_rest in _PAIRS}
    | {what for steps, _window, _hours in _MORE_COURSES for what, _side, _do in steps}
)


def week_of(
    seed: int, count: int = 40, days: int = 3, kills: object = 1, prefix: str = PREFIX, **virtuous: str
) -> Week:
    world = World(seed, {VIRTUOUS: {name.replace("_", "-"): value for name, value in virtuous.items()}})
    people.first_customer(world)
    return Week(world, people.generated(seed, count), days, kills, prefix)  # type: ignore[arg-type]


def kinds(week: Week) -> set[str]:
    return {event.what for event in week.events}


@pytest.mark.parametrize("seed", range(12))
def test_every_usual_kind_of_event_is_planned_even_for_forty_people_and_three_days(seed: int) -> None:
    week = week_of(seed)
    assert kinds(week) >= ALWAYS
    assert sorted(week.scene.planted.values()) == ["name_differs", "several_matches"]
    assert week.scene.spare > 0


def test_a_small_crowd_has_some_of_the_rarer_kinds_and_each_of_them_within_a_few_seeds() -> None:
    found = [kinds(week_of(seed)) & SOMETIMES for seed in range(16)]
    assert set().union(*found) == SOMETIMES
    assert all(found)


@pytest.mark.parametrize("seed", range(3))
def test_more_people_have_every_kind_in_one_week(seed: int) -> None:
    segment = {"segment_added"} if seed == 0 else set()
    assert kinds(week_of(seed, 100, 5)) >= ALWAYS | SOMETIMES | segment


def test_tags_of_contacts_change_only_where_the_route_carries_them() -> None:
    week = week_of(1, prefix="")
    assert not kinds(week) & {"contact_tag_added", "contact_tag_removed", "contact_tag_staff"}
    assert not any(one["tagName"].startswith(PREFIX) for one in week.world.virtuous.tags(people.ORGANIZATION))


def test_staff_run_imports_late_and_a_few_never_where_they_do_not_run_by_themselves() -> None:
    week = week_of(1, 60, import_run="manual")
    world = week.world
    assert kinds(week) >= {"imports_by_staff", "imports_late"}
    for n in range(40):
        row = f'{{"referenceSource": "s", "referenceId": "{n}", "firstName": "A", "lastName": "B{n}"}}'
        headers = {"authorization": "Bearer sandbox-virtuous-key", "content-type": "application/json"}
        world.call(VIRTUOUS, Request("POST", "/api/Contact/Transaction", "", headers, row.encode()))
    left = []
    while not week.done:
        world.advance(min(due for due in (week.next_due(), world.next_due(), week.span.end) if due) + 0.001)
        week.run_due()
        left.append(len(world.virtuous.waiting(people.ORGANIZATION)))
    assert left[0] == 40 and 0 < left[-1] < 10
    assert len(set(left)) == 3
    assert {row["bucket"] for row in world.virtuous.waiting(people.ORGANIZATION)} <= {
        "Match Needed",
        "Ready for Import",
    }


def test_every_kind_of_custom_field_is_filled_in_by_somebody_and_one_value_is_no_option() -> None:
    week = week_of(1, 60)
    acts = list(week.world.log.of("set_custom_field"))
    assert {act.data["field_id"] for act in acts} == set(week.scene.field_ids.values())
    assert {pair.kind for pair in ground.TABLE} >= {"string", "date", "number", "boolean", "single_select"}
    assert any(act.data["value"] == "2XL" for act in acts)


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
    lists = {f"CC: {name}" for name in week.scene.list_ids if name not in week.scene.late}
    assert tags == lists | {f"{PREFIX}{name}" for name in ground.TAGS}
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
    assert week.counts()["bounce_hard"] == 1


def test_the_steps_of_a_course_stay_apart_where_the_first_comes_late() -> None:
    """Within one hour nobody could tell which of two came first: polls are hourly."""
    week = week_of(1, 100, 5)
    world = week.world
    moves, bounces = (
        next(one for one in week.events if one.what == what) for what in ("moved_before_bounce", "bounce_old_address")
    )
    world.advance(bounces.at - 1800)
    method = {"type": "Home Email", "value": "late@example.org", "isOptedIn": True, "isPrimary": True}
    individual = {"firstName": "A", "lastName": "B", "isPrimary": True, "contactMethods": [method]}
    reference = {"source": "Constant Contact", "id": moves.record}
    late = {"contactType": "Household", "name": "A B", "contactIndividuals": [individual]}
    world.act(VIRTUOUS, "add_contact", organization=people.ORGANIZATION, contactReferences=[reference], **late)
    while not week.done:
        dues = [due for due in (world.next_due(), week.next_due(), week.span.end) if due is not None]
        world.advance(max(world.now + 0.001, min(dues)))
        week.run_due()
    at = {str(act.data["what"]): act.t for act in world.log.of("event") if act.record == moves.record}
    assert list(at) == ["moved_before_bounce", "bounce_old_address"]
    assert at["bounce_old_address"] - at["moved_before_bounce"] >= 2 * 3600 - 60


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
