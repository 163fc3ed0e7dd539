"""Every planted mistake is found by the flow test that is named for it."""

from collections.abc import Callable

import pytest

from tests.flows import (
    test_bad_input,
    test_changes,
    test_consent,
    test_hooks,
    test_limits,
    test_lists,
    test_lost_answers,
    test_people,
    test_process,
)
from tests.planted import mistakes
from tests.planted.mistakes import Plant

FOUND_BY: dict[Plant, Callable[[pytest.MonkeyPatch], None]] = {
    mistakes.first_page_only: lambda _: test_people.test_every_page_of_more_than_500_people_is_read(),
    mistakes.href_as_cursor: lambda _: test_people.test_every_page_of_more_than_500_people_is_read(),
    mistakes.wall_clock_mark: lambda _: (
        test_process.test_an_edit_made_while_a_slow_poll_runs_is_found_by_the_next_one()
    ),
    mistakes.updated_after_only: lambda _: (
        test_consent.test_an_opt_out_that_moves_no_updated_at_reaches_virtuous_within_a_poll()
    ),
    mistakes.no_include: lambda _: test_people.test_a_person_waits_for_the_batch_and_is_linked(),
    mistakes.import_without_checkpoint: test_process.test_an_import_resumes_where_it_was_after_a_crash_between_pages,
    mistakes.lists_by_name: lambda _: test_lists.test_a_renamed_list_keeps_its_tag(),
    mistakes.tags_by_comma: lambda _: test_lists.test_two_lists_are_two_tags(),
    mistakes.tags_are_objects: lambda _: test_lists.test_a_tag_added_by_staff_becomes_a_membership_through_a_job(),
    mistakes.country_is_us: lambda _: test_people.test_no_country_is_invented(),
    mistakes.everybody_by_transaction: lambda _: (
        test_people.test_an_opted_out_stranger_is_created_opted_out_and_never_by_an_import()
    ),
    mistakes.no_seen: lambda _: test_changes.test_an_edit_of_every_field_crosses_once(),
    mistakes.repeats_unanswered_writes: lambda _: (
        test_lost_answers.test_a_submission_whose_answer_is_lost_makes_one_contact("reset_after")
    ),
    mistakes.retries_for_ever: lambda _: (
        test_process.test_a_write_that_the_vendor_refuses_is_a_dead_letter_and_the_rest_goes_on()
    ),
    mistakes.one_limiter_for_all: lambda _: test_limits.test_the_budget_that_one_customer_used_up_is_nobody_elses(),
    mistakes.no_headroom: lambda _: test_limits.test_budget_that_others_use_is_left_to_them_but_consent_passes(),
    mistakes.retry_after_is_ignored: lambda _: test_limits.test_a_limit_of_virtuous_is_waited_out_as_it_says(),
    mistakes.one_kind_of_429: lambda _: test_limits.test_a_used_up_day_stops_every_call_until_midnight_utc(),
    mistakes.signature_of_parsed_body: lambda _: (
        test_bad_input.test_a_signature_over_the_parsed_body_is_not_one_over_the_body()
    ),
    mistakes.signature_not_verified: lambda _: test_bad_input.test_a_wrong_or_absent_signature_changes_nothing(
        "garbage"
    ),
    mistakes.writes_in_the_handler: lambda _: test_hooks.test_the_door_stores_and_calls_nobody(),
    mistakes.acknowledged_before_stored: lambda _: (
        test_consent.test_staffs_opt_out_reaches_constant_contact_by_webhook()
    ),
    mistakes.values_from_the_event: lambda _: test_hooks.test_a_delivery_is_a_hint_and_never_a_value(),
    mistakes.put_of_what_changed: lambda _: (
        test_consent.test_the_opt_out_in_constant_contact_keeps_everything_else_of_the_contact()
    ),
    mistakes.last_writer_wins_consent: lambda _: (
        test_consent.test_staff_at_constant_contact_cannot_bring_somebody_back()
    ),
    mistakes.widens_unread: lambda _: test_lists.test_an_opt_out_just_before_a_tag_is_seen_before_anything_widens(),
    mistakes.removes_without_base: lambda _: test_people.test_somebody_known_already_is_linked_and_not_created(),
    mistakes.old_refresh_token: lambda _: test_limits.test_rotating_refresh_tokens_carry_a_week(),
}


@pytest.mark.parametrize("plant", FOUND_BY, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_makes_its_named_test_fail(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow suite shows that each of these tests passes without the mistake."""
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        FOUND_BY[plant](monkeypatch)


def test_every_mistake_has_its_test() -> None:
    planted = {
        value
        for value in vars(mistakes).values()
        if callable(value) and getattr(value, "__module__", "") == mistakes.__name__
    }
    assert planted == set(FOUND_BY)
