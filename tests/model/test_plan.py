"""What an account pays for, and what that means."""

import pytest

from keepstep.model.plan import Plan


@pytest.mark.parametrize(
    ("status", "shut"),
    [("Canceled", True), (" CANCELLED ", True), ("Open", False), ("Trial", False), ("Trial End", False), (None, False)],
)
def test_only_a_cancelled_account_is_shut_for_certain(status: str | None, shut: bool) -> None:
    assert Plan("GOLD", 1, status).shut is shut


@pytest.mark.parametrize(("tier", "parts"), [(None, 1), (0, 1), (-1, 1), (3, 3), (32, 32), (33, 32)])
def test_a_tier_is_so_many_parts_of_the_day(tier: int | None, parts: int) -> None:
    assert Plan("GOLD", tier, "Open").weight == parts
