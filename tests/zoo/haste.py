"""Mistakes of ordinary haste that tests of the flows find as well.

Not every one of tests/planted is here. What no run of days can show is left to its named test:

- reading.one_bad_row_fails_its_page: no value of the vendors' is known that the store cannot take;
- door.one_event_a_body: Constant Contact's webhooks only hasten what the polls see, and nobody promised how much;
- writing.writes_after_a_lost_answer: the simulated network delivers a call at once or never, nothing arrives late;
- limits.tokens_live_a_day: each token's end costs one call that is refused, which is answered by the refresh and one
  more try, as a refused token must be (I20);
- granting.every_six_hours: a token that has ended is renewed before it is shown; what is missing is the time to spare,
  which only counts while the token service is down, and then every bound waits.
"""

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
from tests.zoo import staged
from tests.zoo.planting import Plant, listed

_EXPECTED: dict[Plant, str] = {
    # reading
    reading.processing_is_empty: "I22",
    reading.one_dialect_of_dates: "",
    reading.always_the_largest_page: "",
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
    consent.closes_one_method: "",
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
    # mapping
    mapping.removes_without_base: "",
    mapping.any_word_is_an_option: "",
    mapping.choice_ids_are_text: "",
    mapping.tags_are_lists: "",
    mapping.opted_out_left_every_list: "",
    # who somebody is
    identity.links_by_score: "",
    identity.a_reference_is_enough: "",
    identity.father_is_son: "",
    identity.gone_is_gone: "",
    # the door, webhooks
    door.writes_in_the_handler: "",
    hearing.subscribed_again_and_nothing_more: "",
    # limits and grants
    limits.one_limiter_for_all: "",
    limits.retry_after_is_ignored: "",
    limits.one_kind_of_429: "",
    limits.old_refresh_token: "",
    granting.sent_without_a_word: "",
    # the brake, backups
    braking.a_false_is_a_choice: "",
    braking.the_rest_goes_out: "",
    forgetting.nothing_was_forgotten: "",
    forgetting.sends_before_the_batch: "",
}
_PLANS = {
    reading.processing_is_empty: staged.PROCESSING,
    reading.one_dialect_of_dates: staged.RETURNED,
    reading.always_the_largest_page: staged.LARGE,
    reading.first_page_of_lists: staged.SIXTY_LISTS,
    reading.bounces_only: staged.TURNED_BACK,
    reading.bounce_of_the_present_address: staged.MOVED_BEFORE_BOUNCE,
    reading.strict_json: staged.HALVED,
    reading.pages_of_ten: staged.TWELVE_TAGS,
    reading.subscribed_for_ever: staged.UNSUBSCRIBED_LONG,
    consent.widens_unread: staged.OUT_UNREAD,
    consent.a_hold_is_an_opt_out: staged.HELD,
    consent.deleted_by_permission: staged.DELETED,
    consent.revived_is_back: staged.REVIVED,
    consent.closes_one_method: staged.SPOUSE,
    writing.person_of_what_changed: staged.KEPT,
    writing.opts_out_the_deleted: staged.DELETED_AND_SHUT,
    writing.adds_the_deleted: staged.DELETED_AND_TAGGED,
    writing.replaces_the_deleted: staged.DELETED_AND_RENAMED,
    writing.replaces_whatever_is_there: staged.RENAMED_TWICE,
    writing.races_are_lost: staged.OUT_WITHIN,
    mapping.any_word_is_an_option: staged.ODD_CHOICE,
    mapping.opted_out_left_every_list: staged.JOINED_OUT_AND_BACK,
    identity.a_reference_is_enough: staged.REFERENCE,
    identity.father_is_son: staged.FATHER,
    identity.gone_is_gone: staged.MOVED,
    hearing.subscribed_again_and_nothing_more: staged.UNSUBSCRIBED,
    limits.one_limiter_for_all: staged.SPENT_BY_ONE,
    limits.one_kind_of_429: staged.USED_UP,
    braking.a_false_is_a_choice: staged.SHUT_TOGETHER,
    braking.the_rest_goes_out: staged.SHUT_TOGETHER,
    forgetting.nothing_was_forgotten: staged.BOUNCED_AND_FORGOTTEN,
    forgetting.sends_before_the_batch: staged.BEFORE_THE_BATCH,
}
HASTE = listed(_EXPECTED, _PLANS)
