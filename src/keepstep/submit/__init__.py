"""③ The submitter: decides per party, writes per job. The only block that writes to a vendor.

turn.py     one bounded piece of work under the slot, as a list of named steps
load.py     a party with both sides as they are now: stored readings, re-read where a write made them old, look-ups
decided.py  T2: what was decided becomes steps, jobs and what is now seen, in one transaction
holds.py    what a stage, a plan or the hours of bulk work keep from being sent
custody.py  whose turn it is where somebody gets an address that another person of ours still has
past.py     what was decided and what became known, kept as it was
lost.py     where somebody is whose individual is gone from its household
calls.py    the vendor calls and T3: outcomes, seen, journal
confirm.py  what waits in the CRM's nightly batch
standstill.py  what may have been forgotten by a service that stood still, or by a backup that was put back
letters.py  dead letters whose cause is gone
"""

from keepstep.desk import Chore, Desk
from keepstep.submit import confirm, letters
from keepstep.submit.turn import Opened, Step, opened, turn

__all__ = ["Opened", "Step", "chores", "opened", "turn"]


def chores(desk: Desk) -> tuple[Chore, ...]:
    """What the submitter wants done, most urgent first."""
    return (*confirm.chores(desk), *letters.chores(desk))
