"""The classics of this trade, by those who build such simulators; where one stands in another file, it is named."""

from collections.abc import Mapping
from typing import Any

from pytest import MonkeyPatch

from keepstep import rounds
from keepstep.connectors.virtuous import edit
from keepstep.model import fields
from keepstep.model.errors import Blocked, Transient
from keepstep.tokens.grant import OAuthGrant
from tests.planted import granting, writing
from tests.simulator import planted as kernel
from tests.zoo import plans, staged
from tests.zoo.planting import Plant, Planted, listed


def writes_without_comparing(patch: MonkeyPatch) -> None:
    """Names are written whenever they are read, whether or not they are there already."""
    right = fields._verdict

    def verdict(field: str, sides: Any, pair: Any, terms: Any) -> str:
        found = right(field, sides, pair, terms)
        return "write" if field in fields.NAMES and found == "agreed" else found

    made = edit.Edit

    def blind(**given: Any) -> Any:
        return made(**given | {"fits": _never} if "ContactIndividual" in given["path"] else given)

    patch.setattr(fields, "_verdict", verdict)
    patch.setattr(edit, "Edit", blind)


def _never(_raw: Any) -> bool:
    return False


def an_overlap_makes_up_for_it(patch: MonkeyPatch) -> None:
    """A round begins when our clock says so; ten minutes of overlap make up for a clock that is wrong."""
    patch.setattr(rounds, "_began", lambda _page, now: now)


def void_for_a_networks_trouble(patch: MonkeyPatch) -> None:
    """A refresh that did not get through is a grant that is gone: somebody is called to a browser."""
    right = OAuthGrant._sent

    async def sent(self: Any, *given: Any) -> Any:
        try:
            return await right(self, *given)
        except Transient:
            raise Blocked("reauthorize", "void") from None

    patch.setattr(OAuthGrant, "_sent", sent)


_EXPECTED: dict[Plant, str] = {
    writes_without_comparing: "",
    void_for_a_networks_trouble: "I33",
    granting.used_before_it_is_stored: "",
    granting.received_and_lost: "",
    writing.repeats_unanswered_writes: "",
    kernel.entries_dropped: "",
    writing.retries_for_ever: "",
}
CLASSIC = (
    *listed(_EXPECTED, {writing.repeats_unanswered_writes: plans.lost, granting.received_and_lost: plans.unstored}),
    Planted(an_overlap_makes_up_for_it, ("I37",), staged.AHEAD, pairs=True),
)
CLASSICS: Mapping[str, str] = {
    "webhook acknowledged before its commit": "intake.acknowledged_before_stored",
    "cursor is now": "reading.wall_clock_mark",
    "cursor is now, with an overlap": "classics.an_overlap_makes_up_for_it",
    "`updated_after` only": "consent.opt_outs_by_updates",
    "last writer wins on consent": "consent.last_writer_wins",
    "write without compare": "classics.writes_without_comparing",
    "two refreshes in flight": "granting.a_token_manager_beside",
    "new token stored late, crash between": "granting.used_before_it_is_stored",
    "stale payload used for the merge": "twins.late_news_wins",
    "write without an answer sent again": "writing.repeats_unanswered_writes",
    "retry without end": "writing.retries_for_ever",
}
