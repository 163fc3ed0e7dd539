"""Mistakes with what owners are told, how long things are kept, and what a customer who leaves leaves behind."""

from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import delete

from keepstep.connectors.virtuous.source import Source
from keepstep.inbound import retention as chore
from keepstep.schema.tables import act
from keepstep.state import alerts, customers
from keepstep.state.retention import Place
from keepstep.submit import calls
from keepstep.wiring import alerts as sender
from keepstep.wiring import removal


def told_at_every_try(patch: MonkeyPatch) -> None:
    """What fails again is told again."""
    patch.setattr(alerts, "next_digest", lambda now: now)


def told_once_or_never(patch: MonkeyPatch) -> None:
    """A message that was not taken is not sent again."""
    patch.setattr(alerts, "failed", alerts.told)


def a_void_grant_is_nobodys_news(patch: MonkeyPatch) -> None:
    """The recipe never thinks about authorization again: that it has ended shows in a log."""
    patch.setattr(calls, "raise_alert", lambda *_: None)


def everybody_hears_it(patch: MonkeyPatch) -> None:
    """A recipient is a recipient: one customer's trouble is told to another one's people."""
    true_chosen = sender._chosen

    def chosen(tx: Any, service: Any, customer_id: str) -> Any:
        found = [true_chosen(tx, service, one.customer_id) for one in customers.every(tx)]
        return next((one for one in found if one[1] is not None), true_chosen(tx, service, customer_id))

    patch.setattr(sender, "_chosen", chosen)


def the_ledger_grows_old_too(patch: MonkeyPatch) -> None:
    """What is old is forgotten, whatever it says: who opted out three years ago is mailable again."""
    true_classes = chore.classes

    def acts(tx: Any, customer_id: str, before: float, _place: Place) -> None:
        tx.execute(delete(act).where(act.c.customer_id == customer_id, act.c.seen_at < before))

    patch.setattr(chore, "classes", lambda desk: [*true_classes(desk), (acts, desk.retention.journal)])


def nobody_tells_the_vendor(patch: MonkeyPatch) -> None:
    """A customer is gone once its rows are: the vendor sends on, to a door that is nobody's."""

    async def unsubscribe(_self: Any, _vendor_id: str) -> str:
        return "deleted"

    patch.setattr(Source, "unsubscribe", unsubscribe)


def secrets_stay_behind(patch: MonkeyPatch) -> None:
    """What opens the customer's accounts outlives the customer."""
    true_except = customers._EXCEPT
    patch.setattr(customers, "_EXCEPT", {**true_except, "secret": (customers.secret.c.customer_id != "",)})
    patch.setattr(
        removal,
        "_secrets_gone",
        lambda tx, _s, who, data, now: removal._noted(tx, who, data, {"secrets": 0, "closed": now}),
    )


def who_opted_out_is_forgotten(patch: MonkeyPatch) -> None:
    """Everything of a customer goes, and with it who must never be mailed should the customer come back."""
    patch.setattr(customers, "_EXCEPT", {})
    patch.setattr(customers, "_KEPT", (act.c.direction == "nowhere",))
