"""Stories that lean on SQL, once more on PostgreSQL: JSON, booleans, the order of NULL and conflicts differ there."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Engine, func, select

from keepstep.database import Inline
from keepstep.schema.tables import journal
from tests.flows import (
    crossing,
    test_brake,
    test_crm_only,
    test_pairing,
    test_parity,
    test_proof,
    test_reconcile,
    test_undo,
)
from tests.flows.test_pairing import planned
from tests.flows.test_undo import Applied, a_planned_update, an_update

__all__ = ["a_planned_update", "an_update", "planned"]


@pytest.fixture(autouse=True)
def on_postgres(monkeypatch: pytest.MonkeyPatch, postgres_engine: Engine) -> None:
    """Every crossing of the test keeps its tables there."""
    monkeypatch.setattr(crossing, "Inline", partial(Inline, disk=postgres_engine))


def is_stored(engine: Engine) -> bool:
    """Did the story really happen there?"""
    with engine.begin() as tx:
        return bool(engine.dialect.name == "postgresql" and tx.execute(select(func.count(journal.c.id))).scalar_one())


def with_town(test: Callable[[test_brake.Town], None]) -> None:
    with test_brake.made() as town:
        test(town)


STORIES: tuple[Callable[[], None], ...] = (
    partial(with_town, test_brake.test_approving_sends_exactly_what_was_shown),
    test_crm_only.test_who_is_only_there_is_created_once_on_the_list_of_the_tag_and_linked,
    test_parity.test_the_echo_of_our_own_writes_is_no_activity_of_others,
    test_proof.test_opt_outs_that_are_everywhere_are_certified_with_the_sweeps_that_prove_it,
    test_reconcile.test_a_difference_that_nothing_explains_is_found_and_repaired_at_night,
    test_reconcile.test_a_missing_tag_is_put_on_and_no_membership_and_no_tag_is_taken_off,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda one: getattr(one, "args", (one,))[0].__name__)
def test_a_story_ends_the_same_on_postgresql(story: Callable[[], None], postgres_engine: Engine) -> None:
    story()
    assert is_stored(postgres_engine)


def test_a_plan_is_applied_record_by_record_on_postgresql(
    planned: test_pairing.Planned, postgres_engine: Engine
) -> None:
    test_pairing.test_what_the_stand_ins_hold_afterwards_is_the_plan_record_by_record(planned)
    assert is_stored(postgres_engine)


def test_a_run_is_undone_on_postgresql(an_update: Applied, postgres_engine: Engine) -> None:
    test_undo.test_values_tags_and_memberships_of_an_update_go_back_whoever_owns_them(an_update)
    assert is_stored(postgres_engine)
