"""Mistakes of ordinary haste that tests of the flows find as well."""

from tests.planted import (
    braking,
    consent,
    door,
    forgetting,
    granting,
    hearing,
    identity,
    limits,
    mapping,
    reading,
    writing,
)
from tests.zoo import plans
from tests.zoo.planting import Plant, listed

_EXPECTED: dict[Plant, str] = {
    # reading
    reading.processing_is_empty: "",
    reading.one_dialect_of_dates: "",
    reading.one_bad_row_fails_its_page: "",
    reading.first_page_of_lists: "",
    reading.bounces_only: "",
    reading.bounces_without_codes: "",
    reading.bounce_of_the_present_address: "",
    reading.no_scope_no_sync: "",
    reading.strict_json: "",
    reading.paging_in_the_body: "",
    reading.pages_of_ten: "",
    reading.operators_of_the_guides: "",
    reading.abbreviated_rows: "",
    reading.subscribed_for_ever: "",
    # consent
    consent.widens_unread: "",
    consent.a_hold_is_an_opt_out: "",
    consent.deleted_by_permission: "",
    consent.revived_is_back: "",
    consent.lifts_what_staff_set: "",
    consent.every_false_is_an_opt_out: "",
    consent.bounces_travel: "",
    consent.complaints_like_any_opt_out: "",
    # writing
    writing.no_seen: "",
    writing.confirmed_is_in_step: "",
    writing.custom_fields_of_what_changed: "",
    writing.person_of_what_changed: "",
    writing.method_of_what_changed: "",
    writing.tag_id_for_join_id: "",
    writing.addresses_as_they_come: "",
    writing.joins_by_form: "",
    writing.opts_out_the_deleted: "",
    writing.adds_the_deleted: "",
    writing.replaces_whatever_is_there: "",
    writing.replaces_the_deleted: "",
    writing.races_are_lost: "",
    writing.writes_after_a_lost_answer: "",
    # mapping
    mapping.removes_without_base: "",
    mapping.any_word_is_an_option: "",
    mapping.choice_ids_are_text: "",
    mapping.tags_are_lists: "",
    mapping.everybody_of_the_household: "",
    mapping.opted_out_left_every_list: "",
    # who somebody is
    identity.links_by_score: "",
    identity.a_reference_is_enough: "",
    identity.father_is_son: "",
    identity.gone_is_gone: "",
    # the door, webhooks
    door.writes_in_the_handler: "",
    door.one_event_a_body: "",
    hearing.subscribed_again_and_nothing_more: "",
    # limits and grants
    limits.one_limiter_for_all: "",
    limits.retry_after_is_ignored: "",
    limits.one_kind_of_429: "",
    limits.old_refresh_token: "",
    limits.tokens_live_a_day: "",
    granting.every_six_hours: "",
    granting.sent_without_a_word: "",
    # the brake, backups
    braking.a_false_is_a_choice: "",
    braking.the_rest_goes_out: "",
    forgetting.nothing_was_forgotten: "",
    forgetting.sends_before_the_batch: "",
}
_PLANS = {
    writing.replaces_whatever_is_there: plans.pressing,
    writing.replaces_the_deleted: plans.pressing,
    writing.races_are_lost: plans.pressing,
    writing.writes_after_a_lost_answer: plans.lost,
}
HASTE = listed(_EXPECTED, _PLANS)
