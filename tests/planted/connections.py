"""The tests that find mistakes with grants, secrets, tables and imports, and with what owners are told."""

from collections.abc import Callable
from types import ModuleType

import pytest

from keepstep.model.errors import Transient
from keepstep.wire.jws import TOLERANCE
from tests.connectors.constant_contact import test_imports as test_calls
from tests.connectors.sql_table import test_mapping, test_source, test_survey
from tests.feeds import test_round, test_schedule
from tests.flows import (
    test_alerts,
    test_customers,
    test_import_ends,
    test_imports,
    test_partner,
    test_retention,
    test_rotation,
)
from tests.flows.crossing import Crossing
from tests.model import test_feed_decide
from tests.planted import feeding, granting, importing, partner, safekeeping, telling
from tests.planted.given import with_engine, with_memory, with_shop, with_tx, with_url, with_vault
from tests.safes import test_keeping, test_moving, test_providers
from tests.state import test_alerts as test_alert_rows
from tests.state import test_customers as test_customer_rows
from tests.tokens import test_grant, test_tickets, test_vault
from tests.wire import test_jws

Plant = Callable[[pytest.MonkeyPatch], None]
MODULES: tuple[ModuleType, ...] = (feeding, granting, importing, safekeeping, telling)


def with_alerts(test: Callable[[test_alert_rows.Where], None]) -> None:
    with_engine(lambda engine: test(test_alert_rows.Where(engine)))


def with_aged(test: Callable[[Crossing], None]) -> None:
    """Run a test of retention, which gets a customer of whom everything is old."""
    with test_retention.an_aged_one() as customer:
        test(customer)


FOUND_BY: dict[Plant, Callable[[pytest.MonkeyPatch], None]] = {
    # --- grants ---
    granting.a_token_manager_beside: lambda _: test_grant.test_many_callers_at_once_make_one_refresh(),
    granting.every_six_hours: lambda _: (
        test_grant.test_a_token_is_refreshed_300_seconds_before_its_end_however_the_lifetime_is_written(3600)
    ),
    granting.sent_without_a_word: lambda _: test_grant.test_the_intent_is_durable_before_the_call_and_gone_after(),
    granting.used_before_it_is_stored: lambda _: (
        test_grant.test_the_new_grant_is_durable_before_the_token_is_used_and_the_old_one_is_kept_until_the_new_one_worked()
    ),
    granting.received_and_lost: lambda _: test_grant.test_a_failed_commit_does_not_lose_the_grant(),
    granting.void_at_the_first_word: lambda _: (
        test_grant.test_invalid_grant_reads_the_store_again_and_uses_what_a_person_stored_meanwhile()
    ),
    granting.any_trouble_is_a_void_grant: lambda _: (
        test_grant.test_trouble_is_transient_and_a_later_call_tries_with_the_old_value(Transient("not reached"))
    ),
    granting.a_refused_token_lives_on: lambda _: (
        test_grant.test_a_refused_token_is_not_given_again_where_no_new_one_came()
    ),
    granting.the_one_before_is_dropped: lambda _: (
        test_grant.test_the_new_grant_is_durable_before_the_token_is_used_and_the_old_one_is_kept_until_the_new_one_worked()
    ),
    granting.a_late_answer_wins: lambda _: test_grant.test_a_late_answer_does_not_overwrite_a_new_connection(),
    granting.anybodys_browser: lambda _: test_tickets.test_what_does_not_meet_is_refused("session"),
    # --- secrets ---
    safekeeping.sealed_for_nobody: lambda _: with_vault(
        test_vault.test_a_ciphertext_moved_to_another_place_does_not_open, {"customer_id": "other"}
    ),
    safekeeping.in_the_clear_at_the_provider: lambda _: test_providers.test_a_parameter_is_never_sent_as_a_plain_text(),
    safekeeping.written_is_kept: lambda _: with_url(
        test_keeping.test_a_late_read_back_leaves_the_sealed_copy_and_does_not_send_again, False
    ),
    safekeeping.whatever_is_read_is_it: lambda _: with_url(
        test_keeping.test_a_late_read_back_leaves_the_sealed_copy_and_does_not_send_again, True
    ),
    safekeeping.not_read_is_empty: lambda _: with_url(
        test_keeping.test_a_provider_in_trouble_is_transient_and_never_an_empty_field
    ),
    safekeeping.sent_over_what_came_since: lambda _: with_memory(test_keeping.test_a_put_while_it_is_sent_wins),
    safekeeping.one_secret_at_a_time: lambda _: (
        test_rotation.test_a_delivery_that_was_signed_before_and_comes_late_is_taken()
    ),
    safekeeping.old_secrets_are_believed: lambda _: (
        test_rotation.test_both_secrets_are_believed_before_the_vendor_is_told_and_one_after_the_overlap()
    ),
    safekeeping.the_vendor_is_told_first: lambda _: (
        test_rotation.test_both_secrets_are_believed_before_the_vendor_is_told_and_one_after_the_overlap()
    ),
    safekeeping.dropped_here_alone: lambda _: with_memory(
        test_keeping.test_a_dropped_secret_is_deleted_at_the_provider_afterwards
    ),
    safekeeping.a_move_is_its_own_proof: lambda _: with_url(test_moving.test_what_is_gone_at_the_provider_is_named),
    # --- owners and customers ---
    telling.told_at_every_try: lambda _: with_alerts(
        test_alert_rows.test_what_was_told_is_told_again_only_as_the_sum_of_the_day
    ),
    telling.told_once_or_never: lambda _: with_alerts(
        test_alert_rows.test_a_failing_one_is_tried_later_and_later_and_never_lost
    ),
    telling.a_void_grant_is_nobodys_news: lambda _: (
        test_alerts.test_a_revoked_grant_is_told_once_with_what_waits_and_what_to_type_and_again_when_it_works()
    ),
    telling.everybody_hears_it: lambda _: test_alerts.test_no_recipient_hears_of_another_customer(),
    telling.the_ledger_grows_old_too: lambda _: with_aged(
        test_retention.test_the_chore_forgets_every_class_in_a_day_and_consent_stays
    ),
    telling.nobody_tells_the_vendor: lambda _: test_customers.test_the_vendor_forgets_our_webhook(),
    telling.secrets_stay_behind: lambda _: with_engine(
        test_customers.test_who_is_removed_leaves_nothing_but_hashes_and_the_other_one_is_untouched
    ),
    telling.who_opted_out_is_forgotten: lambda _: with_tx(
        test_customer_rows.test_a_removed_customer_leaves_only_that_addresses_opted_out
    ),
    # --- tables ---
    feeding.the_last_24_hours: lambda _: with_shop(
        test_source.test_only_what_changed_since_the_last_round_is_read_again, "stamp"
    ),
    feeding.on_from_the_last_stamp: lambda _: with_shop(
        test_source.test_only_what_changed_since_the_last_round_is_read_again, "stamp"
    ),
    feeding.high_moves_with_every_page: lambda _: (
        test_round.test_where_the_next_round_begins_moves_with_the_last_page_alone()
    ),
    feeding.equal_stamps_at_a_border: lambda _: with_shop(
        test_source.test_rows_of_one_stamp_are_all_read_wherever_pages_end, True
    ),
    feeding.unstamped_rows_never_changed: lambda _: with_shop(
        test_source.test_rows_without_a_stamp_and_without_a_key_come_last
    ),
    feeding.the_highest_stamp_is_now: lambda _: with_shop(test_source.test_a_stamp_in_the_future_hides_no_later_change),
    feeding.every_row_is_news: lambda _: test_round.test_what_the_overlap_meets_again_marks_nobody(),
    feeding.a_reader_may_write: lambda _: with_shop(test_survey.test_nothing_can_be_written_whatever_the_query_says),
    feeding.imported_unchecked: lambda _: with_shop(
        test_survey.test_columns_that_are_not_there_are_all_named_with_ones_like_them
    ),
    feeding.an_address_is_what_stands_there: lambda _: test_mapping.test_a_row_that_cannot_be_imported_says_why(
        {"mail": "ann at example.org"}, "bad_email"
    ),
    feeding.an_empty_column_blanks: lambda _: test_mapping.test_an_empty_value_is_left_out_and_blanks_nothing(),
    feeding.one_bad_row_ends_the_round: test_round.test_a_row_that_cannot_be_stored_stands_alone,
    feeding.missed_rounds_are_made_up: lambda _: test_round.test_a_schedule_that_was_missed_many_times_runs_once(),
    feeding.cron_is_in_utc: lambda _: test_schedule.test_a_cron_line_is_in_the_feeds_own_zone_in_summer_and_in_winter(),
    # --- imports ---
    importing.whoever_left_is_put_back: lambda _: (
        test_feed_decide.test_who_left_a_list_is_put_back_by_a_newer_permission_only("on")
    ),
    importing.put_back_by_the_call: lambda _: (
        test_calls.test_who_is_deleted_or_left_a_list_is_told_before_anything_is_sent()
    ),
    importing.the_deleted_come_back: lambda _: (
        test_feed_decide.test_who_was_deleted_comes_back_by_a_newer_permission_only(
            test_feed_decide.known(test_feed_decide.GONE)
        )
    ),
    importing.one_by_one_revives: lambda _: test_calls.test_who_was_deleted_is_revived_only_where_the_step_says_so(
        "no"
    ),
    importing.a_table_outweighs_a_no: lambda _: test_feed_decide.test_an_opt_out_is_lifted_by_no_permission(
        test_feed_decide.known(out="opted_out")
    ),
    importing.feeds_ask_no_ledger: lambda _: (
        test_imports.test_whom_the_ledger_shuts_after_the_decision_is_not_imported()
    ),
    importing.the_crm_has_no_say: lambda _: test_imports.test_who_opted_out_in_the_crm_is_never_imported(),
    importing.only_the_linked_have_a_say: lambda _: (
        test_imports.test_whom_only_the_crm_has_and_who_opted_out_there_is_never_imported()
    ),
    importing.the_first_list_of_that_name: lambda _: (
        test_imports.test_a_name_that_no_list_or_two_have_waits_for_a_person()
    ),
    importing.imports_pass_the_gate: lambda _: (
        test_imports.test_who_opts_out_between_the_decision_and_the_call_is_not_imported()
    ),
    importing.asked_and_gone: lambda _: test_imports.test_whom_the_ledger_shuts_after_the_decision_is_not_imported(),
    importing.imported_with_every_run: lambda _: test_feed_decide.test_a_version_goes_to_a_list_once(),
    importing.an_address_twice_in_a_job: lambda _: (
        test_imports.test_of_two_rows_of_one_address_and_list_the_older_is_a_duplicate()
    ),
    importing.posted_again_unread: lambda _: (
        test_import_ends.test_an_import_that_nobody_answered_is_looked_for_before_anything_is_sent_again(True, 3)
    ),
    importing.all_rows_in_one_call: test_imports.test_an_import_is_cut_at_what_the_vendor_takes,
    importing.letters_are_bytes: lambda _: test_calls.test_rows_weigh_what_the_body_holds_in_any_script(),
    importing.a_row_too_many: lambda _: test_calls.test_a_call_of_another_shape_is_refused(
        test_calls.rows(["L"], 40_001)
    ),
    importing.abroad_by_import: lambda _: test_feed_decide.test_a_phone_from_elsewhere_goes_the_slow_way(
        "+44 20 7946 0958", "import_one"
    ),
    importing.lists_of_settings_by_name: lambda _: (
        test_imports.test_rows_that_cannot_go_are_parked_with_their_reason_and_the_others_go()
    ),
    importing.whole_columns_as_fields: lambda _: (
        test_imports.test_a_custom_field_travels_by_its_label_and_an_unknown_one_costs_nobody_the_row("400")
    ),
    importing.one_put_of_the_row: lambda _: test_calls.test_what_the_row_does_not_say_stays(),
    importing.completed_is_done: lambda _: test_calls.test_who_cannot_be_put_on_a_list_is_found_by_reading(3),
    importing.counts_are_not_compared: lambda _: (
        test_import_ends.test_rows_that_are_cut_off_in_silence_are_found_and_brought_after(3)
    ),
    importing.broken_off_is_done: lambda _: (
        test_calls.test_a_job_that_broke_off_is_made_again_for_those_it_did_not_get_to("failed")
    ),
    # --- partners ---
    partner.webhooks_instead_of_polls: lambda _: test_partner.played(
        test_partner.test_a_cancelled_plan_whose_webhook_was_lost_is_found_within_a_day
    ),
    partner.topics_known_by_heart: lambda _: test_partner.played(
        test_partner.test_a_topic_that_nobody_knew_is_announced_once
    ),
    partner.signed_once_is_signed: lambda _: test_jws.test_an_old_delivery_and_one_from_the_future_are_not(
        TOLERANCE + 1, False
    ),
}
