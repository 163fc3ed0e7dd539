"""How long a reading that failed waits for its next try."""

from types import SimpleNamespace
from typing import Any

import pytest

from keepstep.submit.turn import PATIENT, _moment

DESK: Any = SimpleNamespace(chance=SimpleNamespace(uniform=lambda low, _high: low))


@pytest.mark.parametrize(
    ("after", "tries", "pause"),
    [
        (None, 0, 1.0),
        (None, 3, 8.0),
        (None, 99, 60.0),
        (1.0, 0, 1.0),
        (90.0, 0, 90.0),
        (1.0, PATIENT - 1, 1.0),
        (1.0, PATIENT, 32.0),
        (1.0, 99, 60.0),
        (600.0, 99, 600.0),
    ],
)
def test_a_vendor_that_keeps_saying_in_a_moment_is_asked_once_a_minute(
    after: float | None, tries: int, pause: float
) -> None:
    assert _moment(DESK, 1000.0, after, tries, 60.0) == 1000.0 + pause
