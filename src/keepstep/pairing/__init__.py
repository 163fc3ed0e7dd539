"""First connection: read both sides, decide everybody, say what it would come to, do exactly that.

progress.py  how far both sides are read and everybody is decided
plan.py      what would be done, per person, list and tag, with its cost and a checksum
apply.py     lets go what was planned, refuses what has changed since

The block decides nothing itself: what is planned is what `decide` wanted and submit/holds.py holds.
"""

from keepstep.pairing.apply import Applied, apply
from keepstep.pairing.plan import Drawing, created_from, draw, linked_to
from keepstep.pairing.progress import Progress, begin, progress

__all__ = ["Applied", "Drawing", "Progress", "apply", "begin", "created_from", "draw", "linked_to", "progress"]
