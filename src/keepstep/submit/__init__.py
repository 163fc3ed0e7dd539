"""③ The submitter: decides per party, writes per job. The only block that writes to a vendor.

turn.py     one bounded piece of work under the slot, as a list of named steps
load.py     a party with both sides as they are now: stored readings, re-read where a write made them old, look-ups
decided.py  T2: what was decided becomes steps, jobs and what is now seen, in one transaction
custody.py  whose turn it is where somebody gets an address that another person of ours still has
past.py     what was decided and what became known, kept as it was
calls.py    the vendor calls and T3: outcomes, seen, journal
confirm.py  what waits in the CRM's nightly batch
"""

from keepstep.submit.confirm import chores
from keepstep.submit.turn import Step, turn

__all__ = ["Step", "chores", "turn"]
