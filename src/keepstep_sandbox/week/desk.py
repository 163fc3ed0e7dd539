"""Staff at their imports, where these do not run by themselves (Virtuous facts 10.3)."""

from typing import Any

from keepstep_sandbox.log import VIRTUOUS
from keepstep_sandbox.people import ORGANIZATION
from keepstep_sandbox.week.scene import Scene

NEVER = 12  # every so many rows are never looked at


def works(scene: Scene, first: bool) -> bool:
    """Decide the rows that the nights left behind: in the first session every second one, in a later one the rest, a
    few never."""
    rows = [row for row in scene.world.virtuous.waiting(ORGANIZATION) if row["bucket"] != "waiting"]
    for row in rows:
        if row["id"] % NEVER and (not first or row["id"] % 2):
            scene.act(VIRTUOUS, "resolve", row_id=row["id"], how=_answer(row))
    return bool(rows)


def _answer(row: dict[str, Any]) -> str | int:
    """The best candidate, else somebody new."""
    return int(row["candidates"][0]) if row["candidates"] else "create"
