"""Every planted mistake is found by the flow test that is named for it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from keepstep import telemetry
from keepstep.model.errors import Problem
from keepstep.submit import decided
from tests.flows import (
    test_adopt,
    test_bad_input,
    test_brake,
    test_capture,
    test_changes,
    test_consent,
    test_contact_webhooks,
    test_crm_only,
    test_custody,
    test_hooks,
    test_limits,
    test_lists,
    test_lost_answers,
    test_mapping,
    test_matching,
    test_missing_lists,
    test_moved,
    test_must_hold,
    test_parity,
    test_partner,
    test_partner_hosts,
    test_people,
    test_process,
    test_reconcile,
    test_restored,
    test_toward,
    test_traps,
    test_waiting,
)
from tests.model import test_restore
from tests.planted import (
    both_ways,
    braking,
    connections,
    consent,
    door,
    enrolling,
    forgetting,
    hearing,
    identity,
    limits,
    mapping,
    partner,
    reading,
    reconciling,
    undo,
    writing,
)
from tests.tokens import test_grant


def with_town(test: Callable[[Any], None]) -> None:
    """Run a test of the brake, which gets its people made."""
    with test_brake.made() as town:
        test(town)


Plant = Callable[[pytest.MonkeyPatch], None]
MODULES: tuple[ModuleType, ...] = (
    both_ways,
    braking,
    consent,
    door,
    enrolling,
    forgetting,
    hearing,
    identity,
    limits,
    mapping,
    partner,
    reading,
    reconciling,
    undo,
    writing,
    *connections.MODULES,
)
# By what it asserts, by a problem of the product that it does not expect, or by one that does not come.
FAILS = (AssertionError, Problem, pytest.fail.Exception)

FOUND_BY: dict[Plant, Callable[[pytest.MonkeyPatch], None]] = {
    # --- reading ---
    reading.first_page_only: lambda _: test_people.test_every_page_of_more_than_500_people_is_read(),
    reading.href_as_cursor: lambda _: test_people.test_every_page_of_more_than_500_people_is_read(),
    reading.wall_clock_mark: lambda _: test_process.test_an_edit_made_while_a_slow_poll_runs_is_found_by_the_next_one(),
    reading.mark_moves_with_every_page: test_traps.test_a_round_that_breaks_off_begins_again_where_it_began,
    reading.updated_after_only: lambda _: (
        test_consent.test_an_opt_out_that_moves_no_updated_at_reaches_virtuous_within_a_poll()
    ),
    reading.no_include: lambda _: test_people.test_a_person_waits_for_the_batch_and_is_linked(),
    reading.import_without_checkpoint: test_process.test_an_import_resumes_where_it_was_after_a_crash_between_pages,
    reading.processing_is_empty: lambda _: test_bad_input.test_an_answer_that_is_none_is_asked_for_again(
        "/v3/contacts", "accepted"
    ),
    reading.strict_json: lambda _: test_traps.test_half_a_character_stops_nobody(),
    reading.one_dialect_of_dates: lambda _: test_traps.test_a_return_is_dated_in_every_dialect("offset"),
    reading.one_bad_row_fails_its_page: (test_traps.test_one_row_that_cannot_be_stored_keeps_nobody_out),
    reading.always_the_largest_page: lambda _: (
        test_capture.test_a_page_that_is_never_delivered_is_asked_for_in_smaller_ones("500")
    ),
    reading.sweep_by_updated_at: lambda _: (
        test_capture.test_a_membership_that_moves_no_change_stamp_is_found_by_the_sweep("sweep")
    ),
    reading.deletions_by_date: lambda _: (
        test_capture.test_a_deletion_that_moves_no_change_stamp_is_found_by_its_own_poll_only("deleted")
    ),
    reading.gone_is_deleted: lambda _: test_traps.test_a_contact_that_is_once_not_found_was_not_deleted(),
    reading.first_page_of_lists: lambda _: test_traps.test_the_fifty_first_list_is_a_list_too("50"),
    reading.reports_never_read: lambda _: test_capture.test_a_bounce_is_found_by_the_poll_of_reports("reports"),
    reading.bounces_only: lambda _: (
        test_capture.test_an_opt_out_by_a_mailing_is_found_by_the_reports_and_the_person_is_read_again()
    ),
    reading.bounces_without_codes: lambda _: test_traps.test_a_soft_bounce_does_what_the_route_says("ignore", "F"),
    reading.only_hard_bounces: lambda _: test_traps.test_a_soft_bounce_does_what_the_route_says("opt_out", "Z"),
    reading.vacations_bounce: lambda _: test_traps.test_an_automatic_answer_was_delivered_and_opts_nobody_out(
        "opt_out"
    ),
    reading.bounce_of_the_present_address: lambda _: (
        test_traps.test_a_bounce_of_an_old_address_does_not_close_the_new_one()
    ),
    reading.every_reading_is_a_bounce: lambda _: (
        test_traps.test_one_hard_bounce_is_one_note_however_often_its_report_is_read("no", "B")
    ),
    reading.no_scope_no_sync: lambda _: test_traps.test_reports_that_may_not_be_read_leave_everybody_else_in_step(
        "missing"
    ),
    reading.any_account_will_do: lambda _: (
        test_capture.test_a_second_consent_for_another_account_is_no_way_to_swap_people()
    ),
    reading.paging_in_the_body: lambda _: test_traps.test_more_than_ten_contacts_of_the_crm_are_found(),
    reading.pages_of_ten: lambda _: test_traps.test_a_note_whose_answer_was_lost_is_found_among_many(),
    reading.operators_of_the_guides: lambda _: test_hooks.test_lost_webhooks_are_made_up_for_by_the_poll(),
    reading.abbreviated_rows: lambda _: test_people.test_somebody_known_already_is_linked_and_not_created(),
    reading.subscribed_for_ever: lambda _: test_hooks.test_a_missing_subscription_is_made_anew(),
    # --- partner ---
    partner.host_of_the_body: lambda _: test_partner_hosts.test_no_host_of_a_payload_is_called("v3"),
    partner.any_partners_delivery: lambda _: test_partner.played(
        test_partner.test_what_nobody_knows_is_stored_for_the_operator_answered_and_reported_once,
        test_partner.body(api_key="another-application"),
        "application",
    ),
    partner.first_header_counts: lambda _: test_partner_hosts.test_the_door_says_nothing_to_strangers(),
    partner.resumed_by_the_plan: lambda _: test_partner.played(
        test_partner.test_an_account_that_works_again_is_found_by_its_plan_and_every_opt_out_is_read_first
    ),
    partner.resumed_without_asking_the_account: lambda _: test_partner.played(
        test_partner.test_an_account_that_answers_nobody_stays_paused_whatever_its_plan_says
    ),
    partner.paused_in_the_customers_turn: lambda _: test_partner.played(
        test_partner.test_a_pause_does_not_wait_for_the_turn_that_is_under_way
    ),
    # --- mapping ---
    mapping.lists_by_name: lambda _: test_lists.test_a_renamed_list_keeps_its_tag(),
    mapping.renamed_tag_is_a_removal: lambda _: test_lists.test_a_renamed_tag_pauses_its_list_and_removes_nobody(),
    mapping.tags_by_comma: lambda _: test_lists.test_two_lists_are_two_tags(),
    mapping.tags_are_objects: lambda _: test_lists.test_a_tag_added_by_staff_becomes_a_membership_through_a_job(),
    mapping.country_is_us: lambda _: test_people.test_no_country_is_invented(),
    mapping.removes_without_base: lambda _: test_people.test_somebody_known_already_is_linked_and_not_created(),
    mapping.phone_number_field: lambda _: test_people.test_the_best_of_five_phones_crosses_once(),
    mapping.first_address: lambda _: test_traps.test_the_home_address_crosses_whichever_comes_first(True),
    mapping.first_reference: lambda _: test_mapping.test_only_the_first_of_several_references_would_not_do(),
    mapping.first_of_our_references: lambda _: (
        test_traps.test_two_subscribers_of_one_household_are_two_references_and_two_consents()
    ),
    mapping.segment_sent_unasked: lambda _: test_mapping.test_an_unknown_origin_segment_is_left_out("update-needed"),
    mapping.any_word_is_an_option: lambda _: test_traps.test_a_choice_that_is_no_option_there_is_withheld(
        "stored", "XL"
    ),
    mapping.options_of_any_case: lambda _: test_traps.test_a_choice_that_is_no_option_there_is_withheld("refused", "m"),
    mapping.choice_ids_are_text: lambda _: test_traps.test_a_choice_has_its_label_however_its_id_is_written("number"),
    mapping.a_clear_travels: lambda _: test_changes.test_an_emptied_field_clears_nothing(),
    mapping.latest_wins: lambda _: test_changes.test_staffs_edits_are_left_alone(),
    mapping.undefined_list: lambda _: test_traps.test_a_list_that_nobody_has_read_yet_has_no_name(),
    mapping.tags_are_lists: lambda _: test_traps.test_a_tag_of_the_other_prefix_becomes_a_tag_and_no_list(),
    mapping.everybody_of_the_household: lambda _: (
        test_traps.test_a_tag_by_staff_means_the_first_person_of_a_household()
    ),
    mapping.opted_out_left_every_list: lambda _: test_traps.test_an_opt_out_takes_no_tags_away("no"),
    # --- writing ---
    writing.everybody_by_transaction: lambda _: (
        test_people.test_an_opted_out_stranger_is_created_opted_out_and_never_by_an_import()
    ),
    writing.updates_by_import: lambda _: test_changes.test_a_new_address_changes_the_one_method(),
    writing.submits_again_what_waits: lambda _: (
        test_changes.test_an_edit_while_the_person_waits_arrives_after_the_batch()
    ),
    writing.confirmed_is_in_step: lambda _: test_waiting.test_a_late_import_that_overwrote_a_newer_edit_is_repaired(1),
    writing.no_seen: lambda _: test_changes.test_an_edit_of_every_field_crosses_once(),
    writing.repeats_unanswered_writes: lambda _: (
        test_lost_answers.test_a_submission_whose_answer_is_lost_makes_one_contact("reset_after")
    ),
    writing.retries_for_ever: lambda _: (
        test_process.test_a_write_that_the_vendor_refuses_is_a_dead_letter_and_the_rest_goes_on()
    ),
    writing.put_of_what_changed: lambda _: (
        test_consent.test_the_opt_out_in_constant_contact_keeps_everything_else_of_the_contact()
    ),
    writing.custom_fields_of_what_changed: lambda _: (
        test_mapping.test_a_changed_custom_field_is_one_put_of_the_whole_contact("yes", 2)
    ),
    writing.person_of_what_changed: lambda _: (
        test_traps.test_what_staff_keep_of_an_individual_goes_back_with_a_new_name()
    ),
    writing.method_of_what_changed: lambda _: test_changes.test_a_new_address_changes_the_one_method(),
    writing.tag_id_for_join_id: lambda _: test_lists.test_joining_and_leaving_a_list_moves_the_tag("yes"),
    writing.addresses_as_they_come: lambda _: test_custody.test_two_who_swap_their_addresses_end_with_one_each("409"),
    writing.joins_by_form: lambda _: test_traps.test_putting_somebody_on_a_list_says_nothing_of_consent(),
    writing.opts_out_the_deleted: lambda _: test_traps.test_staffs_opt_out_revives_nobody_who_was_deleted_meanwhile(),
    writing.adds_the_deleted: lambda _: test_traps.test_a_tag_for_somebody_deleted_meanwhile_revives_nobody(),
    writing.permission_with_the_fields: lambda _: test_toward.test_a_write_of_fields_says_nothing_of_consent(
        "implicit"
    ),
    writing.replaces_whatever_is_there: lambda _: test_toward.test_an_edit_that_nobody_has_read_is_not_written_over(),
    writing.replaces_the_deleted: lambda _: test_toward.test_nobody_deleted_or_out_is_written(),
    writing.races_are_lost: lambda _: test_toward.test_an_opt_out_inside_our_write_ends_opted_out_on_both_sides(),
    writing.writes_while_somebody_is_at_it: lambda _: (
        test_toward.test_a_write_waits_until_nobody_has_changed_the_contact_for_ten_minutes()
    ),
    writing.writes_after_a_lost_answer: lambda _: (
        test_toward.test_after_a_lost_answer_nothing_is_written_to_that_contact_for_two_minutes("reset_after")
    ),
    writing.deleted_list_takes_its_tags: lambda _: (
        test_missing_lists.test_a_deleted_list_takes_nobodys_tag_whichever_is_read_first("changed", {})
    ),
    writing.lists_without_end: lambda _: test_missing_lists.test_the_fifty_first_list_waits_until_one_is_left(),
    writing.makes_deleted_lists_again: lambda _: (
        test_missing_lists.test_a_deleted_list_takes_nobodys_tag_whichever_is_read_first(
            "lists", {"missing_lists": "create"}
        )
    ),
    # --- limits and grants ---
    limits.one_limiter_for_all: lambda _: test_limits.test_the_budget_that_one_customer_used_up_is_nobody_elses(),
    limits.a_day_for_each_customer: lambda _: test_traps.test_the_day_of_an_application_key_is_all_its_customers(),
    limits.no_headroom: lambda _: test_limits.test_budget_that_others_use_is_left_to_them_but_consent_passes(),
    limits.budget_is_a_constant: lambda _: test_limits.test_budget_that_others_use_is_left_to_them_but_consent_passes(),
    limits.retry_after_is_ignored: lambda _: test_limits.test_a_limit_of_virtuous_is_waited_out_as_it_says(),
    limits.one_kind_of_429: lambda _: test_limits.test_a_used_up_day_stops_every_call_until_midnight_utc(),
    limits.old_refresh_token: lambda _: test_limits.test_rotating_refresh_tokens_carry_a_week(),
    limits.tokens_live_a_day: lambda _: test_traps.test_a_token_is_renewed_before_its_end_however_long_it_lives(
        "short", "string"
    ),
    limits.a_turn_is_waited_for_blindly: lambda _: (
        test_grant.test_a_wait_for_the_applications_turn_never_outlives_the_intent()
    ),
    limits.a_copy_is_ours: lambda _: test_adopt.test_a_copy_makes_no_call_until_it_is_adopted(),
    # --- the brake ---
    braking.a_false_is_a_choice: lambda _: with_town(
        test_brake.test_a_tool_that_unticks_many_opts_nobody_out_before_somebody_says_so
    ),
    braking.dated_opt_outs_are_braked: lambda _: with_town(
        test_brake.test_a_tool_that_unticks_many_opts_nobody_out_before_somebody_says_so
    ),
    braking.a_yes_is_for_everything: lambda _: with_town(test_brake.test_approving_sends_exactly_what_was_shown),
    braking.a_no_is_forgotten: lambda _: with_town(
        test_brake.test_what_was_discarded_is_never_sent_and_waits_for_nothing
    ),
    braking.the_rest_goes_out: lambda _: with_town(test_brake.test_forty_deletions_close_no_more_than_the_limit),
    braking.nothing_goes_by_itself: lambda _: with_town(
        test_brake.test_opt_outs_go_out_by_themselves_after_a_day_and_removals_do_not
    ),
    braking.every_try_counts: lambda _: with_town(test_brake.test_a_retry_is_not_counted_twice),
    # --- who somebody is ---
    identity.links_by_score: lambda _: test_people.test_another_name_behind_the_address_parks_the_person(),
    identity.a_reference_is_enough: lambda _: (
        test_matching.test_our_reference_on_somebody_without_the_address_is_a_question()
    ),
    identity.father_is_son: lambda _: test_matching.test_father_and_son_at_one_address_are_a_question(),
    identity.gone_is_gone: lambda _: (
        test_moved.test_an_opt_out_of_staff_is_found_wherever_the_person_was_taken_before_we_read_it("opt")
    ),
    identity.one_candidate_is_told: lambda _: test_matching.test_a_question_names_every_candidate_once(),
    # --- the door ---
    door.signature_of_parsed_body: lambda _: (
        test_bad_input.test_a_signature_over_the_parsed_body_is_not_one_over_the_body()
    ),
    door.signature_not_verified: lambda _: test_bad_input.test_a_wrong_or_absent_signature_changes_nothing("garbage"),
    door.account_in_the_body: lambda _: (
        test_contact_webhooks.test_a_delivery_about_a_foreign_account_is_refused_though_it_is_signed(
            [test_contact_webhooks.event("x", "other")]
        )
    ),
    door.one_event_a_body: lambda _: (
        test_contact_webhooks.test_a_change_crosses_within_seconds_and_the_contact_is_read_again("array")
    ),
    door.writes_in_the_handler: lambda _: test_hooks.test_the_door_stores_and_calls_nobody(),
    door.acknowledged_before_stored: lambda _: test_consent.test_staffs_opt_out_reaches_constant_contact_by_webhook(),
    door.values_from_the_event: lambda _: test_hooks.test_a_delivery_is_a_hint_and_never_a_value(),
    # --- hearing ---
    hearing.stale_delivery_wins: lambda _: test_hooks.test_a_delivery_that_comes_late_takes_nothing_back(),
    hearing.every_delivery_is_read: lambda _: (
        test_hooks.test_a_delivery_that_tells_of_an_older_change_than_is_known_is_not_even_read()
    ),
    hearing.subscribed_again_and_nothing_more: lambda _: (
        test_hooks.test_what_a_broken_subscription_missed_is_read_again_at_once(gone=True)
    ),
    hearing.toggles_of_the_guide: lambda _: test_hooks.test_a_subscription_that_somebody_changed_is_repaired(
        "contactUpdate", False
    ),
    hearing.own_echo_is_activity: lambda _: test_parity.test_the_echo_of_our_own_writes_is_no_activity_of_others(),
    hearing.quiet_is_good_news: lambda _: test_parity.test_a_subscription_that_goes_quiet_is_noticed_and_polled_for(),
    hearing.unknown_events_each_time: lambda _: (
        test_hooks.test_an_event_that_nobody_knows_is_acknowledged_and_told_once()
    ),
    # --- reconciliation ---
    reconciling.repairs_by_removing: lambda _: test_reconcile.test_a_reading_that_would_remove_a_tag_removes_none(),
    reconciling.lifts_an_opt_out: lambda _: (
        test_reconcile.test_who_is_out_stays_out_when_something_else_of_theirs_is_repaired()
    ),
    reconciling.log_rewritten: lambda _: test_reconcile.test_the_log_is_added_to_and_never_changed(),
    reconciling.compares_everybody: test_reconcile.test_a_quiet_night_finds_nothing_and_the_next_one_compares_nobody,
    # --- consent ---
    consent.last_writer_wins_consent: lambda _: (
        test_consent.test_staff_at_constant_contact_cannot_bring_somebody_back()
    ),
    consent.widens_unread: lambda _: test_lists.test_an_opt_out_just_before_a_tag_is_seen_before_anything_widens(),
    consent.a_hold_is_an_opt_out: lambda _: test_traps.test_who_is_held_or_unconfirmed_did_not_opt_out("temp_hold"),
    consent.deleted_by_permission: lambda _: test_consent.test_a_deletion_is_an_opt_out_and_exactly_one_note(),
    consent.revived_is_back: lambda _: test_traps.test_somebody_deleted_and_revived_stays_out_until_they_say_so(),
    consent.any_opt_in_date: lambda _: test_traps.test_a_return_lifts_an_opt_out_only_if_its_date_is_later("no"),
    consent.lifts_what_staff_set: lambda _: test_consent.test_coming_back_does_not_lift_what_staff_set(),
    consent.every_false_is_an_opt_out: lambda _: (
        test_consent.test_a_false_that_nobody_was_seen_to_set_opts_nobody_out()
    ),
    consent.closes_one_method: lambda _: (
        test_consent.test_an_opt_out_closes_the_address_wherever_the_household_has_it()
    ),
    consent.bounces_travel: lambda _: test_traps.test_a_soft_bounce_does_what_the_route_says("opt_out", "D"),
    # --- both ways ---
    forgetting.nothing_was_forgotten: lambda _: test_restored.test_a_false_that_we_wrote_for_a_bounce_is_nobodys_choice(
        0.5, 3
    ),
    forgetting.decides_before_it_reads: lambda _: (
        test_restored.test_nor_where_staff_touch_the_person_before_anything_is_read_again()
    ),
    forgetting.sends_what_it_had_decided: lambda _: test_restored.test_what_the_backup_had_decided_is_decided_anew(),
    forgetting.sends_before_the_batch: lambda _: test_restored.test_who_waited_in_the_batch_is_not_sent_a_second_time(),
    both_ways.imports_opt_out: lambda _: test_must_hold.test_imports_that_opt_nobody_in_opt_nobody_out(),
    both_ways.keeps_what_is_mapped: lambda _: (
        test_must_hold.test_what_is_not_mapped_is_equal_before_and_after_a_week_of_edits()
    ),
    both_ways.webhooks_only: lambda _: test_must_hold.test_whatever_happens_to_webhooks_the_end_is_the_same(
        "lost", test_must_hold.week_of_hooks(lambda _c: None)
    ),
    consent.complaints_like_any_opt_out: lambda _: (
        test_traps.test_a_complaint_is_an_opt_out_and_noted_once_where_it_is_told("unsubscribes_with_reason")
    ),
    # --- people whom only the CRM has ---
    enrolling.unknown_is_yes: lambda _: test_crm_only.test_nobody_is_created_from_a_method_that_does_not_say(),
    enrolling.a_conflict_is_revived: lambda _: test_crm_only.test_a_deleted_contact_is_never_revived("with_id", "yes"),
    enrolling.ledger_unread: lambda _: (
        test_crm_only.test_who_has_left_a_list_for_good_is_never_put_back_by_another_record()
    ),
    enrolling.created_again_after_a_lost_answer: lambda _: (
        test_crm_only.test_a_creation_whose_answer_is_lost_is_made_once_and_never_submitted("reset_after", "look")
    ),
    # --- undoing ---
    undo.undone_whoever_may_be_mailed: lambda _: test_restore.test_nobody_is_put_back_on_a_list_who_may_not_be_mailed(),
    undo.undone_over_what_is_touched: lambda _: test_restore.test_what_somebody_has_changed_since_is_theirs("crm"),
    undo.undone_and_done_again: lambda _: (
        test_restore.test_a_tag_that_followed_a_membership_goes_and_the_membership_stays()
    ),
    **connections.FOUND_BY,
}


def misfits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where a plant does not fit the product any more: such a failure is nobody's mistake but the plant's."""
    found: list[str] = []
    true_note, true_decide = telemetry.note, decided.decide

    def note(event: telemetry.Process, **fields: Any) -> None:
        if fields.get("error") in ("AttributeError", "NameError", "TypeError"):
            found.append(f"{fields['error']} in {fields['file']}, line {fields['line']}")
        true_note(event, **fields)

    def decide(*args: Any) -> Any:
        try:
            return true_decide(*args)
        except (AttributeError, NameError, TypeError) as misfit:
            found.append(repr(misfit))
            raise

    monkeypatch.setattr(telemetry, "note", note)
    monkeypatch.setattr(decided, "decide", decide)
    return found


@pytest.mark.parametrize("plant", FOUND_BY, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_makes_its_named_test_fail(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow suite shows that each of these tests passes without the mistake."""
    broken = misfits(monkeypatch)
    plant(monkeypatch)
    with pytest.raises(FAILS):
        FOUND_BY[plant](monkeypatch)
    assert broken == []


def test_every_mistake_has_its_test() -> None:
    planted = [
        value
        for module in MODULES
        for value in vars(module).values()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    ]
    assert set(planted) == set(FOUND_BY)
    assert len({one.__name__ for one in planted}) == len(planted)
