"""What writing comes to, in calls: a plan says it before anybody says yes."""

from keepstep.connectors.constant_contact.destination import JOBS, READ_ONE_BY_ONE
from keepstep.model.feed_decide import IMPORT, IMPORT_ONE

# The job itself, one look whether it ended, and of many people a page of the deleted and one of the members.
JOB, PAGE = 2, 1


def cost(kind: str, steps: int) -> int:
    """Calls of one job of this kind with so many steps. Everybody written is read once more, one by one."""
    if kind == "set_fields":
        return steps * 4  # read, PUT, opt-outs meanwhile, read again
    if kind == "enrol":
        return steps * 2  # POST, read
    if kind == IMPORT:
        return JOB + PAGE  # who was deleted; everybody is read again only where its counts say less than was sent
    if kind == IMPORT_ONE:
        return steps * 4  # read by address and by id, write, opt-outs meanwhile
    if kind not in JOBS:
        return steps * 3  # read, PUT, read again
    one_by_one = steps <= READ_ONE_BY_ONE
    looked = steps if one_by_one else PAGE
    return JOB + (looked if JOBS[kind].adds else 0) + looked + steps
