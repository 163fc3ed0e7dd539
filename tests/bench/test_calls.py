"""What changes cost and how long opt-outs take, small enough for tests; `./run bench --only calls` does more."""

from collections.abc import Iterator

import pytest
import structlog

from bench.calls import latency, list_changes_cost, pages, sameness

POLL = 900.0


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


def test_a_job_of_many_list_changes_costs_a_fixed_number_of_calls() -> None:
    """The recipe: a call for each contact and list. What we spend does not grow before 500 contacts: at most 1 in 20 of
    1,000 calls for two such jobs."""
    cost = list_changes_cost(60)
    assert cost["recipe"] == 60
    assert cost["calls"] <= 25
    assert 2 * cost["calls"] <= 1000 / 20


def test_a_night_proves_sameness_by_pages() -> None:
    """One sweep of each side, and no call for any one contact."""
    found = sameness(40)
    assert found["audience_pages"] >= 1 and found["crm_pages"] >= 1
    assert found["audience_pages"] + found["crm_pages"] <= 2 * pages(40)
    assert (pages(2_000), pages(100_000)) == (9, 401)


def test_opt_outs_arrive_in_time_where_nothing_fails() -> None:
    """Virtuous to Constant Contact within a minute; back within one poll of opt-outs and a minute."""
    took = latency(12)
    assert took["crm_to_audience"]["max"] <= 60
    assert took["audience_to_crm"]["max"] <= POLL + 60
