"""The closed list of facts we report, and the only way to a log line.

No text of a vendor, a person or a credential can get in.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from keepstep.model.instant import Instant, format_instant

Value = int | float | bool | str | None
_HIDDEN = "***"
# A word of ours: a platform, a state, a class name, an id we made. Not an address, a name with a space, a token (they
# are longer).
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,39}")
# One that begins with _ is the operator's own.
_CUSTOMER = re.compile(r"_?[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Event(StrEnum):
    """What may be reported about a customer."""

    turn = "turn"
    page = "page"
    call = "call"
    delivery = "delivery"
    delivery_refused = "delivery_refused"
    wake_failed = "wake_failed"
    parked = "parked"
    dead_letter = "dead_letter"
    blocked = "blocked"
    resumed = "resumed"
    paused = "paused"
    braked = "braked"
    warned = "warned"
    trouble = "trouble"
    refreshed = "refreshed"
    partner = "partner"
    alert = "alert"


class Process(StrEnum):
    """What may be reported about the process itself, which belongs to no customer."""

    started = "started"
    stopped = "stopped"
    migrated = "migrated"
    overloaded = "overloaded"
    library = "library"
    failed = "failed"


FIELDS: Mapping[StrEnum, frozenset[str]] = {
    Event.turn: frozenset({"entries", "steps", "jobs", "parked", "left_out", "seconds"}),
    Event.page: frozenset({"platform", "poll", "records", "poison", "last"}),
    Event.call: frozenset({"platform", "side", "kind", "steps", "outcome", "status", "seconds"}),
    Event.delivery: frozenset({"platform", "bytes"}),
    Event.delivery_refused: frozenset({"platform", "status", "count"}),
    Event.wake_failed: frozenset({"error"}),
    Event.parked: frozenset({"reason", "count"}),
    Event.dead_letter: frozenset({"side", "kind", "reason", "status", "tries"}),
    Event.blocked: frozenset({"platform", "reason"}),
    Event.resumed: frozenset({"platform"}),
    Event.paused: frozenset({"reason"}),
    Event.braked: frozenset({"kind", "count"}),
    Event.warned: frozenset({"platform", "reason"}),
    Event.trouble: frozenset({"platform", "poll", "kind", "error", "status", "tries", "retry_after", "file", "line"}),
    Event.refreshed: frozenset({"platform"}),
    Event.partner: frozenset({"platform", "topic", "did"}),
    Event.alert: frozenset({"kind", "outcome", "tries"}),
    Process.started: frozenset({"role", "port", "customers"}),
    Process.stopped: frozenset({"role", "seconds"}),
    Process.migrated: frozenset({"revision"}),
    Process.overloaded: frozenset({"waiting"}),
    Process.library: frozenset({"source", "level", "error", "file", "line"}),
    Process.failed: frozenset({"source", "error", "file", "line"}),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened for one customer.

    Raises ValueError without a customer id or with a field that its event does not have.
    """

    event: Event
    customer_id: str
    fields: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _CUSTOMER.fullmatch(self.customer_id):
            raise ValueError(f"{self.event}: a fact needs a customer")
        _check(self.event, self.fields)


def report(event: Event, customer_id: str, **fields: Value) -> None:
    """Report a fact about a customer. A text value that is no word of ours is shown as ***."""
    fact = Fact(event, customer_id, fields)
    _write(fact.event, customer=fact.customer_id, **_shown(fact.fields))


def note(event: Process, **fields: Value) -> None:
    """Report a fact about this process."""
    _check(event, fields)
    _write(event, **_shown(fields))


def setup(style: Literal["json", "text"], now: Callable[[], Instant], stream: TextIO | None = None) -> None:
    """One line a fact, stamped by the given clock, to standard error.

    What libraries log keeps its source and class and loses its words.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[_stamper(now), renderer],
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Library(logging.WARNING)]
    root.setLevel(logging.WARNING)


def trouble_of(error: BaseException) -> dict[str, Value]:
    """Class, file and line of an error, never its words: they may quote a record."""
    place = _last(error.__traceback__)
    return {"error": type(error).__name__, **place}


def _write(event: StrEnum, **shown: Value) -> None:
    try:
        structlog.get_logger().info(event.value, **shown)
    except (OSError, ValueError):  # a full disk or a closed standard error must not end a turn
        pass


class _Library(logging.Handler):
    """A library's message may hold a URL, a statement's parameters or a record, so only its origin is passed on."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        place = trouble_of(error) if error is not None else {"file": record.module, "line": record.lineno}
        note(Process.library, source=record.name, level=record.levelname.lower(), **place)


def _last(trace: TracebackType | None) -> dict[str, Value]:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return {}
    return {"file": trace.tb_frame.f_code.co_filename.rpartition("/")[2], "line": trace.tb_lineno}


def _check(event: StrEnum, fields: Mapping[str, Value]) -> None:
    if unknown := fields.keys() - FIELDS[event]:
        raise ValueError(f"{event}: no field {', '.join(sorted(unknown))} in the list of facts")


def _shown(fields: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _safe(value) for name, value in fields.items()}


def _safe(value: object) -> Value:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _HIDDEN


def _stamper(now: Callable[[], Instant]) -> Callable[[Any, str, Any], Any]:
    def stamped(_logger: Any, _method: str, line: Any) -> Any:
        return {"at": format_instant(now()), **line}

    return stamped
