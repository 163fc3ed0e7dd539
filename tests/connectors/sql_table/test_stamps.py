"""Where a round begins, for whatever a change column holds: never later than it should."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from keepstep.connectors.sql_table.stamps import Kind, capped, instant_of, low

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
PHOENIX = "America/Phoenix"


@pytest.mark.parametrize(
    ("value", "kind", "zone", "at"),
    [
        ("2026-06-01 12:00:00+00", "moment", PHOENIX, NOON),
        ("2026-06-01 12:00:00", "moment", PHOENIX, NOON),
        ("2026-06-01 05:00:00", "stamp", PHOENIX, NOON),
        ("2026-06-01T12:00:00Z", "text", PHOENIX, NOON),
        ("2026-06-01T05:00:00-07:00", "text", "UTC", NOON),
        ("2026-06-01", "date", "UTC", NOON - 43_200),
        (int(NOON), "number", PHOENIX, NOON),
        (Decimal(NOON), "number", PHOENIX, NOON),
        (str(int(NOON * 1000)), "number", PHOENIX, NOON),
        (NOON * 1_000_000, "number", PHOENIX, NOON),
        (4_711, "number", "UTC", None),
        ("infinity", "stamp", "UTC", None),
        ("0000-00-00 00:00:00", "stamp", "UTC", None),
        ("0001-01-01 00:00:00", "stamp", "Asia/Tokyo", None),
        (b"\x00\x01", "text", "UTC", None),
        ("abc", "number", "UTC", None),
    ],
)
def test_what_moment_a_value_stands_for(value: Any, kind: Kind, zone: str, at: float | None) -> None:
    assert instant_of(value, kind, zone) == at


@pytest.mark.parametrize(
    ("high", "kind", "zone", "begins"),
    [
        ("2026-06-01 12:00:00.5+00", "moment", PHOENIX, "2026-06-01 11:50:00"),
        ("2026-06-01 12:00:00", "stamp", PHOENIX, "2026-06-01 11:50:00"),
        ("2026-06-01T12:00:00.123Z", "text", PHOENIX, "2026-06-01T11:50:00"),
        ("2026-06-01T12:00:00-04:00", "text", "UTC", "2026-06-01T11:50:00"),
        ("2026-06-01", "date", "UTC", "2026-05-31"),
        (1_780_000_000, "number", "UTC", 1_779_999_400),
        (Decimal("1780000000000"), "number", "UTC", Decimal("1779999400000")),
        ("1780000000", "number", "UTC", "1779999400"),
        (5_000, "number", "UTC", 4_000),
        ("5000", "number", "UTC", "4000"),
        (Decimal("12.5"), "number", "UTC", Decimal("-987.5")),
        ("infinity", "stamp", "UTC", "infinity"),
        (b"\x07", "text", "UTC", b"\x07"),
    ],
)
def test_a_round_begins_with_the_overlap_before_the_last_ones_end(
    high: Any, kind: Kind, zone: str, begins: Any
) -> None:
    found = low(high, kind, zone, 600.0, NOON + 86_400)
    assert found == begins and type(found) is type(begins)


def test_when_clocks_are_put_back_the_hour_that_comes_twice_is_read_twice() -> None:
    """In Denver, 1 November 2026 at 2:00, it is 1:00 again: what changes then has a lower stamp."""
    later = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
    assert low("2026-11-01 01:59:00", "stamp", "America/Denver", 60.0, later) == "2026-11-01 00:58:00"
    months_later = datetime(2027, 7, 1, tzinfo=UTC).timestamp()
    assert low("2026-11-01 01:59:00", "stamp", "America/Denver", 60.0, months_later) == "2026-11-01 00:58:00"
    assert low("2026-10-01 01:59:00", "stamp", "America/Denver", 60.0, later - 86_400) == "2026-10-01 01:58:00"


@pytest.mark.parametrize(
    ("high", "kind", "kept"),
    [
        ("2026-06-01 11:00:00", "stamp", "2026-06-01 11:00:00"),
        ("2999-01-01 00:00:00", "stamp", "2026-06-01 12:00:00"),
        ("2999-01-01", "date", "2026-06-01"),
        (9_000_000_000, "number", int(NOON)),
        (500, "number", 500),
        ("infinity", "stamp", "infinity"),
        (None, "stamp", None),
    ],
)
def test_a_round_never_ends_in_the_future(high: Any, kind: Kind, kept: Any) -> None:
    assert capped(high, kind, "UTC", NOON) == kept
