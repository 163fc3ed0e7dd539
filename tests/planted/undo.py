"""Mistakes of undoing."""

from typing import Any

import pytest

from keepstep.model import restore
from keepstep.model.party import Party


def undone_whoever_may_be_mailed(patch: pytest.MonkeyPatch) -> None:
    """Whoever was taken off a list is put back, also somebody who may not be mailed any more."""
    patch.setattr(restore, "may_widen", lambda *_: True)


def undone_over_what_is_touched(patch: pytest.MonkeyPatch) -> None:
    """What was there before the run goes over what somebody has changed since."""
    patch.setattr(restore, "_is_touched", lambda *_: False)


def undone_and_done_again(patch: pytest.MonkeyPatch) -> None:
    """Nobody remembers that the sides differ on purpose."""

    def forgetful(party: Party, _what: Any) -> Party:
        return party

    patch.setattr(restore, "_apart", forgetful)
