"""One write of several values: what the vendor refused together goes one by one, so that a value that it never takes
keeps back no other."""

from collections.abc import Callable, Sequence

from keepstep.model.change import Step
from keepstep.model.party import Person

KINDS = ("set_custom", "set_fields")
# The vendor has read the write and does not like what it says.
DISLIKED = (400, 422)


def in_parts(
    person: Person, names: Sequence[str], write: Callable[[Sequence[str], str], Step], target: str
) -> list[Step]:
    """The steps that write these values: one, as long as nothing of it was refused. `write` makes the one for some of
    them, by its target."""
    alone = {name: write([name], f"{target}:{name}") for name in names}
    never = {name: one for name, one in alone.items() if person.was_refused(one.target, one.payload)}
    rest = [name for name in names if name not in never]
    if not rest:
        return list(never.values())
    together = write(rest, target)
    if len(rest) > 1 and person.was_refused(together.target, together.payload):
        return list(alone.values())
    return [together, *never.values()]


def goes_in_parts(step: Step, status: int | None) -> bool:
    """Is what was refused with this status asked for again value by value? Then each speaks for itself. What an undo
    restores is not asked for again."""
    several = step.kind in KINDS and len(step.payload["values"]) > 1
    return several and status in DISLIKED and "undo" not in step.payload
