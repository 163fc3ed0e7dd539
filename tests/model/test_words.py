"""Moments and errors."""

import pytest

from keepstep.model.errors import Blocked, Misconfigured, Missing, Permanent, Problem, Refused, Transient, Unanswered
from keepstep.model.instant import format_instant, parse_instant


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01T01:01:00.500+01:00", 60.5),
        ("1970-01-02", 86400.0),
        (" 1970-01-01T00:00:00Z ", 0.0),
        ("yesterday", None),
        ("", None),
        ("0001-01-01T00:00:00+23:59", None),
        (12, None),
        (None, None),
    ],
)
def test_any_dialect_of_a_moment_is_read_or_is_none(text: object, at: float | None) -> None:
    assert parse_instant(text) == at


def test_a_moment_is_written_in_utc_with_whole_seconds() -> None:
    assert format_instant(86400.9) == "1970-01-02T00:00:00Z"


def test_errors_are_classes_of_recovery() -> None:
    assert isinstance(Unanswered("lost", 5.0, 504), Transient)
    assert Transient("later", 5.0, 503).retry_after == 5.0
    assert isinstance(Missing(404, "no such contact"), Permanent)
    assert (Permanent(400, "bad").status, Permanent(400, "bad").detail) == (400, "bad")
    assert Blocked("revoked", "connect again").reason == "revoked"
    assert Refused(401, "not believed").status == 401
    assert str(Misconfigured(("one", "two"))) == "one\ntwo"
    assert issubclass(Misconfigured, Problem)
