"""Mistakes after a backup was put back: what we wrote since then and do not know of any more."""

from pytest import MonkeyPatch

from keepstep.model import consent
from keepstep.submit import standstill


def nothing_was_forgotten(patch: MonkeyPatch) -> None:
    """A `false` that was not there before is always somebody's choice."""
    patch.setattr(consent, "_may_be_ours", lambda _person, _stood: False)


def decides_before_it_reads(patch: MonkeyPatch) -> None:
    """Whatever one side says is decided at once, before the other one could explain it."""
    patch.setattr(standstill, "reads", lambda _tx, _desk: False)


def sends_before_the_batch(patch: MonkeyPatch) -> None:
    """Whom the CRM does not know nobody has sent."""
    patch.setattr(standstill, "batch_pending", lambda _tx, _desk: False)


def sends_what_it_had_decided(patch: MonkeyPatch) -> None:
    """A decision stands, however long ago it was made."""
    patch.setattr(standstill, "keeps", lambda _tx, _desk: None)
