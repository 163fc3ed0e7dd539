"""The log: a closed list of facts in which nothing secret or personal fits (I34, T8)."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from keepstep import telemetry
from keepstep.telemetry import FIELDS, Event, Fact, Process

CANARIES = ["ada@example.org", "Ada Lovelace", "+1 555 0100", "eyJhbGciOiJSUzI1NiJ9." + "x" * 80, "Bearer abc", "línea"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    telemetry.setup("json", lambda: 0.0, stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_fact_is_one_line_with_its_customer_and_the_clocks_time(log: io.StringIO) -> None:
    telemetry.report(Event.turn, "acme", entries=3, seconds=0.5)
    assert json.loads(log.getvalue()) == {
        "at": "1970-01-01T00:00:00Z",
        "event": "turn",
        "customer": "acme",
        "entries": 3,
        "seconds": 0.5,
    }


@pytest.mark.parametrize("customer", ["", " ", "a@b.org", "x" * 65])
def test_a_fact_without_a_customer_cannot_be_built(customer: str) -> None:
    with pytest.raises(ValueError, match="customer"):
        Fact(Event.turn, customer)


def test_a_field_that_is_not_in_the_list_cannot_be_reported() -> None:
    with pytest.raises(ValueError, match="email"):
        telemetry.report(Event.turn, "acme", email="x")


def test_every_event_has_its_fields() -> None:
    assert set(FIELDS) == {*Event, *Process}


@pytest.mark.parametrize("canary", CANARIES)
def test_no_text_that_is_not_a_word_of_ours_is_shown(log: io.StringIO, canary: str) -> None:
    telemetry.report(Event.blocked, "acme", platform="virtuous", reason=canary)
    assert json.loads(log.getvalue())["reason"] == "***" and canary not in log.getvalue()


def test_a_librarys_words_and_an_errors_words_are_not_shown(log: io.StringIO) -> None:
    """They may quote a request, a statement or a record."""
    try:
        raise KeyError(CANARIES[0])
    except KeyError:
        logging.getLogger("aiohttp.client").exception("cannot send %s", CANARIES[3])
    line = json.loads(log.getvalue())
    assert (line["event"], line["source"], line["error"]) == ("library", "aiohttp.client", "KeyError")
    assert line["file"] == "test_telemetry.py" and not [each for each in CANARIES if each in log.getvalue()]


def test_a_log_that_cannot_be_written_ends_no_work(log: io.StringIO) -> None:
    log.close()
    telemetry.report(Event.turn, "acme", entries=1)
