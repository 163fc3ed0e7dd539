"""③ The submitter: decides per party, writes per job. The only block that writes to a vendor.

turn.py     one bounded piece of work under the slot, as a list of named steps
load.py     a party with both sides as they are now: stored readings, re-read where a write made them old, look-ups
decided.py  T2: what was decided becomes steps, jobs and what is now seen, in one transaction
calls.py    the vendor calls and T3: outcomes, seen, journal
"""

from keepstep.submit.confirm import chores
from keepstep.submit.turn import turn

__all__ = ["chores", "turn"]
