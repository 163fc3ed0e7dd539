"""Mistakes of the brake: what it does not count, what it holds that it must not, what a person's word comes to."""

from pytest import MonkeyPatch

from keepstep.model import brake as rule
from keepstep.model import decide
from keepstep.submit import brake
from keepstep.wiring import brake as word


def a_false_is_a_choice(patch: MonkeyPatch) -> None:
    """Whatever the CRM says is taken for somebody's own word."""
    true_inferred = rule.inferred_from
    patch.setattr(decide, "inferred_from", lambda acts: None if (why := true_inferred(acts)) == "false" else why)


def dated_opt_outs_are_braked(patch: MonkeyPatch) -> None:
    """Every change of consent counts, also what somebody did on a day that is known."""
    true_inferred = rule.inferred_from
    patch.setattr(decide, "inferred_from", lambda acts: true_inferred(acts) or "false")


def a_yes_is_for_everything(patch: MonkeyPatch) -> None:
    """Approving lets everything go that is held by then."""
    patch.setattr(word, "_chosen", lambda _desk, held, _checksum: held)


def a_no_is_forgotten(patch: MonkeyPatch) -> None:
    """What was discarded is decided again at the next reading."""
    patch.setattr(decide, "without_discarded", lambda _party, step: step)


def the_rest_goes_out(patch: MonkeyPatch) -> None:
    """The limit is looked at with one step at a time in mind: what waits together is not added up."""
    true_trips = rule.trips
    patch.setattr(brake, "trips", lambda _fresh, counted, _held, limit: true_trips(1, counted, 0, limit))


def nothing_goes_by_itself(patch: MonkeyPatch) -> None:
    """An opt-out waits for a person as long as a removal does."""
    patch.setattr(brake, "_let_go_overdue", lambda *_any: None)


def every_try_counts(patch: MonkeyPatch) -> None:
    """What is tried again is counted again."""
    patch.setattr(brake, "_passes", lambda _row, _known, _now: False)
