"""Reconciliation: what the sync itself would never notice (Virtuous facts 16.7).

compare.py  ranges of parties by their fingerprints, and only those that differ pair by pair
survey.py   everything that is not as it should be, with a checksum
repair.py   does what a survey found, or refuses
nightly.py  the same by itself, a range a turn, below the thresholds

It asks no vendor: both sides are read by their sweeps, which it names with what it finds. A repair writes nothing but
marks and bases, so what goes out is decided as ever.
"""

from keepstep.reconcile.compare import Means
from keepstep.reconcile.nightly import NAME, chores
from keepstep.reconcile.repair import Repaired, apply

__all__ = ["NAME", "Means", "Repaired", "apply", "chores"]
