"""Whether the tables that feeds read can be read as the settings say: a part of what `keepstep doctor` looks at."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from keepstep.model.errors import Blocked, Misconfigured
from keepstep.state.feeds import PLATFORM
from keepstep.wiring import feeds

if TYPE_CHECKING:
    from keepstep.desk import Desk

Found = tuple[str, str, str]
_CORRECT = "correct the feed's settings, then restart the service"


def looks(desk: "Desk") -> list[tuple[str, str, Callable[["Desk"], Awaitable[Found]]]]:
    """One look a feed: (platform, name of the check, the look)."""
    return [(PLATFORM, f"feed {name}", partial(_look, name)) for name in sorted(desk.route.feeds)]


async def _look(name: str, desk: "Desk") -> Found:
    feed = desk.route.feeds[name]
    if name not in desk.tables:
        return "failed", "nothing here reads SQL tables", "install the connector"
    try:
        if problems := await desk.tables[name].check():
            return "person", "; ".join(problems), _CORRECT
        if unknown := await feeds.unknown_lists(desk, feed):
            return "person", "; ".join(unknown), f"keepstep feed check {name} --customer {desk.customer_id}"
        warned = await desk.tables[name].warnings()
    except Misconfigured as problem:
        return "person", "; ".join(problem.problems), _CORRECT
    except Blocked as problem:
        return "person", str(problem), f"keepstep feed connect {name} --customer {desk.customer_id}"
    return "ok", "; ".join(["can be read", *warned]), "make sure that it is meant" if warned else ""
