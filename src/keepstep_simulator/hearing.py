"""What the service writes to its log, kept in the story of the seeds that listen, and nowhere in any other."""

import json
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

Tell = Callable[[str, str], None]


@contextmanager
def listening(tell: Tell | None) -> Iterator[None]:
    """For the length of a block every line goes to `tell` (event, line); without it, nowhere."""
    before = structlog.get_config()

    def heard(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Any:
        if tell is not None:
            tell(str(line.get("event", "")), json.dumps(line, sort_keys=True, default=str))
        raise structlog.DropEvent

    structlog.configure(processors=[heard], wrapper_class=structlog.make_filtering_bound_logger(0 if tell else 50))
    try:
        yield
    finally:
        structlog.configure(**before)
