"""How rows of feeds are known in the queue, and how long things are kept."""

import pytest

from keepstep.model.feed import is_row, party_id, row_id
from keepstep.model.retention import DAY, Retention


def test_a_rows_key_shows_in_no_id_of_it() -> None:
    known = row_id("ana@example.org")
    assert "ana" not in known and len(known) == 32
    assert known == row_id("ana@example.org") != row_id("Ana@example.org")


def test_two_feeds_know_one_key_apart() -> None:
    assert party_id("agents", row_id("7")) != party_id("members", row_id("7"))


@pytest.mark.parametrize(("party", "expected"), [(party_id("agents", row_id("7")), True), ("9f3c", False)])
def test_a_row_is_told_from_a_party_of_the_sync(party: str, expected: bool) -> None:
    assert is_row(party) is expected


def test_what_the_facts_name_is_kept_as_long_as_they_say() -> None:
    """Virtuous facts 16.9: captures 30 days, dead letters 90 days after they were resolved, the log a year."""
    kept = Retention()
    assert (kept.payloads, kept.dead_letters, kept.reconciliation_log) == (30 * DAY, 90 * DAY, 365 * DAY)
