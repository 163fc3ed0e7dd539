"""Mistakes with consent: what counts as an opt-out, what as a way back, and who is closed by it."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import destination
from keepstep.connectors.constant_contact import mapping as cc_mapping
from keepstep.model import consent, decide, notes
from keepstep.model.contact import Consent, Side
from keepstep.submit import decided


def last_writer_wins_consent(patch: MonkeyPatch) -> None:
    """Whoever is subscribed now is taken for somebody who subscribed again."""

    true_back = consent._way_back

    def way_back(contact: Any, acts: Any) -> Any:
        return true_back(replace(contact, opt_in_source="Contact", opt_in_at=contact.read_at + 1), acts)

    patch.setattr(consent, "_way_back", way_back)


def widens_unread(patch: MonkeyPatch) -> None:
    """Somebody is put on a list without a look at who opted out meanwhile."""

    async def closed(_self: Any, _contacts: Any) -> dict[str, Any]:
        return {}

    patch.setattr(decided, "gate_is_fresh", lambda _tx, _desk, _now: True)
    patch.setattr(destination.Destination, "_closed", closed)


def a_hold_is_an_opt_out(patch: MonkeyPatch) -> None:
    """Whoever may not be mailed now has opted out."""
    out = {name: Consent.opted_out for name, one in cc_mapping.PERMISSIONS.items() if one is Consent.not_mailable}
    patch.setattr(cc_mapping, "PERMISSIONS", {**cc_mapping.PERMISSIONS, **out})


def deleted_by_permission(patch: MonkeyPatch) -> None:
    """A contact is what its permission says, and a deleted one keeps its permission."""
    true_present = cc_mapping._present
    patch.setattr(cc_mapping, "_present", lambda row, key, warn: key != "deleted_at" and true_present(row, key, warn))


def revived_is_back(patch: MonkeyPatch) -> None:
    """Who was deleted and is there again may be mailed again."""
    true_returned = consent.returned

    def returned(person: Any, contact: Any) -> Any:
        back = contact.consent is Consent.opted_in and not contact.deleted
        acts = [act for act in person.acts if act.kind != "record" or not back]
        return true_returned(replace(person, acts=tuple(acts)), contact)

    patch.setattr(consent, "returned", returned)
    patch.setattr(decide, "returned", returned)


def any_opt_in_date(patch: MonkeyPatch) -> None:
    """The person's own opt-in lifts an opt-out, also the one from years before it."""
    true_back = consent._way_back

    def way_back(contact: Any, acts: Any) -> Any:
        dated = contact.opt_in_at is not None
        return true_back(replace(contact, opt_in_at=contact.read_at + 1) if dated else contact, acts)

    patch.setattr(consent, "_way_back", way_back)


def lifts_what_staff_set(patch: MonkeyPatch) -> None:
    """Whoever comes back is opted in, also where staff had opted them out for reasons of their own."""
    patch.setattr(decide, "false_kind", lambda _person: None)


def every_false_is_an_opt_out(patch: MonkeyPatch) -> None:
    """A `false` in the CRM was said by the person, even if nobody was seen to set it."""
    patch.setattr(consent, "_false_kind", lambda *_: "choice")


def closes_one_method(patch: MonkeyPatch) -> None:
    """The opt-out closes the person's own method; the spouse's copy of the address stays open."""
    true_shut = decide._shut_by

    def shut_by(pair: Any, others: Any) -> Any:
        return [(one, method) for one, method in true_shut(pair, others) if method == pair.mail]

    patch.setattr(decide, "_shut_by", shut_by)


def bounces_travel(patch: MonkeyPatch) -> None:
    """An address that bounces unsubscribes its person where the bounce came from."""
    true_standing = decide.unlifted

    def unlifted(acts: Any) -> Any:
        return [replace(act, side=Side.crm) if act.kind == "address" else act for act in true_standing(acts)]

    patch.setattr(decide, "unlifted", unlifted)


def complaints_like_any_opt_out(patch: MonkeyPatch) -> None:
    """Nobody is told that an opt-out was a complaint."""
    patch.setattr(notes, "COMPLAINTS", ())
