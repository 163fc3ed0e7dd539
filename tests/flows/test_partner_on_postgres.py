"""What the vendor tells its technology partner, once more on PostgreSQL."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from tests.flows import test_partner
from tests.flows.test_on_postgres import is_stored, on_postgres
from tests.flows.test_partner import Partners, c

__all__ = ["c", "on_postgres"]
STORIES: tuple[Callable[[Partners], None], ...] = (
    test_partner.test_an_account_that_works_again_is_found_by_its_plan_and_every_opt_out_is_read_first,
    test_partner.test_a_cancelled_plan_whose_webhook_was_lost_is_found_within_a_day,
    test_partner.test_the_same_event_told_twice_is_one_alert,
    test_partner.test_a_delivery_that_was_stored_and_not_read_is_read_by_the_next_turn,
    test_partner.test_a_customer_who_went_and_came_again_has_its_plan_read_again,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda one: one.__name__)
def test_a_partners_story_ends_the_same_on_postgresql(
    story: Callable[[Partners], None], c: Partners, postgres_engine: Engine
) -> None:
    story(c)
    assert is_stored(postgres_engine)
