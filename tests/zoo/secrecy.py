"""Mistakes with what is written where people read: one each for I34 to I36."""

from collections.abc import Mapping
from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import Connection

from keepstep import filing, telemetry
from keepstep.connectors.constant_contact import api
from keepstep.state import journal
from keepstep.telemetry import Event
from keepstep.tokens.grant import OAuthGrant


def tokens_for_support(patch: MonkeyPatch) -> None:
    """I34: the journal tells of every refresh, with what came back, so that support can try it."""
    right = OAuthGrant._keep

    def keep(self: Any, tx: Connection, used: Any, new: Mapping[str, Any], now: float) -> Any:
        journal.append(tx, self.customer_id, [(now, None, "refreshed", {"answer": dict(new)})])
        return right(self, tx, used, new, now)

    patch.setattr(OAuthGrant, "_keep", keep)


def whom_it_is_about(patch: MonkeyPatch) -> None:
    """I35: the log names whom a decision is about, so that somebody can be found in it."""
    right = filing.understood

    def understood(desk: Any, party: Any, kept: Any) -> Any:
        readings = right(desk, party, kept)
        for contact in readings.audience.values():
            telemetry.report(Event.parked, desk.customer_id, reason=contact.last_name)
        return readings

    patch.setattr(filing, "understood", understood)


def the_host_of_old(patch: MonkeyPatch) -> None:
    """I36: calls go to the host that the recipe names, whatever the settings say."""
    right = api.Api.__init__

    def init(self: api.Api, connection: Any) -> None:
        right(self, connection)
        self._origin = "https://api.constantcontact.com"

    patch.setattr(api.Api, "__init__", init)
